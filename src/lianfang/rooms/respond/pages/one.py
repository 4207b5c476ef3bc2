"""One alert: what it is and who has it, why it fired, what happened around it, what was done, and the one next step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext as translate
from django.utils.translation import gettext_lazy as _

from lianfang.commons.frame import attachments
from lianfang.commons.frame.attachments.pages import allow
from lianfang.commons.frame.language import chinese, either, listed
from lianfang.commons.frame.pages import page, saying, show, unchanged
from lianfang.commons.people import queries as people
from lianfang.engines.policy import HIDDEN
from lianfang.engines.schema import ocsf
from lianfang.engines.schema.events import COLUMNS
from lianfang.kernel import clock
from lianfang.kernel.errors import Fault
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.detect import queries as detect
from lianfang.rooms.detect.queries import anomalies, framework, monitors
from lianfang.rooms.detect.types import ANOMALY, BASELINE, CORRELATION, READING_LIMIT
from lianfang.rooms.respond import actions, models, queries
from lianfang.rooms.respond.pages.queue import STATE_TONES, VERDICT_TONES, told
from lianfang.rooms.respond.queries.story import Story, departures, done, led_to
from lianfang.rooms.respond.types import State, Verdict

Pair = tuple[Any, Any]


@page("alerts/<uuid:pk>/", name="alert", permission="respond.alert.view", title=_("Alert"), parent="alerts")
def alert(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The whole page, or the part about one event when htmx asks for it."""
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    row = queries.alert(pk, viewer)
    target, event_id = request.htmx.target, request.GET.get("event", "")  # type: ignore[attr-defined]
    if target == "done":
        if answer := unchanged(request, row.changed):
            return answer
        return show(request, "respond/alert_done.html", {"row": row, "steps": steps(row, viewer)})
    found = queries.story(row, viewer, event_id=event_id)
    if target == "evidence":
        return show(request, "respond/alert_evidence.html", {"row": row, "story": found, "fields": fields(found)})
    return show(request, "respond/alert.html", whole(row, found, viewer), title=str(row))


def whole(row: models.Alert, found: Story, viewer: Viewer) -> dict[str, Any]:
    """Everything the page shows."""
    return {
        "row": row, "subject": row, "story": found, "fields": fields(found), "steps": steps(row, viewer), "tone": STATE_TONES[State(row.state)], "verdict_tone": VERDICT_TONES.get(row.verdict, "quiet"),
        "score": told(row), "next": next_step(row, viewer), "others": other_steps(row, viewer), "verdicts": Verdict.choices, "people": queries.colleagues(viewer) if viewer.may("respond.alert.assign") else [],
        "can": {verb: viewer.may(f"respond.alert.{verb}") for verb in ("close", "assign", "comment", "reopen")}, "facts": fact_pairs(row, viewer), "techniques": techniques(row), "entities": entities(row, viewer),
        "neighbours": queries.neighbours(row, viewer), "events": moments(row, found), "around_url": around_url(row, found, viewer), "chains": led_to(row, viewer), "departures": departures(row, viewer), "rule": rule_of(row, viewer), "except_url": except_url(row, found, viewer), "incident": queries.incident_of(row, viewer), "alarm": framework.alarm_name(row.alarm),
    }  # fmt: skip


def _closed(row: models.Alert) -> str:
    return translate("Acknowledge the alert first: an alert that nobody has taken may still be joined with another.") if row.untouched else ""


allow(attachments.Subject("respond", "alert", fetch=queries.alert, permission="respond.alert.comment", closed=_closed))


# -- what can be done ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Step:
    """A button: verb, words, icon."""

    verb: str
    label: Any
    icon: str


ACKNOWLEDGE = Step("acknowledge", _("Acknowledge"), "check")
START = Step("start", _("Start to examine"), "player-play")
CLOSE = Step("close", _("Close with a verdict"), "circle-check")
REOPEN = Step("reopen", _("Reopen"), "arrow-back-up")
NEXT = {State.NEW: ACKNOWLEDGE, State.ACKNOWLEDGED: START, State.IN_PROGRESS: CLOSE, State.CLOSED: REOPEN}
OTHERS = {State.NEW: (START, CLOSE), State.ACKNOWLEDGED: (CLOSE,), State.IN_PROGRESS: (), State.CLOSED: ()}


