"""The JSON API of the lake: send logs, search events, ask in SQL. Rows by scope, columns by level, always."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime, timedelta
from io import BytesIO
from typing import Any, Literal

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import reverse

from lianfang.commons.frame.pages import Query, Response, Schema, api, download, spoken
from lianfang.engines.masking import To
from lianfang.engines.schema.events import COLUMNS
from lianfang.kernel import clock
from lianfang.kernel.errors import Invalid
from lianfang.rooms.lake import actions, queries
from lianfang.rooms.lake.adapters import http
from lianfang.rooms.lake.types import Busy, Filter, Question, Setup, Touched

router = api("lake")
DAY = timedelta(days=1)
MOST_SAMPLE = 1 << 20


@router.post("/ingest/{source}", summary="Send logs: one record per line (NDJSON or text), gzip or zstd", operation_id="lake_ingest", tags=["lake.event"])
def ingest(request: HttpRequest, source: str) -> HttpResponse:
    """202 when the records are safe on the node's disk. Lines that cannot be read are told here and kept among the rejects.

    ``Idempotency-Key``: your own number of this request; the same number from the same source is stored once.
    429 with ``Retry-After``: nothing was taken, send the same again.
    """
    viewer = request.viewer  # type: ignore[attr-defined]
    viewer.must("lake.event.add")
    door = actions.door(source, viewer)
    frames = http.frames(request, encoding=request.headers.get("Content-Encoding", ""), content_type=request.headers.get("Content-Type", ""))
    if not frames:
        raise Invalid("There is nothing in it", why="The body holds no record.", todo="Send one record per line.")
    broken = http.broken(frames, door.codec)
    try:
        ref = actions.receive(source, frames, actor=viewer, key=request.headers.get("Idempotency-Key", ""))
    except Busy as busy:
        answer = spoken(request, busy)
        answer["Retry-After"] = str(busy.retry_after)
        return answer
    body = {"received": len(frames), "accepted": len(frames) - len(broken), "rejected": len(broken), "rejects": [{"line": line, "reason": reason} for line, reason in broken[: http.SHOWN]], "first": ref.event_id()}
    return Response(body, status=202)


@router.post("/files/{source}", summary="Send files: logs, archives, event logs, captures (multipart, field “files”)", operation_id="lake_files", tags=["lake.event"])
def files(request: HttpRequest, source: str) -> HttpResponse:
    """202 when the files are kept: a worker reads them, ``watch`` is the page of its progress. Made when missing: the source."""
    job = actions.take_upload(request.FILES.getlist("files"), source, actor=request.viewer)  # type: ignore[attr-defined]
    return Response({"job": str(job.id), "watch": request.build_absolute_uri(reverse("jobs:work", kwargs={"pk": job.id}))}, status=202)


@router.post("/captures/share", summary="A copy of a capture for sharing: addresses replaced, payload cut (multipart, fields “file” and “rule”)", operation_id="lake_capture_share", tags=["lake.event"])
def share(request: HttpRequest) -> HttpResponseBase:
    """The copy. ``rule``: a rule of desensitising for addresses, as the page lists them; empty: the first. ``X-Capture-Whole: no`` when the capture broke off."""
    made = actions.share_capture(request.FILES.get("file"), request.POST.get("rule", ""), actor=request.viewer)  # type: ignore[attr-defined,arg-type]
    return download(made.file, made.name, made.KIND, made.headers)


@router.post("/mails/share", summary="A copy of a mail for sharing: who was attacked hidden, the attacker's kept (multipart, field “file”)", operation_id="lake_mail_share", tags=["lake.event"])
def share_mail(request: HttpRequest) -> HttpResponseBase:
    """The copy as .eml. ``ours``: domains of your own; ``words``: further names; ``drop``: headers to remove, with ``*``; ``kinds`` (repeatable): phone, resident_id, bank_card, credit_code, credential; ``keep`` (repeatable): SHA-256 of attachments that stay."""
    made = actions.share_mail(request.FILES.get("file"), actions.wish_of(dict(request.POST.lists())), actor=request.viewer)  # type: ignore[attr-defined,arg-type]
    return download(BytesIO(made.copy.content), made.name, made.KIND)


class Asked(Schema):
    """What to look for. ``filter``: ``column:operator:value``, repeatable; operators as in the catalogue. Default: the last 24 hours."""

    since: datetime | None = None
    until: datetime | None = None
    q: str = ""
    filter: list[str] = []
    after: str = ""
    limit: int = 50

    def question(self) -> Question:
        """As the lake understands it."""
        until = _aware(self.until) if self.until else clock.now()
        since = _aware(self.since) if self.since else until - DAY
        return Question(since, until, tuple(Filter.of(text) for text in self.filter), self.q, after=self.after, limit=self.limit)


def _aware(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise Invalid("A time names no time zone", why="A time without a zone has no single meaning.", todo="Add Z or an offset such as +08:00.")
    return moment


@router.get("/events/", summary="Search events, newest first", operation_id="lake_event_search", tags=["lake.event"])
def search(request: HttpRequest, asked: Query[Asked]) -> dict[str, Any]:
    """``more`` goes into ``after`` for the next page. A row with ``masked`` has a level above your clearance; its content is hidden."""
    found = queries.search(asked.question(), viewer=request.viewer)  # type: ignore[attr-defined]
    _touched(request, found.events, asked=asked.q or " ".join(asked.filter))
    return {"events": queries.left(found.events, To.API, request.viewer), "more": found.more}  # type: ignore[attr-defined]


@router.get("/events/histogram", summary="How events spread over time", operation_id="lake_event_histogram", tags=["lake.event"])
def histogram(request: HttpRequest, asked: Query[Asked]) -> dict[str, Any]:
    found = queries.histogram(asked.question(), viewer=request.viewer)  # type: ignore[attr-defined]
    return {"seconds": found.seconds, "total": found.total, "stretches": [{"start": start, "count": count} for start, count in zip(found.starts, found.counts)]}


@router.get("/events/top/{column}", summary="The most frequent values of a column", operation_id="lake_event_top", tags=["lake.event"])
def top(request: HttpRequest, column: str, asked: Query[Asked]) -> list[dict[str, Any]]:
    viewer = request.viewer  # type: ignore[attr-defined]
    return [asdict(one) for one in queries.left_counts(column, queries.top(asked.question(), column, viewer=viewer), To.API, viewer)]


@router.get("/events/{event_id}/", summary="One event, whole, with its raw log", operation_id="lake_event", tags=["lake.event"])
def event(request: HttpRequest, event_id: str) -> dict[str, Any]:
    viewer = request.viewer  # type: ignore[attr-defined]
    found = queries.event(event_id, viewer=viewer)
    _touched(request, [found], asked=event_id)
    return queries.left([found], To.API, viewer)[0]


def _touched(request: HttpRequest, rows: Iterable[dict[str, Any]], *, asked: str) -> None:
    levels, masked = queries.levels_of(rows)
    actions.touch(Touched.API, levels, masked=masked, asked=asked, actor=request.viewer)  # type: ignore[attr-defined]


class Sql(Schema):
    """One SELECT over ``events``; ``as_of``: as the tables were at a moment of the last hour (or of as many as the node keeps)."""

    sql: str
    since: datetime | None = None
    until: datetime | None = None
    as_of: datetime | None = None
    limit: int = 1000


@router.post("/query", summary="Ask in SQL (read only)", operation_id="lake_query", tags=["lake.event"])
def query(request: HttpRequest, data: Sql) -> dict[str, Any]:
    """The table ``events`` holds the rows of your scope; columns above your clearance are null. No other table, file or setting can be reached."""
    since, until, as_of = (_aware(moment) if moment else None for moment in (data.since, data.until, data.as_of))
    viewer, bounds = request.viewer, {"limit": max(1, min(data.limit, 10_000)), "since": since, "until": until, "as_of": as_of, "to": To.API}  # type: ignore[attr-defined]
    table = queries.sql_table(data.sql, viewer=viewer, **bounds)
    shown = table.slice(0, bounds["limit"])
    actions.touch(Touched.API, {queries.sql_level(data.sql, table, viewer=viewer, **bounds): shown.num_rows}, asked=data.sql, actor=viewer)
    return {"columns": table.column_names, "rows": [list(row) for row in zip(*(column.to_pylist() for column in shown.columns))], "cut": table.num_rows > bounds["limit"]}


@router.get("/catalogue/", summary="Tables, columns and operators", operation_id="lake_catalogue", tags=["lake.event"])
def catalogue(request: HttpRequest, language: Literal["zh", "en"] = "en") -> dict[str, Any]:
    tables = [asdict(table) for table in queries.catalogue(viewer=request.viewer)]  # type: ignore[attr-defined]
    columns = [{"name": column.name, "kind": column.kind, "ocsf": column.path, "title": getattr(column, language), "operators": list(queries.OPERATORS[column.kind])} for column in COLUMNS]
    return {"tables": tables, "columns": columns}


class Brought(Schema):
    """Lines of a log as text."""

    text: str


@router.post("/sample/recognise", summary="What format a sample is of, best first, with reasons", operation_id="lake_sample_recognise", tags=["lake.source"])
def recognise(request: HttpRequest, data: Brought) -> list[dict[str, Any]]:
    request.viewer.must("lake.source.view")  # type: ignore[attr-defined]
    found = actions.guesses(data.text[:MOST_SAMPLE].encode())
    return [{"codec": one.codec, "encoding": one.encoding, "score": one.score, "reasons": [str(reason) for reason in one.reasons], "read": one.read, "rejected": one.rejected, "template": one.template} for one in found]


class Tried(Brought):
    """A sample, and how it is to be read: as a source's fields; ``mapping``: the YAML of an own mapping, instead of ``template``."""

    codec: str = "auto"
    encoding: str = "utf-8"
    header: str = ""
    start: str = ""
    zone: str = ""
    template: str = ""
    mapping: str = ""


