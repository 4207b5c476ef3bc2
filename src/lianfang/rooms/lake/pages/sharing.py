"""Captures and mails made fit for sharing: one form, one file back."""

from __future__ import annotations

from io import BytesIO
from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.translation import gettext_lazy as _

from lianfang.commons.frame.language import either
from lianfang.commons.frame.pages import Nav, download, page, show
from lianfang.engines.masking import NUMBERS
from lianfang.kernel.errors import Fault
from lianfang.rooms.lake import actions, models, queries
from lianfang.rooms.lake.pages.masking import INSIDE
from lianfang.rooms.lake.types import Reported


@page("capture/", name="capture", permission="lake.event.export", title=_("Share a capture"), nav=Nav("governance", _("Share a capture"), order=22, icon="share", group="desensitising"))
def capture(request: HttpRequest) -> HttpResponseBase:
    """The form; the answer to it is the copy."""
    viewer = request.viewer  # type: ignore[attr-defined]
    context: dict[str, Any] = {"rules": [(name, str(row) if isinstance(row, models.MaskRule) else either(row.get("zh", ""), name.replace("-", " "))) for name, row in queries.address_rules(viewer=viewer)], "chosen": request.POST.get("rule", ""), "goals": queries.destinations(Reported.CAPTURE, viewer=viewer)}
    if request.method == "POST":
        try:
            made = actions.share_capture(request.FILES.get("file"), request.POST.get("rule", ""), actor=viewer)  # type: ignore[arg-type]
            return download(made.file, made.name, made.KIND, made.headers)
        except Fault as fault:
            context["fault"] = fault
    return show(request, "lake/capture.html", context, status=context["fault"].status if "fault" in context else 200)


@page("mail/", name="mail", permission="lake.event.export", title=_("Share a mail"), nav=Nav("governance", _("Share a mail"), order=22, icon="mail", group="desensitising"))
def mail(request: HttpRequest) -> HttpResponseBase:
    """The form; a look at what would be changed, side by side; the answer is the copy."""
    viewer, post = request.viewer, request.POST  # type: ignore[attr-defined]
    wish = actions.wish_of(dict(post.lists()))
    context: dict[str, Any] = {"kinds": [(kind, INSIDE[kind], kind in wish.kinds) for kind in NUMBERS], "drop": "\n".join(wish.drop), "ours": post.get("ours", ""), "words": post.get("words", "")}
    if request.method == "POST":
        try:
            if post.get("do") != "look":
                made = actions.share_mail(request.FILES.get("file"), wish, actor=viewer)  # type: ignore[arg-type]
                return download(BytesIO(made.copy.content), made.name, made.KIND)
            context |= {"seen": actions.copy_mail(request.FILES.get("file"), wish, actor=viewer).copy}  # type: ignore[arg-type]
            context["changes"] = [(where, before, after) for where, before, after in context["seen"].changes]
        except Fault as fault:
            context["fault"] = fault
    status = context["fault"].status if "fault" in context else 200
    if request.htmx:  # type: ignore[attr-defined]
        return show(request, "lake/mail_seen.html", context)
    return show(request, "lake/mail.html", context, status=status)
