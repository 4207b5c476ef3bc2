"""What this room keeps sealed: second factors, and the addresses of webhooks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from allauth.mfa.models import Authenticator
from django.db import transaction
from django.utils.translation import gettext_lazy as _

from lianfang.commons.people import declare, models, queries
from lianfang.commons.people.actions.reaching import PURPOSE
from lianfang.commons.people.actions.texts import sealed_texts
from lianfang.engines.envelope import mark_of


def kinds() -> list[declare.Kind]:
    """For ``declare.sealed``."""
    return [
        declare.Kind("people.second_factor", _("second factors"), _("Their owners log in by password alone, and set them up anew."), _count, _reseal, _forget),
        sealed_texts("people.webhook", _("addresses of webhooks"), _("Notices no longer go there, until somebody types them again."), models.Reach.objects.all, "webhook", purpose=PURPOSE, forget=lambda rows: rows.update(webhook="", place="")),
    ]


def _count() -> declare.Counts:
    return queries.by_generation((key, 1) for row in Authenticator.objects.all() for key in _keys(row))


def _keys(row: Authenticator) -> set[str]:
    return {mark_of(text).key for text in queries.secrets_of(row)}


def _reseal(progress: declare.Progress) -> None:
    ring, rows = queries.keyring(), list(Authenticator.objects.order_by("pk").values_list("pk", flat=True))
    for at, pk in enumerate(rows):
        progress(at, len(rows))
        with transaction.atomic():
            row = Authenticator.objects.select_for_update().filter(pk=pk).first()
            found = {ring.generation(text) for text in queries.secrets_of(row)} if row else set()
            if row is not None and None not in found and found != {ring.newest}:
                row.data = _changed(row.data, lambda text: ring.seal(ring.open(text, purpose=queries.FACTOR), purpose=queries.FACTOR))
                row.save(update_fields=["data"])


def _changed(data: dict[str, Any], change: Callable[[str], str]) -> dict[str, Any]:
    changed = {name: change(value) if name in ("secret", "seed") else value for name, value in data.items()}
    return changed | ({"migrated_codes": [change(code) for code in data["migrated_codes"]]} if "migrated_codes" in data else {})


def _forget(generation: int) -> int:
    known = queries.generation_numbers()
    gone = [row.pk for row in Authenticator.objects.all() if any(queries.generation_of(key, known) == generation for key in _keys(row))]
    return int(Authenticator.objects.filter(pk__in=gone).delete()[0])
