"""Exceptions: the list, the form with its Sigma filter, one with what it would take and what it has taken, and the bell before it ends."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django import forms
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.translation import gettext as translate
from django.utils.translation import gettext_lazy as _

from lianfang.commons.frame.pages import Nav, page, panel, sayable, show
from lianfang.commons.frame.sheets import Column, Filter, Sheet, SheetForm, Verb, register
from lianfang.commons.people import queries as people
from lianfang.kernel import clock
from lianfang.kernel.errors import Fault
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.detect import actions, models, queries
from lianfang.rooms.detect.models import ExemptionState
from lianfang.rooms.detect.queries import exemptions
from lianfang.rooms.detect.queries.painting import painted
from lianfang.rooms.lake import queries as lake

sayable("“any” would take hits from every rule of the log source; %(number)s rules can be named at most.")
sayable("%(number)s characters at most.")

TONES = {ExemptionState.PROPOSED: "warn", ExemptionState.IN_FORCE: "busy", ExemptionState.WITHDRAWN: "quiet", ExemptionState.EXPIRED: "quiet"}
SPANS = {"7": _("7 days"), "30": _("30 days")}
TAKEN_SHOWN = 12


class ExemptionForm(SheetForm):
    """What is normal, where, why, until when, and who answers for it."""

    source = forms.ChoiceField(label=_("Log source"), required=False, help_text=models.Exemption._meta.get_field("source").help_text)
    owner = forms.ChoiceField(label=_("Owner"), required=False, help_text=models.Exemption._meta.get_field("owner").help_text)

    class Meta:
        model = models.Exemption
        fields = ("name", "text", "source", "reason", "owner", "expires")
        widgets = {
            "text": forms.Textarea(attrs={"rows": 14, "class": "form-control mono", "spellcheck": "false"}),
            "reason": forms.Textarea(attrs={"rows": 2, "class": "form-control"}),
            "expires": forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
        }

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        viewer = self.viewer
        sources = lake.source_names(viewer=viewer) if viewer is not None else []
        self.fields["source"].choices = [("", _("every source of the organisation")), *((name, name) for name in sources)]  # type: ignore[attr-defined]
        others = people.persons(viewer, permission="detect.exemption.view") if viewer is not None else []
        self.fields["owner"].choices = [("", _("me")), *((person.id, person.name) for person in others if viewer is None or person.id != viewer.id or self.instance.owner == viewer.id)]  # type: ignore[attr-defined]
        if not self.instance.expires and not self.initial.get("expires"):
            self.initial["expires"] = clock.now() + exemptions.USUAL


def _rules(row: models.Exemption) -> str:
    return ", ".join(str(rule) for rule in models.Rule.objects.filter(uid__in=row.rules)) or ", ".join(row.rules)


def _by_state(rows: Any, values: list[str]) -> Any:
    now, found = clock.now(), rows.none()
    for value in values:
        if value == ExemptionState.IN_FORCE:
            found |= rows.filter(state=value, expires__gt=now)
        elif value == ExemptionState.EXPIRED:
            found |= rows.filter(state=value) | rows.filter(state=ExemptionState.IN_FORCE, expires__lte=now)
        else:
            found |= rows.filter(state=value)
    return found


STATE = Column("state", _("State"), value=lambda row: row.standing(), cell="badge", choices=dict(ExemptionState.choices), tones=TONES, sort="state")

EXEMPTIONS = register(
    Sheet(
        model=models.Exemption,
        kind="exemption",
        path="exceptions",
        title=_("Exceptions"),
        about=_("What somebody calls normal, as Sigma filters: why, where, until when, and who answers for it. What they take raises no alert and stays reachable here."),
        columns=(
            "name", STATE, Column("rules", _("Rules"), value=_rules, sort=False), Column("source", value=lambda row: row.source or translate("all of %(name)s") % {"name": people.name_of(row.organisation)}, sort="source"),
            "owner_name", "expires", Column("findings", cell="number"), "last", Column("reason", shown=False), Column("events", cell="number", shown=False), Column("organisation", _("Organisation"), value=lambda row: people.name_of(row.organisation), sort=False, shown=False), Column("made_by", shown=False), Column("created", shown=False),
        ),
        facts=(
            STATE, "reason", Column("rules", _("Rules"), value=_rules), Column("source", value=lambda row: row.source or translate("every source")), Column("organisation", _("Organisation"), value=lambda row: people.name_of(row.organisation)), "owner_name",
            "began", "expires", "findings", "events", "last", "made_by", "created",
        ),
        filters=(Filter("state", _("State"), kind="choice", choices=ExemptionState.choices, apply=_by_state), Filter("source", _("Log source"), kind="choice", choices=lambda viewer: [(name, name) for name in lake.source_names(viewer=viewer)]), Filter("owner", _("Owner"), kind="choice", choices=lambda viewer: [(viewer.id, _("me"))]), "expires"),
        search=("name", "reason", "owner_name"),
        fields=ExemptionForm.Meta.fields,
        form=ExemptionForm,
        form_template="detect/exemption_form.html",
        template="detect/exemption.html",
        order="expires",
        importable=False,
        nav=Nav("detection", _("Exceptions"), order=42, icon="filter-off"),
        create=actions.create_exemption,
        change=actions.change_exemption,
        remove=actions.remove_exemption,
        verbs=(
            Verb("enforce", _("Put in force"), actions.enforce_exemption, permission="detect.exemption.change", icon="player-play", when=lambda row: row.standing() != ExemptionState.IN_FORCE and row.expires > clock.now()),
            Verb("withdraw", _("Withdraw"), actions.withdraw_exemption, permission="detect.exemption.change", bulk=True, icon="arrow-back-up", when=lambda row: row.standing() == ExemptionState.IN_FORCE),
        ),
        empty=(_("Nothing is excepted"), _("Open an alert that is normal here and except it, or write a Sigma filter."), "/detect/exceptions/add/", _("New exception")),
    )
)  # fmt: skip


@panel("detect.exemption.main", order=10)
def would_take(request: HttpRequest, row: models.Exemption) -> str:
    """What it would have taken lately; asked for when the page is there."""
    return render_to_string("detect/panel_impact.html", {"row": row}, request)


@page("exceptions/<uuid:pk>/impact/", name="exemption_impact", permission="detect.exemption.view", title=_("What it would have taken"), parent="exemption_list")
def impact(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Run over the stored logs of the last days; higher rooms say what that would have meant for them."""
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    row = models.Exemption.objects.fetch(pk, viewer)
    span = request.GET.get("days", "7")
    span = span if span in SPANS else "7"
    context: dict[str, Any] = {"row": row, "span": span, "spans": SPANS.items()}
    try:
        found = exemptions.impact(row, days=int(span), viewer=viewer)
    except Fault as fault:
        if fault.status in (403, 404):
            raise
        return show(request, "detect/impact.html", context | {"fault": fault})
    bars = {"name": translate("events"), "type": "bar", "data": [number for _day, number in found.days]}
    chart = {"animation": False, "xAxis": {"type": "category", "data": [f"{day:%m-%d}" for day, _number in found.days]}, "yAxis": {"type": "value", "minInterval": 1, "splitNumber": 2}, "series": [bars]}
    return show(request, "detect/impact.html", context | {"impact": found, "gone": len(found.findings), "chart": chart})


