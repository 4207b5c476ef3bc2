"""Answers: a page, an error that speaks, "nothing has changed", "please log in".

In: a request and what to say. Out: HTML for a person, a fragment for htmx, problem JSON (RFC 9457) for a machine.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import IO, Any
from urllib.parse import urlencode

import orjson
from django.conf import settings
from django.contrib import messages
from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseNotModified, HttpResponseRedirect
from django.shortcuts import render, resolve_url
from django.utils.translation import get_language

from lianfang.commons.frame.pages.tongue import parts_of
from lianfang.kernel import clock
from lianfang.kernel.errors import Fault, Invalid

ICONS = {403: "lock", 404: "map-search", 409: "arrows-cross", 422: "forms"}


def show(request: HttpRequest, template: str, context: Mapping[str, Any] | None = None, *, title: Any = "", crumbs: Sequence[tuple[Any, str]] = (), status: int = 200) -> HttpResponse:
    """Render ``template`` inside the shell. ``title`` and ``crumbs`` (label, address) replace what the declaration says."""
    request.title, request.crumbs = title, tuple(crumbs)  # type: ignore[attr-defined]
    return render(request, template, dict(context or {}), status=status)


def unchanged(request: HttpRequest, *tag: Any) -> HttpResponse | None:
    """304 when the asker already holds this state, else ``None``; the answer then gets the ETag by itself.

    ``tag``: whatever the content depends on (a version, the newest change, a count). Language and viewer are added.

        if answer := unchanged(request, queries.version(viewer)): return answer
    """
    viewer = getattr(request, "viewer", None)
    etag = '"' + hashlib.blake2b(repr((tag, get_language(), getattr(viewer, "id", ""), request.get_full_path())).encode(), digest_size=12).hexdigest() + '"'
    request.etag = etag  # type: ignore[attr-defined]
    if request.headers.get("If-None-Match") == etag:
        answer = HttpResponseNotModified()
        answer["ETag"] = etag
        return answer
    return None


def download(file: IO[bytes], name: str, kind: str, headers: Mapping[str, str] | None = None) -> FileResponse:
    """A file to be saved under ``name``; it is closed when it was sent. ``kind``: its media type."""
    return FileResponse(file, as_attachment=True, filename=name, content_type=kind, headers=dict(headers or {}))


def asked_after(request: HttpRequest) -> datetime:
    """The moment after which a bell is asked for news; now, where the address names none."""
    try:
        return clock.parse(request.GET.get("after", ""))
    except Invalid:
        return clock.now()


def wants_json(request: HttpRequest) -> bool:
    """Whether a machine is asking: by path, or because it accepts JSON and not HTML."""
    accept = request.headers.get("Accept", "")
    return is_api(request) or ("json" in accept and "html" not in accept)


def is_api(request: HttpRequest) -> bool:
    """Whether the address belongs to the API (its description is a page)."""
    return request.path.startswith("/api/") and request.path != "/api/docs"


def is_fragment(request: HttpRequest) -> bool:
    """Whether htmx asks for a piece of a page rather than for a page."""
    htmx = getattr(request, "htmx", None)
    return bool(htmx) and not htmx.boosted and not htmx.history_restore_request


def to_login(request: HttpRequest) -> HttpResponse:
    """Strangers: people are sent to the login and back again, machines get 401."""
    if wants_json(request):
        return problem(Unknown(), status=401)
    fragment = is_fragment(request)
    back = (request.htmx.current_url_abs_path or "/") if fragment else request.get_full_path()  # type: ignore[attr-defined]
    address = f"{resolve_url(settings.LOGIN_URL)}?{urlencode({'next': back})}"
    if fragment:
        answer = HttpResponse(status=401)
        answer["HX-Redirect"] = address
        return answer
    return HttpResponseRedirect(address)


class Unknown(Fault):
    """Who is asking is not known."""

    status, code = 401, "unknown"

    def __init__(self) -> None:
        super().__init__("Please identify yourself", why="This address is not public.", todo="Log in, or send the header Authorization: Lianfang <id>:<secret>.")


def problem(fault: Fault, *, status: int | None = None) -> HttpResponse:
    """The wire form of a fault: RFC 9457 with our own words beside it."""
    code = status or fault.status
    body = {"title": str(fault.what), "status": code, "detail": str(fault.why), **fault.as_dict()}
    return HttpResponse(orjson.dumps(body, default=str), status=code, content_type="application/problem+json")


def spoken(request: HttpRequest, fault: Fault) -> HttpResponse:
    """A fault as an answer: what happened, why, what to do next."""
    if wants_json(request):
        return problem(fault)
    words = _words(fault)
    if is_fragment(request):
        answer = render(request, "frame/fault_fragment.html", {"fault": words}, status=fault.status)
        answer["HX-Retarget"], answer["HX-Reswap"] = "#toasts", "beforeend"
        return answer
    return show(request, "frame/fault.html", {"fault": words, "icon": ICONS.get(fault.status, "alert-triangle"), "moment": secrets.token_hex(3)}, title=words["what"], status=fault.status)


@contextmanager
def saying(request: HttpRequest, done: str = "") -> Iterator[None]:
    """What comes of a step stands on the next page: ``done``, or the fault. What may not be done, or is not there, is raised."""
    try:
        yield
    except Fault as fault:
        if fault.status in (403, 404):
            raise
        messages.error(request, str(fault))
    else:
        if done:
            messages.success(request, done)


def _words(fault: Fault) -> dict[str, Any]:
    """A fault in the asker's language as far as its sentences are in the catalogue."""
    what, why, todo = parts_of(fault)
    return {"what": what, "why": why, "todo": todo, "status": fault.status, "code": fault.code, "retry": fault.retry, "details": fault.details}


def invalid(errors: Mapping[str, Sequence[Any]]) -> Invalid:
    """Field errors as one fault with ``details`` per field."""
    return Invalid("Some values cannot be right", why="; ".join(f"{name}: {', '.join(map(str, found))}" for name, found in errors.items()), todo="Correct them and send again.", details={name: [str(e) for e in found] for name, found in errors.items()})
