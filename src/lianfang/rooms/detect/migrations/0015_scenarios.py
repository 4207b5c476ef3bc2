"""Scenarios that people of this node describe."""

from django.db import migrations, models

import lianfang.kernel.clock
import lianfang.kernel.ids


class Migration(migrations.Migration):
    dependencies = [
        ("detect", "0014_hunted"),
    ]

    operations = [
        migrations.CreateModel(
            name="OwnScenario",
            fields=[
                ("id", models.UUIDField(default=lianfang.kernel.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ("zh", models.CharField(blank=True, default="", max_length=80, verbose_name="Chinese name")),
                ("en", models.CharField(blank=True, default="", max_length=80, verbose_name="English name")),
                ("about_zh", models.TextField(blank=True, default="", max_length=2000, verbose_name="Chinese description")),
                ("about_en", models.TextField(blank=True, default="", max_length=2000, verbose_name="English description")),
                ("alarm", models.CharField(blank=True, default="", max_length=40, verbose_name="alarm type")),
                ("stages", models.JSONField(default=list, verbose_name="stages")),
                ("enabled", models.BooleanField(default=True, editable=False, verbose_name="switched on")),
                ("version", models.PositiveIntegerField(default=1, editable=False, verbose_name="version")),
                ("made_by", models.CharField(default="", editable=False, max_length=120, verbose_name="made by")),
                ("changed_by", models.CharField(default="", editable=False, max_length=120, verbose_name="changed by")),
                ("created", models.DateTimeField(default=lianfang.kernel.clock.now, editable=False, verbose_name="created")),
                ("changed", models.DateTimeField(default=lianfang.kernel.clock.now, editable=False, verbose_name="last change")),
            ],
            options={
                "verbose_name": "own scenario",
                "verbose_name_plural": "own scenarios",
                "ordering": ("-changed", "-id"),
            },
        ),
    ]
