"""The alert queue: ranked, live, worked through from the top with the keyboard.

It asks, filters, exports and answers the API as every sheet does; its rows are its own, because an analyst reads an alert
as two lines and a score, not as twelve columns.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, QueryDict
from django.utils.translation import gettext as translate
from django.utils.translation import gettext_lazy as _

from lianfang.commons.frame.pages import Nav, finder, page, show, unchanged
from lianfang.commons.frame.sheets import SEVERITIES, Column, Filter, Question, Sheet, Verb, exchange, many, registry, rest, views
from lianfang.commons.people import queries as people
from lianfang.kernel.errors import Invalid
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.detect.queries import framework
from lianfang.rooms.lake import queries as lake
from lianfang.rooms.respond import actions, models, queries
from lianfang.rooms.respond.types import FACTOR_OF, FACTORS, LEAST, OPEN, State, Threat, Verdict

Rows = QuerySet[models.Alert]

OPEN_ONES, ANY = "open", "any"
STATES = ((OPEN_ONES, _("not closed")), *State.choices, (ANY, _("any")))
STATE_TONES = {State.NEW: "warn", State.ACKNOWLEDGED: "busy", State.IN_PROGRESS: "busy", State.CLOSED: "quiet"}
VERDICT_TONES = {Verdict.TRUE_POSITIVE: "bad", Verdict.FALSE_POSITIVE: "quiet", Verdict.BENIGN: "good", Verdict.DUPLICATE: "quiet", Verdict.RECOVERED: "good"}
THREAT_TONES = {Threat.VERY_HIGH: "bad", Threat.HIGH: "warn", Threat.MEDIUM: "quiet", Threat.LOW: "quiet"}
TABS = (("", _("Not closed")), ("state=new", _("Unseen")), ("assignee=me", _("Mine")), ("assignee=nobody", _("Nobody's")), ("state=closed", _("Closed")), ("state=any", _("All")))
QUIET = {"rule", "technique", "tactic", "verdict", "threat"}
"""Conditions that stand in the sentence only when they are set: links bring them."""


def _by_state(rows: Rows, values: list[str]) -> Rows:
    wanted = {state for value in values for state in (OPEN if value == OPEN_ONES else State.values if value == ANY else [value])}
    return rows.filter(state__in=sorted(wanted))


def _by_assignee(rows: Rows, values: list[str]) -> Rows:
    return rows.filter(assignee__in=["" if value == "nobody" else value for value in values])


def _by_mark(kind: str, rows: Rows, values: list[str]) -> Rows:
    marked = models.Mark.objects.filter(kind=kind, value__in=values).values("alert")
    return rows.filter(pk__in=marked)


def _by_threat(rows: Rows, values: list[str]) -> Rows:
    found = rows.none()
    for level, above in zip(Threat, [101, *LEAST.values()], strict=False):
        if level in values:
            found |= rows.filter(score__gte=LEAST[level], score__lt=above)
    return found


def _assignees(viewer: Viewer) -> list[tuple[str, Any]]:
    own = [(viewer.id, _("me")), ("nobody", _("nobody"))]
    return [*own, *((person.id, person.name) for person in queries.colleagues(viewer) if person.id != viewer.id)]


def _alarms(viewer: Viewer) -> list[tuple[str, str]]:
    return [(key, alarm.named.name) for key, alarm in framework.alarms().items()]


ALERTS = Sheet(
    model=models.Alert,
    kind="alert",
    path="alerts",
    title=_("Alerts"),
    order="-score",
    columns=(
        Column("score", cell="number"),
        Column("title", _("Alert"), value=str, sort="title"),
        Column("threat", _("Threat level"), cell="badge", choices=dict(Threat.choices), tones=THREAT_TONES, sort="score"),
        Column("severity", cell="severity"),
        Column("state", cell="badge", tones=STATE_TONES),
        Column("verdict", cell="badge", tones=VERDICT_TONES),
        "host",
        Column("alarm", _("Alarm type"), value=lambda row: framework.alarm_name(row.alarm), sort="alarm"),
        "techniques",
        "tactics",
        "assignee_name",
        "count",
        "first",
        "last",
        "raised",
        "closed",
        Column("organisation", _("Organisation"), value=lambda row: people.name_of(row.organisation), sort=False),
        "source_name",
        "rule_uid",
        "author",
        Column("kind", cell="text"),
        "backfilled",
        "sample",
        Column("reasons", _("Reasons"), value=lambda row: [f"{reason.title}: {reason.points:g}" for reason in row.why], sort=False),
    ),
    filters=(
        Filter("state", _("State"), kind="choice", choices=STATES, apply=_by_state),
        Filter("severity", _("Severity"), kind="choice", choices=SEVERITIES),
        Filter("threat", _("Threat level"), kind="choice", choices=Threat.choices, apply=_by_threat),
        Filter("alarm", _("Alarm type"), kind="choice", choices=_alarms),
        Filter("assignee", _("Assignee"), kind="choice", choices=_assignees, apply=_by_assignee),
        Filter("host", _("Host")),
        Filter("organisation", _("Organisation"), kind="choice", choices=lake.owner_choices),
        Filter("source", _("Source"), kind="choice", choices=lake.source_choices),
        Filter("time", _("Last event"), kind="time", lookup="last"),
        Filter("verdict", _("Verdict"), kind="choice", choices=Verdict.choices),
        Filter("tactic", _("Tactic"), kind="choice", choices=lambda viewer: [(tactic.key, tactic.name) for tactic in framework.attack().tactics], apply=partial(_by_mark, "tactic")),
        Filter("technique", _("Technique"), kind="text", apply=partial(_by_mark, "technique")),
        Filter("rule", _("Rule"), kind="text", lookup="rule_uid"),
    ),
    search=("title", "title_zh", "host"),
    create=False,
    change=False,
    remove=False,
    rows=queries.seen,
)

registry.add(ALERTS)
exchange.open_pages(ALERTS)
rest.open_api(ALERTS)
finder(partial(views.find, ALERTS))


def asked_of(request: HttpRequest) -> QueryDict:
    """The question of the address; nothing said about the state means the open ones, ``me`` means who asks."""
    asked = request.GET.copy()
    if not any(asked.getlist("state")):
        asked["state"] = OPEN_ONES
    if "me" in asked.getlist("assignee"):
        asked.setlist("assignee", [request.viewer.id if value == "me" else value for value in asked.getlist("assignee")])  # type: ignore[attr-defined]
    return asked


@page("alerts/", name="alert_list", permission="respond.alert.view", parent="overview", title=_("Alerts"))
@page("alerts/", name="alerts", permission="respond.alert.view", nav=Nav("alerts", _("Alert queue"), order=10, icon="bell"), title=_("Alert queue"))
def alerts(request: HttpRequest) -> HttpResponse:
    """The queue, or the rows alone when htmx asks to go on or whether something changed."""
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    if request.method == "POST":
        return many_alerts(request, viewer)
    question = Question.of(ALERTS, asked_of(request), viewer)
    target = request.htmx.target  # type: ignore[attr-defined]
    if target == "rows" and (answer := unchanged(request, queries.version(viewer))):
        return answer
    found = question.page()
    context = {"lines": [line(row, viewer) for row in found.rows], "next": question.address(after=found.next) if found.next else "", "may_decide": viewer.may("respond.alert.acknowledge")}
    if target in ("rows", "more"):
        return show(request, "respond/queue_rows.html", context)
    return show(request, "respond/queue.html", context | around(request, question, viewer))


def around(request: HttpRequest, question: Question, viewer: Viewer) -> dict[str, Any]:
    """Tabs, the sentence of conditions, and what can be done with many."""
    found = views.around(request, ALERTS, question, viewer)
    for chip in found["chips"]:
        if chip["condition"].filter.name == "state":
            chip["without"] = question.address("state", state=ANY)
    found["chips"] = [chip for chip in found["chips"] if chip["condition"].on or chip["condition"].filter.name not in QUIET]
    said = {name: set(request.GET.getlist(name)) for name in ("state", "assignee")}
    tabs = [{"url": f"?{query}", "label": label, "on": _is_on(query, said)} for query, label in TABS]
    return found | {"sheet": ALERTS, "question": question, "tabs": tabs, "verdicts": Verdict.choices, "people": queries.colleagues(viewer) if viewer.may("respond.alert.assign") else [], "can_do": {verb: viewer.may(f"respond.alert.{verb}") for verb in ("acknowledge", "assign", "close")}}


def _is_on(query: str, said: dict[str, set[str]]) -> bool:
    name, __, value = query.partition("=")
    plain = {name: values - {OPEN_ONES} for name, values in said.items()}
    return plain == {"state": set(), "assignee": set()} | ({name: {value}} if name else {})


def line(row: models.Alert, viewer: Viewer) -> dict[str, Any]:
    """One alert as the queue shows it."""
    return {"row": row, "alarm": framework.alarm_name(row.alarm), "organisation": people.name_of(row.organisation), "tone": STATE_TONES[State(row.state)], "verdict_tone": VERDICT_TONES.get(row.verdict, "quiet"), "reasons": told(row), "techniques": row.techniques[:3], "more_techniques": len(row.techniques[3:])}


def told(row: models.Alert) -> dict[str, Any]:
    """A score with its terms, by the four factors it is made of."""
    why = row.why
    groups = [{"name": name, "points": round(sum(reason.points for reason in mine), 1), "terms": [{"name": reason.title, "points": round(reason.points, 1), "reason": reason.words} for reason in mine]} for key, name in FACTORS if (mine := [reason for reason in why if FACTOR_OF.get(reason.name) == key])]
    return {"value": row.score, "groups": groups, "threat": Threat(row.threat).label, "threat_tone": THREAT_TONES[Threat(row.threat)]}


# -- many ----------------------------------------------------------------------------------------------------------


def many_alerts(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """A verb on the alerts that were ticked, on one (``do=verb:id``), or on all that the question finds, however many."""
    verb = _verb(request.POST.get("do", "").partition(":")[0], request.POST, viewer)
    viewer.must(verb.permission)
    return many.take(request, Question.of(ALERTS, asked_of(request), viewer), verb)


def _verb(name: str, given: QueryDict, viewer: Viewer) -> Verb:
    """What is to be done to each alert, with what the form says of it."""
    match name:
        case "acknowledge":
            return Verb(name, _("Acknowledge"), lambda row, *, actor: actions.acknowledge(row.pk, actor=actor), "respond.alert.acknowledge")
        case "assign":
            return Verb(name, _("Assign"), lambda row, *, actor: actions.assign(row.pk, given.get("to", ""), actor=actor), "respond.alert.assign")
        case "close":
            verdict, comment = given.get("verdict", ""), given.get("comment", "")
            if verdict not in Verdict.values:
                raise Invalid(translate("Say what the alert turned out to be"), why=translate("An alert is closed with a verdict."), todo=translate("Choose a verdict."))
            return Verb(name, _("Close"), lambda row, *, actor: actions.close(row.pk, verdict, comment=comment, actor=actor), "respond.alert.close")
    raise Invalid(translate("There is no such verb here"), why=name[:40], todo=translate("Reload the page."))


@page("alerts/views/", name="alert_views", permission="respond.alert.view", parent="alerts")
def alert_views(request: HttpRequest) -> HttpResponse:
    """Keep a question under a name, or forget one of one's own."""
    return views.save_view(request, ALERTS)
