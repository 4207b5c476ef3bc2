"""Reporting upwards: a destination set once, a selection sent there by one click, as work that survives a crash.

In: what a person set, and pieces of what goes. Out: a report that tells how far it is and what the other side refused. A piece
lies sealed in the database until the other side has it. It is sent under the same number until then, so that after a crash the other
side knows it again: events by ``Idempotency-Key``, captures by their content, indicators by their values.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from datetime import timedelta
from typing import IO, Any, TypeVar

import zstandard
from django.db import transaction
from django.db.models import F
from django.utils.translation import gettext

from lianfang.commons.frame.scoped import whose
from lianfang.commons.jobs import actions as jobs
from lianfang.commons.jobs.types import Cancelled
from lianfang.commons.ledger import actions as ledger
from lianfang.commons.people import queries as people
from lianfang.kernel import clock
from lianfang.kernel.errors import Conflict, Fault, Invalid, Refused
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.lake import models, queries
from lianfang.rooms.lake.actions import protection, secrets, sharing
from lianfang.rooms.lake.actions.uploading import Sent
from lianfang.rooms.lake.adapters.report import Answer, Door, Settings
from lianfang.rooms.lake.adapters.syslog import certificates
from lianfang.rooms.lake.types import Piece, Question, Reported, Sending, Touched, lines_of

Row = TypeVar("Row")
JOB, PURPOSE = "lake.report", "lianfang report"
FIELDS = ("name", "address", "key_id", "authority", "source", "events", "captures", "indicators", "level", "tlp")
GOES_OUT = ("address", "key_id", "authority")
"""Who gets the secret: when one of these changes it has to be typed again."""
ROWS, BYTES = 1_000, 512 << 10
"""Rows and bytes of one piece: an answer within seconds, a row of any database."""
KEPT = timedelta(days=25)
"""So long a report can be resumed. The other side remembers numbers for thirty days; later it could take a piece twice."""


# ---- destinations --------------------------------------------------------------------------------------------------


@transaction.atomic
def create_destination(values: Mapping[str, Any], *, actor: Viewer) -> models.Destination:
    """A destination of the actor's organisation. Raises ``Invalid`` with what is wrong, ``Conflict`` for a name that is taken."""
    actor.must("lake.destination.add")
    row = models.Destination(**{name: value for name, value in values.items() if name in FIELDS}, **whose(actor))
    return _set(row, values.get("secret") or "", "lake.destination_made", {name: str(getattr(row, name)) for name in FIELDS if name != "authority"}, actor)


@transaction.atomic
def change_destination(row: models.Destination, values: Mapping[str, Any], *, actor: Viewer) -> models.Destination:
    """Other settings; whoever would get the secret anew has it typed again. What waits to be sent goes by the new ones."""
    actor.must("lake.destination.change")
    row = models.Destination.objects.select_for_update().get(pk=row.pk)
    before = {name: getattr(row, name) for name in FIELDS}
    for name in FIELDS:
        setattr(row, name, values.get(name, before[name]))
    secret = values.get("secret") or ""
    if not secret and row.sealed and any(getattr(row, name) != before[name] for name in GOES_OUT):
        raise Invalid("The secret has to be typed again", why="It would go to another address, or under another name.", todo="Type it, or leave address, key and certificates as they were.", details={"secret": ["type it again"]})
    told = ledger.differing(before, {name: getattr(row, name) for name in FIELDS})
    return _set(row, secret, "lake.destination_changed", {**told, **({"secret": "changed"} if secret else {})}, actor)


@transaction.atomic
def remove_destination(row: models.Destination, *, actor: Viewer) -> None:
    """Nothing goes there any more; what was sent stays in the history."""
    actor.must("lake.destination.delete")
    if models.Report.objects.filter(destination=row, state__in=(Sending.WAITING, Sending.RUNNING)).exists():
        raise Conflict("A report is on its way there", todo="Stop it, or wait until it is sent.")
    _told("lake.destination_removed", row, actor, label=row.name, address=row.address)
    row.delete()


def try_destination(row: models.Destination, *, actor: Viewer) -> None:
    """Ask every door of the destination whether it would take something with this key, and keep what happened."""
    actor.must("lake.destination.change")
    try:
        well, said = True, _tried(row)
    except (Fault, OSError, ValueError) as error:
        well, said = False, lines_of(error)
    with transaction.atomic():
        models.Destination.objects.filter(pk=row.pk).update(tried=clock.now(), tried_well=well, tried_said=said[:500])
        _told("lake.destination_tried", row, actor, label=row.name, well=well, said=said[:500])


