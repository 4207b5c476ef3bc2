"""Rules: the list, one rule with its logic, its reach and what it found, and its switches."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext as translate
from django.utils.translation import gettext_lazy as _

from lianfang.commons.frame.language import listed
from lianfang.commons.frame.pages import Nav, page, panel
from lianfang.commons.frame.sheets import SEVERITIES, Column, Filter, Sheet, Verb, register
from lianfang.engines.rules.spelling import plain
from lianfang.kernel.errors import Invalid
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.detect import actions, models, queries
from lianfang.rooms.detect.queries import covering, framework, incidents, library
from lianfang.rooms.detect.queries.painting import painted
from lianfang.rooms.lake import queries as lake

Rows = QuerySet[models.Rule]
MODELS_SHOWN = 12
"""Models that the page of a rule lists; a rule about all logs of a system has many."""


def _by_mark(rows: Rows, values: list[str]) -> Rows:
    return rows.filter(pk__in=models.RuleMark.objects.filter(value__in=values).values("rule"))


def _by_waits(rows: Rows, values: list[str]) -> Rows:
    return rows.filter(pk__in=models.RuleMark.objects.filter(kind="waits", value__in=[value[:60] for value in values]).values("rule"))


def _by_fired(rows: Rows, values: list[str]) -> Rows:
    column = "own_last" if "own_last" in rows.query.annotations else "last_fired"
    return rows.filter(**{f"{column}__isnull": values[0] != "1"})


def _packs(viewer: Viewer) -> list[tuple[Any, str]]:
    return [(row.pk, row.name) for row in queries.pack_rows(viewer)]


def _values(column: str) -> Any:
    def options(viewer: Viewer) -> list[tuple[str, str]]:
        found = queries.rule_rows(viewer).exclude(**{column: ""}).order_by(column).values_list(column, flat=True).distinct()
        return [(value, value) for value in found[:60]]

    return options


def _alarms(viewer: Viewer) -> list[tuple[str, str]]:
    return [(key, alarm.named.name) for key, alarm in framework.alarms().items()]


def _tactics(viewer: Viewer) -> list[tuple[str, str]]:
    return [(tactic.key, tactic.name) for tactic in framework.attack().tactics]


def _models(viewer: Viewer) -> list[tuple[str, str]]:
    return [(key, model.name) for key, model in library.event_models().items()]


STATES = {"on": _("switched on"), "off": _("switched off"), "unusable": _("cannot be used")}
REACH_TONES = {"ready": "good", "fields": "warn", "source": "quiet"}
STATE_TONES = {"on": "good", "off": "quiet", "unusable": "bad"}


def state_of(row: models.Rule) -> str:
    """Loaded, off, or unusable."""
    return "unusable" if row.problem else "on" if row.enabled else "off"


RULES = register(
    Sheet(
        model=models.Rule,
        kind="rule",
        path="rules",
        title=_("Detection rules"),
        about=_("What the examiners look for in every log that comes in."),
        order="-severity",
        nav=Nav("detection", _("Detection rules"), order=40, icon="list-check"),
        columns=(
            Column("title", _("Rule"), value=str, sort="title"),
            Column("severity", cell="severity"),
            Column("enabled", _("State"), value=state_of, cell="badge", choices=STATES, tones=STATE_TONES, sort="enabled"),
            Column("alarm", _("Alarm type"), value=lambda row: framework.alarm_name(row.alarm), sort="alarm"),
            "techniques",
            Column("fired", _("Times fired"), cell="number", value=queries.fired, sort=False),
            Column("last_fired", _("Last fired"), cell="time", value=queries.last_fired, sort=False),
            Column("reach", cell="badge", tones=REACH_TONES, shown=False),
            Column("waits", value=lambda row: listed(row.waits), sort=False, shown=False),
            Column("author", shown=False),
            Column("status", cell="badge", tones={"stable": "good", "test": "busy"}, shown=False),
            Column("pack__name", _("Pack"), shown=False),
            Column("product", shown=False),
            Column("category", shown=False),
            Column("service", shown=False),
            Column("tactics", shown=False),
            Column("uid", cell="code", shown=False),
            Column("level", shown=False),
            Column("changed", shown=False),
        ),
        filters=(
            Filter("severity", _("Level"), kind="choice", choices=SEVERITIES),
            Filter("enabled", _("Switched on"), kind="boolean"),
            Filter("alarm", _("Alarm type"), kind="choice", choices=_alarms),
            Filter("tactic", _("Tactic"), kind="choice", choices=_tactics, apply=_by_mark),
            Filter("technique", _("Technique"), kind="text", apply=_by_mark),
            Filter("model", _("Event model"), kind="choice", choices=_models, apply=_by_mark),
            Filter("status", _("Maturity")),
            Filter("product", _("Source product"), kind="choice", choices=_values("product")),
            Filter("category", _("Source category"), kind="choice", choices=_values("category")),
            Filter("service", _("Source service"), kind="choice", choices=_values("service")),
            Filter("reach", _("Reach")),
            Filter("waits", _("Waits for the field"), kind="text", apply=_by_waits),
            Filter("fired_ever", _("Has fired"), kind="boolean", apply=_by_fired),
            Filter("pack", _("Pack"), kind="choice", choices=_packs),
            Filter("author", _("Author")),
        ),
        search=("title", "title_zh", "uid"),
        facts=(
            Column("severity", cell="severity"),
            Column("state", _("State"), value=state_of, cell="badge", choices=STATES, tones=STATE_TONES),
            Column("status", cell="badge", tones={"stable": "good", "test": "busy"}),
            Column("alarm", _("Alarm type"), value=lambda row: framework.alarm_name(row.alarm)),
            Column("fired", _("Times fired"), cell="number", value=queries.fired),
            Column("last_fired", _("Last fired"), cell="time", value=queries.last_fired),
            "author",
            Column("licence", _("Licence"), value=lambda row: row.pack.licence),
            Column("pack", _("Pack"), value=lambda row: f"{row.pack.name} {row.pack.version}"),
            Column("logsource", _("Looks at"), value=lambda row: " / ".join(part for part in (row.product, row.category, row.service) if part)),
            Column("uid", cell="code"),
            Column("path", cell="code"),
        ),
        verbs=(
            Verb("enable", _("Switch the rule on"), actions.enable, permission="detect.rule.switch", bulk=True, icon="player-play", when=lambda row: not row.enabled),
            Verb("disable", _("Switch the rule off"), actions.disable, permission="detect.rule.switch", bulk=True, icon="player-pause", danger=True, when=lambda row: row.enabled),
        ),
        create=False,
        change=False,
        remove=False,
        rows=queries.rule_rows,
        template="detect/rule.html",
        empty=(_("No rules are installed"), _("Install a pack; the starter pack comes with the node."), "/detect/packs/", _("Rule packs")),
    )
)


# -- what the page of a rule shows ---------------------------------------------------------------------------------


@panel("detect.rule.main", order=10)
def about(request: HttpRequest, row: models.Rule) -> str:
    """What it is for, in the reader's language; where it is known to be wrong; what it rests on."""
    context = {
        "about": row.about,
        "false": row.known_false,
        "references": [link for link in row.references if link.startswith(("https://", "http://"))],
        "problem": row.problem,
    }
    return render_to_string("detect/panel_about.html", context, request) if any(context.values()) else ""