def next_step(row: models.Alert, viewer: Viewer) -> Step | None:
    """The one step that comes next, if this viewer may take it."""
    step = NEXT[State(row.state)]
    return step if viewer.may(f"respond.alert.{step.verb}") else None


def other_steps(row: models.Alert, viewer: Viewer) -> list[Step]:
    """What else is possible from here."""
    return [step for step in OTHERS[State(row.state)] if viewer.may(f"respond.alert.{step.verb}")]


@page("alerts/<uuid:pk>/<slug:verb>/", name="decide", permission="respond.alert.view", title=_("Alert"), parent="alerts")
def decide(request: HttpRequest, pk: UUID, verb: str) -> HttpResponse:
    """One verb on one alert; back to the page it came from, with what happened."""
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    with saying(request, str(SAID.get(verb, ""))):
        actions.by_name(verb, pk, request.POST, actor=viewer)
    return HttpResponseRedirect(reverse("respond:alert", kwargs={"pk": pk}))


SAID = {
    "acknowledge": _("Acknowledged. It is yours."),
    "start": _("You are examining it now."),
    "assign": _("Given on."),
    "close": _("Closed."),
    "reopen": _("Open again."),
    "comment": _("Your comment is kept."),
}


# -- what is shown -------------------------------------------------------------------------------------------------

VERBS = {
    "respond.acknowledged": (_("Acknowledged"), "check", "good"),
    "respond.started": (_("Examination begun"), "player-play", ""),
    "respond.assigned": (_("Assigned"), "user-check", ""),
    "respond.closed": (_("Closed"), "circle-check", "good"),
    "respond.reopened": (_("Reopened"), "arrow-back-up", "warn"),
    "respond.recovered": (_("Recovered"), "circle-check", "good"),
    "respond.commented": (_("Comment"), "message", ""),
}


def steps(row: models.Alert, viewer: Viewer) -> list[dict[str, Any]]:
    """What was done about the alert, for the timeline: the ledger's entries, with the comments in full."""
    words = {(comment.author, comment.text[:500]): comment.text for comment in row.comments.all()}
    found = [_step(entry, words) for entry in done(row, viewer) if entry.verb in VERBS]
    raised = {"at": row.raised, "title": translate("Alert raised"), "icon": "bell", "tone": "warn", "text": translate("Found by looking back.") if row.backfilled else ""}
    return [*found, raised]


def _step(entry: Any, words: dict[tuple[str, str], str]) -> dict[str, Any]:
    step = entry_step(entry, words, VERBS)
    return step | {"text": _said_over(entry.detail)} if entry.verb == "respond.recovered" else step


def entry_step(entry: Any, words: Mapping[tuple[str, str], str], verbs: Mapping[str, tuple[Any, str, str]]) -> dict[str, Any]:
    """An entry of the ledger as a step of a timeline. ``words``: comments in full, by author and the part that the ledger keeps; ``verbs``: title, icon and tone."""
    (title, icon, tone), detail = verbs[entry.verb], entry.detail
    said = detail.get("text") or detail.get("comment") or ""
    text: Any = words.get((entry.actor, said), said)
    if entry.verb.endswith("assigned"):
        text = translate("to %(name)s") % {"name": detail["to"]} if detail.get("to") else translate("given back to the queue")
    if entry.verb.endswith("closed"):
        text = format_html("<b>{}</b> {}", Verdict(detail["verdict"]).label, text)
    return {"at": entry.time, "title": title, "who": entry.actor_name, "text": text, "icon": icon, "tone": tone}


def _said_over(detail: Mapping[str, Any]) -> Any:
    """What said that it is over, with the way to its log, and whether the alert was closed for it."""
    base = url_of("lake:event", event_id=detail["event"]) if detail.get("event") else ""
    said = format_html('<a href="{}">{}</a>', base, translate("Its log says so.")) if base else translate("A sign of life came again.")
    return format_html("{} {}", said, translate("Closed by itself: nobody had taken it.") if detail.get("closed") else "")


