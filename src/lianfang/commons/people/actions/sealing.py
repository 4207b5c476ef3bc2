"""Secrets at rest: what the database and the disk hold is sealed under a key that lies outside them, in generations.

In: secrets; an administrator who turns, retires or gives up a key. Out: sealed texts; keys in ``keys/``, and what is old re-sealed under the
newest. No key is ever made while things hang on one that is not here: that would hide that they are lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from django.db import transaction
from django.utils.translation import gettext as _

from lianfang.commons.frame.language import listed
from lianfang.commons.jobs import actions as jobs
from lianfang.commons.jobs.types import JobRef
from lianfang.commons.ledger import actions as ledger
from lianfang.commons.people import declare, models, queries
from lianfang.commons.people.types import Hanging, KeyGeneration, KeyState
from lianfang.engines.envelope import Keyring, SealingKey
from lianfang.kernel import clock
from lianfang.kernel.errors import Conflict, Missing, Refused
from lianfang.kernel.viewer import SYSTEM, Viewer

SETTLING = timedelta(minutes=2)
"""For so long after a new generation was made something may still be on its way that was sealed under the one before."""
JOB = "people.reseal"


def seal(secret: str, *, purpose: str = queries.FACTOR) -> str:
    """What the database keeps of a secret, by itself of a second factor's. The key is made when first needed; a lost one is not replaced unseen: raises ``Conflict``."""
    return keyring().seal(secret, purpose=purpose)


def keyring() -> Keyring:
    """The node's keys to seal with; the first is made when it is first needed. Raises ``Conflict`` while anything is sealed under one that is lost."""
    try:
        ring = queries.keyring()
    except Missing as error:
        if lost := _all_lost():
            raise _lost(lost) from error
        with transaction.atomic():
            _made(SYSTEM)
        return queries.keyring()
    row = models.Generation.objects.filter(number=ring.newest).first()
    if row is not None and row.key not in ("", ring.keys[ring.newest].id) and (lost := _all_lost()):
        raise _lost(lost)
    return ring


def make_sealing_key() -> SealingKey:
    """The node's first key; made unless it is there. For migrations, which run before the table of generations is there."""
    with suppress(Conflict):  # another process was first: its key is the node's key
        SealingKey.generate().save(queries.sealing_file())
    return SealingKey.load(queries.sealing_file())


@transaction.atomic
def rotate_key(*, actor: Viewer) -> tuple[int, JobRef]:
    """Make a new generation: everything new is sealed under it at once, what is old follows in the background. Raises ``Conflict`` while a key is lost."""
    _must_keep_keys(actor)
    if lost := _all_lost():
        raise _lost(lost)
    row = _made(actor)
    ledger.record("people.sealing_rotated", row.ref, actor=actor, label=str(row), detail={"generation": row.number, "key": row.key}, territory=actor.path, industry=actor.industry_path)
    return row.number, start_resealing(actor=actor)


def start_resealing(*, actor: Viewer) -> JobRef:
    """Leave it to a worker to move what is old to the newest generation."""
    _must_keep_keys(actor)
    return jobs.enqueue(JOB, key=JOB, actor=actor)


def reseal(*, progress: Callable[[float, str], object] = lambda _percent, _said: None) -> dict[str, int]:
    """Move everything that can be opened to the newest generation; may be ended anywhere and begun again. Returns kind → how many still hang on an older one."""
    newest, kinds = queries.keyring().newest, declare.kinds()
    for at, kind in enumerate(kinds):
        kind.reseal(lambda done, all_, at=at, kind=kind: progress(100 * (at + done / max(all_, 1)) / len(kinds), str(kind.title)))  # type: ignore[misc]
        progress(100 * (at + 1) / len(kinds), str(kind.title))
    left = {kind.name: older for kind, counts in queries.hanging() if (older := sum(n for number, n in counts.items() if number != newest))}
    ledger.record("people.sealing_moved", models.Generation(number=newest).ref, actor=SYSTEM, label=str(newest), detail={"generation": newest, "left": [f"{kind}={n}" for kind, n in left.items()]})
    return left