@router.post("/sample/preview", summary="A sample as it would be stored; nothing is", operation_id="lake_sample_preview", tags=["lake.source"])
def preview(request: HttpRequest, data: Tried) -> dict[str, Any]:
    """Up to 20 events with their columns, level and coverage (0 to 1), every reject with what to do, and all fields."""
    viewer = request.viewer  # type: ignore[attr-defined]
    viewer.must("lake.source.view")
    return asdict(actions.preview(data.text[:MOST_SAMPLE].encode(), Setup(**data.dict(exclude={"text"})), viewer=viewer))


class Written(Schema):
    """The YAML of a mapping with its samples. ``renew``: its samples are what they become now, also where that differs."""

    yaml: str
    renew: bool = False


@router.post("/mappings/", summary="Import a mapping: new, or a new version of the one of its name", operation_id="lake_mapping_import", tags=["lake.mapping"])
def import_mapping(request: HttpRequest, data: Written) -> dict[str, Any]:
    """422 with ``details.differences`` when a stored sample becomes something else."""
    row = actions.save_mapping(data.yaml, actor=request.viewer, renew=data.renew)  # type: ignore[attr-defined]
    return {"name": row.name, "version": row.version, "samples": row.samples}


@router.get("/mappings/{name}", summary="A mapping as YAML", operation_id="lake_mapping_export", tags=["lake.mapping"])
def export_mapping(request: HttpRequest, name: str) -> dict[str, str]:
    viewer = request.viewer  # type: ignore[attr-defined]
    viewer.must("lake.mapping.view")
    text = queries.mapping_text(name, viewer=viewer)
    return {"name": name, "yaml": text if queries.may_read_samples(viewer) else text.partition("\ntests:")[0] + "\n"}


