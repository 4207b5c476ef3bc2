"""Rules that people of this node write: the list, the form beside its Sigma text, the preview over past data, versions and their steps."""

from __future__ import annotations

import difflib
import io
from dataclasses import replace
from datetime import date, timedelta
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext as translate
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from lianfang.commons.frame.pages import Nav, download, page, panel, show, told
from lianfang.commons.frame.sheets import SEVERITIES, Column, Filter, Sheet, SheetForm, Verb, register
from lianfang.commons.jobs import queries as jobs
from lianfang.kernel.errors import Fault, Missing
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.detect import actions, models
from lianfang.rooms.detect.models.ownrules import Stage
from lianfang.rooms.detect.pages.events import first_logs
from lianfang.rooms.detect.queries import building, chains, framework, library, linking
from lianfang.rooms.detect.queries.building import Built, Group, Line
from lianfang.rooms.detect.queries.linking import Linked
from lianfang.rooms.detect.queries.painting import painted
from lianfang.rooms.detect.types import BASELINE, CORRELATION, NODE_RULES

TONES = {Stage.DRAFT: "quiet", Stage.PROPOSED: "warn", Stage.IN_FORCE: "good", Stage.REPLACED: "quiet", Stage.WITHDRAWN: "quiet"}
SPANS = (("1", _("the last day")), ("7", _("the last 7 days")), ("30", _("the last 30 days")))
OPERATORS = {
    "is": _("is"), "contains": _("contains"), "startswith": _("begins with"), "endswith": _("ends with"), "re": _("matches the pattern"), "cidr": _("lies in the network"), "lt": _("is less than"), "lte": _("is at most"),
    "gt": _("is more than"), "gte": _("is at least"), "exists": _("is there"), "missing": _("is missing"),
}  # fmt: skip
KINDS = {
    "event_count": _("so many matches of these rules"), "value_count": _("so many different values of a field"), "temporal": _("all of these rules, in any order"), "temporal_ordered": _("all of these rules, in this order"), "value_sum": _("the sum of a field"),
    "value_avg": _("the average of a field"), "value_median": _("the median of a field"), "value_percentile": _("a percentile of a field"), "absence": _("the first was found, and the second did not follow (one rule alone: it did not come again)"),
}  # fmt: skip
UNITS = (("s", pgettext_lazy("unit of time", "seconds")), ("m", _("minutes")), ("h", _("hours")), ("d", _("days")))
COMPARED = (("gte", _("is at least")), ("gt", _("is more than")), ("lte", _("is at most")), ("lt", _("is less than")), ("eq", _("is")))
LEVELS = (("critical", _("critical")), ("high", _("high")), ("medium", _("medium")), ("low", _("low")), ("informational", _("informational")))


class OwnRuleForm(SheetForm):
    """The text, by itself or written by the form beside it (``by``)."""

    text = forms.CharField(required=False, max_length=100_000, widget=forms.Textarea)

    class Meta:
        model = models.OwnRule
        fields = ("text",)

    def clean(self) -> dict[str, Any]:
        """What was sent as the rule's text."""
        given: dict[str, Any] = super().clean() or self.cleaned_data
        if self.data.get("by") in ("form", "correlation"):
            try:
                given["text"] = _written(self.data)
            except Fault as fault:
                self.add_error(None, told(fault))
        elif not str(given.get("text") or "").strip():
            self.add_error(None, translate("There is no rule yet."))
        return given

    def builder(self) -> dict[str, Any]:
        """What the page shows: the form with its text, or the text with the reason why there is no form."""
        if self.is_bound:
            return builder(self.data)
        if self.instance.text:
            return of_text(self.instance.text)
        if copied := self.initial.get("copy"):
            return of_text(building.renamed(_text_of(str(copied)), uid=""))
        if self.initial.get("kind") == CORRELATION:
            return of_links(Linked(refs=tuple(ref for ref in (str(self.initial.get("ref", "")),) if ref)))
        model = str(self.initial.get("model", ""))
        return of_form(Built(model=model, mapping=next((name for name, _title in building.mappings_of(model)), "")))


