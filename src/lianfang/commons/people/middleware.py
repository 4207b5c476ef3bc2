"""Puts ``request.viewer`` on every request: from an API key, from a session, or ``NOBODY``.

It also ends idle sessions, and keeps users at the door who must first change their password or set up a second factor.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _

from lianfang.commons.people import actions, models, queries
from lianfang.kernel.errors import Refused
from lianfang.kernel.viewer import NOBODY, Viewer

Answer = Callable[[HttpRequest], HttpResponse]
SEEN, BEGAN, HAT = "people_seen", "people_began", "people_hat"
AT_THE_DOOR = {"account_login", "account_logout", "account_change_password", "account_reauthenticate", "set_language"}
SETTING_UP = {"mfa_index", "mfa_activate_totp", "mfa_view_recovery_codes", "mfa_reauthenticate", *AT_THE_DOOR}
NOTED_EVERY = timedelta(minutes=1).total_seconds()
_noted: dict[str, float] = {}


class ViewerMiddleware:
    """Looks once per request who is asking."""

    def __init__(self, get_response: Answer):
        self.get_response = get_response

    def __call__(self, request: Any) -> HttpResponse:
        request.detained = ""
        given = request.META.get("HTTP_AUTHORIZATION")
        request.viewer = _by_key(request, given) if given else _by_session(request)
        return self.get_response(request)

    def process_view(self, request: Any, view: Any, args: Any, kwargs: Any) -> HttpResponse | None:
        """Detained users reach nothing but what sets them free."""
        if not request.detained or request.resolver_match.url_name in (AT_THE_DOOR if request.detained == "password" else SETTING_UP):
            return None
        if request.path.startswith("/api/"):
            refusal = Refused(_("Your account needs your attention first"), why=_("A password must be changed or a second factor set up."), todo=_("Log in with a browser."))
            return JsonResponse(refusal.as_dict(), status=refusal.status)
        return redirect("account_change_password" if request.detained == "password" else "mfa_activate_totp")


def _by_key(request: Any, given: str) -> Viewer:
    """``Lianfang id:secret`` or ``Bearer id.secret``. A browser never sends either by itself, so no CSRF token is asked for."""
    scheme, _space, credentials = given.partition(" ")
    mark = {"lianfang": ":", "bearer": "."}.get(scheme.lower())
    if mark is None:
        return _by_session(request)
    code, _mark, secret = credentials.strip().partition(mark)
    viewer = queries.viewer_of_key(code, secret)
    if viewer is not NOBODY:
        request._dont_enforce_csrf_checks = True
        _note(code)
    return viewer


def _note(code: str) -> None:
    now = time.monotonic()
    if now - _noted.get(code, -NOTED_EVERY) >= NOTED_EVERY:
        _noted[code] = now
        actions.note_use(code)


def _by_session(request: Any) -> Viewer:
    if settings.SESSION_COOKIE_NAME not in request.COOKIES or not request.user.is_authenticated:
        return NOBODY
    if why := _outlived(request):
        request.ended_because = why
        logout(request)
        return NOBODY
    return _viewer(request, request.user)


def _viewer(request: Any, user: models.User) -> Viewer:
    """The hat chosen in this session; a detained user wears none."""
    hat = queries.worn(queries.hats(user), request.session.get(HAT, ""))
    if user.must_change_password or queries.password_is_old(user):
        request.detained = "password"
    elif hat is not None and hat.second_factor and not queries.has_second_factor(user):
        request.detained = "second_factor"
    return queries.restricted(user) if request.detained else queries.viewer_in(user, hat)


def _outlived(request: Any) -> str:
    """Why the session is over, if it is: left alone for too long, or open for longer than any session may be.

    What a page fetches by itself is not activity: frame polls by htmx with the ETag it holds; others say ``X-Poll``.
    """
    now, session = time.time(), request.session
    seen, began = session.get(SEEN, now), session.get(BEGAN, now)
    if settings.IDLE_MINUTES and now - seen > settings.IDLE_MINUTES * 60:
        return "idle"
    if now - began > settings.SESSION_COOKIE_AGE:
        return "expired"
    polled = "HTTP_X_POLL" in request.META or ("HTTP_HX_REQUEST" in request.META and "HTTP_IF_NONE_MATCH" in request.META)
    if SEEN not in session or (now - seen > NOTED_EVERY and not polled):
        session[SEEN], session[BEGAN] = now, began
    return ""
