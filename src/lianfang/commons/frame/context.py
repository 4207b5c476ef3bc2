"""What every template knows: ``shell``, computed only as far as a template asks."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone
from django.utils.http import urlencode
from django.utils.translation import get_language

from lianfang import __version__
from lianfang.commons.frame.pages import registry
from lianfang.kernel import clock
from lianfang.kernel.viewer import NOBODY, Viewer

SHORT = 14
"""Entries of a navigation that is shown whole."""


class Shell:
    """The frame around a page, for one request."""

    version = __version__

    def __init__(self, request: HttpRequest):
        self.request = request
        self.viewer: Viewer = getattr(request, "viewer", NOBODY)
        self.page: registry.Page | None = getattr(request, "page", None)

    @cached_property
    def known(self) -> bool:
        """Whether somebody is signed in."""
        return self.viewer.kind != NOBODY.kind

    @cached_property
    def language(self) -> str:
        return get_language() or settings.LANGUAGE_CODE

    @cached_property
    def languages(self) -> list[tuple[str, str]]:
        return list(settings.LANGUAGES)

    @cached_property
    def login_url(self) -> str:
        return settings.LOGIN_URL

    @cached_property
    def node(self) -> str:
        return settings.NODE_NAME

    @cached_property
    def zone(self) -> str:
        """The zone of every time on the page, as ``UTC+08:00``."""
        said = timezone.localtime().strftime("%z")
        return f"UTC{said[:3]}:{said[3:]}"

    @cached_property
    def trail(self) -> list[registry.Page]:
        return registry.trail(self.page)

    @cached_property
    def _entries(self) -> list[tuple[registry.Section, list[registry.Page]]]:
        return registry.entries(self.viewer) if self.known else []

    @cached_property
    def _grouped(self) -> list[tuple[registry.Section, list[registry.Entry]]]:
        """The left navigation, line by line."""
        return [(section, registry.grouped(pages)) for section, pages in self._entries if section.key != "account"]

    @cached_property
    def _above(self) -> set[str]:
        """The page, and those above it."""
        return {page.url_name for page in self.trail}

    def _holds(self, entry: registry.Entry) -> bool:
        """Whether the viewer stands in it."""
        return any(page.url_name in self._above for page in entry.pages)

    @cached_property
    def nav(self) -> list[dict[str, Any]]:
        """Sections and entries of the left navigation. A long one opens only where the viewer stands."""
        short = sum(len(entry.pages) for _, entries in self._grouped for entry in entries) <= SHORT
        return [
            {"section": section, "active": (active := any(map(self._holds, entries))), "open": short or active, "entries": [{"label": entry.label, "url": entry.url, "active": self._holds(entry)} for entry in entries]}
            for section, entries in self._grouped
        ]

    @cached_property
    def _group(self) -> registry.Entry | None:
        """The group that the page, or one above it, belongs to, as far as the viewer may use it; nothing where that is one page."""
        return next((entry for _, entries in self._grouped for entry in entries if len(entry.pages) > 1 and self._holds(entry)), None)

    @cached_property
    def tabs(self) -> list[dict[str, Any]]:
        """The pages beside this one, itself among them; none on pages below one of them."""
        pages, here = self._group.pages if self._group else (), self.page.url_name if self.page else ""
        found = [{"label": page.nav.label if page.nav else "", "url": page.url(), "active": page.url_name == here} for page in pages]
        return found if any(one["active"] for one in found) else []

    @cached_property
    def account(self) -> list[registry.Page]:
        """Pages behind the user's name."""
        return next((pages for section, pages in self._entries if section.key == "account"), [])

    @cached_property
    def title(self) -> Any:
        return getattr(self.request, "title", "") or (self.page.label if self.page else "")

    @cached_property
    def crumbs(self) -> list[tuple[Any, str]]:
        """Label and address of what lies above; the page itself is its heading."""
        said = getattr(self.request, "crumbs", ())
        top = next((page.nav for page in self.trail if page.nav), None)
        found: list[tuple[Any, str]] = [(registry.SECTIONS[top.section].label, "")] if top else []
        found += [(self._group.label, "" if self.tabs else self._group.url)] if self._group else []
        found += list(said) if said else [(page.label, page.url()) for page in self.trail[:-1]]
        return [(label, url) for place, (label, url) in enumerate(found) if label and (place == 0 or str(label) != str(found[place - 1][0]))]

    @cached_property
    def organisation(self) -> registry.Corner:
        return registry.known.shell.organisation(self.viewer) if self.known else registry.Corner()

    @cached_property
    def inbox(self) -> registry.Corner:
        return registry.known.shell.inbox(self.viewer) if self.known else registry.Corner()

    @cached_property
    def bells(self) -> list[dict[str, str]]:
        """The addresses that this page listens to from now on, with their rooms; none where no room rings."""
        after = urlencode({"after": clock.text(clock.now())})
        return [{"room": page.room, "url": f"{page.url()}?{after}"} for page in registry.bells(self.viewer)] if self.known else []


def shell(request: HttpRequest) -> dict[str, Any]:
    """The context processor."""
    return {"shell": Shell(request), "viewer": getattr(request, "viewer", NOBODY)}
