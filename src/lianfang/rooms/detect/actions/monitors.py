"""Keyword alarms and calendars: made, changed, switched, removed; each change rewrites the node's own pack of rules.

In: values of a form, and who it was. Out: rows that belong to the organisation of the source, with one record in the ledger.
Examiners take the words up within two seconds; no other rule has to be compiled again for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from lianfang.commons.frame.scoped import whose
from lianfang.commons.ledger import actions as ledger
from lianfang.kernel import clock
from lianfang.kernel.errors import Conflict, Invalid
from lianfang.kernel.viewer import SYSTEM, Viewer
from lianfang.rooms.detect import models
from lianfang.rooms.detect.actions import installing
from lianfang.rooms.detect.actions.signalling import set_aside
from lianfang.rooms.detect.queries import loading, reading, wording
from lianfang.rooms.detect.types import OWN_PACK
from lianfang.rooms.lake import queries as lake

FIELDS = ("name", "source", "host", "keywords", "every", "unless", "times", "within", "beats", "silence", "recovery", "closes", "calendar", "severity", "note", "enabled")
WORDS = ("keywords", "unless", "beats", "recovery")
MOST_WORDS, LONGEST_WORD, SHORTEST_WORD = 50, 200, 2
_QUIETLY = {"name", "severity", "note", "closes"}
"""What may change without setting a running alarm aside."""
CALENDAR_FIELDS = ("name", "zone", "days", "sessions", "off", "extra")


@transaction.atomic
def create_monitor(values: Mapping[str, Any], *, actor: Viewer) -> models.Monitor:
    """A keyword alarm over a source in the actor's scope."""
    actor.must("detect.monitor.add")
    row = models.Monitor(**_known(values), made_by=actor.name)
    _must_fit(row, actor)
    _save(row)
    _told("monitor_added", row, actor, **_said(row))
    take_up()
    return row


@transaction.atomic
def change_monitor(row: models.Monitor, values: Mapping[str, Any], *, actor: Viewer) -> models.Monitor:
    """Other words, another window, another calendar: a running alarm is set aside and what is said from now on counts."""
    actor.must("detect.monitor.change")
    row = models.Monitor.objects.select_for_update().get(pk=row.pk)
    before = {name: getattr(row, name) for name in FIELDS}
    for name, value in _known(values).items():
        setattr(row, name, value)
    _must_fit(row, actor)
    differs = sorted(name for name in FIELDS if getattr(row, name) != before[name])
    if set(differs) - _QUIETLY:
        set_aside(row)
    _save(row)
    _told("monitor_changed", row, actor, **{name: str(getattr(row, name))[:300] for name in differs})
    take_up()
    return row


@transaction.atomic
def switch_monitor(row: models.Monitor, *, actor: Viewer) -> models.Monitor:
    """Into use, or out of it."""
    actor.must("detect.monitor.change")
    row = models.Monitor.objects.select_for_update().get(pk=row.pk)
    row.enabled = not row.enabled
    set_aside(row)
    row.save()
    _told("monitor_enabled" if row.enabled else "monitor_disabled", row, actor)
    take_up()
    return row


@transaction.atomic
def remove_monitor(row: models.Monitor, *, actor: Viewer) -> None:
    """It goes; findings and alerts that came of it stay."""
    actor.must("detect.monitor.delete")
    _told("monitor_removed", row, actor, **_said(row))
    row.delete()
    take_up()


def take_up() -> None:
    """Write the words of all alarms in use into the node's own pack, in the caller's transaction."""
    texts = wording.all_texts(models.Monitor.objects.filter(enabled=True))
    digest = reading.digest_of(texts)
    before = models.Pack.objects.filter(name=OWN_PACK).values_list("digest", flat=True).first()
    if digest == before or (before is None and not texts):
        return
    installing.write_own(reading.PackText(OWN_PACK, digest[:12], "", digest, "", texts))
    if before:
        transaction.on_commit(lambda: loading.pack_file(before).unlink(missing_ok=True))


def _known(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name in FIELDS}


def _save(row: models.Monitor) -> None:
    try:
        with transaction.atomic():
            row.save()
    except IntegrityError as error:
        raise Invalid(_("There is an alarm of this name"), why=_("Names are unique in an organisation."), todo=_("Choose another name."), details={"name": [_("Choose another name.")]}) from error


