"""Upload: files from a person's own machine into a source."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from lianfang.commons.frame.pages import Nav, page, show
from lianfang.kernel.errors import Fault
from lianfang.rooms.lake import actions, queries


@page("upload/", name="upload", permission="lake.event.add", nav=Nav("logs", _("Upload logs"), order=22, icon="upload"))
def upload(request: HttpRequest) -> HttpResponse:
    """The form; what was sent is read by a worker, whose progress can be watched."""
    context = {"sources": queries.source_names(viewer=request.viewer), "source": request.POST.get("source") or request.GET.get("source", "upload"), "reader": queries.capture_reader()}  # type: ignore[attr-defined]
    if request.method == "POST":
        try:
            job = actions.take_upload(request.FILES.getlist("files"), request.POST.get("source", "").strip(), actor=request.viewer)  # type: ignore[attr-defined]
            return HttpResponseRedirect(reverse("jobs:work", kwargs={"pk": job.id}))
        except Fault as fault:
            context["fault"] = fault
    return show(request, "lake/upload.html", context, status=422 if "fault" in context else 200)
