"""A capture made fit for sharing: one form, one file back."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

from django.http import FileResponse, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.translation import gettext_lazy as _

from lianfang.commons.frame.language import either
from lianfang.commons.frame.pages import Nav, page, show
from lianfang.kernel.errors import Fault, Invalid
from lianfang.rooms.lake import actions, models, queries


@page("capture/", name="capture", permission="lake.event.export", title=_("Share a capture"), nav=Nav("governance", _("Share a capture"), order=22, icon="share"))
def capture(request: HttpRequest) -> HttpResponseBase:
    """The form; the answer to it is the copy."""
    viewer = request.viewer  # type: ignore[attr-defined]
    context: dict[str, Any] = {"rules": [(name, str(row) if isinstance(row, models.MaskRule) else either(row.get("zh", ""), name.replace("-", " "))) for name, row in queries.address_rules(viewer=viewer)], "chosen": request.POST.get("rule", "")}
    if request.method == "POST":
        try:
            return copied(request)
        except Fault as fault:
            context["fault"] = fault
    return show(request, "lake/capture.html", context, status=context["fault"].status if "fault" in context else 200)


def copied(request: HttpRequest) -> FileResponse | HttpResponse:
    """The copy as a download; ``X-Capture-Whole`` and its name say when the capture was cut off. Raises ``Invalid``, ``Missing``."""
    sent = request.FILES.get("file")
    if sent is None:
        raise Invalid("There is no file", todo="Choose a capture (.pcap, .pcapng).", details={"file": ["choose one"]})
    made = actions.share_capture(sent, request.POST.get("rule", ""), actor=request.viewer)  # type: ignore[attr-defined,arg-type]
    name = PurePath((sent.name or "capture.pcap").replace("\\", "/"))
    answer = FileResponse(made.file, as_attachment=True, filename=f"{name.stem[:60]}-shared{'' if made.whole else '-incomplete'}{name.suffix[:8]}", content_type="application/vnd.tcpdump.pcap")
    answer["X-Capture-Whole"] = "yes" if made.whole else "no"
    answer["X-Capture-Packets"] = str(made.packets)
    return answer