def _tried(row: models.Destination) -> str:
    with closing(_door(row)) as door:
        doors = [(row.events, f"/api/lake/ingest/{row.source}", False), (row.captures, f"/api/lake/files/{_captures(row)}", True), (row.indicators, "/api/intel/import?source=probe", False)]
        asked = [(path, form) for wanted, path, form in doors if wanted]
        if not asked:
            raise Conflict("Nothing may go there yet", todo="Say what may go: events, captures or indicators.")
        for path, form in asked:
            door.tried(path, form=form)
    return gettext("The other side answers and lets the key in: %d doors are open.") % len(asked)


def _set(row: models.Destination, secret: str, verb: str, detail: dict[str, Any], actor: Viewer) -> models.Destination:
    if not row.name.strip() or not row.key_id.strip():
        raise Invalid("A destination needs a name and a key", todo="Write the name, and the ID of the key that the other side made.", details={name: ["missing"] for name in ("name", "key_id") if not getattr(row, name).strip()})
    if not secret and not row.sealed:
        raise Invalid("A destination needs the secret of its key", todo="Copy it from where the other side made the key.", details={"secret": ["missing"]})
    if (row.events or row.captures) and not row.source.strip():
        raise Invalid("Events and captures need a log source there", why="The other side takes them by its name.", todo="Ask the other side for the name.", details={"source": ["missing"]})
    if len(secret) > secrets.LONGEST:
        raise Invalid("The secret is too long", why=f"At most {secrets.LONGEST} characters are kept.", details={"secret": ["too long"]})
    if row.authority:
        certificates.checked(row.authority)
    row.name, row.address, row.source = row.name.strip(), row.address.strip(), row.source.strip()
    Settings(row.address, row.key_id, "", row.authority).checked()
    if models.Destination.objects.filter(organisation=row.organisation, name=row.name).exclude(pk=row.pk).exists():
        raise Conflict(f"There is a destination {row.name} already", todo="Choose another name.", details={"name": ["taken"]})
    row.sealed = secrets.seal(secret, purpose=secrets.REPORTING) if secret else row.sealed
    row.tried, row.tried_said, row.changed_by, row.changed = None, "", actor.name, clock.now()
    row.save()
    _told(verb, row, actor, label=row.name, **detail)
    return row


# ---- one click -----------------------------------------------------------------------------------------------------


def report_events(question: Question, to: Any, *, asked: str, about: str, approved: models.ExportRequest | None = None, actor: Viewer) -> models.Report:
    """Send the events of a question (``asked`` as an address, ``about`` in words), desensitised. Counted and limited like an export; raises ``Waits`` where a second person must say yes first."""
    actor.must("lake.event.export")
    goal = queries.destination(to, Reported.EVENTS, viewer=actor)
    found = queries.outgoing(question, goal, viewer=actor)
    if not found.lines:
        raise Conflict("There is nothing to send", why=gettext("%d events lie above the level that may go there.") % found.kept_back if found.kept_back else "No event answers to the question.", todo="Ask otherwise.")
    if approved is None and found.level >= queries.approving(actor):
        protection.note_waiting(Touched.EXPORT, found.levels, asked=asked, actor=actor)
        raise Waits("This needs approval", why="Data of this level leaves only when a second person agrees.", todo="Ask for approval.", details={"level": found.level, "rows": len(found.lines)})
    if approved is not None and found.level > approved.level:
        raise Conflict("This is no longer what was approved", why=gettext("It now holds data of level %d.") % found.level, todo="Ask anew.")
    protection.touch(Touched.EXPORT, found.levels, asked=asked, actor=actor)
    return report(goal, Reported.EVENTS, pieces(found.lines, rows=ROWS, bytes_=BYTES, length=lambda line: len(line) + 1, pack=b"\n".join), about=about, level=found.level, kept_back=found.kept_back, actor=actor)


class Waits(Refused):
    """A second person must approve first; ``details``: level and rows."""


def report_capture(sent: Sent | None, rule: str, to: Any, *, actor: Viewer) -> models.Report:
    """Send a desensitised copy of a capture, made as for sharing."""
    goal = queries.destination(to, Reported.CAPTURE, viewer=actor)
    made = sharing.share_capture(sent, rule, actor=actor)
    with closing(made.file):
        pieces = (Piece(content, made.packets if number == 0 else 0) for number, content in enumerate(iter(lambda: made.file.read(BYTES), b"")))
        return report(goal, Reported.CAPTURE, pieces, about=made.name, terms={"name": made.name}, actor=actor)


