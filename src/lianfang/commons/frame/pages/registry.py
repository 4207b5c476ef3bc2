"""What rooms declare: pages, navigation, panels, finders, and the corners of the top bar.

In: declarations, on import. Out: the same, in order. Nothing here looks at a request except the guard of a page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import wraps
from importlib import import_module
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import NoReverseMatch, reverse
from django.utils.translation import gettext_lazy as _

from lianfang.commons.frame.pages.answers import to_login
from lianfang.kernel.errors import Conflict
from lianfang.kernel.viewer import NOBODY, Viewer

Text = Any
"""A string, or a lazy translation of one."""
View = Callable[..., HttpResponse]


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the left navigation: work, not module."""

    key: str
    label: Text
    icon: str


SECTIONS: dict[str, Section] = {
    section.key: section
    for section in (
        Section("situation", _("Situation"), "radar-2"),
        Section("alerts", _("Alerts"), "bell"),
        Section("cases", _("Cases"), "briefcase-2"),
        Section("intelligence", _("Intelligence"), "fingerprint"),
        Section("assets", _("Assets"), "server-2"),
        Section("coordination", _("Coordination"), "affiliate"),
        Section("logs", _("Logs"), "database"),
        Section("detection", _("Detection"), "target"),
        Section("governance", _("Data governance"), "shield-lock"),
        Section("operations", _("Operations"), "activity"),
        Section("trust", _("Trust"), "certificate"),
        Section("administration", _("Administration"), "settings"),
        Section("account", _("My account"), "user-circle"),
    )
}
"""In the order of the navigation. ``account`` stands in the menu behind the user's name instead."""


GROUPS: dict[str, Text] = {
    "sources": _("Log sources"),
    "grading": _("Classification and grading"),
    "desensitising": _("Desensitising and sharing"),
    "protection": _("Policies and protection"),
    "use": _("Use of data"),
    "quality": _("Standards and quality"),
    "life": _("Life of data"),
}
"""Pages that belong together are one entry of the navigation and stand as tabs above each of them; their addresses stay their own."""


@dataclass(frozen=True, slots=True)
class Nav:
    """A place in the navigation: under which section, by which words, at which position, with which icon, and in which group, if any."""

    section: str
    label: Text
    order: int = 100
    icon: str = ""
    group: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the navigation: a page, or a group of pages that opens with its first one."""

    label: Text
    pages: tuple[Page, ...]

    @property
    def url(self) -> str:
        return self.pages[0].url()


@dataclass(frozen=True, slots=True)
class Page:
    """One page: its room, address below the room, name, guard and place."""

    room: str
    path: str
    name: str
    view: View
    permission: str = ""
    nav: Nav | None = None
    public: bool = False
    title: Text = ""
    parent: str = ""

    @property
    def url_name(self) -> str:
        return f"{self.room}:{self.name}"

    @property
    def label(self) -> Text:
        return self.title or (self.nav.label if self.nav else "")

    def open_to(self, viewer: Viewer) -> bool:
        """Whether this viewer may use the page at all (what it shows is another question)."""
        return self.public or (viewer.kind != NOBODY.kind and (not self.permission or viewer.may(self.permission)))

    def url(self, **arguments: Any) -> str:
        """Its address; ``""`` when it needs arguments that were not given."""
        try:
            return reverse(self.url_name, kwargs=arguments)
        except NoReverseMatch:
            return ""


@dataclass(frozen=True, slots=True)
class Panel:
    """A piece of a page of another room: the lower room owns the slot, a higher one fills it."""

    slot: str
    title: Text
    order: int
    permission: str
    fill: Callable[[HttpRequest, Any], str]


@dataclass(frozen=True, slots=True)
class Found:
    """One hit of the search everywhere: what it is called, where it is, and what kind of thing it is."""

    title: Text
    url: str
    kind: Text = ""
    icon: str = ""
    detail: Text = ""


@dataclass(frozen=True, slots=True)
class Corner:
    """A corner of the top bar that another room fills: words, an address, a count."""

    text: Text = ""
    url: str = ""
    count: int | None = None


@dataclass(slots=True)
class Shell:
    """What higher rooms tell the shell; each is a function of the viewer."""

    organisation: Callable[[Viewer], Corner] = lambda viewer: Corner()
    inbox: Callable[[Viewer], Corner] = lambda viewer: Corner()
    landing: Callable[[Viewer], str] = lambda viewer: ""
    speak: Callable[[HttpRequest, str], Any] = lambda request, language: None


@dataclass(slots=True)
class _Registry:
    pages: dict[str, Page] = field(default_factory=dict)
    panels: list[Panel] = field(default_factory=list)
    finders: list[Callable[[str, Viewer], Iterable[Found]]] = field(default_factory=list)
    shell: Shell = field(default_factory=Shell)
    routers: dict[str, Any] = field(default_factory=dict)


known = _Registry()

BELL = "bell"
"""The name of a page that every page of the shell listens to: asked with ``?after=<moment>`` every few seconds, it answers
204 while all is quiet, else notices and ``#bell-<room>`` anew with the next moment."""


def room_of(module: str) -> str:
    """``lianfang.rooms.lake.pages`` → ``lake``."""
    parts = module.split(".")
    return parts[2] if parts[0] == "lianfang" and len(parts) > 2 else parts[-1]


