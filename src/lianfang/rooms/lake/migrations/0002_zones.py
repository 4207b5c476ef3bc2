"""Each source says in which zone the times are that name none. The sample stream is written in UTC."""

from django.db import migrations, models

import lianfang.rooms.lake.models


def sample_in_utc(apps, schema_editor):
    apps.get_model("lake", "Source").objects.filter(kind="sample").update(zone="UTC")


class Migration(migrations.Migration):
    dependencies = [("lake", "0001_initial")]
    operations = [
        migrations.AddField(
            model_name="source",
            name="zone",
            field=models.CharField(blank=True, default=lianfang.rooms.lake.models.default_zone, help_text="Of times in its logs that name none, as in RFC 3164 syslog: for example Asia/Shanghai or UTC.", max_length=40, validators=[lianfang.rooms.lake.models.valid_zone], verbose_name="time zone"),
        ),
        migrations.RunPython(sample_in_utc, migrations.RunPython.noop),
    ]
