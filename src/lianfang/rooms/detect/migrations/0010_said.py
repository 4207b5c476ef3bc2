from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('detect', '0009_hunts'),
    ]

    operations = [
        migrations.AddField(
            model_name='correlating',
            name='said',
            field=models.PositiveBigIntegerField(default=0),
        ),
    ]