def page(path: str, *, name: str, permission: str = "", nav: Nav | None = None, public: bool = False, title: Text = "", parent: str = "", room: str = "") -> Callable[[View], View]:
    """Declare a page at ``/<room>/<path>``, named ``<room>:<name>``.

    Without ``public`` a stranger is sent to the login; ``permission`` (``room.kind.verb``) guards it further.
    ``parent`` names the page above it (``name`` in the same room, or ``room:name``) for the breadcrumbs.
    """

    def declare(view: View) -> View:
        made = Page(room or room_of(view.__module__), path, name, view, permission, nav, public, title, parent)
        made = replace(made, view=_guarded(made))
        if nav and nav.group and nav.group not in GROUPS:
            raise Conflict(f"No group is called {nav.group}", why=f"{made.url_name} wants to stand there.", todo=f"Choose among {', '.join(GROUPS)}.")
        if nav and nav.section not in SECTIONS:
            raise Conflict(f"No section is called {nav.section}", why=f"{made.url_name} wants to stand there.", todo=f"Choose among {', '.join(SECTIONS)}.")
        if made.url_name in known.pages:
            raise Conflict(f"Two pages are called {made.url_name}", todo="Give one of them another name.")
        known.pages[made.url_name] = made
        return made.view

    return declare


def _guarded(declared: Page) -> View:
    @wraps(declared.view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        viewer: Viewer = getattr(request, "viewer", NOBODY)
        request.page = declared  # type: ignore[attr-defined]
        if not declared.public:
            if viewer.kind == NOBODY.kind:
                return to_login(request)
            if declared.permission:
                viewer.must(declared.permission)
        return declared.view(request, *args, **kwargs)

    return guarded


def panel(slot: str, *, title: Text = "", order: int = 100, permission: str = "") -> Callable[[Callable[[HttpRequest, Any], str]], Callable[[HttpRequest, Any], str]]:
    """Fill ``slot`` (``"respond.alert.side"``) of a lower room's page: ``function(request, subject) -> html``, ``""`` for nothing."""

    def declare(fill: Callable[[HttpRequest, Any], str]) -> Callable[[HttpRequest, Any], str]:
        known.panels.append(Panel(slot, title, order, permission, fill))
        return fill

    return declare


def panels(slot: str, viewer: Viewer) -> list[Panel]:
    """The panels of a slot that this viewer may see, in order."""
    return sorted((p for p in known.panels if p.slot == slot and (not p.permission or viewer.may(p.permission))), key=lambda p: p.order)


def finder(find: Callable[[str, Viewer], Iterable[Found]]) -> Callable[[str, Viewer], Iterable[Found]]:
    """Declare a source of the search everywhere: ``function(words, viewer) -> Found…``, a handful, fast."""
    known.finders.append(find)
    return find


def plug(**functions: Callable[..., Any]) -> None:
    """Fill the shell: ``organisation(viewer) -> Corner``, ``inbox(viewer) -> Corner``, ``landing(viewer) -> url``, ``speak(request, language)``."""
    for name, function in functions.items():
        setattr(known.shell, name, function)


def registered() -> tuple[Page, ...]:
    """Every page of the open rooms, in the order of declaration."""
    return tuple(known.pages.values())


def mark() -> _Registry:
    """Remember what is declared now; with ``forget_since`` a test leaves no page behind."""
    import_module("lianfang.commons.frame.pages.own")  # declared once per process: must not be taken back
    return _Registry(dict(known.pages), list(known.panels), list(known.finders), replace(known.shell), dict(known.routers))


def forget_since(moment: _Registry) -> None:
    """Take back every declaration made since ``mark``."""
    known.pages, known.panels, known.finders, known.shell, known.routers = moment.pages, moment.panels, moment.finders, moment.shell, moment.routers


def entries(viewer: Viewer) -> list[tuple[Section, list[Page]]]:
    """The navigation of this viewer: sections with the pages that may be used, empty ones left out."""
    usable = sorted((p for p in known.pages.values() if p.nav and p.open_to(viewer) and not p.public), key=lambda p: p.nav.order if p.nav else 0)
    groups = [(section, [p for p in usable if p.nav and p.nav.section == key and p.url()]) for key, section in SECTIONS.items()]
    return [(section, found) for section, found in groups if found]


def grouped(pages: Iterable[Page]) -> list[Entry]:
    """Pages of one section as lines of the navigation, each group where its first page stands."""
    found: dict[str, list[Page]] = {}
    for page in pages:
        assert page.nav is not None  # noqa: S101 - entries have a place
        found.setdefault(page.nav.group or page.url_name, []).append(page)
    return [Entry(GROUPS[key] if key in GROUPS and len(some) > 1 else some[0].nav.label if some[0].nav else "", tuple(some)) for key, some in found.items()]


def bells(viewer: Viewer) -> list[Page]:
    """The pages that ring: those that rooms have called ``bell``, as far as this viewer may hear them."""
    return [page for page in known.pages.values() if page.name == BELL and page.open_to(viewer)]


def trail(here: Page | None) -> list[Page]:
    """The page and those above it, outermost first."""
    found: list[Page] = []
    while here is not None and here not in found:
        found.insert(0, here)
        name = here.parent if ":" in here.parent else f"{here.room}:{here.parent}"
        here = known.pages.get(name)
    return found
