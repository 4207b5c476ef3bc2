"""Trying rules on an example: paste a log, see how it is read, which rules fire and why. Nothing is stored."""

from __future__ import annotations

from functools import lru_cache

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _

from lianfang.commons.frame.pages import Nav, page, show
from lianfang.engines.rules.examiner import Examiner
from lianfang.rooms.detect import models
from lianfang.rooms.detect.actions.editions import RULES
from lianfang.rooms.detect.queries import explaining, loading

LONGEST = 200_000


@page("try/", name="try", permission="detect.rule.view", nav=Nav("detection", _("Try a log"), order=42, icon="eye"), title=_("Try rules on a log"))
def trying(request: HttpRequest) -> HttpResponse:
    """The form, and what came of it."""
    text = request.POST.get("text", "")[:LONGEST]
    result = explaining.tried(text, examiner=_examiner(_edition())) if text.strip() else None
    context = {"text": text, "result": result, "fields": sorted(result["rows"][0].items()) if result and result["rows"] else []}
    return show(request, "detect/try.html", context)


def _edition() -> int:
    return models.Edition.objects.filter(name=RULES).values_list("number", flat=True).first() or 0


@lru_cache(maxsize=1)
def _examiner(edition: int) -> Examiner:
    return Examiner(loading.load_all(), cache_bytes=4 << 20)