@panel("detect.exemption.main", title=_("What it has taken"), order=20)
def has_taken(request: HttpRequest, row: models.Exemption) -> str:
    """The newest findings that it took, and the way to all of them."""
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    rows = queries.finding_rows(viewer).filter(exemption=row.pk).order_by("-last", "-id")[:TAKEN_SHOWN] if viewer.may("detect.finding.view") else []
    return render_to_string("detect/panel_taken.html", {"row": row, "rows": rows, "all": f"{reverse('detect:finding_list')}?exemption={row.pk}"}, request)


@panel("detect.exemption.main", title=_("Sigma filter"), order=30)
def text(request: HttpRequest, row: models.Exemption) -> str:
    """The filter as it was written."""
    return render_to_string("detect/panel_filter.html", {"text": painted(row.text)}, request)


@panel("detect.rule.side", title=_("Exceptions"), order=35)
def of_rule(request: HttpRequest, row: models.Rule) -> str:
    """Where somebody calls what this rule finds normal."""
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    rows = exemptions.over_rule(row.uid, viewer)
    lines = [{"row": one, "label": dict(ExemptionState.choices)[one.standing()], "tone": TONES[ExemptionState(one.standing())]} for one in rows]
    may = viewer.may("detect.exemption.add") and not row.problem
    return render_to_string("detect/panel_exemptions.html", {"rule": row, "lines": lines, "may": may}, request) if lines or may else ""


@page("exceptions/from/<slug:uid>/", name="exemption_from", permission="detect.exemption.add", title=_("New exception"), parent="exemption_list")
def begin(request: HttpRequest, uid: str) -> HttpResponse:
    """The form of a new exception from a rule, filled in by one of its events where ``event`` names it."""
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    asked = exemptions.proposed(uid, request.GET.get("event", ""), viewer=viewer)
    return HttpResponseRedirect(f"{reverse('detect:exemption_add')}?{urlencode(asked)}")


@page("bell/", name="bell", permission="detect.exemption.view")
def bell(request: HttpRequest) -> HttpResponse:
    """The exceptions of this person that end soon, told once; 204 while there is nothing."""
    rows = actions.hear_of_ends(request.viewer)  # type: ignore[attr-defined]
    if not rows:
        return HttpResponse(status=204)
    return show(request, "detect/bell.html", {"rows": rows})
