"""Log anomaly alarms, and the kind of what they find."""

import django.core.validators
import django.db.models.deletion
from django.db import migrations, models

import lianfang.kernel.clock
import lianfang.kernel.ids


class Migration(migrations.Migration):
    dependencies = [
        ("detect", "0015_scenarios"),
    ]

    operations = [
        migrations.AlterField(
            model_name="finding",
            name="kind",
            field=models.CharField(choices=[("sigma", "rule"), ("ioc", "watch list"), ("correlation", "correlation"), ("baseline", "baseline"), ("anomaly", "log anomaly")], default="sigma", editable=False, max_length=12, verbose_name="kind"),
        ),
        migrations.CreateModel(
            name="AnomalyAlarm",
            fields=[
                ("id", models.UUIDField(default=lianfang.kernel.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ("organisation", models.CharField(default="", editable=False, max_length=36)),
                ("territory", models.CharField(db_index=True, default="", editable=False, max_length=60)),
                ("industry", models.CharField(db_index=True, default="", editable=False, max_length=60)),
                ("name", models.CharField(max_length=120, verbose_name="name")),
                ("source", models.CharField(blank=True, db_index=True, default="", help_text="Empty: all sources of the layer.", max_length=60, verbose_name="log source")),
                ("layer", models.CharField(blank=True, choices=[("business", "business"), ("system", "system"), ("network", "network"), ("security", "security")], default="", help_text="Empty: all layers.", max_length=10, verbose_name="layer")),
                ("fresh", models.BooleanField(blank=True, default=True, verbose_name="a line never seen before")),
                ("more", models.BooleanField(blank=True, default=True, verbose_name="many more of one line than usual")),
                ("fewer", models.BooleanField(blank=True, default=False, verbose_name="one line missing, or far fewer than usual")),
                ("learning", models.PositiveSmallIntegerField(default=3, help_text="Before that nothing of it is new.", validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(90)], verbose_name="days to know a source")),
                ("severity", models.PositiveSmallIntegerField(choices=[(5, "critical"), (4, "high"), (3, "medium"), (2, "low"), (1, "informational")], default=3, verbose_name="severity")),
                ("note", models.CharField(blank=True, default="", help_text="Stands on the alert: whom to call, what to look at.", max_length=500, verbose_name="what to do")),
                ("enabled", models.BooleanField(default=True, verbose_name="in use")),
                ("spared", models.JSONField(default=list, editable=False)),
                ("bursts", models.JSONField(default=dict, editable=False)),
                ("looked", models.DateTimeField(default=lianfang.kernel.clock.now, editable=False)),
                ("told", models.PositiveIntegerField(default=0, editable=False, verbose_name="alarms")),
                ("last", models.DateTimeField(editable=False, null=True, verbose_name="last alarm")),
                ("created", models.DateTimeField(default=lianfang.kernel.clock.now, editable=False, verbose_name="created")),
                ("made_by", models.CharField(default="", editable=False, max_length=120, verbose_name="made by")),
                ("calendar", models.ForeignKey(blank=True, help_text="Outside its hours nothing becomes an alarm. Empty: always.", null=True, on_delete=django.db.models.deletion.PROTECT, related_name="anomalies", to="detect.calendar", verbose_name="calendar")),
            ],
            options={
                "verbose_name": "log anomaly alarm",
                "verbose_name_plural": "log anomaly alarms",
                "ordering": ("name", "id"),
                "constraints": [models.UniqueConstraint(fields=("organisation", "name"), name="detect_anomalyalarm_once")],
            },
        ),
    ]
