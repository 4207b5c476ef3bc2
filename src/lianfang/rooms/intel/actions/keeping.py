"""By hand: an indicator is added, changed, revoked, restored, removed; each with one record in the ledger.

Whatever is done moves the watch list's edition on, in the same transaction, and tells it upwards.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F

from lianfang.commons.frame.scoped import whose
from lianfang.commons.jobs import actions as jobs
from lianfang.commons.ledger import actions as ledger
from lianfang.commons.people import queries as people
from lianfang.engines.schema import observables
from lianfang.kernel import clock
from lianfang.kernel.errors import Conflict, Invalid
from lianfang.kernel.viewer import SYSTEM, Viewer
from lianfang.rooms.intel import models
from lianfang.rooms.intel.queries import candidates, watching
from lianfang.rooms.intel.types import WatchlistChanged, reason_of

FIELDS = ("value", "source", "tlp", "confidence", "valid_from", "valid_until", "tags", "note")


def owner(actor: Viewer) -> dict[str, str]:
    """Whose the rows are: the actor's organisation's, or the node's own when it acts by itself or from its console."""
    if actor.path:
        return whose(actor)
    units = people.organisations(SYSTEM)
    return {"organisation": units[0].id, "territory": units[0].territory, "industry": units[0].industry} if units else whose(actor)


def add(values: Mapping[str, Any], *, actor: Viewer) -> models.Indicator:
    """A new indicator of the actor's organisation. Raises ``Invalid`` for a value that makes no sense, ``Conflict`` for one that is there."""
    actor.must("intel.indicator.add")
    row = models.Indicator(**owner(actor))
    _set(row, values)
    return _kept(row, actor, "intel.indicator_added", {"kind": row.kind})


def change(row: models.Indicator, values: Mapping[str, Any], *, actor: Viewer) -> models.Indicator:
    """The indicator with new values; nothing is written when nothing differs."""
    actor.must("intel.indicator.change")
    before = {name: getattr(row, name) for name in FIELDS}
    _set(row, values)
    said = ledger.differing(before, {name: getattr(row, name) for name in FIELDS})
    return _kept(row, actor, "intel.indicator_changed", said, removed="value" in said["after"]) if said else row


def revoke(row: models.Indicator, *, actor: Viewer) -> models.Indicator:
    """It stays in the record but is no longer watched for; an import does not bring it back."""
    actor.must("intel.indicator.change")
    return _turned(row, True, actor)


def restore(row: models.Indicator, *, actor: Viewer) -> models.Indicator:
    """A revoked indicator counts again."""
    actor.must("intel.indicator.change")
    return _turned(row, False, actor)


@transaction.atomic
def remove(row: models.Indicator, *, actor: Viewer) -> None:
    """The indicator is gone; the ledger keeps that it was there."""
    actor.must("intel.indicator.delete")
    _told("intel.indicator_removed", row, actor, {"kind": row.kind, "source": row.source})
    move_on(removed=True)
    models.Indicator.objects.filter(pk=row.pk).delete()
    tell()


def move_on(*, removed: bool = False) -> int:
    """Move the watch list's edition on, in the transaction that changes indicators and before they are written; returns its number.

    The number is stamped on what is written. The edition's row stays locked until the transaction ends, so whoever sees an
    edition sees everything stamped with it or before. ``removed``: a value goes and leaves no row behind that says so.
    """
    edition = models.Edition.objects.filter(pk=watching.ONLY)
    if not edition.update(number=F("number") + 1):
        models.Edition.objects.bulk_create([models.Edition(pk=watching.ONLY)], ignore_conflicts=True)
        edition.update(number=F("number") + 1)
    if removed:
        edition.update(removed=F("number"))  # by itself: within one UPDATE, MariaDB reads the new number, the others the old one
    return edition.values_list("number", flat=True).get()


@transaction.atomic
def tell() -> bool:
    """Tell the watch list's version upwards unless it was told already; returns whether it was news."""
    version = watching.watchlist_version()
    if not models.Edition.objects.filter(pk=watching.ONLY).exclude(told=version).update(told=version):
        return False
    jobs.publish(WatchlistChanged(version, watching.size()))
    return True


def _set(row: models.Indicator, values: Mapping[str, Any]) -> None:
    for name in FIELDS:
        if name in values and name != "value":
            setattr(row, name, values[name])
    if "value" in values:
        row.kind, row.value = _canonical(values["value"])
        row.digest = models.digest_of(row.kind, row.value)
    if row.valid_until is not None and row.valid_until <= row.valid_from:
        raise Invalid("It would end before it begins", why="“Valid until” lies before “valid from”.", todo="Correct one of them.", details={"valid_until": ["before valid_from"]})


def _canonical(text: str) -> tuple[str, str]:
    """What a person typed, in canonical form. Internal addresses may be meant; what leads nowhere may not."""
    found = observables.observe(text)
    code, detail = candidates.unfit(*found, internal=True) if found else ("unknown", "")
    if found is None or code:
        reason = reason_of(code, detail)
        raise Invalid("This value cannot be watched for", why=reason, todo="Correct it, or choose a narrower one.", details={"value": [reason]})
    return found


def _kept(row: models.Indicator, actor: Viewer, verb: str, detail: dict[str, Any], *, removed: bool = False) -> models.Indicator:
    row.changed = clock.now()
    try:
        with transaction.atomic():
            row.edition = move_on(removed=removed)
            row.save()
            _told(verb, row, actor, detail)
            tell()
    except IntegrityError as error:
        raise Conflict(f"“{row.value}” of {row.source} is there already", why="One source says a value once.", todo="Change the one that is there.", details={"value": ["is there already"]}) from error
    return row


@transaction.atomic
def _turned(row: models.Indicator, revoked: bool, actor: Viewer) -> models.Indicator:
    """Revoke or restore; done once, however often it is asked."""
    standing = models.Indicator.objects.filter(pk=row.pk, revoked=not revoked)
    if standing.exists() and standing.update(revoked=revoked, changed=clock.now(), edition=move_on()):
        _told("intel.indicator_revoked" if revoked else "intel.indicator_restored", row, actor, {})
        tell()
    row.revoked = revoked
    return row


def _told(verb: str, row: models.Indicator, actor: Viewer, detail: dict[str, Any]) -> None:
    ledger.record(verb, row.ref, actor=actor, label=row.value[:200], detail=detail, territory=row.territory, industry=row.industry)