def moments(row: models.Alert, found: Story) -> list[dict[str, Any]]:
    """The host's events around the alert, in order: which are the alert's own, which rules fired, what happened."""
    own = set(found.own)
    shown = found.shown["event_id"] if found.shown else ""
    return [
        {"event": event, "own": event["event_id"] in own or row.rule_uid in (event.get("rules") or ()), "others": [uid for uid in event.get("rules") or () if uid != row.rule_uid], "open": event["event_id"] == shown, "what": what(event)}
        for event in found.around
    ]


def what(event: Mapping[str, Any]) -> str:
    """An event in one line: the most telling of its columns."""
    arrow = f"{event.get('src_ip') or ''} → {event.get('dst_ip') or ''}" if event.get("dst_ip") else ""
    for value in (event.get("process_cmd"), event.get("message"), event.get("url"), event.get("file"), event.get("domain"), arrow, event.get("process")):
        if value:
            return str(value)[:300]
    if not event.get("class_uid"):
        return str(event.get("raw") or "")[:300]
    named = ocsf.caption(int(event["class_uid"]), event.get("activity_id"), language="zh" if chinese() else "en")
    return f"{named} ({event['event_code']})" if event.get("event_code") else named


def fields(found: Story) -> list[Pair]:
    """The opened event's own columns that hold something, with their titles; the raw log stands apart."""
    if found.shown is None:
        return []
    hidden = {"raw", "unmapped", "rules", "event_day", "territory", "industry", "template"}
    return [(either(column.zh, column.en), _cell(found.shown.get(column.name))) for column in COLUMNS if column.name not in hidden and found.shown.get(column.name) not in (None, "", [])]


def _cell(value: Any) -> Any:
    if isinstance(value, list):
        return format_html('<span class="tags">{}</span>', format_html_join("", '<span class="tag">{}</span>', ((one,) for one in value)))
    return value if hasattr(value, "tzinfo") else format_html("<code>{}</code>", value)


def fact_pairs(row: models.Alert, viewer: Viewer) -> list[Pair]:
    """The facts at the side."""
    pairs: list[Pair] = [
        (translate("Host"), format_html('<a href="{}?host={}&state=any">{}</a>', reverse("respond:alerts"), row.host, row.host) if row.host else translate("many hosts")),
        (translate("Alarm type"), framework.alarm_name(row.alarm) or None),
        (translate("Events"), format_html('<span class="number">{}</span>', row.count)),
        (translate("First event"), row.first),
        *([(translate("Last event"), row.last)] if row.last != row.first else []),
        (translate("Organisation"), people.name_of(row.organisation) or None),
        (translate("Source"), row.source_name),
        (translate("Assignee"), row.assignee_name or translate("nobody")),
    ]
    if row.acknowledged:
        pairs.append((translate("Acknowledged"), row.acknowledged))
    if row.closed:
        pairs.append((translate("Closed"), row.closed))
    if row.recovered:
        pairs.append((translate("Recovered"), row.recovered))
    return pairs


def rule_of(row: models.Alert, viewer: Viewer) -> dict[str, Any]:
    """The rule, its author and licence (which the licence of many rules wants shown), and where its page is."""
    found = None
    if row.kind in ("sigma", CORRELATION, BASELINE):
        try:
            found = detect.rule_row(row.rule_uid, viewer)
        except Fault:
            found = None
    if row.rule_uid.startswith(READING_LIMIT):
        return {"title": str(row), "url": url_of("lake:reading") if viewer.may("lake.touch.audit") else "", "author": row.author, "licence": "", "status": "", "about": translate("The answer was not given. Look at what this person read, ask them, and release them if it was their work."), "false": []}
    if row.kind == ANOMALY and (strange := unusual_logs(row, viewer)):
        return strange
    if own := monitors.monitors_of([row.rule_uid], viewer).get(row.rule_uid):
        return {"title": own.name, "url": url_of("detect:monitor", pk=own.pk), "author": row.author, "licence": "", "status": "", "about": own.note, "false": [], "words": True}
    return {"title": str(found) if found else str(row), "url": url_of("detect:rule", pk=found.pk) if found else "", "author": row.author, "licence": row.licence, "status": found.get_status_display() if found else row.status, "about": found.about if found else "", "false": found.known_false if found else []}


