"""Keyword alarms: the list with how each stands now, one with its story, the form with a trial on stored logs, the calendars."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django import forms
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.translation import gettext as translate
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from lianfang.commons.frame.pages import Nav, page, panel, show
from lianfang.commons.frame.sheets import Column, Filter, Sheet, SheetForm, Verb, register
from lianfang.engines.rules.hours import hours
from lianfang.engines.rules.occasions import Why
from lianfang.kernel.errors import Fault, Invalid
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.detect import actions, models
from lianfang.rooms.detect.models.monitors import DAYS, working_days
from lianfang.rooms.detect.queries import monitors, wording
from lianfang.rooms.detect.queries.painting import painted
from lianfang.rooms.lake import actions as lake_actions
from lianfang.rooms.lake import queries as lake
from lianfang.rooms.lake.types import TemplateLine, Touched

STANDINGS = {"ok": _("all is well"), "said": _("alarm"), "absent": _("no sign of life"), "outside": _("outside its hours"), "off": _("not in use")}
TONES = {"ok": "good", "said": "bad", "absent": "bad", "outside": "quiet", "off": "quiet"}
PARTS = {wording.SAID: _("alarm"), wording.ENDS: pgettext_lazy("keyword alarm", "over"), wording.ALIVE: _("sign of life")}
PART_TONES = {wording.SAID: "bad", wording.ENDS: "good", wording.ALIVE: "quiet"}
TURNS = {"begun": _("an alarm begins"), "recovered": _("it has recovered"), "lapsed": _("it was quiet for long enough")}
GROUPS = (
    (_("Whose logs"), ("name", "source", "host")),
    (_("What is an alarm"), ("keywords", "every", "unless", "times", "within")),
    (_("When it is over"), ("recovery", "closes")),
    (_("What must not be missing"), ("beats", "silence")),
    (_("When and how loud"), ("calendar", "severity", "note", "enabled")),
)
EPISODES = 30
LONGEST_LINE = 300
Row = Mapping[str, Any]


class Lines(forms.CharField):
    """Words or phrases, one on each line (in a cell of a table: parted by semicolons)."""

    widget = forms.Textarea(attrs={"rows": 3, "class": "form-control mono"})

    def clean(self, value: Any) -> list[str]:
        text = "\n".join(map(str, value)) if isinstance(value, list) else value
        return [line.strip() for line in str(super().clean(text)).replace(";", "\n").replace("；", "\n").splitlines() if line.strip()]

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(map(str, value)) if isinstance(value, list) else value


class MonitorForm(SheetForm):
    """What is an alarm, when, and what ends it."""

    source = forms.ChoiceField(label=_("Log source"))
    keywords = Lines(label=_("Keywords"), required=False, help_text=models.Monitor._meta.get_field("keywords").help_text)
    unless = Lines(label=_("But not with"), required=False, help_text=models.Monitor._meta.get_field("unless").help_text)
    recovery = Lines(label=_("What says that it is over"), required=False, help_text=models.Monitor._meta.get_field("recovery").help_text)
    beats = Lines(label=_("Sign of life"), required=False, help_text=models.Monitor._meta.get_field("beats").help_text)

    class Meta:
        model = models.Monitor
        fields = ("name", "source", "host", "keywords", "every", "unless", "times", "within", "recovery", "closes", "beats", "silence", "calendar", "severity", "note", "enabled")

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        names = lake.source_names(viewer=self.viewer) if self.viewer is not None else []
        self.fields["source"].choices = [("", "—"), *((name, name) for name in names)]  # type: ignore[attr-defined]


    def groups(self) -> list[tuple[Any, list[Any]]]:
        """The fields as they belong together."""
        return [(label, [self[name] for name in names]) for label, names in GROUPS]


class Days(forms.TypedMultipleChoiceField):
    """Days of the week, as numbers; Monday is 0."""

    widget = forms.CheckboxSelectMultiple

    def __init__(self, **kwargs: Any):
        super().__init__(choices=DAYS, coerce=int, **kwargs)

    def prepare_value(self, value: Any) -> Any:
        return [str(day) for day in value] if isinstance(value, list) else value


class CalendarForm(SheetForm):
    """Hours, and the days without."""

    days = Days(label=_("Working days"), required=False, initial=working_days)

    class Meta:
        model = models.Calendar
        fields = ("name", "zone", "days", "sessions", "off", "extra")
        widgets = {name: forms.Textarea(attrs={"rows": 4}) for name in ("off", "extra")}

    def clean(self) -> dict[str, Any]:
        """Each part as the calendar will read it."""
        given: dict[str, Any] = super().clean() or self.cleaned_data
        tries = {
            "zone": ((given.get("zone") or "", (), ""), _("There is no such time zone. Write one like Asia/Shanghai or UTC.")),
            "sessions": (("UTC", (), given.get("sessions") or ""), _("These hours cannot be read. Write 09:00-11:30, 13:00-15:00; a session over midnight is 20:55-02:30.")),
            "off": (("UTC", (), "", given.get("off") or ""), _("These dates cannot be read. Write 2026-10-01, or 2026-10-01 – 2026-10-08, each on a line of its own.")),
            "extra": (("UTC", (), "", "", given.get("extra") or ""), _("These dates cannot be read. Write 2026-10-01, or 2026-10-01 – 2026-10-08, each on a line of its own.")),
        }
        for name, (parts, wrong) in tries.items():
            try:
                hours(*parts)
            except Invalid:
                self.add_error(name, wrong)
        return given


def words(row: models.Monitor) -> str:
    """What is looked for, in a line."""
    said = (" + " if row.every else " / ").join(row.keywords)
    beat = f"♥ {' / '.join(row.beats)} ({row.silence} s)" if row.beats else ""
    return " · ".join(part for part in (said, beat) if part)


def counted(row: models.Monitor) -> str:
    """How often within what time."""
    return translate("%(n)d times within %(s)d s") % {"n": row.times, "s": row.within} if row.times > 1 else translate("at once")


CALENDARS = register(
    Sheet(
        model=models.Calendar,
        title=_("Calendars"),
        path="calendars",
        about=_("When something is expected of a system: its hours of trading, and the days without."),
        columns=("name", Column("days", value=lambda row: ", ".join(str(label) for day, label in DAYS if day in row.days), cell="text", sort=False), "sessions", "zone", Column("used", _("Alarms that follow it"), value=lambda row: row.monitors.count(), cell="number", sort=False)),
        facts=("name", Column("days", value=lambda row: ", ".join(str(label) for day, label in DAYS if day in row.days), cell="text"), "sessions", "zone", "off", "extra", "created"),
        search=("name",),
        fields=CalendarForm.Meta.fields,
        form=CalendarForm,
        order="name",
        nav=Nav("detection", _("Calendars"), order=32, icon="calendar"),
        create=actions.create_calendar,
        change=actions.change_calendar,
        remove=actions.remove_calendar,
        empty=(_("No calendar yet"), _("A calendar says when a system works, so that its silence at night is no alarm."), "/detect/calendars/add/", _("New calendar")),
    )
)

MONITORS = register(
    Sheet(
        model=models.Monitor,
        title=_("Keyword alarms"),
        path="monitors",
        about=_("Words in the logs of a system that are an alarm: how often, within what time, what says that it is over, what is missed when it is not said, and in which hours."),
        columns=(
            "name", Column("standing", _("Now"), value=monitors.standing, cell="badge", choices=STANDINGS, tones=TONES, sort="alarm"), "source", Column("words", _("What is looked for"), value=words, sort=False), Column("counted", _("Alarm"), value=counted, sort=False),
            Column("calendar", _("Calendar"), value=lambda row: str(row.calendar or ""), sort=False), "last", "alive", Column("alarms", cell="number"), Column("severity", cell="severity", shown=False), Column("since", shown=False), Column("host", shown=False), Column("made_by", shown=False), Column("enabled", shown=False),
        ),
        facts=(
            Column("severity", cell="severity"), "source", "host", Column("keywords", cell="list"), Column("every", cell="yesno"), Column("unless", cell="list"), Column("counted", _("Alarm"), value=counted),
            Column("recovery", cell="list"), Column("closes", cell="yesno"), Column("beats", cell="list"), "silence", Column("calendar", _("Calendar"), value=lambda row: str(row.calendar or translate("always"))), "note", "recovered", "hits", "alarms", "made_by", "created",
        ),
        filters=(Filter("alarm", _("Now"), kind="choice", choices=((Why.SAID.value, _("alarm")), (Why.ABSENT.value, _("no sign of life")))), Filter("source", _("Log source"), kind="choice", choices=lambda viewer: [(name, name) for name in lake.source_names(viewer=viewer)]), "severity", "enabled"),
        search=("name", "source", "host"),
        fields=MonitorForm.Meta.fields,
        form=MonitorForm,
        form_template="detect/monitor_form.html",
        order="name",
        poll=10,
        nav=Nav("detection", _("Keyword alarms"), order=31, icon="bell-check"),
        create=actions.create_monitor,
        change=actions.change_monitor,
        remove=actions.remove_monitor,
        verbs=(
            Verb("disable", _("Set out of use"), actions.switch_monitor, permission="detect.monitor.change", bulk=True, icon="player-pause", when=lambda row: row.enabled),
            Verb("enable", _("Put into use"), actions.switch_monitor, permission="detect.monitor.change", bulk=True, icon="player-play", when=lambda row: not row.enabled),
        ),
        template="detect/monitor.html",
        empty=(_("Nothing is listened for yet"), _("Choose words in the logs of a system that are an alarm, or open a log and take it as the example."), "/detect/monitors/add/", _("New keyword alarm")),
    )
)  # fmt: skip


@panel("detect.monitor.main", title=_("Now"), order=5)
def now(request: HttpRequest, row: models.Monitor) -> str:
    """How it stands at this moment."""
    standing = monitors.standing(row)
    return render_to_string("detect/panel_standing.html", {"row": row, "label": STANDINGS[standing], "tone": TONES[standing]}, request)


@panel("detect.monitor.main", title=_("Every time it was an alarm"), order=10)
def story(request: HttpRequest, row: models.Monitor) -> str:
    """When, about what, how long, and what ended it; the newest first."""
    return render_to_string("detect/panel_episodes.html", {"row": row, "episodes": row.episodes.all()[:EPISODES]}, request)


@panel("detect.monitor.main", title=_("As Sigma rules"), order=30, permission="detect.rule.view")
def rules(request: HttpRequest, row: models.Monitor) -> str:
    """The words as the examiners run them."""
    return render_to_string("detect/panel_sigma.html", {"texts": [painted(text.text) for text in wording.texts(row)]}, request)


@page("monitor-try/", name="monitor_try", permission="detect.monitor.view", title=_("Try it"), parent="monitor_list")
def attempt(request: HttpRequest) -> HttpResponse:
    """What the alarm of the form would have done with what is stored; nothing is kept."""
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    form = MonitorForm(request.POST or None, viewer=viewer)
    form.is_valid()
    given = form.cleaned_data if form.is_bound else {}
    context: dict[str, Any] = {}
    try:
        if not given.get("source"):
            raise Invalid(translate("There is nothing to try"), why=translate("No log source is chosen."), todo=translate("Choose one first."))
        row = models.Monitor(**{name: value for name, value in given.items() if name in MonitorForm.Meta.fields and value is not None})
        trial = monitors.tried(row, viewer=viewer)
        levels, masked = lake.levels_of([{"level": line.level, "masked": line.masked} for line in trial.lines])
        lake_actions.touch(Touched.SEARCH, levels, masked=masked, asked=f"source={row.source}", actor=viewer)
        context = {"trial": trial, "lines": [_line(one) for one in trial.lines], "turns": _turns(trial), "counts": [(PARTS[part], PART_TONES[part], number) for part, number in trial.counts.items()], "silence": row.silence}
    except Fault as fault:
        if fault.status in (403, 404):
            raise
        context = {"fault": fault}
    return show(request, "detect/monitor_tried.html", context)


def _line(one: monitors.Line) -> dict[str, Any]:
    return {"time": one.time, "text": one.text[:LONGEST_LINE], "masked": one.masked, "part": PARTS[one.part], "tone": PART_TONES[one.part], "url": reverse("lake:event", kwargs={"event_id": one.event})}


def _turns(trial: monitors.Trial) -> list[dict[str, Any]]:
    return [{"time": turn.time, "what": TURNS[turn.what], "tone": {"begun": "bad", "recovered": "good"}.get(turn.what, "quiet"), "events": len(turn.events)} for turn in trial.turns if turn.what in TURNS][-12:]


@panel("lake.event.main", title=_("Keyword alarm"), order=60, permission="detect.monitor.add")
def from_event(request: HttpRequest, event: Mapping[str, Any]) -> str:
    """A new alarm that takes this log as its example."""
    if event.get("masked") or not event.get("raw"):
        return ""
    raw = str(event["raw"]).strip()
    said = str(event.get("message") or "").strip() or ("" if raw[:1] in ("{", "[", "<") else raw.splitlines()[0])
    asked = {"source": event["source"], "keywords": "\n".join(wording.constant(said)), "every": "on"}
    return render_to_string("detect/panel_alarm_on_this.html", {"url": f"{reverse('detect:monitor_add')}?{urlencode(asked)}"}, request)


@page("monitors/on-template/<uuid:pk>/", name="monitor_on_template", permission="detect.monitor.add", title=_("Alarm on this template"), parent="monitor_list")
def on_template(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The form of a new alarm, filled in so that it is about the lines of one log template."""
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    asked = monitors.proposed(lake.log_template(pk, viewer=viewer), viewer=viewer, missing=bool(request.GET.get("missing")))
    given = {name: "\n".join(value) if isinstance(value, list) else value for name, value in asked.items()}
    return HttpResponseRedirect(f"{reverse('detect:monitor_add')}?{urlencode(given)}")


@panel("lake.log_template.doors", order=10, permission="detect.monitor.add")
def from_template(request: HttpRequest, line: TemplateLine) -> str:
    """Beside a template of the tree; nothing where all of it varies."""
    if not any(wording.said_always(piece) for piece in line.constants):
        return ""
    return render_to_string("detect/door_alarm_on_template.html", {"url": reverse("detect:monitor_on_template", kwargs={"pk": line.id})}, request)


@panel("lake.log_template.main", title=_("Keyword alarm"), order=20, permission="detect.monitor.add")
def from_whole_template(request: HttpRequest, line: TemplateLine) -> str:
    """On the page of a template: an alarm when it is said, or when it is missing."""
    if not any(wording.said_always(piece) for piece in line.constants):
        return ""
    return render_to_string("detect/panel_alarm_on_template.html", {"url": reverse("detect:monitor_on_template", kwargs={"pk": line.id})}, request)
