"""What the correlations of a hunt look at, hour by hour."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("detect", "0013_no_state"),
    ]

    operations = [
        migrations.AddField(model_name="huntsplit", name="marks", field=models.BinaryField(default=b"")),
    ]