def _text_of(uid: str) -> str:
    row = models.Rule.objects.filter(uid=uid, gone=False).first()
    if row is None:
        raise Missing("There is no such rule", why="It is not installed, or you may not see rules.", todo="Look at the list of rules.")
    return linking.by_ids(row) if row.category == CORRELATION else row.text


def _written(data: Any) -> str:
    """What was sent by one of the forms, as Sigma."""
    return linking.written(linking.posted(data)) if data.get("by") == CORRELATION else building.written(building.posted(data))


def builder(data: Any, *, op: str = "") -> dict[str, Any]:
    """The same for what was sent."""
    if data.get("by") == CORRELATION:
        return of_links(linking.posted(data, op=op), text=str(data.get("text", "")), find="" if op.startswith("take:") else str(data.get("find", "")))
    return of_form(building.posted(data, op=op), text=str(data.get("text", ""))) if data.get("by") == "form" else of_text(str(data.get("text", "")))


def of_form(built: Built, *, text: str = "") -> dict[str, Any]:
    """The form, and what it says as Sigma or what is missing for it."""
    mappings = building.mappings_of(built.model)
    if built.model and built.mapping not in dict(mappings):
        built = replace(built, mapping=next(iter(dict(mappings)), ""))
    context: dict[str, Any] = {
        "by": "form", "built": built, "text": text, "models": building.makeable(), "mappings": mappings, "known": building.fields_of(built.mapping), "operators": OPERATORS.items(), "levels": LEVELS, "alarms": [(key, alarm.named.name) for key, alarm in framework.alarms().items()],
        "groups": [_group(number, group) for number, group in enumerate(built.groups)], "unknown": building.unknown_fields(built), "falsepositives": "\n".join(built.falsepositives), "logsource": " / ".join(built.logsource.values()),
    }  # fmt: skip
    try:
        context["text"] = building.written(built)
        actions.checked_rule(context["text"] if built.uid else building.renamed(context["text"], uid="00000000-0000-4000-8000-000000000000"))
    except Fault as fault:
        context["fault"] = told(fault)
    return context


def of_links(linked: Linked, *, text: str = "", find: str = "") -> dict[str, Any]:
    """The form of a correlation, and what it says as Sigma or what is missing for it; ``find``: words of the titles of rules that could take part."""
    link = {
        "kinds": KINDS.items(), "units": UNITS, "operators": COMPARED, "chosen": linking.named(linked.refs), "find": find, "offers": linking.offered(find, among=linking.usable(), but=(*linked.refs, linked.uid)), "suggested": linking.fields_of(linked.refs),
        "counted": linked.kind not in linking.PLAIN, "of_field": linked.kind in linking.OF_FIELD, "percentile": linked.kind == "value_percentile",
    }  # fmt: skip
    context: dict[str, Any] = {"by": CORRELATION, "built": linked, "text": text, "levels": LEVELS, "alarms": [(key, alarm.named.name) for key, alarm in framework.alarms().items()], "falsepositives": "\n".join(linked.falsepositives), "link": link}
    try:
        context["text"] = linking.written(linked)
        actions.checked_rule(context["text"] if linked.uid else building.renamed(context["text"], uid=linking.NOBODY))
    except Fault as fault:
        context["fault"] = told(fault)
    return context


def _group(number: int, group: Group) -> dict[str, Any]:
    return {"number": number, "shown": number + 1, "group": group, "lines": [{"place": f"group.{number}.{at}.", "at": at, "line": line, "values": "\n".join(line.values), "bare": line.operator in ("exists", "missing")} for at, line in enumerate(group.lines or (Line(),))]}


