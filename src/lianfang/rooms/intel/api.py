"""The JSON door beside the sheets: is this known? One value in the address, or up to a thousand in the body."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import HttpRequest

from lianfang.commons.frame.pages import Schema, api
from lianfang.rooms.intel import queries

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
