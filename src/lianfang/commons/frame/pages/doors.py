"""The doors to the web: addresses of all open rooms, one JSON API with OpenAPI, and who may come in.

In: the packages of the open rooms. Out: Django address patterns. Django Ninja lives here; rooms speak to ``api(room)``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import wraps
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import orjson
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, URLResolver, include, path
from ninja import Body, File, Header, NinjaAPI, Path, Query, Router, Schema, UploadedFile
from ninja.errors import HttpError, ValidationError
from ninja.renderers import BaseRenderer
from ninja.responses import Response
from ninja.security.base import AuthBase
from ninja.utils import check_csrf

from lianfang import __version__
from lianfang.commons.frame.pages import registry
from lianfang.commons.frame.pages.answers import Unknown, invalid, problem, to_login
from lianfang.kernel.errors import Fault, Invalid, Missing, Refused
from lianfang.kernel.viewer import NOBODY

__all__ = ["Body", "Endpoint", "File", "Header", "Path", "Query", "Response", "Schema", "UploadedFile", "api", "endpoints", "urlpatterns"]

_apis: list[NinjaAPI] = []


class SignedIn(AuthBase):
    """Lets in whoever ``request.viewer`` names. A session that changes something must also show its CSRF token; a key need not."""

    openapi_type = "apiKey"
    openapi_in = "header"
    openapi_name = "Authorization"

    def __call__(self, request: HttpRequest) -> Any:
        viewer = getattr(request, "viewer", NOBODY)
        if viewer.kind == NOBODY.kind:
            return None
        by_key = request.headers.get("Authorization", "").startswith("Lianfang ")
        if not by_key and request.method not in ("GET", "HEAD", "OPTIONS") and check_csrf(request):
            raise Refused("The request was not sent from our own page", why="It carries no valid CSRF token.", todo="Reload the page; programs use an API key.")
        return viewer


class Orjson(BaseRenderer):
    """JSON by orjson: UUIDs and aware times as they are."""

    media_type = "application/json"

    def render(self, request: HttpRequest, data: Any, *, response_status: int) -> bytes:
        return orjson.dumps(data, default=str)


def api(room: str) -> Router:
    """The router of a room: its operations stand at ``/api/<room>/…`` and ask for a signed-in viewer.

        router = api("lake")

        @router.get("/sources/{name}", response=Source)
        def source(request, name: str):
            request.viewer.must("lake.source.view")
            return queries.source(name, request.viewer)
    """
    return registry.known.routers.setdefault(room, Router(tags=[room]))


def urlpatterns(packages: Mapping[str, str], *, namespace: str = "api") -> list[URLPattern | URLResolver]:
    """The addresses of the open rooms: ``{"lake": "lianfang.rooms.lake", …}`` → pages at ``/<room>/``, APIs at ``/api/<room>/``.

    Imports ``<package>.pages`` and ``<package>.api`` where they exist; declarations happen there.
    """
    for package in packages.values():
        for module in ("pages", "api"):
            if find_spec(f"{package}.{module}"):
                import_module(f"{package}.{module}")
    import_module("lianfang.commons.frame.pages.own")
    by_room: dict[str, list[URLPattern]] = defaultdict(list)
    for page in registry.registered():
        if page.room in packages:
            by_room[page.room].append(path(page.path, page.view, name=page.name))
    return [
        *_api_urls(packages, namespace),
        path("i18n/setlang/", import_module("lianfang.commons.frame.pages.own").language, name="set_language"),
        *(path(f"{room}/", include((patterns, room))) for room, patterns in by_room.items()),
        path("", import_module("lianfang.commons.frame.pages.own").home, name="home"),
    ]


def _api_urls(rooms: Iterable[str], namespace: str) -> list[URLPattern | URLResolver]:
    api = NinjaAPI(
        title="Lianfang", version=__version__, description="Every list, thing and verb of this node. Errors are problem JSON: what, why, what to do.",
        urls_namespace=namespace, docs_url=None, docs_decorator=_signed_in, auth=SignedIn(), renderer=Orjson(),
    )  # fmt: skip
    for room in rooms:
        if room in registry.known.routers:
            api.add_router(f"/{room}/", registry.known.routers[room])
    _speak(api)
    _apis[:] = [*(known for known in _apis if known.urls_namespace != namespace), api]
    docs = import_module("lianfang.commons.frame.pages.own").documentation
    return [path("api/docs", _signed_in(lambda request: docs(request, api)), name="api-docs"), path("api/", api.urls)]


def _signed_in(view: Any) -> Any:
    @wraps(view, assigned=())
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return to_login(request) if getattr(request, "viewer", NOBODY).kind == NOBODY.kind else view(request, *args, **kwargs)

    return guarded


def _speak(api: NinjaAPI) -> None:
    """Teach Ninja to answer with our faults."""
    api.add_exception_handler(Fault, lambda request, fault: problem(fault))
    api.add_exception_handler(Http404, lambda request, error: problem(Missing("There is nothing at this address", todo="See /api/docs for what there is.")))
    api.add_exception_handler(ValidationError, lambda request, error: problem(_field_errors(error)))
    api.add_exception_handler(HttpError, lambda request, error: problem(Unknown() if error.status_code == 401 else Invalid(str(error)), status=error.status_code))


def _field_errors(error: ValidationError) -> Invalid:
    found: dict[str, list[str]] = defaultdict(list)
    for one in error.errors:
        found[".".join(str(part) for part in one["loc"] if part not in ("body", "data", "query", "path"))].append(one["msg"])
    return invalid(found)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One operation of the API, for whoever wants to walk over all of them."""

    method: str
    path: str
    summary: str
    guarded: bool


def endpoints(namespace: str = "api") -> tuple[Endpoint, ...]:
    """Every operation of the API, with ``{…}`` where its path wants arguments."""
    api = next(known for known in _apis if known.urls_namespace == namespace)
    return tuple(
        Endpoint(method, f"/api/{bound.prefix.strip('/')}/{pattern.strip('/')}{'/' if pattern.endswith('/') else ''}".replace("//", "/"), operation.summary or "", bool(operation.auth_callbacks))
        for bound in api._get_bound_routers()
        for pattern, view in bound.path_operations.items()
        for operation in view.operations
        for method in operation.methods
    )
