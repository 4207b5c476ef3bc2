"""Rules of quality: declared by a form that asks only what the kind needs, one with its score and trend, and the rows that fail it."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.urls import reverse, reverse_lazy
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from lianfang.commons.frame import sheets
from lianfang.commons.frame.pages import Nav, page, panel, show
from lianfang.commons.frame.sheets import Column, Filter, Sheet, SheetForm, Verb
from lianfang.commons.frame.sheets.exchange import defused
from lianfang.engines.masking import To
from lianfang.engines.schema.events import BY_NAME, COLUMNS
from lianfang.engines.schema.events import Kind as ColumnKind
from lianfang.kernel import clock
from lianfang.kernel.errors import Missing, Refused
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.lake import actions as lake_actions
from lianfang.rooms.lake import queries as lake
from lianfang.rooms.lake.types import FAMILIES, Question, Touched
from lianfang.rooms.standards import actions, models, queries
from lianfang.rooms.standards.pages import charts
from lianfang.rooms.standards.pages.fields import Lines
from lianfang.rooms.standards.pages.overview import SPANS, shown, tone_of
from lianfang.rooms.standards.types import WORD_OF, Kind, Standing, Word

TONES = {Standing.KEPT: "good", Standing.BELOW: "bad", Standing.UNKNOWN: "quiet", Standing.NOTHING: "quiet"}
SHOWN, TAKEN = 50, 10_000
OF_KIND: dict[str, frozenset[str]] = {
    "column": frozenset(Kind) - {Kind.FRESH, Kind.SOURCES}, "other": frozenset({Kind.TOGETHER, Kind.SAME, Kind.ORDER, Kind.MEMBER}), "pattern": frozenset({Kind.FORMAT}), "codes": frozenset({Kind.CODES}),
    "least": frozenset({Kind.LENGTH, Kind.RANGE}), "greatest": frozenset({Kind.LENGTH, Kind.RANGE}), "seconds": frozenset({Kind.DELAY, Kind.FRESH}),
    "when": frozenset(Kind) - {Kind.FRESH, Kind.SOURCES, Kind.TOGETHER}, "value": frozenset(Kind) - {Kind.FRESH, Kind.SOURCES, Kind.TOGETHER},
}  # fmt: skip
"""Fields that only some kinds have."""
COLUMNS_OF: dict[str, tuple[str, ...]] = {Kind.RANGE: (ColumnKind.INT,), Kind.DELAY: (ColumnKind.TIME,), Kind.ORDER: (ColumnKind.TIME, ColumnKind.INT), Kind.MEMBER: (ColumnKind.TEXT,), Kind.FORMAT: (ColumnKind.TEXT, ColumnKind.LIST, ColumnKind.INT), Kind.LENGTH: (ColumnKind.TEXT, ColumnKind.LIST)}
OTHERS_OF: dict[str, tuple[str, ...]] = {Kind.ORDER: (ColumnKind.TIME, ColumnKind.INT), Kind.MEMBER: (ColumnKind.LIST,)}


def choices(kinds: tuple[str, ...] = ()) -> list[tuple[str, str]]:
    """Columns of these kinds, by title and name."""
    return [("", "—"), *((column.name, f"{queries.title(column)}（{column.name}）") for column in COLUMNS if not kinds or column.kind in kinds)]


class RuleForm(SheetForm):
    """What is asked comes first; the other fields follow from it."""

    kind = forms.ChoiceField(label=_("What is asked"))
    column = forms.ChoiceField(label=_("Column"), required=False)
    other = forms.ChoiceField(label=_("Other column"), required=False)
    when = forms.ChoiceField(label=_("Only where this column is filled"), required=False)
    codes = Lines(label=_("Allowed values"), required=False, help_text=_("One on each line."))

    class Meta:
        model = models.Rule
        fields = ("kind", "name", "table", "column", "other", "pattern", "codes", "least", "greatest", "seconds", "when", "value", "weight", "threshold", "window", "enabled")

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        kind = str(self.data.get("kind") or self.initial.get("kind") or Kind.FILLED)
        self.fields["kind"].choices = [(label, [(each.value, each.label) for each in Kind if WORD_OF[each] == word]) for word, label in Word.choices]  # type: ignore[attr-defined]
        self.fields["column"].choices = choices(COLUMNS_OF.get(kind, ()))  # type: ignore[attr-defined]
        self.fields["other"].choices = choices(OTHERS_OF.get(kind, ()))  # type: ignore[attr-defined]
        self.fields["when"].choices = choices()  # type: ignore[attr-defined]
        for name, kinds in OF_KIND.items():
            if kind not in kinds and not self.data.get(name):
                del self.fields[name]
            elif name == "column":
                self.fields[name].required = True
        if not self.instance._state.adding and self.instance.use_id:
            for name in set(self.fields) - {"weight", "threshold", "window", "enabled"}:
                self.fields[name].disabled = True
        self.fields["kind"].widget.attrs |= {"hx-get": ".", "hx-trigger": "change", "hx-include": "#id_name, #id_table", "hx-target": "closest form", "hx-select": "form.form-card", "hx-swap": "outerHTML"}


def table_of(row: models.Rule) -> str:
    """The table by its name, or all."""
    return str(FAMILIES[row.table]) if row.table else gettext("all tables")


def score_of(row: models.Rule) -> str:
    """In per cent."""
    return f"{shown(row.score)} %" if row.score is not None else ""


def asked_of(row: models.Rule) -> str:
    """What the rule asks, as a sentence of its parameters."""
    bounds = "–".join("" if bound is None else f"{bound:g}" for bound in (row.least, row.greatest)) if row.least is not None or row.greatest is not None else ""
    codes = ", ".join(map(str, row.codes[:8])) + (" …" if len(row.codes) > 8 else "")
    parts = (row.column, f"→ {row.other}" if row.other else "", row.pattern, codes, f"[{bounds}]" if bounds else "", f"≤ {row.seconds} s" if row.seconds is not None else "", f"({row.when}{f' = {row.value}' if row.value else ''})" if row.when else "")
    return " ".join(part for part in parts if part)


RULES = sheets.register(
    Sheet(
        model=models.Rule,
        title=_("Quality rules"),
        about=_("What is asked of every row. A rule that falls below its threshold is told to its owner once, and again when it recovers."),
        columns=(
            "name", Column("word", cell="badge"), "kind", Column("table", _("Event table"), value=table_of, sort="table", plain=lambda row: row.table), Column("score", value=score_of, sort="score", plain=lambda row: row.score), Column("threshold", cell="number"),
            Column("standing", cell="badge", tones=TONES), Column("applied", shown=False), "failed", Column("weight", shown=False), Column("enabled"), Column("measured", shown=False), Column("below_since", shown=False), Column("declared_by", shown=False),
            Column("asked_of", _("What is asked, exactly"), value=asked_of, cell="code", sort=False, shown=False),
        ),
        facts=("kind", Column("asked_of", _("What is asked, exactly"), value=asked_of, cell="code"), Column("table", _("Event table"), value=table_of), "word", "weight", "threshold", "window", "enabled", "declared_by", "created"),
        filters=("word", "standing", Filter("table", _("Event table")), "kind", "enabled"),
        search=("name", "column"),
        fields=RuleForm.Meta.fields,
        form=RuleForm,
        order="name",
        nav=Nav("governance", _("Quality rules"), order=31, icon="ruler-2", group="quality"),
        create=actions.create_rule,
        change=actions.change_rule,
        remove=actions.remove_rule,
        verbs=(
            Verb("disable", _("Set out of use"), actions.switch_rule, permission="standards.rule.change", bulk=True, icon="player-pause", when=lambda row: row.enabled),
            Verb("enable", _("Put into use"), actions.switch_rule, permission="standards.rule.change", bulk=True, icon="player-play", when=lambda row: not row.enabled),
        ),
        template="standards/rule.html",
        empty=(_("Nothing is asked of the data yet"), _("Confirm which columns follow which element, make the basic rules on the page of data quality, or declare one."), reverse_lazy("standards:quality"), _("Data quality")),
    )
)  # fmt: skip


@panel("standards.rule.main", title=_("How it is kept"), order=10)
def kept(request: HttpRequest, row: models.Rule) -> str:
    """The score of the last measuring, and how it went."""
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    span = request.GET.get("span", "7d")
    span = span if span in dict(SPANS) else "7d"
    chart = charts.lines(queries.trend_of_rule(row, viewer=viewer, span=span))
    context = {"row": row, "score": score_of(row), "tone": tone_of(row.score), "chart": chart, "spans": SPANS, "span": span, "failing": reverse("standards:failing", kwargs={"pk": row.pk}) if viewer.may("lake.event.view") else "", "standing": TONES[row.standing]}
    return render_to_string("standards/part_rule.html", context, request=request)


@page("rule/<uuid:pk>/failing/", name="failing", permission="standards.rule.view", title=_("Rows that fail"), parent="rule")
def failing(request: HttpRequest, pk: Any) -> HttpResponse:
    """The rows within the rule's window that fail it, newest first, as far as this viewer may see them; as CSV with ``?format=csv``."""
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    row = models.Rule.objects.fetch(pk, viewer)
    crumbs = [(RULES.title, reverse("standards:rule_list")), (str(row), reverse("standards:rule", kwargs={"pk": row.pk}))]
    now = clock.now()
    since = queries.begin_of(row, now)
    if row.kind == Kind.SOURCES:
        gaps = [{"table": FAMILIES[table], "gap": gap} for table in row.tables for gap in lake.coverage(table, since=since, until=now, viewer=viewer).gaps][:500]
        return show(request, "standards/failing.html", {"row": row, "gaps": gaps, "since": since}, crumbs=crumbs)
    check = row.asked
    if check is None:
        raise Missing("This rule is about a whole table", why="It asks whether something new has come lately.", todo="Look at the sources of the table.")
    names = check.columns()
    if request.GET.get("format") == "csv":
        return _taken(row, Question(since, now + queries.AHEAD, tables=row.tables, check=check, limit=500), names, viewer)
    found = lake.search(Question(since, now + queries.AHEAD, tables=row.tables, check=check, limit=SHOWN, after=request.GET.get("after", "")), viewer=viewer)
    titles = [{"name": name, "title": queries.title(BY_NAME[name])} for name in names]
    lines = [{"event": event, "cells": [event.get(name) for name in names]} for event in found.events]
    return show(request, "standards/failing.html", {"row": row, "titles": titles, "lines": lines, "more": found.more, "since": since, "may_export": viewer.may("standards.rule.export") and viewer.may("lake.event.export")}, crumbs=crumbs)