@transaction.atomic
def retire_key(number: int, *, actor: Viewer) -> None:
    """Take a generation away for good, its file included. Raises ``Conflict`` while anything hangs on it, or something may still be on its way."""
    _must_keep_keys(actor)
    one = _generation(number)
    if one.state != KeyState.OLDER:
        raise Conflict(_("This key cannot be retired"), why=_("Only a key that is here, and is not the newest, can be."), todo=_("Rotate first."))
    if one.things:
        raise Conflict(_("Something still hangs on this key"), why=_told(one.things), todo=_("Wait until it is sealed under the newest key, or has gone by itself."), retry=True)
    newer = models.Generation.objects.filter(number__gt=number).order_by("number").first()
    if newer is None or clock.now() - newer.made < SETTLING:
        raise Conflict(_("The newer key was made only just now"), why=_("Something that was sealed under the older one may still be on its way."), todo=_("Try again in two minutes."), retry=True)
    _ended(one, "retired", actor)
    transaction.on_commit(lambda: queries.sealing_file(number).unlink(missing_ok=True))


@transaction.atomic
def forget_key(number: int, *, actor: Viewer) -> tuple[Hanging, ...]:
    """Give up what hangs on a key that is lost, so that the node can go on; returns what that was. Raises ``Conflict`` for a key that is here."""
    _must_keep_keys(actor)
    one = _generation(number)
    if one.state != KeyState.LOST:
        raise Conflict(_("This key is not lost"), why=_("Its file is here, or nothing hangs on it."), todo=_("To be rid of an older key: rotate, wait, retire it."))
    for kind in declare.kinds():
        if kind.name in {thing.kind for thing in one.things}:
            kind.forget(number)
    _ended(one, "forgotten", actor)
    if not queries.generations(queries.keys_folder()):
        _made(actor)
    return one.things


# ---- inside --------------------------------------------------------------------------------------------------------


def _made(actor: Viewer) -> models.Generation:
    """A further generation: first the file, then its row; a file without a row, as a crash leaves it, is taken up."""
    rows = set(models.Generation.objects.values_list("number", flat=True))
    left = [_row(number, actor) for number in sorted(queries.generations(queries.keys_folder()).keys() - rows)]
    if left and left[-1].number > 1:
        return left[-1]
    number = max([*rows, *(row.number for row in left)], default=0) + 1
    with suppress(Conflict):  # another process was first: its key is the node's key
        SealingKey.generate().save(queries.sealing_file(number))
    return _row(number, actor)


def _row(number: int, actor: Viewer) -> models.Generation:
    """What is noted of a key file. The first one of a node that is older than this table was made when its file was."""
    path = queries.sealing_file(number)
    old = number == 1 and actor is not SYSTEM
    told = {"made": datetime.fromtimestamp(path.stat().st_mtime, UTC)} if old else {"made_by": actor.name}
    return models.Generation.objects.get_or_create(number=number, defaults={"key": SealingKey.load(path).id, **told})[0]


def _all_lost() -> list[KeyGeneration]:
    return [one for one in queries.key_generations() if one.state == KeyState.LOST]


def _generation(number: int) -> KeyGeneration:
    found = next((one for one in queries.key_generations() if one.number == number), None)
    if found is None:
        raise Missing(_("There is no such generation"), todo=_("Look at the list of sealing keys."))
    return found


def _ended(one: KeyGeneration, how: str, actor: Viewer) -> None:
    row, _new = models.Generation.objects.get_or_create(number=one.number, defaults={"key": one.key})
    setattr(row, how, clock.now())
    row.ended_by = actor.name
    row.save()
    ledger.record(f"people.sealing_{how}", row.ref, actor=actor, label=str(row), detail={"generation": one.number, "key": one.key, "hung_on_it": [f"{thing.kind}={thing.count}" for thing in one.things]}, territory=actor.path, industry=actor.industry_path)


def _lost(lost: Iterable[KeyGeneration]) -> Conflict:
    """What is lost, how much hangs on it, what can be done."""
    lost = list(lost)
    files = ", ".join(f"keys/{queries.sealing_file(one.number or 1).name}" for one in lost)
    numbers = " ".join(str(one.number) for one in lost)
    why = _("%(files)s is not there, or is another key, and this lies sealed under it: %(things)s.") % {"files": files, "things": _told(thing for one in lost for thing in one.things)}
    return Conflict(_("The node's sealing key is lost"), why=why, todo=_("Restore the folder keys/ from a backup; or give up what is lost: lianfang keys forget %s") % numbers)


def _told(things: Iterable[Hanging]) -> str:
    return listed(f"{thing.title} ({thing.count:,})" for thing in things)


def _must_keep_keys(actor: Viewer) -> None:
    actor.must("people.sealing.change")
    if not actor.sees_node:
        raise Refused(_("You cannot change the node's keys"), why=_("They hold for the whole node; your scope is a part of it."), todo=_("Ask an administrator of the whole node."))
