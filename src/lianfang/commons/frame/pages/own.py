"""Frame's own pages: the way home, the search everywhere, the description of the API."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.translation import gettext_lazy as _
from django.views.i18n import set_language

from lianfang.commons.frame.pages import registry
from lianfang.commons.frame.pages.answers import show, to_login, unchanged
from lianfang.kernel.viewer import NOBODY, Viewer

MOST = 24
"""Hits shown by the search everywhere."""


def home(request: HttpRequest) -> HttpResponse:
    """``/``: where this viewer's role lands, else the first page that may be used."""
    viewer: Viewer = getattr(request, "viewer", NOBODY)
    if viewer.kind == NOBODY.kind:
        return to_login(request)
    address = registry.known.shell.landing(viewer) or next((pages[0].url() for section, pages in registry.entries(viewer) if section.key != "account"), "")
    return HttpResponseRedirect(address) if address and address != request.path else show(request, "frame/nothing.html", title=_("Welcome"))


def language(request: HttpRequest) -> HttpResponse:
    """The language of this browser from now on (a cookie); ``people`` may remember it for the person."""
    chosen = request.POST.get("language", "")
    viewer: Viewer = getattr(request, "viewer", NOBODY)
    if request.method == "POST" and viewer.kind != NOBODY.kind and chosen in dict(settings.LANGUAGES):
        registry.known.shell.speak(request, chosen)
    return set_language(request)


@registry.page("search/", name="search", title=_("Search"), room="frame")
def search(request: HttpRequest) -> HttpResponse:
    """The search everywhere: pages by their words, then what rooms find."""
    words = request.GET.get("q", "").strip()[:100]
    return show(request, "frame/found.html", {"words": words, "found": find(words, request.viewer) if words else _places("", request.viewer)})  # type: ignore[attr-defined]


@registry.page("inbox/", name="inbox", room="frame")
def inbox(request: HttpRequest) -> HttpResponse:
    """What waits for the viewer, for the top bar of a page that stays open."""
    corner = registry.known.shell.inbox(request.viewer)  # type: ignore[attr-defined]
    return unchanged(request, corner.count) or show(request, "frame/part/inbox.html", {"shell": {"inbox": corner}})


def find(words: str, viewer: Viewer) -> list[registry.Found]:
    """Hits of every finder, pages of the navigation first, at most ``MOST``."""
    found = _places(words, viewer)[:6]
    for finder in registry.known.finders:
        if len(found) >= MOST:
            break
        found.extend(finder(words, viewer))
    return found[:MOST]


def _places(words: str, viewer: Viewer) -> list[registry.Found]:
    wanted = words.casefold()
    return [
        registry.Found(page.nav.label, page.url(), kind=section.label, icon=page.nav.icon or section.icon)
        for section, pages in registry.entries(viewer)
        for page in pages
        if page.nav and wanted in f"{page.nav.label} {section.label} {page.url_name}".casefold()
    ]


def documentation(request: HttpRequest, api: Any) -> HttpResponse:
    """The API described from its own OpenAPI document, without a line of foreign script."""
    schema = api.get_openapi_schema()
    groups: dict[str, list[dict[str, Any]]] = {}
    for address, operations in schema["paths"].items():
        for method, operation in operations.items():
            groups.setdefault((operation.get("tags") or ["-"])[0], []).append(
                {"method": method.upper(), "path": address, "id": operation["operationId"], "summary": operation.get("summary", ""), "about": operation.get("description", ""),
                 "parameters": [_parameter(one) for one in operation.get("parameters", [])], "body": _body(operation, schema)}
            )  # fmt: skip
    return show(request, "frame/api.html", {"groups": groups}, title=_("API"))


def _parameter(one: dict[str, Any]) -> dict[str, Any]:
    shape = one.get("schema", {})
    return {"name": one["name"], "in": one["in"], "type": _type(shape), "about": one.get("description") or shape.get("description") or shape.get("title", "")}


def _body(operation: dict[str, Any], schema: dict[str, Any]) -> list[dict[str, Any]]:
    content = operation.get("requestBody", {}).get("content", {})
    shape = next(iter(content.values()), {}).get("schema", {})
    if "$ref" in shape:
        shape = schema["components"]["schemas"].get(shape["$ref"].rsplit("/", 1)[-1], {})
    required = set(shape.get("required", ()))
    return [{"name": name, "type": _type(one), "about": one.get("description") or one.get("title", ""), "required": name in required} for name, one in shape.get("properties", {}).items()]


def _type(shape: dict[str, Any]) -> str:
    if "anyOf" in shape:
        return " | ".join(_type(one) for one in shape["anyOf"])
    return shape.get("type") or shape.get("$ref", "").rsplit("/", 1)[-1] or "any"
