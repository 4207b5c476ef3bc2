"""Seal the second factors that were stored in clear."""

from django.db import migrations

from lianfang.commons.people import queries
from lianfang.commons.people.actions.sealing import make_sealing_key
from lianfang.engines.envelope import is_sealed


def seal(apps, schema_editor):
    clear = [row for row in apps.get_model("mfa", "Authenticator").objects.all() if not all(map(is_sealed, queries.secrets_of(row)))]
    for row in clear:
        key = make_sealing_key()
        _change(row, lambda text: text if is_sealed(text) else key.seal(text, purpose=queries.FACTOR))


def unseal(apps, schema_editor):
    for row in apps.get_model("mfa", "Authenticator").objects.all():
        _change(row, lambda text: queries.unseal(text) if is_sealed(text) else text)


def _change(row, say):
    for name in ("secret", "seed"):
        if name in row.data:
            row.data[name] = say(row.data[name])
    if "migrated_codes" in row.data:
        row.data["migrated_codes"] = [say(code) for code in row.data["migrated_codes"]]
    row.save(update_fields=["data"])


class Migration(migrations.Migration):
    dependencies = [("people", "0001_initial"), ("mfa", "0003_authenticator_type_uniq")]
    operations = [migrations.RunPython(seal, unseal)]
