from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ('respond', '0006_correlations'),
    ]

    operations = [
        migrations.AddField(
            model_name='stirred',
            name='turn',
            field=models.PositiveBigIntegerField(default=0),
        ),
    ]
