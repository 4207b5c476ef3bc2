"""Pages of attachments: the list with its form on the page of a thing, taking a file in, giving it out."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote
from uuid import UUID

from django.contrib import messages
from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.loader import render_to_string
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as translate
from django.utils.translation import gettext_lazy as _

from lianfang.commons.frame import journal
from lianfang.commons.frame.attachments import keeping
from lianfang.commons.frame.attachments.sniffing import MIME
from lianfang.commons.frame.models import Attachment
from lianfang.commons.frame.pages import registry
from lianfang.kernel.errors import Fault, Missing
from lianfang.kernel.ref import Ref
from lianfang.kernel.viewer import Viewer


def allow(subject: keeping.Subject) -> None:
    """Let files be put beside things of this kind, by whoever sees the thing and has the permission; whoever sees the thing may take them. Its page shows them in the slot ``<room>.<kind>.main``."""
    keeping.declare(subject)
    slot = f"{subject.name}.main"
    if any(panel.slot == slot and getattr(panel.fill, "subject", None) == subject.name for panel in registry.known.panels):
        return

    def fill(request: HttpRequest, row: Any) -> str:
        viewer: Viewer = request.viewer  # type: ignore[attr-defined]
        rows = list(keeping.of(row.ref))
        may = viewer.may(subject.permission)
        context = {"rows": rows, "subject": subject, "row": row, "may": may, "closed": subject.closed(row) if may else "", "megabytes": keeping.limit() >> 20, "here": request.path}
        return render_to_string("frame/part/attachments.html", context, request) if rows or may else ""

    fill.subject = subject.name  # type: ignore[attr-defined]
    registry.panel(slot, title=_("Attachments"), order=60)(fill)


@registry.page("attach/<slug:room>/<slug:kind>/<uuid:pk>/", name="attach", room="frame", title=_("Attachments"))
def attach(request: HttpRequest, room: str, kind: str, pk: UUID) -> HttpResponse:
    """Files put beside a thing; back to its page, with what became of each."""
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    sent = request.FILES.getlist("files")
    if not sent:
        messages.error(request, translate("Choose a file first."))
    for one in sent[:20]:
        _said(request, room, kind, pk, one)
    back = request.POST.get("next", "")
    return HttpResponseRedirect(back if url_has_allowed_host_and_scheme(back, None) else "/")


def _said(request: HttpRequest, room: str, kind: str, pk: UUID, one: Any) -> None:
    try:
        made = keeping.attach(room, kind, pk, one, actor=request.viewer)  # type: ignore[attr-defined]
    except Fault as fault:
        if fault.status in (403, 404):
            raise
        messages.error(request, f"{one.name}: {fault}")
        return
    if made.refused:
        messages.error(request, translate("%(name)s was refused. %(reason)s") % {"name": made.name, "reason": made.reason})
    else:
        messages.success(request, translate("%s is attached.") % made.name)


@registry.page("attachments/<uuid:pk>/", name="attachment", room="frame", title=_("Attachment"))
def attachment(request: HttpRequest, pk: UUID) -> HttpResponse | FileResponse:
    """The file itself, to whoever may see the thing it belongs to; never shown in this page's name, never run."""
    row: Attachment = Attachment.objects.fetch(pk, request.viewer)  # type: ignore[attr-defined]
    ref = Ref.parse(row.subject)
    keeping.subject_of(ref.room, ref.kind).fetch(ref.id, request.viewer)  # type: ignore[attr-defined]
    path = keeping.place(row.digest)
    if row.refused or not path.is_file():
        raise Missing(translate("This file is not given out"), why=row.reason or translate("It is not on this node."), todo=translate("Ask whoever attached it."))
    journal.tell("frame.attachment_taken", ref, actor=request.viewer, label=row.name, detail={"digest": row.digest}, territory=row.territory, industry=row.industry)  # type: ignore[attr-defined]
    answer = FileResponse(path.open("rb"), content_type=MIME.get(row.kind, "application/octet-stream"))
    answer["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(row.name)}"
    answer["Content-Security-Policy"] = "default-src 'none'; sandbox"
    answer["X-Content-Type-Options"] = "nosniff"
    answer["Cache-Control"] = "private, no-store"
    return answer
