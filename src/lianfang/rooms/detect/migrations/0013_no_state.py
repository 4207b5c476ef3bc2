from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('detect', '0012_parts'),
    ]

    operations = [
        migrations.RemoveField(
            model_name='baseline',
            name='state',
        ),
        migrations.RemoveField(
            model_name='correlating',
            name='state',
        ),
    ]