def of_text(text: str) -> dict[str, Any]:
    """The form of a text where it can be shown as one; otherwise the text, and why."""
    try:
        shown = of_links(linking.read(text)) if CORRELATION in building.document(text) else of_form(building.read(text))
    except Fault as fault:
        return {"by": "text", "text": text, "unshown": fault}
    return shown


def rows_of(viewer: Viewer) -> QuerySet[models.OwnRule]:
    """All versions for who sees the whole node: a draft may name whom it is about. What is in force is a rule that everybody may read."""
    return models.OwnRule.objects.all() if viewer.may("detect.ownrule.view") and viewer.sees_node else models.OwnRule.objects.none()


OWN_RULES = register(
    Sheet(
        model=models.OwnRule,
        path="ownrules",
        title=_("Own rules"),
        about=_("Rules that people of this node write. A rule is in force when another person has approved it; a change is a new version."),
        columns=(
            Column("title", _("Rule"), value=str, sort="title"), "version", Column("stage", tones=TONES), Column("severity", cell="severity"), Column("model", value=lambda row: model_name(row.model), sort="model"),
            "made_by", "proposed_by", "approved_by", Column("changed", cell="time"), Column("uid", cell="code", shown=False), Column("approved", shown=False), Column("text", shown=False),
        ),
        facts=(Column("stage", tones=TONES), "version", Column("severity", cell="severity"), Column("model", value=lambda row: model_name(row.model)), "made_by", "proposed_by", "proposed", "approved_by", "approved", "ended", Column("uid", cell="code")),
        filters=("stage", Filter("severity", _("Severity"), kind="choice", choices=SEVERITIES), Filter("model", kind="choice", choices=lambda viewer: [(CORRELATION, translate("correlation")), *((model.key, model.name) for model in building.makeable())]), "changed"),
        search=("title", "title_zh", "uid"),
        fields=OwnRuleForm.Meta.fields,
        form=OwnRuleForm,
        form_template="detect/ownrule_form.html",
        importable=False,
        rows=rows_of,
        order="-changed",
        nav=Nav("detection", _("Own rules"), order=39, icon="pencil"),
        create=actions.write_rule,
        change=actions.change_rule,
        remove=actions.drop_rule,
        verbs=(
            Verb("propose", pgettext_lazy("own rule", "Propose"), actions.propose_rule, permission="detect.ownrule.change", icon="send", when=lambda row: row.stage == Stage.DRAFT),
            Verb("approve", pgettext_lazy("own rule", "Approve and put in force"), actions.approve_rule, permission="detect.ownrule.approve", icon="check", when=lambda row: row.stage == Stage.PROPOSED),
            Verb("return", pgettext_lazy("own rule", "Send back"), actions.return_rule, permission="detect.ownrule.approve", icon="arrow-back-up", when=lambda row: row.stage == Stage.PROPOSED),
            Verb("version", _("New version"), actions.begin_version, permission="detect.ownrule.change", icon="versions", when=lambda row: row.stage in (Stage.IN_FORCE, Stage.WITHDRAWN)),
            Verb("withdraw", pgettext_lazy("own rule", "Withdraw"), actions.withdraw_rule, permission="detect.ownrule.approve", icon="archive", danger=True, confirm=_("It finds nothing any more. Findings and alerts that came of it stay. Withdraw it?"), when=lambda row: row.stage == Stage.IN_FORCE),
        ),
        template="detect/ownrule.html",
        found=False,
        empty=(_("Nobody has written a rule yet"), _("Choose an event model and say what is remarkable about it; or begin with a copy of a shipped rule."), "/detect/ownrules/add/", _("New own rule")),
    )
)  # fmt: skip


def model_name(key: str) -> str:
    """What a model is called."""
    found = library.event_models().get(key)
    return found.name if found else translate("correlation") if key == CORRELATION else key