@panel("detect.rule.main", title=_("Events it fired on, per day"), order=20)
def firing(request: HttpRequest, row: models.Rule) -> str:
    """A fortnight of firing, of what this viewer may see."""
    days = queries.firing(row.uid, request.viewer)  # type: ignore[attr-defined]
    if not any(number for _day, number in days):
        return format_html('<p class="quiet">{}</p>', translate("Nothing in the last 14 days."))
    bars = {"name": translate("events"), "type": "bar", "data": [number for _day, number in days]}
    spec = {"animation": False, "xAxis": {"type": "category", "data": [f"{day:%m-%d}" for day, _number in days]}, "yAxis": {"type": "value", "minInterval": 1, "splitNumber": 2}, "series": [bars]}
    return render_to_string("detect/panel_chart.html", {"chart": spec, "label": translate("Events per day")}, request)


@panel("detect.rule.main", title=_("Logic"), order=30)
def logic(request: HttpRequest, row: models.Rule) -> str:
    """The rule as its author wrote it."""
    return format_html('<pre class="sigma" tabindex="0">{}</pre>', painted(row.text))


@panel("detect.rule.side", title=_("Can it fire here?"), order=10)
def needed(request: HttpRequest, row: models.Rule) -> str:
    """By the events that came in lately: whether its kind comes, which of the fields it asks for those have, and what to switch on."""
    kind = covering.nearest(row)
    met = {plain(name) for name in kind.fields} if kind else set()
    hints = [covering.advice(kind.product, kind.category, kind.service, field=name) for name in row.waits] if kind else [covering.advice(row.product, row.category, row.service)]
    context = {"row": row, "kind": covering.told(kind) if kind else "", "fields": [(name, plain(name) in met) for name in row.fields], "hints": [hint for hint in hints if hint], "parts": covering.built_upon(row)}
    return render_to_string("detect/panel_fields.html", context, request)


