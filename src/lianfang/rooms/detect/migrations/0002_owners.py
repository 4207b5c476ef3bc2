"""Name the organisation of what was stored without it: that of the source that brought it."""

from django.db import migrations


def fill(apps, schema_editor):
    rows = apps.get_model("detect", "Finding").objects.filter(organisation="")
    for source, organisation in apps.get_model("lake", "Source").objects.exclude(organisation="").values_list("name", "organisation"):
        rows.filter(source=source).update(organisation=organisation)


class Migration(migrations.Migration):
    dependencies = [("detect", "0001_initial"), ("lake", "0001_initial")]
    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
