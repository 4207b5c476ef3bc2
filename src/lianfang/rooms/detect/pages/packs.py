"""Rule packs: the list, one pack with its problems, installation from an upload, and the progress of long work."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext as translate
from django.utils.translation import gettext_lazy as _

from lianfang.commons.frame.pages import Nav, page, panel, sayable, show
from lianfang.commons.frame.sheets import Column, Sheet, Verb, register
from lianfang.commons.jobs import queries as jobs
from lianfang.kernel.errors import Fault
from lianfang.rooms.detect import actions, models, queries

sayable("A pack cannot be called %(name)s", "At most %(number)s MB are taken.", "There is no rule in %(name)s")
sayable("There is no pack %(name)s", "No folder or archive is called so, and installed are: %(names)s.", "The samples of %(name)s are not here", "It was installed from %(path)s, which is gone; samples are not kept on the node.")

SHOWN = 500
"""Problems that a pack's page lists; the rest are counted."""


PACKS = register(
    Sheet(
        model=models.Pack,
        kind="pack",
        path="packs",
        title=_("Rule packs"),
        about=_("Sets of Sigma rules. Installing a newer version keeps what was switched here."),
        order="name",
        nav=Nav("detection", _("Rule packs"), order=41, icon="package"),
        columns=("name", "version", "licence", "rules", "usable", Column("problems", value=lambda row: len(row.problems), cell="number", sort=False), "installed", "installed_by"),
        facts=("version", "licence", Column("rules", cell="number"), Column("usable", cell="number"), "installed", "installed_by", Column("origin", cell="code"), Column("digest", cell="code")),
        search=("name",),
        verbs=(Verb("remove", _("Remove"), actions.remove_pack, permission="detect.pack.delete", icon="trash", danger=True, confirm=_("Remove this pack with its rules? Findings and alerts that came of them stay.")),),
        create=False,
        change=False,
        remove=False,
        rows=queries.pack_rows,
        template="detect/pack.html",
        found=False,
        empty=(_("No pack is installed"), _("Rules come in packs: a folder or an archive of Sigma rules."), "/detect/install/", _("Install a pack")),
    )
)


@panel("detect.pack.main", title=_("Rules that cannot be used"), order=10)
def problems(request: HttpRequest, row: models.Pack) -> str:
    """Each with its reason; an empty list is said too."""
    if not row.problems:
        return format_html('<p class="quiet">{}</p>', translate("None: every rule of this pack is loaded."))
    return render_to_string("detect/panel_problems.html", {"problems": row.problems[:SHOWN], "more": len(row.problems) - SHOWN}, request)


@page("install/", name="install", permission="detect.pack.add", title=_("Install a pack"), parent="pack_list")
def install(request: HttpRequest) -> HttpResponse:
    """The form; an archive that was sent is kept, and its installation is followed on the next page."""
    if request.method == "POST":
        given = request.FILES.get("archive")
        if given is None:
            messages.error(request, translate("Choose an archive first."))
            return HttpResponseRedirect(reverse("detect:install"))
        try:
            job = actions.keep_upload(given.name or "pack.zip", given.read(), actor=request.viewer)  # type: ignore[attr-defined]
        except Fault as fault:
            if fault.status == 403:
                raise
            messages.error(request, str(fault))
            return HttpResponseRedirect(reverse("detect:install"))
        return HttpResponseRedirect(reverse("detect:work", kwargs={"job": job.id}))
    return show(request, "detect/install.html")


AFTER = {"detect.install_pack": ("detect:pack_list", _("To the packs"))}
NAMES = {"detect.install_pack": _("Installing a rule pack")}


@page("work/<uuid:job>/", name="work", permission="detect.rule.view", title=_("Progress"), parent="rule_list")
def work(request: HttpRequest, job: UUID) -> HttpResponse:
    """How long work is doing; it goes on when the page is left, and can be found again by its address."""
    found = jobs.progress(job, request.viewer)  # type: ignore[attr-defined]
    where, label = AFTER.get(found.name, ("detect:rule_list", _("To the rules")))
    context = {"job": found, "after_url": reverse(where), "after_label": label}
    template = "detect/progress.html" if request.htmx.target == "progress" else "detect/work.html"  # type: ignore[attr-defined]
    return show(request, template, context, title=NAMES.get(found.name, found.name))
