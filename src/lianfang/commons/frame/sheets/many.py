"""A verb on many rows: on those that were ticked, or on all that the question finds, however many.

In: the form of a list. Out: done and told at once for a screenful; for more, a page that the browser takes through the
rows step by step, so that no request is long, what is done is seen, and nobody is left out in silence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from lianfang.commons.frame import pages
from lianfang.commons.frame.pages.answers import is_fragment
from lianfang.commons.frame.sheets import moves
from lianfang.commons.frame.sheets.declare import Row, Sheet, Verb
from lianfang.commons.frame.sheets.question import Question
from lianfang.kernel.errors import Invalid, Missing
from lianfang.kernel.viewer import Viewer

STEP = 250
"""Rows of one request: about a second of work."""
NAMED = 12
"""Rows that a confirmation calls by name."""
TOLD = 3
"""Refusals that are told with their reason; the rest are counted."""
OWN = {"csrfmiddlewaretoken", "do", "all", "confirm", "row", "next", "number", "upto", "after", "done", "refused", "reason"}
"""Fields of the form that are no values for the verb."""

REMOVE = Verb("remove", _("Delete"), lambda row, *, actor: None, danger=True, bulk=True, icon="trash", confirm=_("Delete these entries? This cannot be undone."))


def bulk_verbs(sheet: Sheet, viewer: Viewer) -> list[Verb]:
    """What can be done with many rows."""
    return [*sheet.verbs_of(viewer, bulk=True), *([REMOVE] if sheet.may(viewer, "delete") else [])]


def many(request: HttpRequest, sheet: Sheet, viewer: Viewer) -> HttpResponse:
    """A verb on the rows that were chosen (``row``), on one (``do=verb:pk``), or on all that the question finds (``all``)."""
    name = request.POST.get("do", "").partition(":")[0]
    verb = next((v for v in [*sheet.verbs_of(viewer), *bulk_verbs(sheet, viewer)] if v.name == name), None)
    if verb is None:
        raise Missing("There is no such verb here", why=name[:40], todo="Reload the list.")
    return take(request, Question.of(sheet, request.GET, viewer), verb)


def take(request: HttpRequest, question: Question, verb: Verb) -> HttpResponse:
    """The verb on the rows that the form chose. A page of a room's own brings its question, and a verb that took its values from the form."""
    sheet, (_name, __, one) = question.sheet, request.POST.get("do", "").partition(":")
    if request.POST.get("all") and not one:
        return _all(request, question, verb)
    rows, gone = _ticked(question, [one] if one else request.POST.getlist("row"))
    if not rows:
        raise _nothing()
    if verb.confirm and not request.POST.get("confirm"):
        return _ask(request, sheet, verb, rows, len(rows))
    done, refused = moves.apply_to_all(sheet, None if verb is REMOVE else verb, rows, actor=question.viewer)
    _say(request, verb, done, len(refused), refused[:TOLD], gone=gone)
    return _back(request)


def _ticked(question: Question, keys: Sequence[str]) -> tuple[list[Row], int]:
    """The rows that were ticked and can still be seen, and how many cannot."""
    wanted = {_key(question.sheet, key) for key in keys}
    rows = list(question.sheet.seen_by(question.viewer).filter(pk__in=wanted))
    return rows, len(wanted) - len(rows)


def _key(sheet: Sheet, said: str) -> Any:
    try:
        return sheet.model._meta.pk.to_python(said)  # type: ignore[union-attr]
    except ValidationError as error:
        raise Invalid("The choice cannot be read", todo="Reload the list.") from error


def _nothing() -> Invalid:
    return Invalid("Nothing was chosen", why="The verb needs at least one entry.", todo="Tick the entries first.")


def _ask(request: HttpRequest, sheet: Sheet, verb: Verb, rows: Sequence[Row], number: int) -> HttpResponse:
    posted = [(name, value) for name in request.POST for value in request.POST.getlist(name) if name != "csrfmiddlewaretoken"]
    context = {"sheet": sheet, "verb": verb, "rows": rows[:NAMED], "more": max(0, number - NAMED), "number": number, "posted": posted, "back": request.get_full_path()}
    return pages.show(request, "frame/sheet/confirm.html", context, title=verb.label)


