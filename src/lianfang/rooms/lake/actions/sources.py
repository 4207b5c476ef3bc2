"""Sources: make, change, pause, erase; and what only the writer may do is left for it as a chore.

In: values a person typed, and who it was. Out: rows, each with one record in the ledger.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils.translation import gettext

from lianfang.commons.frame.scoped import whose
from lianfang.commons.jobs import actions as jobs
from lianfang.commons.ledger import actions as ledger
from lianfang.commons.people import queries as people
from lianfang.engines.connect import codecs
from lianfang.kernel import clock
from lianfang.kernel.errors import Conflict, Invalid, Missing
from lianfang.kernel.ref import Ref
from lianfang.kernel.viewer import SYSTEM, Viewer
from lianfang.rooms.lake import models, queries
from lianfang.rooms.lake.actions import asking, drifting, receiving, secrets, specimens
from lianfang.rooms.lake.actions.decoys import new_token
from lianfang.rooms.lake.adapters.syslog import certificates
from lianfang.rooms.lake.types import NOT_HERE, Codec, Kind, SourceErased, Stage, times_of, zone_of

FIELDS = (
    "note", "layer", "codec", "template", "encoding", "header", "start", "zone", "host", "port", "path", "pattern",
    "address", "table", "column", "consumer_group", "begin", "user", "login", "tls", "authority", "paging", "items", "next", "parameter", "every", "times", "silent_after", "hold",
)  # fmt: skip
READ = ("codec", "encoding", "header", "start", "zone", "template")
"""How its bytes become events: when one of these changes its past no longer says what is usual."""
GOES_OUT = ("address", "user", "tls", "authority")
"""Who gets the secret: when one of these changes it has to be typed again."""
SYSLOG = (Kind.SYSLOG_UDP, Kind.SYSLOG_TCP, Kind.SYSLOG_TLS)
RECEIPTS_KEPT = timedelta(days=30)
LONGEST_HEADER = 4000


def create_source(name: str, *, actor: Viewer, kind: str = Kind.HTTP, **fields: Any) -> Ref:
    """Make a source of the actor's organisation (of the node's own, when the node or its console acts)."""
    actor.must("lake.source.add")
    return _made(name, actor=actor, kind=kind, **fields).ref


def ensure_source(name: str, *, actor: Viewer, kind: str = Kind.UPLOAD, **fields: Any) -> Ref:
    """The source called ``name``, made when it is missing; raises ``Conflict`` while it is being erased."""
    found = models.Source.objects.seen_by(actor).filter(name=name).first()
    if found is None:
        return create_source(name, actor=actor, kind=kind, **fields)
    if found.stage == Stage.ERASING:
        raise Conflict(f"{name} is being erased", why="Its old events have to go first.", todo="Try again in a minute.", retry=True)
    return found.ref


def _made(name: str, *, actor: Viewer, kind: str = Kind.HTTP, **fields: Any) -> models.Source:
    secret = _secret(fields)
    row = models.Source(name=name, kind=kind, **owner(actor), **_known(fields))
    if row.kind in SYSLOG and row.port is None:
        row.port = queries.next_port(row.kind)
    _must_fit(row, secret)
    _must_know(row.template, actor)
    row.sealed = secrets.seal(secret or "")
    row.token = new_token() if row.kind == Kind.DECOY else ""
    try:
        with transaction.atomic():
            row.save(force_insert=True)
            _told("lake.source_made", row, actor, kind=row.kind)
    except IntegrityError as error:
        raise Conflict(f"The name {name} is taken", why="Names of sources are unique on a node, because they stand in every event.", todo="Choose another name.") from error
    receiving.forget_doors()
    return row


def make_source(values: Mapping[str, Any], *, actor: Viewer) -> models.Source:
    """As ``create_source``, from a form."""
    actor.must("lake.source.add")
    return _made(actor=actor, **values)


@transaction.atomic
def change_source(row: models.Source, values: Mapping[str, Any], *, actor: Viewer) -> models.Source:
    """Everything but the name and the kind may change."""
    fixed = [name for name in ("name", "kind") if name in values and values[name] != getattr(row, name)]
    if fixed:
        raise Invalid("A source keeps its name and its kind", why="They stand in events that are stored already.", todo="Make another source.", details={name: ["cannot be changed"] for name in fixed})
    fresh = {name: value for name, value in values.items() if name not in ("name", "kind")}
    secret, before = _secret(fresh), {name: getattr(row, name) for name in FIELDS}
    for name, value in _known(fresh).items():
        setattr(row, name, value)
    _must_fit(row, secret)
    if row.template != before["template"]:
        _must_know(row.template, actor)
    if secret is not None:
        row.sealed = secrets.seal(secret)
    elif row.sealed and any(getattr(row, name) != before[name] for name in GOES_OUT):
        raise Invalid("The secret has to be typed again", why="It would go to another address, or under another name.", todo="Type it, or leave address, user and encryption as they were.", details={"secret": ["type it again"]})
    row.trouble = row.tried_said = ""
    row.save(update_fields=(*FIELDS, "sealed", "trouble", "tried_said"))
    if any(getattr(row, name) != before[name] for name in READ):
        drifting.read_anew(row)
    _told("lake.source_changed", row, actor, **ledger.differing(before, {name: getattr(row, name) for name in FIELDS}), **({"secret": "changed"} if secret is not None else {}))
    receiving.forget_doors()
    return row


def pause_source(row: models.Source, *, actor: Viewer) -> None:
    """Take nothing in from it until it is opened again."""
    _stage(row, Stage.PAUSED, "lake.source_paused", actor)


def open_source(row: models.Source, *, actor: Viewer) -> None:
    """Take logs in from it again."""
    _stage(row, Stage.ACTIVE, "lake.source_opened", actor)


@transaction.atomic
def _stage(row: models.Source, stage: Stage, verb: str, actor: Viewer) -> None:
    if not models.Source.objects.filter(pk=row.pk).exclude(stage=Stage.ERASING).update(stage=stage, opened=clock.now(), silent_since=None):
        raise Conflict(f"{row.name} is being erased", todo="Make a new source.")
    _told(verb, row, actor)
    receiving.forget_doors()


def erase_source(source: models.Source | str, *, actor: Viewer) -> None:
    """Remove a source with all its events and all that came of them. Nothing of it is shown from now on; the files follow."""
    actor.must("lake.source.delete")
    row = source if isinstance(source, models.Source) else _named(source, actor)
    with transaction.atomic():
        if not models.Source.objects.filter(pk=row.pk).exclude(stage=Stage.ERASING).update(stage=Stage.ERASING):
            return
        models.Chore.objects.create(verb=models.Chore.ERASE, arguments={"source": row.name})
        _told("lake.source_erased", row, actor, events=row.events)
        jobs.publish(SourceErased(source=row.name))
    receiving.forget_doors()


def send_test(row: models.Source, *, actor: Viewer) -> None:
    """A record of our own, in the form that the source speaks, through its door; it is searchable seconds later."""
    record = specimens.specimen(row, actor.name)
    receiving.receive(row.name, record.split(b"\n") if row.codec in specimens.SEVERAL_LINES else [record], actor=actor)
    with transaction.atomic():
        _told("lake.source_tested", row, actor)


def read_now(row: models.Source, *, actor: Viewer) -> None:
    """Have it read at once, whatever its times say; the thread of the source notices within a second."""
    with transaction.atomic():
        models.Source.objects.filter(pk=row.pk).update(hurried=clock.now())
        _told("lake.source_hurried", row, actor)


def note_export(asked: str, *, actor: Viewer) -> None:
    """Put on record that events were taken away, and which."""
    ledger.record("lake.events_exported", Ref("lake", "event", "search"), actor=actor, label=asked[:200], detail={"asked": asked[:2000]})


def carry(*, axis: str, before: str, after: str) -> None:
    """Leave it to the writer to carry stored events to an organisation's new path; in the caller's transaction."""
    models.Chore.objects.create(verb=models.Chore.MOVE, arguments={"axis": axis, "before": before, "after_": after})


def forget_receipts() -> int:
    """Clients do not send the same number again after a month."""
    return models.Receipt.objects.filter(created__lt=clock.now() - RECEIPTS_KEPT).delete()[0]


def allowed_folder(text: str) -> Path:
    """The folder, if the node may read logs from it; raises ``Invalid``. ``LIANFANG_FOLDERS`` (parted by ``:``) says where."""
    inbox = Path(settings.HOME) / "inbox"
    roots = [Path(root).resolve() for root in os.environ.get("LIANFANG_FOLDERS", f"/var/log:{inbox}").split(":") if root]
    path = Path(text)
    if not path.is_absolute() or not path.is_dir():
        raise Invalid(f"There is no folder {text or '–'}", why="A watched folder is named by its absolute path on this node.", todo="Make the folder, or mend the path.", details={"path": ["no such folder"]})
    if not any(path.resolve().is_relative_to(root) for root in roots):
        raise Invalid(f"The folder {text} may not be read", why=f"This node reads logs below {', '.join(map(str, roots))} only.", todo="Have LIANFANG_FOLDERS extended on the node.", details={"path": ["not allowed"]})
    return path.resolve()


# ---- inside ----------------------------------------------------------------------------------------------------


def _named(name: str, actor: Viewer) -> models.Source:
    row = models.Source.objects.seen_by(actor).filter(name=name).first()
    if row is None:
        raise Missing(NOT_HERE, why="It does not exist, or it lies outside your scope.", todo="Check the name.")
    return row


def _secret(fields: dict[str, Any]) -> str | None:
    """Take the secret out of what was typed; ``None`` when nothing was."""
    secret = fields.pop("secret", None) or None
    if secret and len(secret) > secrets.LONGEST:
        raise Invalid("The secret is too long", why=f"At most {secrets.LONGEST} characters are kept.", details={"secret": ["too long"]})
    return secret


def _known(fields: Mapping[str, Any]) -> dict[str, Any]:
    strange = sorted(set(fields) - set(FIELDS))
    if strange:
        raise Invalid(f"A source has no {', '.join(strange)}", todo=f"Its fields are {', '.join(FIELDS)}.")
    return dict(fields)


def _must_fit(row: models.Source, secret: str | None) -> None:
    """What its kind needs is there, and can be right; no zone means the node's."""
    row.zone = row.zone or models.default_zone()
    zone_of(row.zone)
    times_of(row.times)
    if not re.fullmatch(models.NAME, row.name):
        raise Invalid("This cannot be the name of a source", why="It stands in addresses and in every event.", todo="Use letters, digits, “_”, “-” and “.”, at most 60.", details={"name": ["letters, digits, “_”, “-”, “.”"]})
    if row.kind in SYSLOG and not 0 < (row.port or 0) < 65536:
        raise Invalid("A syslog source needs a port", todo="Give one, for example 1514.", details={"port": ["1 … 65535"]})
    if row.kind == Kind.FOLDER:
        allowed_folder(row.path)
    _must_read(row)
    if row.authority:
        certificates.checked(row.authority)
    asking.fits(row, secret)
    if row.kind == Kind.DATABASE and row.address.startswith("sqlite:"):
        allowed_folder(str(asking.sqlite_file(row).resolve().parent))


