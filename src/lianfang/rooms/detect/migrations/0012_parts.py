import django.db.models.deletion
from django.db import migrations, models

import lianfang.kernel.ids

PART = 512 << 10


def part(apps, _schema):
    """The state of the correlator moves into parts; baselines count anew from the lake, since what they keep has another shape."""
    for seat in apps.get_model("detect", "Correlating").objects.all():
        state = bytes(seat.state)
        for number, start in enumerate(range(0, len(state), PART)):
            apps.get_model("detect", "CorrelatingPart").objects.create(owner=seat, number=number, content=state[start : start + PART])
    apps.get_model("detect", "Baseline").objects.update(basis="", told={})


class Migration(migrations.Migration):

    dependencies = [
        ('detect', '0011_baselines'),
    ]

    operations = [
        migrations.CreateModel(
            name='BaselinePart',
            fields=[
                ('id', models.UUIDField(default=lianfang.kernel.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('number', models.PositiveIntegerField()),
                ('content', models.BinaryField()),
                ('owner', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='detect.baseline')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('owner', 'number'), name='detect_baselinepart_once')],
            },
        ),
        migrations.CreateModel(
            name='CorrelatingPart',
            fields=[
                ('id', models.UUIDField(default=lianfang.kernel.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('number', models.PositiveIntegerField()),
                ('content', models.BinaryField()),
                ('owner', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='detect.correlating')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('owner', 'number'), name='detect_correlatingpart_once')],
            },
        ),
        migrations.RunPython(part, migrations.RunPython.noop),
    ]