@transaction.atomic
def report(goal: models.Destination, what: str, pieces: Iterable[Piece], *, about: str, terms: Mapping[str, Any] | None = None, level: int = 0, kept_back: int = 0, actor: Viewer) -> models.Report:
    """Keep what goes, and leave it to a worker to send it. The caller has asked for the right and desensitised."""
    row = models.Report.objects.create(destination=goal, to=goal.name, what=what, about=about[:500], terms=dict(terms or {}), level=level, kept_back=kept_back, by=actor.name, person=str(actor.id), **whose(actor))
    secrets.make_key()
    key, digest = people.keyring(), hashlib.sha256()
    for number, piece in enumerate(pieces):
        digest.update(piece.content)
        models.ReportPart.objects.create(report=row, number=number, first=row.rows, rows=piece.rows, content=key.seal_bytes(zstandard.compress(piece.content), purpose=PURPOSE))
        row.parts, row.rows, row.bytes = number + 1, row.rows + piece.rows, row.bytes + len(piece.content)
    row.sha256 = digest.hexdigest()
    row.save()
    _told("lake.report_asked", row, actor, label=f"{row.to} · {row.about}", what=what, rows=row.rows, bytes=row.bytes, level=level, kept_back=kept_back, sha256=row.sha256, address=goal.address)
    _queue(row, actor)
    return row


def pieces(items: Iterable[Row], *, rows: int, bytes_: int, length: Callable[[Row], int], pack: Callable[[list[Row]], bytes]) -> Iterator[Piece]:
    """Rows of a report as pieces of so many rows and bytes at most, by the ``length`` of each; one that is longer than a piece is a piece of its own."""
    held, size = list[Row](), 0
    for one in items:
        long = length(one)
        if held and (len(held) >= rows or size + long > bytes_):
            yield Piece(pack(held), len(held))
            held, size = [], 0
        held.append(one)
        size += long
    if held:
        yield Piece(pack(held), len(held))


def _queue(row: models.Report, actor: Viewer) -> None:
    job = jobs.enqueue(JOB, {"report_id": str(row.pk)}, key=f"{JOB}:{row.pk}", actor=actor)
    models.Report.objects.filter(pk=row.pk).update(job=str(job.id))


# ---- sending -------------------------------------------------------------------------------------------------------


def send_report(pk: str, *, last: bool, progress: Callable[[float, str], object]) -> None:
    """What the worker does: send what the other side does not have yet. ``last``: nobody tries again after this.

    Raises what may pass, so that it is tried again later; what will not pass ends the report.
    """
    row = models.Report.objects.filter(pk=pk).select_related("destination").first()
    if row is None or row.state not in (Sending.WAITING, Sending.RUNNING):
        return
    models.Report.objects.filter(pk=pk, state=Sending.WAITING).update(state=Sending.RUNNING)
    try:
        _sent(row, progress)
    except Fault as fault:
        if fault.retry and not last:
            models.Report.objects.filter(pk=pk, state=Sending.RUNNING).update(state=Sending.WAITING, trouble=lines_of(fault)[:500])
            raise
        _ended(row, Sending.FAILED, lines_of(fault)[:500])
    except Cancelled:
        _ended(row, Sending.STOPPED)
        raise
    except Exception as error:
        if last:
            _ended(row, Sending.FAILED, lines_of(error)[:500])
        raise
    else:
        _ended(row, Sending.DONE)


def _sent(row: models.Report, progress: Callable[[float, str], object]) -> None:
    if row.destination is None:
        raise Conflict("The destination is gone", todo="Set it up again, then send anew.")
    with closing(_door(row.destination)) as door:
        if row.what == Reported.CAPTURE:
            _send_capture(row, row.destination, door)
            return
        for part in models.ReportPart.objects.filter(report=row, done=None).order_by("number"):
            if not models.Report.objects.filter(pk=row.pk, state=Sending.RUNNING).exists():
                return  # somebody stopped it
            progress(100 * part.number / max(row.parts, 1), f"{part.first:,}")
            _note(row, [part], _send_part(row, row.destination, part, door))


def _send_part(row: models.Report, goal: models.Destination, part: models.ReportPart, door: Door) -> Answer:
    content = _content(part)
    if row.what == Reported.EVENTS:
        return door.events(goal.source, content, key=f"{row.pk}-{part.number}")
    return door.indicators(content, {**row.terms, "name": f"{row.terms.get('source', '')} {str(row.pk)[-8:]}/{part.number + 1}"})


