"""Baselines: the list with how each stands, one with what it knows and found, the form of its numbers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django import forms
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext as translate
from django.utils.translation import gettext_lazy as _

from lianfang.commons.frame.language import chinese
from lianfang.commons.frame.pages import Nav, panel
from lianfang.commons.frame.sheets import Column, Filter, Sheet, SheetForm, Verb, register
from lianfang.engines.series import Kind
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.detect import actions, models, queries
from lianfang.rooms.detect.queries import baselines
from lianfang.rooms.detect.queries.baselines import NUMBERS
from lianfang.rooms.detect.queries.painting import painted

KINDS = {Kind.FIRST_SEEN: _("first seen"), Kind.NEW_PAIR: _("new pair"), Kind.RARITY: _("rarity"), Kind.RATE: _("rate by hour of the week"), Kind.PEER: _("peer group")}
STANDINGS = {"judging": _("judges"), "learning": _("learning"), "waiting": _("no such log comes"), "trouble": _("trouble"), "off": _("switched off")}
TONES = {"judging": "good", "learning": "busy", "waiting": "quiet", "trouble": "bad", "off": "quiet"}
LABELS = {
    "days": (_("Days it looks back"), _("What happened within these days is compared.")),
    "learning": (_("Days of learning"), _("Whoever is judged must have been known for so long.")),
    "weeks": (_("Weeks it needs"), _("So many times the same hour of the week must be known.")),
    "least": (_("At least"), _("Days on which whoever is judged must have been active.")),
    "most": (_("Too varied beyond"), _("Who has more different values than this is not judged.")),
    "share": (_("Rare up to this share"), _("Between 0 and 0.5; 0.02 is one in fifty.")),
    "floor": (_("Worth a word from"), _("Smaller numbers in a day are never told.")),
    "far": (_("Deviations"), _("So many robust deviations from the usual are far.")),
}
HINTS = {
    (Kind.FIRST_SEEN, "days"): _("What was not seen within these days counts as never seen."),
    (Kind.NEW_PAIR, "days"): _("What was not seen within these days counts as never seen."),
    (Kind.RARITY, "least"): _("So many must be there for anything to be rare among them."),
    (Kind.RATE, "least"): _("Smaller numbers in an hour are never told."),
    (Kind.PEER, "least"): _("So many others must be there to compare with."),
}
"""Where a number means something else."""


def meaning(name: str, kind: Kind) -> tuple[Any, Any]:
    """What a number is called, and what it means for this kind."""
    label, hint = LABELS[name]
    return label, HINTS.get((kind, name), hint)


class BaselineForm(SheetForm):
    """The numbers of this kind of baseline, each in a field; empty means as the rule says. The API gives those that differ at once, as ``given``."""

    class Meta:
        model = models.Baseline
        fields = ("given",)

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        if "given" in self.data:
            return
        del self.fields["given"]
        own = baselines.declared(self.instance).spec
        for name in NUMBERS[own.kind]:
            value, (label, hint) = getattr(own, name), meaning(name, own.kind)
            made = forms.FloatField if isinstance(value, float) else forms.IntegerField
            hint = format_html("{}{}{}", hint, "" if chinese() else " ", translate("The rule says %(value)s.") % {"value": value})
            field = self.fields[name] = made(label=label, required=False, help_text=hint, initial=self.instance.given.get(name, value))
            field.widget.attrs.update({"class": "form-control", "aria-describedby": f"id_{name}_help"})


def figure(name: str) -> Callable[[models.Baseline], int | None]:
    """A number about everybody on the node, for who sees the whole of it."""
    return lambda row: int(row.told.get(name, 0)) if row.whole else None  # type: ignore[attr-defined]


def fired(row: models.Baseline) -> int | None:
    """How often its rule fired, likewise."""
    return row.rule.fired if row.whole else None  # type: ignore[attr-defined]


def last_fired(row: models.Baseline) -> datetime | None:
    """When it did last."""
    return row.rule.last_fired if row.whole else None  # type: ignore[attr-defined]


def learned(row: models.Baseline) -> Any:
    """When it judges the first of them."""
    return baselines.learned_at(row)


def counted(row: models.Baseline) -> str:
    """Whose events, by what."""
    tally = baselines.declared(row).tally
    return " → ".join(" + ".join(part) for part in (tally.group, tally.entity, tally.value) if part)


BASELINES = register(
    Sheet(
        model=models.Baseline,
        title=_("Baselines"),
        path="baselines",
        about=_("What is usual for each account, host or process, learned from your own logs. What departs from it becomes an alert that tells its numbers."),
        columns=(
            Column("title", _("Baseline"), value=str, sort="rule__title"),
            Column("kind", cell="badge", choices=KINDS),
            Column("standing", _("Now"), value=baselines.standing, cell="badge", choices=STANDINGS, tones=TONES, sort=False),
            Column("severity", _("Severity"), value=lambda row: row.rule.severity, cell="severity", sort="rule__severity"),
            "since",
            Column("known", _("Entities known"), value=figure("entities"), cell="number", sort=False),
            Column("events", _("Events counted"), value=figure("events"), cell="number", sort=False),
            Column("fired", _("Times fired"), value=fired, cell="number", sort=False),
            "ran",
            Column("counted", _("Counted by"), value=counted, cell="code", sort=False, shown=False),
            Column("last_fired", _("Last fired"), value=last_fired, cell="time", sort=False, shown=False),
        ),
        facts=(
            Column("standing", _("Now"), value=baselines.standing, cell="badge", choices=STANDINGS, tones=TONES),
            Column("kind", cell="badge", choices=KINDS),
            Column("severity", _("Severity"), value=lambda row: row.rule.severity, cell="severity"),
            Column("counted", _("Counted by"), value=counted, cell="code"),
            "since", Column("learned", _("Judges the first from"), value=learned, cell="time"), "ran",
            Column("known", _("Entities known"), value=figure("entities"), cell="number"),
            Column("events", _("Events counted"), value=figure("events"), cell="number"),
            Column("bytes", _("Memory"), value=figure("bytes"), cell="bytes"),
            Column("shed", _("Let go for want of memory"), value=figure("shed"), cell="number"),
            "trouble",
            Column("rule", _("Rule"), value=lambda row: row.rule.uid, cell="code", link=lambda row: reverse("detect:rule", kwargs={"pk": row.rule_id})),
        ),
        filters=(Filter("kind", _("Kind"), kind="choice", choices=tuple(KINDS.items())), Filter("rule__enabled", _("Switched on"), kind="boolean")),
        search=("rule__title", "rule__title_zh"),
        fields=BaselineForm.Meta.fields,
        form=BaselineForm,
        order="rule__path",
        nav=Nav("detection", _("Baselines"), order=41, icon="chart-line"),
        rows=baselines.rows,
        create=False,
        change=actions.change_baseline,
        remove=False,
        verbs=(
            Verb("enable", _("Switch the rule on"), actions.enable_baseline, permission="detect.rule.switch", bulk=True, icon="player-play", when=lambda row: not row.rule.enabled),
            Verb("disable", _("Switch the rule off"), actions.disable_baseline, permission="detect.rule.switch", bulk=True, icon="player-pause", danger=True, when=lambda row: row.rule.enabled),
            Verb("relearn", _("Learn anew"), actions.relearn_baseline, permission="detect.baseline.change", icon="refresh", confirm=_("What it knows is forgotten, and learned again from the stored logs.")),
        ),
        template="detect/rule.html",
        empty=(_("No baselines are installed"), _("Install a pack; baselines come with the node."), "/detect/packs/", _("Rule packs")),
    )
)  # fmt: skip


@panel("detect.baseline.main", order=10)
def about(request: HttpRequest, row: models.Baseline) -> str:
    """What it is for, and where it is known to be wrong."""
    return render_to_string("detect/panel_about.html", {"about": row.rule.about, "false": row.rule.known_false, "references": [], "problem": row.trouble}, request)


@panel("detect.baseline.main", title=_("Its numbers"), order=20)
def numbers(request: HttpRequest, row: models.Baseline) -> str:
    """By what it judges here, and what the rule says where that differs."""
    own, here = baselines.declared(row).spec, baselines.spec_of(row)
    lines = [{"label": label, "hint": hint, "value": getattr(here, name), "own": getattr(own, name) if name in row.given else None} for name in NUMBERS[own.kind] for label, hint in (meaning(name, own.kind),)]
    return render_to_string("detect/panel_numbers.html", {"lines": lines, "unfit": baselines.unfit(row)}, request)


@panel("detect.baseline.main", title=_("Events it fired on, per day"), order=30)
def firing(request: HttpRequest, row: models.Baseline) -> str:
    """A fortnight of firing, of what this viewer may see."""
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    days = queries.firing(row.rule.uid, viewer)
    if not any(number for _day, number in days):
        return format_html('<p class="quiet">{}</p>', translate("Nothing in the last 14 days."))
    bars = {"name": translate("events"), "type": "bar", "data": [number for _day, number in days]}
    spec = {"animation": False, "xAxis": {"type": "category", "data": [f"{day:%m-%d}" for day, _number in days]}, "yAxis": {"type": "value", "minInterval": 1, "splitNumber": 2}, "series": [bars]}
    return render_to_string("detect/panel_chart.html", {"chart": spec, "label": translate("Events per day")}, request)


@panel("detect.baseline.main", title=_("Logic"), order=40, permission="detect.rule.view")
def logic(request: HttpRequest, row: models.Baseline) -> str:
    """The baseline as its author wrote it."""
    return format_html('<pre class="sigma" tabindex="0">{}</pre>', painted(row.rule.text))