def _taken(row: models.Rule, question: Question, names: tuple[str, ...], viewer: Viewer) -> HttpResponse:
    """At most ``TAKEN`` failing rows as a file; on record."""
    viewer.must("standards.rule.export")
    viewer.must("lake.event.export")
    rows = list(_all(question, viewer))
    levels, veiled = lake.levels_of(rows)
    if any(level >= lake.approving(viewer) for level in levels):
        raise Refused("These rows leave only with approval", why="Some of them are of a level that a second person has to release.", todo="Ask for them on the page “log search”.")
    lake_actions.touch(Touched.EXPORT, levels, masked=veiled, asked=row.name, actor=viewer)
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["event_id", "time", "source", "host", *names])
    for event in rows:
        writer.writerow([defused(_cell(event.get(name))) for name in ("event_id", "time", "source", "host", *names)])
    lake_actions.note_export(f"{row.name}: {gettext('Rows that fail')}", actor=viewer)
    answer = HttpResponse(text.getvalue().encode("utf-8-sig"), content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="failing-{clock.now():%Y%m%d-%H%M%S}.csv"'
    return answer


def _all(question: Question, viewer: Viewer) -> Any:
    taken, after = 0, ""
    while taken < TAKEN:
        found = lake.search(replace(question, after=after), viewer=viewer)
        yield from lake.left(list(found.events), To.EXPORT, viewer)
        taken, after = taken + len(found.events), found.more
        if not after:
            return


def _cell(value: Any) -> Any:
    return "; ".join(map(str, value)) if isinstance(value, list) else clock.text(value) if hasattr(value, "tzinfo") else "" if value is None else value