@page("rule-build/", name="rule_build", permission="detect.ownrule.add", title=_("Own rules"), parent="ownrule_list")
def build(request: HttpRequest) -> HttpResponse:
    """The form as it is being filled in: with a line more or less, or read from its text; ``part``: its text alone."""
    context = builder(request.POST, op=request.POST.get("op", "")) if request.method == "POST" else of_form(Built())
    return show(request, "detect/ownrule_text.html" if request.GET.get("part") == "text" else "detect/ownrule_builder.html", context)


# ---- preview ---------------------------------------------------------------------------------------------------


@page("rule-preview/", name="rule_preview", permission="detect.ownrule.add", title=_("Preview"), parent="ownrule_list")
def ask(request: HttpRequest) -> HttpResponse:
    """Ask for a preview of the rule that was sent; its progress is shown where the answer will stand."""
    try:
        text = _written(request.POST) if request.POST.get("by") in ("form", "correlation") else request.POST.get("text", "")
        if "\nid:" not in f"\n{text}":
            text = building.renamed(text, uid="00000000-0000-4000-8000-000000000000")
        row = actions.ask_preview(text, request.POST.get("days", "1"), actor=request.viewer)  # type: ignore[attr-defined]
    except Fault as fault:
        if fault.status == 403:
            raise
        return show(request, "detect/preview.html", {"fault": told(fault)})
    if not request.htmx:  # type: ignore[attr-defined]
        return HttpResponseRedirect(reverse("detect:preview", kwargs={"pk": row.pk}))
    return show(request, "detect/preview.html", _previewed(request, row))


@page("rule-preview/<uuid:pk>/", name="preview", permission="detect.ownrule.add", title=_("Preview"), parent="ownrule_list")
def preview(request: HttpRequest, pk: UUID) -> HttpResponse:
    """How far it is, or what it found; a POST ends it."""
    row = actions.preview_of(pk, viewer=request.viewer)  # type: ignore[attr-defined]
    if request.method == "POST":
        try:
            actions.cancel_preview(row, actor=request.viewer)  # type: ignore[attr-defined]
        except Fault as fault:
            messages.error(request, str(fault))
    template = "detect/preview.html" if request.htmx else "detect/preview_page.html"  # type: ignore[attr-defined]
    return show(request, template, _previewed(request, row))


def _previewed(request: HttpRequest, row: models.Preview) -> dict[str, Any]:
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    job = jobs.progress(row.job, viewer) if row.job else None
    context: dict[str, Any] = {"preview": row, "job": job, "result": row.result, "url": reverse("detect:preview", kwargs={"pk": row.pk})}
    if row.result:
        context |= {"chart": _chart(row), "hosts": row.result["hosts"], "more_hosts": row.result["host_count"] - len(row.result["hosts"]), "chains": chains.told(row.result.get("chains", ()), viewer), "samples": first_logs(row.result["samples"], viewer, asked="preview")}
    return context


def _chart(row: models.Preview) -> dict[str, Any] | None:
    if not row.result["logs"]:
        return None
    days: list[date] = [row.since.date() + timedelta(days=n) for n in range((row.until.date() - row.since.date()).days + 1)]
    found = row.result["days"]
    series = [{"name": name, "type": "bar", "data": [found.get(f"{day}", (0, 0))[at] for day in days]} for at, name in enumerate((translate("firings") if "fired" in row.result else translate("logs"), translate("alerts")))]
    return {"animation": False, "legend": {"top": 0}, "xAxis": {"type": "category", "data": [f"{day:%m-%d}" for day in days]}, "yAxis": {"type": "value", "minInterval": 1, "splitNumber": 2}, "series": series}


# ---- one rule --------------------------------------------------------------------------------------------------


@panel("detect.ownrule.main", title=_("Preview over past data"), order=10, permission="detect.ownrule.add")
def previewing(request: HttpRequest, row: models.OwnRule) -> str:
    """How many logs and alerts it would have made."""
    return render_to_string("detect/panel_preview.html", {"row": row, "spans": SPANS}, request)


