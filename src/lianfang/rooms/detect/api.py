"""The JSON API of detect beyond what every sheet gives: how often each indicator was met, which rules can fire, hunts in past events."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import UUID

from django.http import HttpRequest

from lianfang.commons.frame.pages import Schema, api
from lianfang.rooms.detect import actions, queries
from lianfang.rooms.detect.queries import covering, hunts, incidents, library

router = api("detect")


@router.get("/event-models/", summary="List event models with what feeds them here", operation_id="detect_event_models", tags=["detect.event_model"])
def event_models(request: HttpRequest, q: str = "", fed: bool | None = None, rules: bool | None = None) -> list[dict[str, Any]]:
    """All of them in the order of the schema; ``fed`` and ``rules`` narrow to those with, or without."""
    viewer = request.viewer  # type: ignore[attr-defined]
    viewer.must("detect.rule.view")
    fitting = (one for one in library.standings(viewer) if fed in (None, bool(one.sources)) and rules in (None, bool(one.rules)))
    return [told for told in map(_told, fitting) if q.casefold() in f"{told['key']} {told['name_en']} {told['name_zh']}".casefold()]


@router.get("/event-models/{key}/", summary="One event model", operation_id="detect_event_model", tags=["detect.event_model"])
def event_model(request: HttpRequest, key: str) -> dict[str, Any]:
    """The same of one, with its events per day and the rules about it."""
    viewer = request.viewer  # type: ignore[attr-defined]
    viewer.must("detect.rule.view")
    one = library.standing(key, viewer)
    rules = queries.rule_rows(viewer).filter(marks__kind="model", marks__value=key).values_list("uid", flat=True)
    return _told(one) | {"days": {f"{day}": count for day, count in one.days.items()}, "rule_uids": list(rules)}


def _told(one: library.Standing) -> dict[str, Any]:
    model, place = one.model, one.model.place
    return {
        "key": model.key, "class_uid": model.class_uid, "activity_id": model.activity_id, "category_uid": model.category_uid, "name_zh": model.name_zh, "name_en": model.name_en, "deprecated": model.deprecated,
        "incident": {"standard": "GB/T 20986-2023", "category": place.category.key, "category_zh": place.category.zh, "kind": place.kind.key, "kind_zh": place.kind.zh, "why_zh": place.zh, "why_en": place.en},
        "events": one.events, "sources": dict(one.sources), "mappings": list(one.mappings), "rules": one.rules,
    }  # fmt: skip


@router.get("/incident-level/", summary="Tell the level of an incident after GB/T 20986-2023", operation_id="detect_incident_level", tags=["detect.event_model"])
def incident_level(request: HttpRequest, importance: str, loss: str, harm: str) -> dict[str, Any]:
    """From the importance of what is affected, the loss of business and the harm to society."""
    request.viewer.must("detect.rule.view")  # type: ignore[attr-defined]
    grade = incidents.graded(importance, loss, harm)
    return {"level": grade.key, "rank": grade.rank, "colour": grade.colour, "name_zh": grade.named.zh, "name_en": grade.named.en, "why": grade.why}


@router.get("/hits/", summary="Count hits of the watch list, by indicator", operation_id="detect_hits", tags=["detect.finding"])
def hits(request: HttpRequest, since: datetime | None = None, rule: str = "", limit: int = 200) -> list[dict[str, Any]]:
    """The most often met first; ``rule`` asks for one indicator, as findings name it."""
    return [asdict(one) | {"rule": one.uid} for one in queries.hits(request.viewer, since=since, rule=rule, limit=max(1, min(limit, 1000)))]  # type: ignore[attr-defined]


@router.get("/coverage/", summary="Which rules can fire on what this node receives, and what the others wait for", operation_id="detect_coverage", tags=["detect.rule"])
def coverage(request: HttpRequest) -> dict[str, Any]:
    """By pack the number of rules in each state; fields and log sources that are missing, with the rules that wait for them. A rule's own state is in its ``reach`` and ``waits``."""
    return covering.coverage(request.viewer).document  # type: ignore[attr-defined]


class HuntIn(Schema):
    """What to look for: rules by ID or title, or ``watchlist``; all rules of ``packs``. ``keep``: what is found becomes findings."""

    rules: list[str] = []
    packs: list[str] = []
    since: datetime
    until: datetime | None = None
    keep: bool = False


@router.post("/hunts/", summary="Run rules over past events", operation_id="detect_hunt_add", tags=["detect.hunt"])
def begin_hunt(request: HttpRequest, wanted: HuntIn) -> dict[str, Any]:
    """A worker runs it; its progress and what it found so far are in the answer of its address."""
    viewer = request.viewer  # type: ignore[attr-defined]
    row = actions.ask_hunt(wanted.rules, wanted.since, wanted.until, packs=wanted.packs, keep=wanted.keep, actor=viewer)
    return hunts.document(row, viewer)


@router.get("/hunts/", summary="List hunts", operation_id="detect_hunts", tags=["detect.hunt"])
def list_hunts(request: HttpRequest, limit: int = 50) -> list[dict[str, Any]]:
    """The newest first: one's own, or all of the node for who sees it whole."""
    viewer = request.viewer  # type: ignore[attr-defined]
    return [hunts.document(row, viewer) for row in hunts.hunt_rows(viewer)[: max(1, min(limit, 200))]]


@router.get("/hunts/{pk}/", summary="One hunt and what it found", operation_id="detect_hunt", tags=["detect.hunt"])
def one_hunt(request: HttpRequest, pk: UUID, events: bool = False) -> dict[str, Any]:
    """``events``: also every event that was found, as pairs of rule and event."""
    viewer = request.viewer  # type: ignore[attr-defined]
    row = hunts.hunt_of(pk, viewer)
    return hunts.document(row, viewer) | ({"found": list(hunts.events_of(row))} if events else {})


@router.post("/hunts/{pk}/cancel/", summary="End a hunt", operation_id="detect_hunt_cancel", tags=["detect.hunt"])
def end_hunt(request: HttpRequest, pk: UUID) -> dict[str, Any]:
    """What it found until then stays."""
    viewer = request.viewer  # type: ignore[attr-defined]
    row = hunts.hunt_of(pk, viewer)
    actions.cancel_hunt(row, actor=viewer)
    return hunts.document(row, viewer)
