"""The JSON API of alerts beyond what every sheet gives: one alert whole, its verbs, and the situation in numbers."""

from dataclasses import asdict
from typing import Any, Literal
from uuid import UUID

from django.http import HttpRequest

from lianfang.commons.frame.pages import Schema, api
from lianfang.rooms.respond import actions, queries
from lianfang.rooms.respond.queries.story import done

router = api("respond")
Verb = Literal["acknowledge", "start", "assign", "close", "reopen", "comment"]


class Given(Schema):
    """What a verb may need: ``to`` (a user's id; empty: back to the queue) for assign, ``verdict`` for close, ``comment`` for close, reopen and comment."""

    to: str = ""
    verdict: Literal["", "true_positive", "false_positive", "benign", "duplicate"] = ""
    comment: str = ""


@router.get("/alerts/{uuid:pk}/whole/", summary="Get one alert with its reasons, findings' events and what was done", operation_id="respond_alert_whole", tags=["respond.alert"])
def whole(request: HttpRequest, pk: UUID) -> dict[str, Any]:
    viewer = request.viewer  # type: ignore[attr-defined]
    row = queries.alert(pk, viewer)
    line = asdict(row.line()) | {"entities": queries.took_part(row, viewer), "events": row.events, "licence": row.licence}
    line["reasons"] = [asdict(reason) | {"title": reason.title, "words": reason.words} for reason in row.why]
    line["comments"] = [{"author": comment.author_name, "text": comment.text, "written": comment.written} for comment in row.comments.all()]
    line["timeline"] = [{"time": entry.time, "verb": entry.verb, "actor": entry.actor_name, "detail": dict(entry.detail)} for entry in done(row, viewer)]
    return line


@router.post("/alerts/{uuid:pk}/{verb}/", summary="Acknowledge, start, assign, close, reopen or comment an alert", operation_id="respond_alert_decide", tags=["respond.alert"])
def decide(request: HttpRequest, pk: UUID, verb: Verb, data: Given) -> dict[str, Any]:
    return asdict(actions.by_name(verb, pk, data.dict(), actor=request.viewer))  # type: ignore[attr-defined]


@router.get("/situation/", summary="The situation in numbers", operation_id="respond_situation", tags=["respond.situation"])
def situation(request: HttpRequest, span: Literal["24h", "7d", "30d"] = "24h") -> dict[str, Any]:
    viewer = request.viewer  # type: ignore[attr-defined]
    viewer.must("respond.alert.view")
    found = queries.situation(viewer, span=span)
    plain = {name: getattr(found, name) for name in ("since", "until", "open", "new", "unassigned", "mine", "raised", "raised_before", "closed", "tactics", "newest")}
    lists = {name: [asdict(row) for row in getattr(found, name)] for name in ("hosts", "rules", "alarms")}
    by_severity = {str(level): number for level, number in found.open_by_severity.items()}
    return plain | lists | {"open_by_severity": by_severity, "median_wait_seconds": found.wait.total_seconds() if found.wait else None, "series": [{"at": at, "by_severity": {str(level): number for level, number in counts.items()}} for at, counts in found.series]}