def _must_fit(row: models.Monitor, actor: Viewer) -> None:
    """What makes no sense is said beside its field."""
    for name in WORDS:
        setattr(row, name, _words(name, getattr(row, name)))
    wrong: dict[str, list[str]] = {}
    if not row.keywords and not row.beats:
        wrong["keywords"] = [_("Say what is an alarm, or what is a sign of life.")]
    if row.beats and not row.silence:
        wrong["silence"] = [_("Say after how many seconds its absence is an alarm.")]
    if row.silence and not row.beats:
        wrong["beats"] = [_("Say what is a sign of life.")]
    if wrong:
        raise Invalid(_("The alarm is not complete"), why=" ".join(one for found in wrong.values() for one in found), todo=_("Fill it in and save again."), details=wrong)
    for name, value in lake.belongs(row.source, viewer=actor).items():
        setattr(row, name, value)
    if row.calendar is not None:
        row.calendar.hours()
    problems = loading.compile_texts(wording.texts(row)).problems
    if problems:
        raise Invalid(_("These words cannot be looked for"), why=problems[0].reason, todo=_("Write them otherwise."), details={"keywords": [problems[0].reason]})


def _words(name: str, words: Any) -> list[str]:
    found = list(dict.fromkeys(str(word).strip() for word in words or () if str(word).strip()))
    if len(found) > MOST_WORDS or any(not SHORTEST_WORD <= len(word) <= LONGEST_WORD for word in found):
        said = _("At most %(most)d words or phrases, each of %(least)d to %(long)d characters.") % {"most": MOST_WORDS, "least": SHORTEST_WORD, "long": LONGEST_WORD}
        raise Invalid(_("These words cannot be looked for"), why=said, todo=_("Write them otherwise."), details={name: [said]})
    return found


def _said(row: models.Monitor) -> dict[str, str]:
    return {name: str(getattr(row, name))[:300] for name in FIELDS if getattr(row, name) not in ("", None, [], False)}


def _told(verb: str, row: models.Monitor | models.Calendar, actor: Viewer, **detail: Any) -> None:
    ledger.record(f"detect.{verb}", row.ref, actor=actor, label=row.name, detail=detail, territory=row.territory, industry=row.industry)


# ---- calendars -------------------------------------------------------------------------------------------------


@transaction.atomic
def create_calendar(values: Mapping[str, Any], *, actor: Viewer) -> models.Calendar:
    """Hours of the actor's organisation."""
    actor.must("detect.calendar.add")
    row = models.Calendar(**{name: value for name, value in values.items() if name in CALENDAR_FIELDS}, **whose(actor))
    row.hours()
    row.save(force_insert=True)
    _told("calendar_added", row, actor, **{name: str(getattr(row, name))[:300] for name in CALENDAR_FIELDS})
    return row


@transaction.atomic
def change_calendar(row: models.Calendar, values: Mapping[str, Any], *, actor: Viewer) -> models.Calendar:
    """Other hours, from now on, for every alarm that follows it."""
    actor.must("detect.calendar.change")
    for name in CALENDAR_FIELDS:
        setattr(row, name, values.get(name, getattr(row, name)))
    row.hours()
    row.save()
    _told("calendar_changed", row, actor, **{name: str(getattr(row, name))[:300] for name in CALENDAR_FIELDS if name in values})
    return row


@transaction.atomic
def remove_calendar(row: models.Calendar, *, actor: Viewer) -> None:
    """It goes, unless an alarm follows it."""
    actor.must("detect.calendar.delete")
    if using := row.monitors.count() + row.anomalies.count():
        raise Conflict(_("This calendar is in use"), why=_("%(n)d alarms follow it.") % {"n": using}, todo=_("Give them another calendar first."))
    _told("calendar_removed", row, actor)
    row.delete()


def forget_source(source: str, *, actor: Viewer = SYSTEM) -> int:
    """The alarms over a source go with it; returns how many."""
    rows = list(models.Monitor.objects.filter(source=source))
    for row in rows:
        _told("monitor_removed", row, actor, at=clock.text(clock.now()))
        row.delete()
    if rows:
        take_up()
    return len(rows)