def _say(request: HttpRequest, verb: Verb, done: int, refused: int, reasons: Sequence[str], *, gone: int = 0) -> None:
    """Tell what was done, and what was not and why."""
    if done:
        messages.success(request, _done(verb, done))
    if refused:
        rest = f" … +{refused - len(reasons)}" if refused > len(reasons) else ""
        messages.error(request, f"{verb.label}: " + " · ".join(reasons) + rest)
    if gone:
        messages.error(request, ngettext("%d entry was not found any more", "%d entries were not found any more", gone) % gone)


def _done(verb: Verb, done: int) -> str:
    return ngettext("%(verb)s: done for %(number)d entry", "%(verb)s: done for %(number)d entries", done) % {"verb": verb.label, "number": done}


def _back(request: HttpRequest) -> HttpResponse:
    asked = request.POST.get("next", "")
    ours = asked.startswith("/") and not asked.startswith(("//", "/\\"))
    return HttpResponseRedirect(asked if ours else request.get_full_path())


# -- all that the question finds ---------------------------------------------------------------------------------


@dataclass
class Way:
    """How far a verb has come. It travels in the form of the page, so that the node keeps nothing of a page that was left.

    ``number``: rows at the start; ``upto``: the last of them, so that rows which come later are left alone;
    ``after``: the last that was looked at.
    """

    number: int
    upto: str
    after: str = ""
    done: int = 0
    refused: int = 0
    reasons: tuple[str, ...] = ()

    @classmethod
    def of(cls, request: HttpRequest, question: Question) -> Way:
        """Where the form stands, or the start."""
        said = request.POST
        if upto := said.get("upto", ""):
            number, done, refused = (int(text) if (text := said.get(name, "")).isdecimal() else 0 for name in ("number", "done", "refused"))
            return cls(number, upto, said.get("after", ""), done, refused, tuple(said.getlist("reason")[:TOLD]))
        found = question.rows().order_by("-pk")
        return cls(found.count(), str(found.values_list("pk", flat=True).first() or ""))

    @property
    def looked(self) -> int:
        return self.done + self.refused


def _all(request: HttpRequest, question: Question, verb: Verb) -> HttpResponse:
    """The next step of a verb on all rows: the first asks, the last tells."""
    sheet, way = question.sheet, Way.of(request, question)
    if not way.upto:
        raise _nothing()
    if verb.confirm and not request.POST.get("confirm"):
        return _ask(request, sheet, verb, list(question.ordered()[:NAMED]), way.number)
    begun, ended = bool(request.POST.get("upto")), False
    if begun or way.number <= STEP:
        ended = _step(question, verb, way)
    if ended and not begun:
        _say(request, verb, way.done, way.refused, way.reasons)
        return _back(request)
    given = [(name, value) for name in request.POST if name not in OWN for value in request.POST.getlist(name)]
    context = {"sheet": sheet, "verb": verb, "way": way, "given": given, "ended": ended, "done": _done(verb, way.done), "back": request.get_full_path()}
    return pages.show(request, "frame/sheet/many_part.html" if is_fragment(request) else "frame/sheet/many.html", context, title=verb.label)


def _step(question: Question, verb: Verb, way: Way) -> bool:
    """Do the next rows in the order of their keys, which no verb changes. Gives whether these were the last."""
    sheet = question.sheet
    found = question.rows().filter(pk__lte=_key(sheet, way.upto)).order_by("pk")
    rows = list((found.filter(pk__gt=_key(sheet, way.after)) if way.after else found)[:STEP])
    keys = [row.pk for row in rows]  # a row that is removed forgets its key
    done, refused = moves.apply_to_all(sheet, None if verb is REMOVE else verb, rows, actor=question.viewer)
    way.done, way.refused, way.reasons = way.done + done, way.refused + len(refused), (*way.reasons, *refused)[:TOLD]
    way.after = str(keys[-1]) if keys else way.after
    return not rows or str(keys[-1]) == way.upto
