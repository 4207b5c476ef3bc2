"""Desensitising: rules made, changed and taken over; a pseudonym led back by whoever may.

In: what a person wrote, a pseudonym and a reason. Out: a rule in force with its version on record; the value, told once and on the ledger.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from django.db import transaction
from django.utils.translation import gettext

from lianfang.commons.frame.scoped import whose
from lianfang.commons.ledger import actions as ledger
from lianfang.commons.people import queries as people
from lianfang.engines.envelope import SealingKey
from lianfang.kernel import clock
from lianfang.kernel.errors import Conflict, Invalid, Missing, Refused
from lianfang.kernel.labels import DataLevel
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.lake import models
from lianfang.rooms.lake.actions import receiving, secrets
from lianfang.rooms.lake.queries import shielding
from lianfang.rooms.lake.types import MaskVerb, Towards

FIELDS = ("name", "title", "why", "enabled", "way", "sources", "to", "below", "columns", "natives", "classes", "kinds", "verb", "form", "first", "last", "keep_domain", "domain", "spare", "reversible", "examine", "raw")


@transaction.atomic
def create_mask(values: Mapping[str, Any], *, actor: Viewer) -> models.MaskRule:
    """A rule of the actor's organisation. Raises ``Invalid`` with what is wrong, ``Conflict`` for a name that is taken."""
    actor.must("lake.maskrule.add")
    row = models.MaskRule(**{name: value for name, value in values.items() if name in FIELDS}, **whose(actor))
    if models.MaskRule.objects.filter(organisation=row.organisation, name=row.name).exists():
        raise Conflict(gettext("There is a rule %s already") % f"“{row.name}”", todo="Choose another name, or change that one.", details={"name": ["taken"]})
    return _in_force(row, "added", actor)


@transaction.atomic
def change_mask(row: models.MaskRule, values: Mapping[str, Any], *, actor: Viewer) -> models.MaskRule:
    """Another version of a rule; it works within two seconds, on what comes in or goes out from then on."""
    actor.must("lake.maskrule.change")
    row = models.MaskRule.objects.select_for_update().get(pk=row.pk)
    for name, value in values.items():
        if name in FIELDS and name != "name":
            setattr(row, name, value)
    row.version += 1
    return _in_force(row, "changed", actor)


def switch_mask(row: models.MaskRule, *, actor: Viewer) -> models.MaskRule:
    """On, or off."""
    return change_mask(row, {"enabled": not row.enabled}, actor=actor)


@transaction.atomic
def remove_mask(row: models.MaskRule, *, actor: Viewer) -> None:
    """The rule is gone with its versions (the ledger keeps them); what it hid stays hidden."""
    actor.must("lake.maskrule.delete")
    _told("removed", row, actor)
    row.delete()
    receiving.forget_doors()


def take_over(names: Iterable[str], *, actor: Viewer) -> list[models.MaskRule]:
    """Rules that ship become rules of the actor's organisation, switched off; those it has already are left alone."""
    known, made = shielding.shipped(), []
    for name in names:
        if name not in known:
            raise Missing(gettext("No rule %s ships") % f"“{name[:60]}”", todo="Choose one of the list.")
        if not models.MaskRule.objects.filter(organisation=actor.organisation, name=name).exists():
            made.append(create_mask(_values(known[name]), actor=actor))
    return made


def lead_back(token: str, *, reason: str, actor: Viewer) -> list[tuple[str, str]]:
    """What a pseudonym stood for, by domain: only for a person of the organisation whose log it was, cleared for the highest level, with a reason. On the ledger, the value not."""
    actor.must("lake.pseudonym.open")
    if actor.clearance < DataLevel.L4:
        raise Refused("This pseudonym may not be led back", why="It needs a clearance for level 4.", todo="Ask somebody of your organisation who has it.")
    if len(reason.strip()) < 4:
        raise Invalid("Leading back needs a reason", why="It stands in the ledger.", todo="Write a sentence.", details={"reason": ["missing"]})
    rows = list(models.Pseudonym.objects.filter(organisation=actor.organisation, token=token.strip())[:10])
    if not rows:
        raise Missing("There is no such pseudonym", why="No log of your own organisation made it, its rule cannot be led back, or it was given up.", todo="Copy it whole, as the event shows it.")
    key = people.keyring()
    with transaction.atomic():
        for row in rows:
            ledger.record("lake.pseudonym_opened", shielding.pseudonym_ref(row), actor=actor, label=token.strip()[:120], detail={"domain": row.domain, "reason": reason.strip()[:300]}, territory=row.territory, industry=row.industry)
        return [(row.domain, key.open(row.sealed, purpose=shielding.LED_BACK)) for row in rows]


def keep_pseudonyms(taken: Mapping[tuple[str, str, str, str, str], str]) -> None:
    """What leads stand-ins back, sealed: (organisation, territory, industry, domain, token) → value. Kept once."""
    if not taken:
        return
    key = people.keyring()
    known = set(models.Pseudonym.objects.filter(token__in={each[4][:300] for each in taken}).values_list("organisation", "domain", "token"))
    rows = [
        models.Pseudonym(organisation=organisation, territory=territory, industry=industry, domain=domain, token=token[:300], sealed=key.seal(value, purpose=shielding.LED_BACK))
        for (organisation, territory, industry, domain, token), value in taken.items()
        if (organisation, domain, token[:300]) not in known
    ]
    models.Pseudonym.objects.bulk_create(rows, ignore_conflicts=True, batch_size=500)


def make_keys() -> None:
    """The key of pseudonyms and the node's sealing key: there before the first rule works."""
    secrets.make_key()
    path = shielding.key_file()
    if path.exists():
        return
    if models.Pseudonym.objects.exists() or models.MaskRule.objects.filter(verb=MaskVerb.PSEUDONYM).exists():
        raise Conflict("The key of the pseudonyms is lost", why="There are pseudonyms, and keys/pseudonyms.key is not there.", todo="Restore that file from a backup.")
    with suppress(Conflict):  # another process was first
        SealingKey.generate().save(path)


def _in_force(row: models.MaskRule, verb: str, actor: Viewer) -> models.MaskRule:
    row.changed_by, row.changed = actor.name, clock.now()
    shielding.engine_rule(row)
    make_keys()
    row.save()
    models.MaskEdition.objects.create(rule=row, version=row.version, enabled=row.enabled, definition=row.definition(), by=actor.name)
    _told(verb, row, actor)
    receiving.forget_doors()
    return row


def _told(verb: str, row: models.MaskRule, actor: Viewer) -> None:
    ledger.record(f"lake.maskrule_{verb}", row.ref, actor=actor, label=row.name, detail={"version": row.version, "on": row.enabled, "definition": {name: value for name, value in row.definition().items() if value not in ("", [], None, False)}}, territory=row.territory, industry=row.industry)


def _values(entry: Mapping[str, Any]) -> dict[str, Any]:
    """A shipped rule as the fields of a row."""
    lists = {"natives" if name == "fields" else name: ", ".join(map(str, entry.get(name) or ())) for name in ("sources", "columns", "fields", "classes", "kinds", "spare")}
    to = entry.get("to") or []
    plain = {name: entry[name] for name in ("name", "why", "way", "below", "verb", "form", "first", "last", "keep_domain", "domain", "reversible", "examine", "raw") if name in entry}
    return {**plain, **lists, "title": entry.get("zh", ""), "why": entry.get("zh_why") or entry.get("why", ""), "to": to[0] if len(to) == 1 else Towards.ALL, "enabled": False}
