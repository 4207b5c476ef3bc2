"""The JSON door beside the sheets: is this known? And: take these in.

In: values to look up, or a whole delivery as it lies in its file. Out: what is known; what became of the delivery.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from django.http import HttpRequest, HttpResponse, QueryDict
from django.urls import reverse

from lianfang.commons.frame import sheets
from lianfang.commons.frame.pages import Query, Response, Schema, api
from lianfang.commons.frame.sheets import Question
from lianfang.kernel.errors import Invalid
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.intel import actions, models, queries
from lianfang.rooms.intel.queries import intakes, reading
from lianfang.rooms.intel.types import Sharing, Stage, Terms

router = api("intel")


class Asked(Schema):
    """Values to look up, also written harmlessly."""

    values: list[str]


class KnownOut(Schema):
    """One indicator that answers. ``through`` names the network or domain that holds the asked value, where it is not the value itself."""

    id: str
    kind: str
    value: str
    source: str
    tlp: str
    confidence: int
    valid_from: datetime
    valid_until: datetime | None
    tags: list[str]
    note: str
    standing: str
    through: str


class AnswerOut(Schema):
    """What is known of one value; ``kind`` is empty when the text names nothing that could be known."""

    asked: str
    kind: str
    value: str
    active: bool
    known: list[KnownOut]


class AnswersOut(Schema):
    """Answers in the order asked."""

    answers: list[AnswerOut]


@router.get("/lookup", response=AnswerOut, summary="Look up one value", operation_id="intel_lookup")
def look_up_one(request: HttpRequest, value: str) -> dict[str, Any]:
    """What is known of a value, in the scope of whoever asks."""
    return queries.plain(queries.look_up([value], request.viewer)[0])  # type: ignore[attr-defined]


@router.post("/lookup", response=AnswersOut, summary="Look up many values", operation_id="intel_lookup_many")
def look_up_many(request: HttpRequest, asked: Asked) -> dict[str, Any]:
    """The same for up to a thousand values."""
    return {"answers": [queries.plain(answer) for answer in queries.look_up(asked.values, request.viewer)]}  # type: ignore[attr-defined]


# ---- sharing ---------------------------------------------------------------------------------------------------


class ShareIn(Schema):
    """Which indicators, and how they are shared. ``asked``: conditions as in the address of the watch list; ``source``, ``note``, ``tags``, ``own``: keep, hide or remove; ``to``: a destination of reports."""

    asked: str = "standing=active"
    tlp: str = "green"
    source: str = "keep"
    note: str = "hide"
    tags: str = "keep"
    own: str = "remove"
    ours: list[str] = []
    words: list[str] = []

    def rows(self, viewer: Viewer) -> tuple[Question, Sharing]:
        """The question, and how."""
        said = {name: [getattr(self, name)] for name in ("tlp", "source", "note", "tags", "own")} | {"ours": self.ours, "words": self.words}
        return Question.of(sheets.of("intel.indicator"), QueryDict(self.asked), viewer), actions.sharing_of(said)


class ReportIn(ShareIn):
    """The same, to a destination by its id."""

    to: UUID


@router.post("/share", summary="Indicators for others as CSV, chosen fields pseudonymised or left out", operation_id="intel_share", tags=["intel.indicator"])
def share(request: HttpRequest, said: ShareIn) -> HttpResponse:
    """The table. Needs ``intel.indicator.export``; TLP:RED never goes; each time is on the ledger."""
    question, how = said.rows(request.viewer)  # type: ignore[attr-defined]
    return HttpResponse(actions.share(question.every(), how, about=question.sentence(), actor=request.viewer), content_type="text/csv; charset=utf-8")  # type: ignore[attr-defined]


@router.post("/report", summary="Indicators to a destination, chosen fields pseudonymised or left out", operation_id="intel_report", tags=["intel.indicator"])
def report(request: HttpRequest, said: ReportIn) -> Response:
    """202: kept, and sent by a worker; ``watch`` is the page of its progress."""
    question, how = said.rows(request.viewer)  # type: ignore[attr-defined]
    row = actions.report(question.every(), how, said.to, about=question.sentence(), actor=request.viewer)  # type: ignore[attr-defined]
    return Response({"report": str(row.pk), "rows": row.rows, "kept_back": row.kept_back, "watch": request.build_absolute_uri(reverse("lake:report", kwargs={"pk": row.pk}))}, status=202)


# ---- importing -------------------------------------------------------------------------------------------------

SHOWN, MOST_SHOWN = 100, 1_000
"""Rejects of an answer: in that to the delivery itself, and at most."""
PIECE = 1 << 18


class Delivered(Schema):
    """On which terms a delivery is taken in: what holds where a row or object does not say it itself.

    ``tlp``: clear, green, amber, amber+strict (write ``amber%2Bstrict``) or red. ``valid_until``: a time with its zone; without it,
    ``days`` from now, 0 for without end. ``internal``: take private addresses too. ``name``: what the delivery is called among the imports.
    """

    source: str
    form: Literal["auto", "csv", "list", "stix"] = "auto"
    tlp: str = "amber"
    confidence: int = 50
    days: int = 90
    valid_until: datetime | None = None
    tags: list[str] = []
    internal: bool = False
    name: str = ""

    def terms(self) -> Terms:
        """As intel understands them; raises ``Invalid`` for all that is wrong at once."""
        until, wrong = self.valid_until, dict[str, list[str]]()
        try:
            mark = reading.tlp(self.tlp.strip().replace(" ", "+"))  # a bare + in an address arrives as a blank
        except reading.Wrong:
            mark, wrong["tlp"] = "", ["Use clear, green, amber, amber+strict or red."]
        if not self.source.strip() or len(self.source) > 120 or "\0" in self.source:
            wrong["source"] = ["Say who says so, in at most 120 characters."]
        if not 0 <= self.confidence <= 100:
            wrong["confidence"] = ["Use a number from 0 to 100."]
        if not 0 <= self.days <= 3650:
            wrong["days"] = ["Use a number from 0 to 3650."]
        if until is not None and (until.tzinfo is None or not 1970 <= until.year < 9999):
            wrong["valid_until"] = ["Write it like 2026-11-20T08:00:00Z."]
        if len(self.tags) > 50 or any("\0" in tag for tag in self.tags):
            wrong["tags"] = ["At most 50 short words."]
        if wrong:
            raise Invalid("The delivery cannot be taken on these terms", why=" ".join(f"{name}: {said[0]}" for name, said in wrong.items()), todo="Correct them, and send it again.", details=wrong)
        tags = dict.fromkeys(tag.strip()[:60] for tag in self.tags if tag.strip())
        return Terms(self.source.strip(), mark, self.confidence, self.days, tuple(tags), self.internal, until)


class RejectOut(Schema):
    """A line or object that was not taken: where it stands (from 1), its beginning, why, and what to do."""

    line: int
    content: str
    code: str
    reason: str
    todo: str


class ImportOut(Schema):
    """What became of a delivery. ``stage``: waiting, running, done or failed (``trouble`` says why).

    ``read`` = ``added + renewed + same + doubled + rejected``; ``rejects`` are some of the rejected, in order.
    """

    id: str
    name: str
    form: str
    source: str
    stage: str
    percent: int
    read: int
    added: int
    renewed: int
    same: int
    doubled: int
    rejected: int
    rejects: list[RejectOut]
    trouble: str
    created: datetime
    finished: datetime | None


_BODY = {"required": True, "content": {media: {"schema": {"type": "string", "format": "binary"}} for media in ("text/plain", "text/csv", "application/stix+json", "application/octet-stream")}}


@router.post("/import", response={200: ImportOut, 202: ImportOut}, summary="Import a list, a table or a STIX 2.1 bundle", operation_id="intel_import", tags=["intel.indicator"], openapi_extra={"requestBody": _BODY})
def bring_in(request: HttpRequest, said: Query[Delivered]) -> Response:
    """The body is the delivery, as it lies in its file; its form is found by itself. At most 64 MB and two million lines.

    200: taken in, with counts and the first 100 rejects. 202: too large to wait for, a worker does it; ask for it by its ``id``.
    Sending the same again adds nothing. Needs ``intel.indicator.add``.
    """
    viewer = request.viewer  # type: ignore[attr-defined]
    viewer.must("intel.indicator.add")
    terms = said.terms()
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise Invalid("The body is packed", why="A delivery is taken as it is.", todo="Send it without Content-Encoding.")
    row = actions.deliver(said.name.replace("\0", "").strip() or f"API: {terms.source}", _whole(request), form=said.form, terms=terms, actor=viewer)
    return Response(_told(row, count=SHOWN), status=200 if row.stage == Stage.DONE else 202)


@router.get("/import/{id}", response=ImportOut, summary="What became of an import", operation_id="intel_import_told", tags=["intel.indicator"])
def told(request: HttpRequest, id: UUID, skip: int = 0, count: int = SHOWN) -> dict[str, Any]:
    """How far it is, its counts, and ``count`` (at most 1,000) of its rejects after the first ``skip``. Needs ``intel.intake.view``."""
    return _told(intakes.intake(id, request.viewer), skip=max(0, skip), count=max(0, min(count, MOST_SHOWN)))  # type: ignore[attr-defined]


def _whole(request: HttpRequest) -> bytes:
    """The body, read in pieces, so that the bound is on what is held, not on what was promised."""
    pieces, size = list[bytes](), 0
    while piece := request.read(PIECE):
        size += len(piece)
        if size > reading.LARGEST:
            raise Invalid("The delivery is too large", why="At most 64 MB are taken at once.", todo="Split it.")
        pieces.append(piece)
    return b"".join(pieces)


def _told(row: models.Intake, *, skip: int = 0, count: int) -> dict[str, Any]:
    names = ("name", "form", "source", "percent", "read", "added", "renewed", "same", "doubled", "rejected", "created", "finished")
    stuck = intakes.stuck(row)
    rejects = [{"line": one.line, "content": one.raw, "code": one.code, "reason": one.reason, "todo": one.todo} for one in (found.said for found in intakes.rejects(row)[skip : skip + count])]
    return {"id": str(row.pk), **{name: getattr(row, name) for name in names}, "stage": str(Stage.FAILED if stuck else row.stage), "trouble": row.trouble or stuck, "rejects": rejects}