def _send_capture(row: models.Report, goal: models.Destination, door: Door) -> None:
    parts = list(models.ReportPart.objects.filter(report=row, done=None).order_by("number"))
    if not parts:
        return
    with tempfile.TemporaryFile() as whole:
        _write(parts, whole)
        _note(row, parts, door.capture(_captures(goal), row.terms.get("name", "capture.pcap"), whole, packets=row.rows))


def _write(parts: Iterable[models.ReportPart], whole: IO[bytes]) -> None:
    for part in parts:
        whole.write(_content(part))
    whole.seek(0)


@transaction.atomic
def _note(row: models.Report, parts: list[models.ReportPart], answer: Answer) -> None:
    """The other side has these pieces: their content goes, what it said stays; counted once, whoever notes it first."""
    refusals = [[line, reason] for line, reason in answer.refusals]
    done = models.ReportPart.objects.filter(pk__in=[part.pk for part in parts], done=None).update(done=clock.now(), content=b"", refusals=refusals)
    if done == len(parts):
        models.Report.objects.filter(pk=row.pk).update(sent=F("sent") + done, accepted=F("accepted") + answer.accepted, refused=F("refused") + answer.refused, trouble="")


@transaction.atomic
def _ended(row: models.Report, state: Sending, trouble: str = "") -> None:
    if not models.Report.objects.filter(pk=row.pk, state=Sending.RUNNING).update(state=state, trouble=trouble, finished=clock.now()):
        return
    row.refresh_from_db()
    ledger.record(f"lake.report_{state}", row.ref, actor=_sender(row), label=f"{row.to} · {row.about}"[:200], detail={"rows": row.rows, "accepted": row.accepted, "refused": row.refused, "parts": f"{row.sent}/{row.parts}", **({"trouble": trouble} if trouble else {})}, territory=row.territory, industry=row.industry)


def _sender(row: models.Report) -> Viewer:
    """Who asked for it, for the record; without any right."""
    return Viewer(id=row.person, name=row.by, organisation=row.organisation, path=row.territory, industry_path=row.industry)


@transaction.atomic
def resume_report(row: models.Report, *, actor: Viewer) -> None:
    """Go on with what the other side does not have yet."""
    actor.must("lake.event.export" if row.what != Reported.INDICATORS else "intel.indicator.export")
    if not models.Report.objects.filter(pk=row.pk, state=Sending.FAILED).update(state=Sending.WAITING, finished=None, trouble=""):
        raise Conflict("This report has not failed", todo="Look at it again.")
    _told("lake.report_resumed", row, actor, label=str(row))
    _queue(row, actor)


@transaction.atomic
def stop_report(row: models.Report, *, actor: Viewer) -> None:
    """Send nothing more of it; what the other side has stays there."""
    actor.must("lake.event.export" if row.what != Reported.INDICATORS else "intel.indicator.export")
    if not models.Report.objects.filter(pk=row.pk, state__in=(Sending.WAITING, Sending.RUNNING, Sending.FAILED)).update(state=Sending.STOPPED, finished=clock.now()):
        raise Conflict("This report has ended", todo="Look at it again.")
    models.ReportPart.objects.filter(report=row, done=None).update(content=b"")
    _told("lake.report_stopped", row, actor, label=str(row), sent=f"{row.sent}/{row.parts}")


def forget_reports() -> int:
    """What was never sent goes after 25 days; the history stays."""
    old = models.Report.objects.filter(state=Sending.FAILED, created__lt=clock.now() - KEPT)
    models.ReportPart.objects.filter(report__in=old, done=None).update(content=b"")
    return old.update(state=Sending.STOPPED)


# ---- inside --------------------------------------------------------------------------------------------------------


def _door(row: models.Destination) -> Door:
    return Door(Settings(row.address, row.key_id, secrets.unseal(row), row.authority))


def _captures(row: models.Destination) -> str:
    """The source there that takes captures: it is made by the first of them."""
    return f"{row.source}-captures"


def _content(part: models.ReportPart) -> bytes:
    return zstandard.decompress(people.keyring().open_bytes(bytes(part.content), purpose=PURPOSE))


def _told(verb: str, row: models.Destination | models.Report, actor: Viewer, *, label: str, **detail: Any) -> None:
    ledger.record(verb, row.ref, actor=actor, label=label[:200], detail=detail, territory=row.territory, industry=row.industry)
