"""Mappings of the node's own: the list, one of them with its samples and versions, YAML out and in."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.loader import render_to_string
from django.urls import reverse, reverse_lazy
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from lianfang.commons.frame import sheets
from lianfang.commons.frame.pages import Nav, page, panel, show
from lianfang.commons.frame.sheets import Sheet
from lianfang.kernel.errors import Fault
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.lake import actions, models, queries
from lianfang.rooms.lake.pages.wizard import spoken

MOST_BYTES = 512 << 10

sheets.register(
    Sheet(
        model=models.Mapping,
        title=_("Own mappings"),
        about=_("What people of this node mapped themselves. Each keeps the samples it was made of; a change under which one of them becomes something else is refused."),
        columns=("name", "title", "version", "samples", "changed", "changed_by"),
        filters=("changed",),
        search=("name", "title"),
        order="name",
        nav=Nav("logs", _("Own mappings"), order=23, icon="transform"),
        create=False,
        change=False,
        remove=lambda row, *, actor: actions.delete_mapping(row, actor=actor),
        importable=False,
        template="lake/mapping.html",
        empty=(_("No own mapping yet"), _("Bring a sample of a log that no template knows, and pick where each field goes."), reverse_lazy("lake:sample"), _("New source by sample")),
    )
)


@panel("lake.mapping.main", title=_("The mapping as YAML"), order=10)
def yaml(request: HttpRequest, row: models.Mapping) -> str:
    """Its text; the samples hold raw logs and are for those who may read them."""
    whole = queries.may_read_samples(request.viewer)  # type: ignore[attr-defined]
    text = row.text if whole else row.text.partition("\ntests:")[0] + "\n"
    return render_to_string("lake/part_mapping.html", {"row": row, "text": text, "whole": whole}, request=request)


@panel("lake.mapping.side", title=_("Versions"), order=20)
def versions(request: HttpRequest, row: models.Mapping) -> str:
    """Who changed it when."""
    return render_to_string("lake/part_versions.html", {"versions": row.versions.all()[:20], "row": row}, request=request)


@panel("lake.mapping.side", title=_("Used by"), order=10)
def users(request: HttpRequest, row: models.Mapping) -> str:
    """The sources in scope that name it."""
    found = models.Source.objects.seen_by(request.viewer).filter(template=row.name).order_by("name")[:50]  # type: ignore[attr-defined]
    return render_to_string("lake/part_users.html", {"sources": found}, request=request)


@page("mapping/<uuid:pk>/yaml/", name="mapping_yaml", permission="lake.mapping.view", parent="mapping_list")
def export(request: HttpRequest, pk: Any) -> HttpResponse:
    """The YAML as a file, of this version or (``?version=``) an older one."""
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    row = models.Mapping.objects.all().fetch(pk, viewer)
    asked = request.GET.get("version", "")
    older = row.versions.filter(version=int(asked)).first() if asked.isascii() and asked.isdigit() and len(asked) < 9 else None
    text = older.text if older else row.text
    answer = HttpResponse(text if queries.may_read_samples(viewer) else text.partition("\ntests:")[0] + "\n", content_type="application/yaml; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="{row.name}.yaml"'
    return answer


@page("mapping-write/", name="mapping_write", permission="lake.mapping.add", title=_("Import or write a mapping"), parent="mapping_list")
def bring(request: HttpRequest) -> HttpResponse:
    """A new mapping from YAML, or (by its name) a new version of one."""
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    context: dict[str, Any] = {"text": request.POST.get("text", "")}
    if request.method == "POST":
        sent = request.FILES.get("file")
        text = sent.read(MOST_BYTES).decode("utf-8", "replace") if sent else context["text"].replace("\r\n", "\n")
        context["text"] = text
        try:
            row = actions.save_mapping(text, actor=viewer, renew="renew" in request.POST)
            messages.success(request, gettext("The mapping %(name)s is kept as version %(version)d.") % {"name": row.name, "version": row.version})
            return HttpResponseRedirect(reverse("lake:mapping", kwargs={"pk": row.pk}))
        except Fault as fault:
            context["fault"] = spoken(fault)
    elif request.GET.get("name"):
        context["text"] = queries.mapping_text(request.GET["name"], viewer=viewer) if queries.may_read_samples(viewer) else ""
    return show(request, "lake/mapping_import.html", context, status=422 if "fault" in context else 200)
