"""Middleware of every page: safe headers, the viewer's language, and errors that speak to a person."""

from __future__ import annotations

import logging
import secrets
import sys
from collections.abc import Callable

from django.conf import settings
from django.core.exceptions import PermissionDenied, RequestDataTooBig, TooManyFieldsSent
from django.http import Http404, HttpRequest, HttpResponse
from django.utils import translation
from django.utils.translation import gettext

from lianfang.commons.frame.pages.answers import is_api, spoken
from lianfang.kernel.errors import Fault, Invalid, Missing, Refused
from lianfang.kernel.viewer import NOBODY

Answer = Callable[[HttpRequest], HttpResponse]
log = logging.getLogger("lianfang.web")

POLICY = "; ".join((
    "default-src 'self'", "script-src 'self'", "style-src 'self'", "img-src 'self' data: blob:", "font-src 'self'", "connect-src 'self'",
    "object-src 'none'", "base-uri 'none'", "form-action 'self'", "frame-ancestors 'none'",
))  # fmt: skip
"""Content-Security-Policy: nothing inline, nothing foreign. ``data:`` pictures are Tabler's form marks."""


class SafeHeaders:
    """Says to the browser what a page may do; ETags of ``pages.unchanged`` are written here too."""

    def __init__(self, get_response: Answer):
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        answer = self.get_response(request)
        answer.headers.setdefault("Content-Security-Policy", POLICY)
        answer.headers.setdefault("Referrer-Policy", "same-origin")
        answer.headers.setdefault("Permissions-Policy", "camera=(), microphone=(), geolocation=(), payment=(), usb=()")
        if answer.status_code == 200 and hasattr(request, "etag"):
            answer.headers.setdefault("ETag", request.etag)
        if "Cache-Control" not in answer.headers:
            answer.headers["Cache-Control"] = "private, no-cache"
        return answer


class SpokenErrors:
    """Stands next to the view: sets the language, and turns what was raised into an answer."""

    def __init__(self, get_response: Answer):
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not hasattr(request, "viewer"):
            request.viewer = NOBODY  # type: ignore[attr-defined]
        if not is_api(request):
            self._speak(request)
        return self.get_response(request)

    def _speak(self, request: HttpRequest) -> None:
        """The language chosen in this browser, else the viewer's own, else the node's."""
        viewer = request.viewer  # type: ignore[attr-defined]
        chosen = request.COOKIES.get(settings.LANGUAGE_COOKIE_NAME) or (viewer.language if viewer.kind != NOBODY.kind else "")
        language = chosen if chosen in dict(settings.LANGUAGES) else settings.LANGUAGE_CODE
        translation.activate(language)
        request.LANGUAGE_CODE = language  # type: ignore[attr-defined]

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """A fault, or one of Django's own; anything else rises and is logged with its cause."""
        fault = fault_of(error)
        return spoken(request, fault) if fault else None


def fault_of(error: BaseException | None) -> Fault | None:
    """Django's errors in our four families; ``None`` for what we cannot answer."""
    if isinstance(error, Fault):
        return error
    if isinstance(error, Http404):
        return Missing("There is nothing at this address", why="It never existed, was removed, or lies outside your scope.", todo="Check the address, or search.")
    if isinstance(error, PermissionDenied):
        return Refused("You may not open this", why=str(error), todo="Ask an administrator of your organisation.")
    if isinstance(error, RequestDataTooBig):
        return Invalid("The request is too big", why=gettext("At most %d MB are taken.") % (settings.DATA_UPLOAD_MAX_MEMORY_SIZE >> 20), todo="Send it in parts.")
    if isinstance(error, TooManyFieldsSent):
        return Invalid("The form holds too many entries", why=gettext("At most %d fields are taken at once.") % settings.DATA_UPLOAD_MAX_NUMBER_FIELDS, todo="Tick fewer, or tick “all that answer to the conditions”.")
    return None


def missing(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's ``handler404``."""
    return _alone(request, fault_of(exception) or fault_of(Http404()))


def refused(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's ``handler403``."""
    return _alone(request, fault_of(exception) or fault_of(PermissionDenied()))


def bad(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's ``handler400``."""
    return _alone(request, fault_of(exception) or Invalid("The request cannot be read", why="Its form is not what this address expects.", todo="Go back and try again."))


def failed(request: HttpRequest) -> HttpResponse:
    """Django's ``handler500``: a fault raised outside a view speaks; anything else is logged under a number that the page shows."""
    error = sys.exc_info()[1]
    if fault := fault_of(error):
        return _alone(request, fault)
    number = secrets.token_hex(4).upper()
    log.error("error %s at %s %s", number, request.method, request.path, exc_info=error)
    return _alone(request, Broken(number))


def csrf_failed(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Django's ``CSRF_FAILURE_VIEW``."""
    return _alone(request, Refused("The form was open for too long, or came from another site", why=reason, todo="Reload the page and send it again.", retry=True))


class Broken(Fault):
    """We made a mistake; its number leads to the log."""

    def __init__(self, number: str):
        super().__init__("Something went wrong here, not with you", why=gettext("The mistake is logged as %s.") % number, todo="Try again; if it stays, give this number to the operator.", retry=True, details={"number": number})


def _alone(request: HttpRequest, fault: Fault | None) -> HttpResponse:
    """Answer outside the view, where a middleware may not have run yet."""
    if not hasattr(request, "viewer"):
        request.viewer = NOBODY  # type: ignore[attr-defined]
    return spoken(request, fault or Broken("-"))
