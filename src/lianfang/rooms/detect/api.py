"""The JSON API of detect beyond what every sheet gives: how often each indicator was met."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from django.http import HttpRequest

from lianfang.commons.frame.pages import api
from lianfang.rooms.detect import queries

router = api("detect")


@router.get("/hits/", summary="Count hits of the watch list, by indicator", operation_id="detect_hits", tags=["detect.finding"])
def hits(request: HttpRequest, since: datetime | None = None, rule: str = "", limit: int = 200) -> list[dict[str, Any]]:
    """The most often met first; ``rule`` asks for one indicator, as findings name it."""
    return [asdict(one) | {"rule": one.uid} for one in queries.hits(request.viewer, since=since, rule=rule, limit=max(1, min(limit, 1000)))]  # type: ignore[attr-defined]