def _must_read(row: models.Source) -> None:
    """Header and start say what they should say."""
    if len(row.header) > LONGEST_HEADER:
        raise Invalid(gettext("The header line is too long"), why=gettext("At most %d characters are kept.") % LONGEST_HEADER, todo=gettext("Name fewer columns."), details={"header": [gettext("too long")]})
    try:
        if row.header and row.codec in (Codec.CSV, Codec.TSV, Codec.ZEEK):
            codecs.decode(row.codec, [], encoding=row.encoding, header=row.header)
        if row.start:
            codecs.decode(Codec.LINES, [b"x"], start=row.start)
    except Missing as fault:
        raise Invalid(gettext("The header line names no columns"), why=fault.why, todo=gettext("Copy the first line of a file of this source."), details={"header": [gettext("The header line names no columns")]}) from fault
    except Invalid as fault:
        raise Invalid(gettext("The beginning of a record is no pattern"), why=fault.why, todo=gettext("Write a RE2 pattern, such as ^\\d{4}-."), details={"start": [fault.why]}) from fault


def _must_know(template: str, actor: Viewer) -> None:
    if template and not queries.knows_template(template, viewer=actor):
        raise Invalid(gettext("There is no mapping template %s") % template[:80], why=gettext("Neither does one ship under this name, nor did anybody of your scope make it."), todo=gettext("Choose one of the list, or leave it empty."), details={"template": [gettext("There is no such template.")]})


def owner(actor: Viewer) -> dict[str, str]:
    """The scope columns of what the actor makes: the actor's own organisation, or the node's, when the node or its console acts."""
    if actor.path:
        return whose(actor)
    units = people.organisations(SYSTEM)
    return {"organisation": units[0].id, "territory": units[0].territory, "industry": units[0].industry} if units else whose(actor)


def _told(verb: str, row: models.Source, actor: Viewer, **detail: Any) -> None:
    ledger.record(verb, row.ref, actor=actor, label=row.name, detail=detail, territory=row.territory, industry=row.industry)