def unusual_logs(row: models.Alert, viewer: Viewer) -> dict[str, Any] | None:
    """The log anomaly alarm behind an alert, the template that it is about, and how to hear no more of that; ``None``: it is gone."""
    own, template = anomalies.origin(row.rule_uid, viewer)
    if own is None:
        return None
    spare = url_of("detect:anomalyalarm_spare", pk=own.pk, template=template) if viewer.may("detect.anomalyalarm.change") and template not in own.spared else ""
    return {"title": own.name, "url": url_of("detect:anomalyalarm", pk=own.pk), "author": row.author, "licence": "", "status": "", "about": own.note, "false": [], "template_url": url_of("lake:log_template", pk=template), "spare_url": spare}


def techniques(row: models.Alert) -> list[dict[str, Any]]:
    """The techniques with their names and the queue of each."""
    frame = framework.attack()
    return [{"id": id, "name": frame.full_name(id), "tactics": listed(frame.tactic(key).name for key in frame.served_by(id)), "url": f"{reverse('respond:alerts')}?{urlencode({'technique': id, 'state': 'any'})}"} for id in row.techniques]


KINDS = {"users": (_("Users"), "user"), "ips": (_("Addresses"), "network"), "hosts": (_("Hosts"), "server"), "processes": (_("Processes"), "cpu"), "files": (_("Files"), "file"), "hashes": (_("Hashes"), "hash"), "domains": (_("Domains"), "world"), "urls": (_("URLs"), "link")}
PIVOTS = {"users": "user", "ips": "ips", "hosts": "host", "processes": "process", "files": "file", "hashes": "hashes", "domains": "domains", "urls": "url"}


def entities(row: models.Alert, viewer: Viewer) -> list[dict[str, Any]]:
    """What took part, by kind; each value leads to the search for it."""
    may = viewer.may("lake.event.view")
    found = []
    for kind, values in queries.took_part(row, viewer).items():
        if kind in KINDS and values:
            label, icon = KINDS[kind]
            found.append({"label": label, "icon": icon, "values": [{"text": value, "url": search_url(PIVOTS[kind], value) if may and HIDDEN not in value else ""} for value in values[:12]], "more": max(0, len(values) - 12)})
    return found


def search_url(column: str, value: str) -> str:
    """Where the lake is searched for a value, within the last week."""
    base = url_of("lake:search")
    return f"{base}?{urlencode({'f': f'{column}:is:{value}', 'span': '7d'})}" if base else ""


def around_url(row: models.Alert, found: Story, viewer: Viewer) -> str:
    """The search for all that the host told in the time of the story."""
    base = url_of("lake:search") if viewer.may("lake.event.view") and row.host else ""
    return f"{base}?{urlencode({'f': f'host:is:{row.host}', 'since': clock.text(found.since), 'until': clock.text(found.until)})}" if base else ""


def except_url(row: models.Alert, found: Story, viewer: Viewer) -> str:
    """Where what this alert tells is called normal, with the opened event as its example."""
    if row.kind not in ("sigma", "correlation") or row.rule_uid.startswith(READING_LIMIT) or not viewer.may("detect.exemption.add") or monitors.is_own(row.rule_uid):
        return ""
    base = url_of("detect:exemption_from", uid=row.rule_uid)
    return f"{base}?{urlencode({'event': found.shown['event_id']})}" if base and found.shown else base


def url_of(name: str, **arguments: Any) -> str:
    """An address, ``""`` where the page is not open on this node."""
    try:
        return reverse(name, kwargs=arguments)
    except NoReverseMatch:
        return ""
