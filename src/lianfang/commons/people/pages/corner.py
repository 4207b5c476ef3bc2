"""What people tells the shell around every page: the organisation in view, where a role lands, the language of a user."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.urls import reverse

from lianfang.commons.frame import pages
from lianfang.commons.people import actions, models, queries
from lianfang.kernel.viewer import Viewer


def organisation(viewer: Viewer) -> pages.Corner:
    """The viewer's organisation; it leads to the account, where another hat can be put on."""
    return pages.Corner(text=queries.name_of(viewer.organisation), url=reverse("people:account"))


def landing(viewer: Viewer) -> str:
    """The first page among those of the viewer's roles that is open to them; "" leaves the choice to the navigation."""
    user = models.User.objects.filter(pk=viewer.id).first() if viewer.kind == "user" else None
    known = {page.url_name: page for page in pages.registered()}
    for name in queries.landings(user) if user else ():
        page = known.get(name)
        if page is not None and page.open_to(viewer) and page.url():
            return page.url()
    return ""


def speak(request: HttpRequest, language: str) -> None:
    """A user has chosen a language: remember it."""
    user: Any = request.user
    if user.is_authenticated and user.language != language:
        actions.change_profile(user, actor=queries.viewer_of(user), language=language)