@router.get("/drifts/", summary="Sources that write otherwise than usual, and how it ended", operation_id="lake_drifts", tags=["lake.source"])
def drifts(request: HttpRequest, source: str = "") -> list[dict[str, Any]]:
    """Newest first, at most 100. ``changes``: what changed, with shares before and now (0 to 1) and the fields that are gone and new."""
    viewer = request.viewer  # type: ignore[attr-defined]
    viewer.must("lake.source.view")
    return queries.drifts(viewer=viewer, source=source)


class Decided(Schema):
    """What is to be done about a drift: ``accept`` the new form as usual, or only ``release`` what was held back through again."""

    do: Literal["accept", "release"]


@router.post("/drifts/{source}", summary="Accept a drift, or send what was held back through again", operation_id="lake_drift_decide", tags=["lake.source"])
def decide(request: HttpRequest, source: str, data: Decided) -> dict[str, int]:
    """``frames``: how many records go through again; what still does not fit is held back again."""
    return {"frames": actions.decide_drift(source, data.do, actor=request.viewer)}  # type: ignore[attr-defined]


class Again(Schema):
    """Rejects of one kind, as the list of rejects names it."""

    source: str
    kind: str


@router.get("/rejects/", summary="What could not be read, by source and reason", operation_id="lake_rejects", tags=["lake.reject"])
def rejects(request: HttpRequest, source: str = "") -> list[dict[str, Any]]:
    return [asdict(group) for group in queries.reject_groups(viewer=request.viewer, source=source)]  # type: ignore[attr-defined]


@router.post("/rejects/replay", summary="Send rejects of one kind through again", operation_id="lake_rejects_replay", tags=["lake.reject"])
def replay(request: HttpRequest, data: Again) -> dict[str, int]:
    return {"frames": actions.replay_rejects(data.source, data.kind, actor=request.viewer)}  # type: ignore[attr-defined]