@panel("detect.rule.side", title="ATT&CK", order=20)
def techniques(request: HttpRequest, row: models.Rule) -> str:
    """Its techniques by name."""
    frame = framework.attack()
    rows = ((reverse("detect:rule_list"), id, id, frame.full_name(id), listed(frame.tactic(key).name for key in frame.served_by(id))) for id in row.techniques)
    return format_html('<ul class="tech-list">{}</ul>', format_html_join("", '<li><a href="{}?technique={}"><span class="mono">{}</span> {}</a><span class="quiet">{}</span></li>', rows)) if row.techniques else ""


@panel("detect.rule.side", title=_("Event models"), order=25)
def about_models(request: HttpRequest, row: models.Rule) -> str:
    """The kinds of events that it can fire on, and the kind of incident that it speaks of."""
    found = library.models_of(row)
    lines = format_html_join("", '<li><a href="{}">{}</a></li>', ((reverse("detect:event_model", kwargs={"key": model.key}), model.name) for model in found[:MODELS_SHOWN]))
    more = format_html('<li class="quiet">{}</li>', translate("and %(n)d more") % {"n": len(found) - MODELS_SHOWN}) if len(found) > MODELS_SHOWN else ""
    place = incidents.of_rule(row.techniques, row.alarm)
    kind = format_html('<p class="hint">{}</p>', translate("As an incident: %(category)s, %(kind)s. %(why)s") % {"category": place.category, "kind": place.kind, "why": place.why}) if place else ""
    none = format_html('<p class="quiet">{}</p>', translate("No mapping of this node makes events that it can fire on.")) if not found else ""
    return format_html('{}<ul class="model-mappings">{}{}</ul>{}', none, lines, more, kind)


@panel("detect.rule.side", title=_("Where it is on"), order=30)
def sources(request: HttpRequest, row: models.Rule) -> str:
    """The switch of each source."""
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    own = {switch.source: switch.on for switch in row.switches.all()}
    names = lake.source_names(viewer=viewer) if viewer.may("lake.source.view") or viewer.may("lake.event.view") else []
    lines = [{"source": name, "on": own.get(name, row.enabled), "own": name in own} for name in names]
    return render_to_string("detect/panel_sources.html", {"row": row, "lines": lines, "may": viewer.may("detect.rule.switch")}, request) if lines else ""


# -- what can be done ----------------------------------------------------------------------------------------------


@page("rules/<uuid:pk>/source/", name="rule_source", permission="detect.rule.switch", title=_("Switch"), parent="rule_list")
def switch_source(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Switch a rule on or off for one source, or let its general switch speak there."""
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    row = models.Rule.objects.filter(pk=pk).first()
    source, said = request.POST.get("source", ""), request.POST.get("on", "")
    if row is None or source not in lake.source_names(viewer=request.viewer) or said not in ("1", "0", "as"):  # type: ignore[attr-defined]
        raise Invalid(translate("This cannot be switched"), why=translate("The rule or the source is not there."), todo=translate("Reload the page."))
    actions.switch(row, {"1": True, "0": False, "as": None}[said], source, actor=request.viewer)  # type: ignore[attr-defined]
    messages.success(request, translate("Switched. It takes effect within two seconds."))
    return HttpResponseRedirect(reverse("detect:rule", kwargs={"pk": pk}))
