"""Rejects: what could not be read, by source and reason; look at it, mend the cause, send it through again."""

from __future__ import annotations

from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from lianfang.commons.frame.pages import Nav, page, said, show
from lianfang.kernel.errors import Conflict
from lianfang.rooms.lake import actions, queries
from lianfang.rooms.lake.pages.sources import reason_lines

LOOKED_AT = 2_000
"""Bytes of a reject that the page shows."""
HEX = 256


@page("rejects/", name="rejects", permission="lake.reject.view", nav=Nav("logs", _("Rejects"), order=24, icon="file-alert"))
def rejects(request: HttpRequest) -> HttpResponse:
    """Groups by source and reason, or send one of them through again."""
    viewer = request.viewer  # type: ignore[attr-defined]
    if request.method == "POST":
        return _again(request)
    source = request.GET.get("source", "")
    groups = queries.reject_groups(viewer=viewer, source=source)
    lines = reason_lines(groups)
    return show(request, "lake/rejects.html", {"lines": lines, "source": source, "sources": sorted({group.source for group in groups}), "count": sum(group.count for group in groups), "may_replay": viewer.may("lake.reject.replay")})


@page("rejects/kind/", name="reject", permission="lake.reject.view", title=_("Rejects of one kind"), parent="rejects")
def reject(request: HttpRequest) -> HttpResponse:
    """The frames themselves, newest first."""
    source, kind = request.GET.get("source", ""), request.GET.get("kind", "")
    viewer = request.viewer  # type: ignore[attr-defined]
    rows, more = queries.rejects(source, kind, viewer=viewer, after=request.GET.get("after", ""))
    lines = [{**row, "reason": said(row["reason"]), **_seen(row["raw"])} for row in rows]
    context = {"lines": lines, "source": source, "kind": kind, "next": f"?{urlencode({'source': source, 'kind': kind, 'after': more})}" if more else "", "may_replay": viewer.may("lake.reject.replay")}
    return show(request, "lake/reject_rows.html" if request.htmx.target == "more" else "lake/reject.html", context, title=said(kind) or None)  # type: ignore[attr-defined]


def _again(request: HttpRequest) -> HttpResponse:
    try:
        count = actions.replay_rejects(request.POST.get("source", ""), request.POST.get("kind", ""), actor=request.viewer)  # type: ignore[attr-defined]
        messages.success(request, ngettext("%d record goes through again. If it fails again, it is listed anew.", "%d records go through again. What fails again is listed anew.", count) % count)
    except Conflict as conflict:
        messages.warning(request, str(conflict))
    return HttpResponseRedirect(reverse("lake:rejects"))


def _seen(raw: bytes | None) -> dict[str, object]:
    """Bytes as text where they are text, else as hexadecimal."""
    if raw is not None and raw.startswith(queries.SEALED):
        return {"text": None, "binary": False, "cut": False, "sealed": True}
    if raw is None:
        return {"text": None, "binary": False, "cut": False}
    try:
        text = raw[:LOOKED_AT].decode("utf-8", "strict" if len(raw) <= LOOKED_AT else "ignore")
        if text.isprintable() or all(char.isprintable() or char in "\r\n\t" for char in text):
            return {"text": text, "binary": False, "cut": len(raw) > LOOKED_AT}
    except UnicodeDecodeError:
        pass
    return {"text": raw[:HEX].hex(" "), "binary": True, "cut": len(raw) > HEX}
