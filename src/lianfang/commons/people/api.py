"""The API of people beside its sheets: who am I?"""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from lianfang.commons.frame.pages import Schema, api

router = api("people")


class Me(Schema):
    """The asker, as the node sees them."""

    id: str
    name: str
    kind: str
    organisation: str
    territory: list[str]
    industry: list[str]
    permissions: list[str]
    clearance: int
    language: str


@router.get("/me", response=Me, summary="Who am I, what may I do, how far do I see")
def me(request: HttpRequest) -> dict[str, Any]:
    viewer: Any = request.viewer  # type: ignore[attr-defined]
    return {
        **{name: getattr(viewer, name) for name in ("id", "name", "kind", "organisation", "language")},
        "territory": list(viewer.territory),
        "industry": list(viewer.industry),
        "permissions": sorted(viewer.permissions),
        "clearance": int(viewer.clearance),
    }
