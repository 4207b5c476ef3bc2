"""Policies: the list, and one with its clauses, each beside the controls that keep it and whether they hold now."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.loader import render_to_string
from django.urls import NoReverseMatch, reverse, reverse_lazy
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from lianfang.commons.frame import sheets
from lianfang.commons.frame.language import listed
from lianfang.commons.frame.pages import Nav, page, panel, show
from lianfang.commons.frame.sheets import Column, Sheet, SheetForm, linked
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.standards import actions, models
from lianfang.rooms.standards.pages.fields import Clauses
from lianfang.rooms.standards.pages.versions import TONES, panel_of_versions, steps
from lianfang.rooms.standards.queries.controls import CONTROLS, control, shipped_policies
from lianfang.rooms.standards.types import Control


class PolicyForm(SheetForm):
    """Clauses as lines."""

    clauses = Clauses(label=_("clauses"), help_text=_("One on each line: number | text | controls, parted by commas."))

    class Meta:
        model = models.Policy
        fields = models.Policy.WRITTEN

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        known = listed(f"{key} ({label})" for key, (label, _look, _page) in CONTROLS.items())
        self.fields["clauses"].help_text = f"{self.fields['clauses'].help_text} {gettext('Controls:')} {known}"  # type: ignore[attr-defined]


POLICIES = sheets.register(
    Sheet(
        model=models.Policy,
        title=_("Policies"),
        about=linked(_("Policies as documents in versions. Every clause names the controls of this node that keep it; whether they hold is looked at now."), "standards:policies", _("Policies that ship with the node")),
        columns=(Column("code", cell="code"), Column("said", _("Title"), sort="title"), "about", "version", Column("state", tones=TONES), Column("clauses", _("Clauses"), value=lambda row: len(row.clauses), cell="number", sort=False, plain=lambda row: row.clauses), "approved_by", "approved"),
        facts=(Column("code", cell="code"), "version", Column("state", tones=TONES), "about", "submitted_by", "submitted", "approved_by", "approved", "retired"),
        filters=("state",),
        search=("code", "title", "title_en"),
        fields=models.Policy.WRITTEN,
        form=PolicyForm,
        order="code",
        nav=Nav("governance", _("Policies"), order=38, icon="book", group="protection"),
        importable=False,
        create=actions.POLICIES.create,
        change=actions.POLICIES.change,
        remove=actions.POLICIES.remove,
        verbs=steps(actions.POLICIES, retire=_("Nothing takes its place. Retire it?")),
        template="standards/version.html",
        empty=(_("There is no policy yet"), _("Take over the two that ship with the node as drafts, or write one."), reverse_lazy("standards:policies"), _("Look at them")),
    )
)  # fmt: skip


@panel("standards.policy.main", title=_("Clauses and controls"), order=10)
def clauses(request: HttpRequest, row: models.Policy) -> str:
    """Every clause with its controls as they stand now."""
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    known = {key: _shown(control(key, viewer=viewer)) for key in {key for clause in row.clauses for key in clause["controls"]} if key in CONTROLS}
    lines = [{"number": clause["number"], "text": clause["text"], "controls": [known[key] for key in clause["controls"] if key in known]} for clause in row.clauses]
    kept = sum(bool(line["controls"]) and all(one["holds"] for one in line["controls"]) for line in lines)
    return render_to_string("standards/part_clauses.html", {"lines": lines, "kept": kept}, request=request)


panel_of_versions("policy", models.Policy.objects.seen_by)


def _shown(one: Control) -> dict[str, Any]:
    try:
        url = reverse(one.page) if one.page else ""
    except NoReverseMatch:
        url = ""
    return {"label": one.label, "holds": one.holds, "said": one.said, "url": url, "tone": "good" if one.holds else "quiet" if one.holds is None else "bad"}


@page("policies/", name="policies", permission="standards.policy.view", title=_("Policies that ship with the node"), parent="policy_list")
def policies(request: HttpRequest) -> HttpResponse:
    """The two policies, to be taken over as drafts."""
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    if request.method == "POST":
        taken = actions.take_policies(actor=viewer)
        messages.success(request, ngettext("%d policy is a draft now", "%d policies are drafts now", taken) % taken)
        return HttpResponseRedirect(reverse("standards:policy_list"))
    have = set(models.Policy.objects.filter(organisation=viewer.organisation).values_list("code", flat=True))
    found = [{**values, "said": str(models.Policy(**{name: values[name] for name in ("title", "title_en")})), "known": values["code"] in have} for values in shipped_policies()]
    return show(request, "standards/policies.html", {"policies": found, "fresh": sum(not one["known"] for one in found), "may_add": viewer.may("standards.policy.add")})