@panel("detect.ownrule.main", title=_("As Sigma"), order=20)
def logic(request: HttpRequest, row: models.OwnRule) -> str:
    """The rule as the examiners run it."""
    return format_html('<pre class="sigma" tabindex="0">{}</pre><p class="after"><a class="btn btn-sm" href="{}">{}</a></p>', painted(row.text), reverse("detect:ownrule_sigma", kwargs={"pk": row.pk}), translate("Export as YAML"))


@panel("detect.ownrule.main", title=_("What differs from the version before"), order=30)
def differs(request: HttpRequest, row: models.OwnRule) -> str:
    """Line by line; nothing for a first version."""
    before = models.OwnRule.objects.filter(uid=row.uid, version__lt=row.version).order_by("-version").first()
    if before is None:
        return ""
    lines = list(difflib.unified_diff(before.text.splitlines(), row.text.splitlines(), f"v{before.version}", f"v{row.version}", lineterm="", n=2))
    tones = {"+": "line-new", "-": "line-gone", "@": "quiet"}
    return format_html('<pre class="sigma diff" tabindex="0">{}</pre>', format_html_join("\n", '<span class="{}">{}</span>', ((tones.get(line[:1], ""), line) for line in lines))) if lines else format_html('<p class="quiet">{}</p>', translate("Nothing."))


@panel("detect.ownrule.side", title=_("Versions"), order=10)
def versions(request: HttpRequest, row: models.OwnRule) -> str:
    """All of them, the newest first; and the rule in force."""
    lines = [{"row": one, "tone": TONES[Stage(one.stage)], "on": one.pk == row.pk} for one in models.OwnRule.objects.filter(uid=row.uid).order_by("-version")]
    rule = models.Rule.objects.filter(uid=row.uid, gone=False).first()
    return render_to_string("detect/panel_versions.html", {"lines": lines, "rule": rule}, request)


@page("ownrules/<uuid:pk>/sigma/", name="ownrule_sigma", permission="detect.ownrule.view", title=_("Export as YAML"), parent="ownrule_list")
def sigma_of_own(request: HttpRequest, pk: UUID) -> HttpResponse:
    """One version as a file."""
    row = rows_of(request.viewer).filter(pk=pk).first()  # type: ignore[attr-defined]
    if row is None:
        raise Missing("There is no such rule", todo="Look at the list of rules.")
    return download(io.BytesIO(row.text.encode()), f"{row.uid}-v{row.version}.yml", "application/yaml")


@panel("detect.rule.side", title=_("Make it your own"), order=50, permission="detect.ownrule.add")
def copying(request: HttpRequest, row: models.Rule) -> str:
    """Of a shipped rule a copy to change; of an own rule the place where it is changed."""
    linked = format_html('<p class="after"><a class="btn" href="{}?kind=correlation&amp;ref={}">{}</a></p>', reverse("detect:ownrule_add"), row.uid, translate("New correlation with this rule")) if linking.usable().filter(pk=row.pk).exists() else ""
    if row.pack.name == NODE_RULES:
        own = models.OwnRule.objects.filter(uid=row.uid, stage=Stage.IN_FORCE).first()
        return format_html('<a class="btn" href="{}">{}</a>{}', reverse("detect:ownrule", kwargs={"pk": own.pk}), translate("Versions of this rule"), linked) if own else ""
    if row.category == BASELINE:
        return ""
    return format_html('<a class="btn" href="{}?copy={}">{}</a><p class="hint">{}</p>', reverse("detect:ownrule_add"), row.uid, translate("Copy as own rule"), translate("The copy gets an identifier of its own; its author stays named.")) + linked


@panel("detect.event_model.side", title=_("Rule of your own"), order=50, permission="detect.ownrule.add")
def on_model(request: HttpRequest, model: library.EventModel) -> str:
    """A new rule about an event model."""
    if not building.mappings_of(model.key):
        return ""
    return format_html('<a class="btn" href="{}?model={}">{}</a>', reverse("detect:ownrule_add"), model.key, translate("New rule about this model"))
