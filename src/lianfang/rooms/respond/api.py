"""The JSON API of alerts beyond what every sheet gives: one alert whole, its verbs, and the situation in numbers."""

from dataclasses import asdict
from typing import Any, Literal
from uuid import UUID

from django.http import HttpRequest

from lianfang.commons.frame.pages import Schema, api
from lianfang.rooms.lake import actions as lake
from lianfang.rooms.lake.types import Touched
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


IncidentVerb = Literal["acknowledge", "assign", "close", "comment", "rename", "merge", "split"]


class Told(Schema):
    """What a verb on an incident may need: ``to`` (a user's id; empty: back to the queue) for assign, ``verdict`` for close, ``comment`` for close and comment,
    ``title`` for rename (empty: called after its loudest alert), ``other`` (an incident's id) for merge, ``alerts`` (ids of some of its alerts) for split."""

    to: str = ""
    verdict: Literal["", "true_positive", "false_positive", "benign", "duplicate"] = ""
    comment: str = ""
    title: str = ""
    other: UUID | None = None
    alerts: list[UUID] = []


@router.get("/incidents/{uuid:pk}/whole/", summary="Get one incident with its alerts, why each belongs, its reasons, comments and what was done", operation_id="respond_incident_whole", tags=["respond.incident"])
def whole_incident(request: HttpRequest, pk: UUID) -> dict[str, Any]:
    return queries.incident_whole(pk, request.viewer)  # type: ignore[attr-defined]


@router.get("/incidents/{uuid:pk}/analysis/", summary="Get which techniques may come next in an incident, and its diamond: adversary, capability, infrastructure, victim", operation_id="respond_incident_analysis", tags=["respond.incident"])
def analysis_of_incident(request: HttpRequest, pk: UUID) -> dict[str, Any]:
    return queries.analysis(pk, request.viewer)  # type: ignore[attr-defined]


@router.post("/incidents/{uuid:pk}/{verb}/", summary="Acknowledge, assign, close, comment, rename, join or part an incident", operation_id="respond_incident_decide", tags=["respond.incident"])
def decide_incident(request: HttpRequest, pk: UUID, verb: IncidentVerb, data: Told) -> dict[str, Any]:
    viewer = request.viewer  # type: ignore[attr-defined]
    given = data.dict() | {"other": data.other or ""}
    parted = actions.incident_by_name(verb, pk, given, alerts=data.alerts, actor=viewer)
    return queries.incident_whole(pk, viewer) | ({"parted": str(parted.pk)} if parted else {})


@router.get("/linked/{event_id}/", summary="Get what is linked with an event before and after, each with its path and weight", operation_id="respond_linked", tags=["respond.linked"])
def linked(request: HttpRequest, event_id: str, span: Literal["1h", "6h", "24h", "7d"] = "6h", depth: Literal["1", "2", "3"] = "2") -> dict[str, Any]:
    viewer = request.viewer  # type: ignore[attr-defined]
    found = queries.linked_events(event_id, viewer, span=span, depth=int(depth))
    lake.touch(Touched.API, found.levels, masked=found.masked, asked=f"linked {event_id}", actor=viewer)
    told = [
        {"event_id": step.line.event_id, "time": step.line.at, "host": step.line.host, "class_uid": step.line.class_uid, "activity_id": step.line.activity_id, "event_code": step.line.event_code, "rules": list(step.line.rules), "events": step.line.often,
         "first": step.line.begun, "last": step.line.ended, "from": step.source, "by": {"kind": step.kind, "value": step.value}, "weight": step.weight, "links": step.depth, "alert": str(step.alert.pk) if step.alert else None}
        for step in found.steps
    ]  # fmt: skip
    crowded = [{"kind": kind, "value": value, "hosts": places} for kind, value, places in found.crowded]
    return {"event_id": event_id, "time": found.event["time"], "since": found.since, "until": found.until, "linked": told, "crowded": crowded, "left_out": found.more}


@router.get("/situation/", summary="The situation in numbers", operation_id="respond_situation", tags=["respond.situation"])
def situation(request: HttpRequest, span: Literal["24h", "7d", "30d"] = "24h") -> dict[str, Any]:
    viewer = request.viewer  # type: ignore[attr-defined]
    viewer.must("respond.alert.view")
    found = queries.situation(viewer, span=span)
    plain = {name: getattr(found, name) for name in ("since", "until", "open", "new", "unassigned", "mine", "raised", "raised_before", "closed", "tactics", "newest")}
    lists = {name: [asdict(row) for row in getattr(found, name)] for name in ("hosts", "rules", "alarms")}
    by_severity = {str(level): number for level, number in found.open_by_severity.items()}
    return plain | lists | {"open_by_severity": by_severity, "median_wait_seconds": found.wait.total_seconds() if found.wait else None, "series": [{"at": at, "by_severity": {str(level): number for level, number in counts.items()}} for at, counts in found.series]}
