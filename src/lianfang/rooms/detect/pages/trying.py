"""Trying rules on an example: paste a log, see how it is read, which rules fire and why. Nothing is stored.

Rules of the node's own are tried with the others: those in force, and for who writes them the drafts and proposals too.
"""

from __future__ import annotations

from functools import lru_cache
from threading import Lock
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _

from lianfang.commons.frame.pages import Nav, page, show
from lianfang.engines.rules.examiner import Examiner
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.detect import models
from lianfang.rooms.detect.actions.editions import RULES
from lianfang.rooms.detect.models.ownrules import Stage
from lianfang.rooms.detect.pages.ownrules import TONES, rows_of
from lianfang.rooms.detect.queries import explaining, loading
from lianfang.rooms.detect.types import NODE_RULES

LONGEST = 200_000
MOST_DRAFTS = 40
"""The newest drafts and proposals are tried: each is compiled for it."""
_turn = Lock()
"""An examiner serves one thread, and each of the web process's may come here."""


@page("try/", name="try", permission="detect.rule.view", nav=Nav("detection", _("Try a log"), order=42, icon="eye"), title=_("Try rules on a log"))
def trying(request: HttpRequest) -> HttpResponse:
    """The form, and what came of it."""
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    text = request.POST.get("text", "")[:LONGEST]
    with _turn:
        result = explaining.tried(text, _examiners(_edition())) if text.strip() else None
    context: dict[str, Any] = {"text": text, "result": result, "fields": sorted(result["rows"][0].items()) if result and result["rows"] else [], "own_pack": NODE_RULES}
    if result and result["rows"]:
        own = {rule.uid: rule for rule in models.Rule.objects.filter(uid__in=[told.uid for told in result["fired"]]).select_related("pack")}
        drafts = list(rows_of(viewer).filter(stage__in=(Stage.DRAFT, Stage.PROPOSED))[:MOST_DRAFTS])
        context |= {"fired": [(told, own.get(told.uid)) for told in result["fired"]], "drafts": [(row, TONES[Stage(row.stage)], told) for row in drafts if (told := explaining.tried_draft(row.uid, row.text, str(row), result))]}
    return show(request, "detect/try.html", context)


def _edition() -> int:
    return models.Edition.objects.filter(name=RULES).values_list("number", flat=True).first() or 0


@lru_cache(maxsize=1)
def _examiners(edition: int) -> tuple[Examiner, ...]:
    """The rules of the installed packs, and those that people of this node wrote, as they stood at an edition."""
    return Examiner(loading.load_all(), cache_bytes=4 << 20), Examiner(loading.load_written(), cache_bytes=1 << 20)
