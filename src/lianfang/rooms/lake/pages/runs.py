"""Runs of sources that the node reads by itself: the list of all, one of them, and on a source's page its history and what it cleanses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.formats import date_format
from django.utils.translation import gettext, ngettext, pgettext
from django.utils.translation import gettext_lazy as _

from lianfang.commons.frame import sheets
from lianfang.commons.frame.pages import Nav, panel, said
from lianfang.commons.frame.sheets import Column, Filter, Sheet
from lianfang.engines.connect.template import Step, Template
from lianfang.kernel import clock
from lianfang.kernel.errors import Fault
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.lake import models, queries
from lianfang.rooms.lake.actions.preparing import CHARACTERS, CLOCK, NO_VALUE
from lianfang.rooms.lake.actions.pulling import EVERY, due
from lianfang.rooms.lake.models.runs import OTHER, RunState
from lianfang.rooms.lake.pages.asking import title
from lianfang.rooms.lake.pages.sources import lines_said
from lianfang.rooms.lake.types import READ_BY_US, Codec, Kind

TONES = {RunState.RUNNING: "busy", RunState.DONE: "good", RunState.FAILED: "bad", RunState.BROKEN: "warn", RunState.STOPPED: "quiet"}
SHOWN = 8
MOST_STEPS = 40
PARSED: dict[str, Any] = {
    "int": _("whole number, decimal or 0x"), "ip": _("IP address in its shortest form"), "domain": _("domain in small letters"), "hash": _("hash, by its length"), "url": _("URL"), "url_host": _("host of a URL"),
    "host": _("host name, trimmed"), "lower": _("small letters"), "upper": _("capital letters"), "time": _("time → UTC"), "local_time": _("time of the source's zone → UTC"),
}  # fmt: skip
"""How ``parse`` of a template turns a text into a value, in words."""


def took(row: models.Run) -> str:
    """How long a run took; nothing where it stands for several looks."""
    seconds = row.seconds
    if row.looks > 1:
        return "–"
    return gettext("%.1f s") % seconds if seconds < 60 else gettext("%(minutes)d min %(seconds)d s") % {"minutes": seconds // 60, "seconds": seconds % 60}


def counted(reasons: Mapping[str, int], word: Any) -> str:
    """Reasons with their counts, in one line."""
    return gettext("; ").join(f"{word(name)}: {count:,}" for name, count in reasons.items())


def correction(name: str) -> str:
    """What was corrected, in words."""
    if name.startswith(NO_VALUE):
        return gettext("“%(name)s” held no such value; kept as text among the unmapped") % {"name": name.removeprefix(NO_VALUE)}
    return {CHARACTERS: gettext("characters outside the character set, made visible as �"), CLOCK: gettext("time that cannot be right, replaced by the time of receipt"), OTHER: gettext("other reasons")}.get(name, name)


def refusal(name: str) -> str:
    """Why a record was rejected, in words."""
    return gettext("other reasons") if name == OTHER else str(said(name))


sheets.register(
    Sheet(
        model=models.Run,
        title=_("Collection runs"),
        path="runs",
        columns=(
            Column("source__name", _("log source")), Column("state", tones=TONES), "began", Column("took", _("Took"), value=took, plain=lambda row: row.seconds), "read", "stored", "rejected", "known", Column("bytes", cell="bytes"),
            Column("last", cell="code"), Column("first", cell="code", shown=False), Column("looks", shown=False), Column("resumed", shown=False), Column("ended", shown=False), Column("error", value=lambda row: lines_said(row.error), plain=lambda row: row.error, shown=False),
            Column("corrected", value=lambda row: counted(row.corrected, correction), plain=lambda row: row.corrected, shown=False, sort=False), Column("refused", value=lambda row: counted(row.refused, refusal), plain=lambda row: row.refused, shown=False, sort=False),
        ),
        facts=(
            Column("source__name", _("log source"), link=lambda row: reverse("lake:source", kwargs={"pk": row.source_id})), Column("state", tones=TONES), "began", "ended", Column("took", _("Took"), value=took), "looks", "resumed", Column("first", cell="code"), Column("last", cell="code"),
            "read", "known", "stored", "rejected", Column("bytes", cell="bytes"),
        ),
        filters=(Filter("source", _("log source")), "state", "began", "resumed", Filter("stored", kind="number"), Filter("rejected", kind="number")),
        search=("source__name", "error"),
        order="-began",
        nav=Nav("logs", _("Collection runs"), order=21, icon="history", group="sources"),
        found=False,
        poll=10,
        about=_("Each time the node read a database table, an HTTP address or a watched folder: from where to where, what came of it, and what went wrong. Kept for 90 days."),
        empty=(_("Nothing was read yet"), _("Make a log source of the kind database table, HTTP address or watched folder; its runs stand here."), "", ""),
    )
)  # fmt: skip


@panel("lake.run.main", title=_("What came of it"), order=10)
def outcome(request: HttpRequest, row: models.Run) -> str:
    """The error with what to do, what was corrected and why records were rejected."""
    context = {"row": row, "error": lines_said(row.error), "corrected": [(correction(name), count) for name, count in row.corrected.items()], "refused": [(refusal(name), count) for name, count in row.refused.items()], "rejects": f"{reverse('lake:rejects')}?source={row.source.name}"}
    return render_to_string("lake/part_run.html", context, request=request)


@panel("lake.source.main", title=_("Collection runs"), order=12, permission="lake.run.view")
def runs_of(request: HttpRequest, row: models.Source) -> str:
    """When it is read, the chart of its runs, and the newest of them."""
    if row.kind not in READ_BY_US:
        return ""
    found = list(row.runs.order_by("-began", "-id")[:SHOWN])
    sums = _sums(row)
    lines = [{"run": one, "tone": TONES[RunState(one.state)], "took": took(one), "error": lines_said(one.error)} for one in found]
    context = {"row": row, "lines": lines, "sums": sums, "chart": chart_of(sums), "schedule": schedule(row, found[0] if found else None), "all": f"{reverse('lake:run_list')}?source={row.pk}"}
    return render_to_string("lake/part_runs.html", context, request=request)


def _sums(row: models.Source) -> queries.History:
    """The history of a source, for which two panels of its page ask."""
    if "sums" not in vars(row):
        row.sums = queries.history(row)
    found: queries.History = row.sums
    return found


def schedule(row: models.Source, last: models.Run | None) -> dict[str, Any]:
    """When a source is read: in words, and its next time where there is one."""
    if row.kind == Kind.FOLDER:
        return {"said": gettext("Looked at every second.")}
    if not row.enabled:
        return {"said": gettext("Paused; it is not read.")}
    every = row.every or EVERY
    words = gettext("Read daily at %(times)s.") % {"times": row.times} if row.times else ngettext("Read every second.", "Read every %(number)d seconds.", every) % {"number": every}
    return {"said": words, "next": max(due(row, last), clock.now())}


def chart_of(sums: queries.History) -> dict[str, Any] | None:
    """Records by hour or day, by what came of them; nothing while there were none."""
    if not any(map(any, sums.spans.values())):
        return None
    names = [date_format(at, "m-d H:i" if hasattr(at, "hour") else "Y-m-d") for at in sums.spans]
    labels = (pgettext("run", "stored"), pgettext("run", "rejected"), pgettext("run", "known already"))
    series = [{"type": "bar", "stack": "records", "name": label, "data": [span[place] for span in sums.spans.values()], "barMaxWidth": 36} for place, label in enumerate(labels)]
    return {"animation": False, "tooltip": {"trigger": "axis"}, "legend": {}, "xAxis": {"type": "category", "data": names}, "yAxis": {"type": "value", "minInterval": 1, "splitNumber": 3}, "series": series}


# ---- what it cleanses ------------------------------------------------------------------------------------------


@panel("lake.source.main", title=_("What is cleansed"), order=14, permission="lake.run.view")
def cleansing(request: HttpRequest, row: models.Source) -> str:
    """What the settings and the mapping of a source do to its records, and how many it met."""
    if row.kind not in READ_BY_US:
        return ""
    sums = _sums(row)
    context = {
        "row": row, "always": always(row), "steps": steps(row, request.viewer), "named": row.template, "known": sums.known,  # type: ignore[attr-defined]
        "corrected": [(correction(name), count) for name, count in sums.corrected.items()], "refused": [(refusal(name), count) for name, count in sums.refused.items()], "rejects": f"{reverse('lake:rejects')}?source={row.name}",
    }  # fmt: skip
    return render_to_string("lake/part_cleansing.html", context, request=request)


def always(row: models.Source) -> list[str]:
    """What its settings do to every record."""
    doubles = {
        Kind.DATABASE: gettext("Rows that were read before are known by fingerprint and left out; rows that are alike but stand twice in the table are both kept."),
        Kind.POLL: gettext("Records of the last look are known by fingerprint and left out."),
        Kind.FOLDER: gettext("Each part of a file is stored once, also when the file is renamed or packed away by rotation; a file with the same content under another name is read again."),
    }
    lines = [gettext("Bytes are read as %(name)s; what does not fit becomes visible as �.") % {"name": row.get_encoding_display()}]
    if row.codec in (Codec.LINES, Codec.AUDITD, Codec.WINXML):
        lines.append(gettext("Lines of one event are joined; a record begins with %(pattern)s.") % {"pattern": row.start} if row.start else gettext("Lines of one event are joined."))
    lines.append(gettext("“-” and nothing are no value; times without a zone are read in %(zone)s and stored in UTC; a time before 2000 or more than a day ahead is replaced by the time of receipt.") % {"zone": row.zone})
    lines.append(str(doubles[Kind(row.kind)]))
    lines.append(gettext("Records that no longer fit what is usual are held back among the rejects.") if row.hold else gettext("Records that no longer fit what is usual are stored in part; the page says so."))
    return lines


def steps(row: models.Source, viewer: Viewer) -> list[tuple[str, str, str]]:
    """Each line of the mapping that it names: fields, attribute, what is done with the text."""
    found = _template(row, viewer)
    if found is None:
        return []
    lines = [*found.steps, *(step for case in found.cases for step in case.steps)]
    return [(gettext(", ").join(step.fields), gettext(", ").join(map(title, step.targets)), done_to(step)) for step in dict.fromkeys(lines)][:MOST_STEPS]


def _template(row: models.Source, viewer: Viewer) -> Template | None:
    if not row.template:
        return None
    shipped = next((one for one in queries.shipped() if one.name == row.template), None)
    try:
        return shipped or queries.compiled(queries.mapping_text(row.template, viewer=viewer))
    except Fault:
        return None


def done_to(step: Step) -> str:
    """What a line of a mapping does with a text, in words."""
    words = []
    if step.split is not None:
        words.append(gettext("parted at “%(mark)s”, trimmed") % {"mark": step.split})
    if step.take is not None:
        words.append(gettext("one part taken"))
    if step.regex:
        words.append(gettext("taken apart by a pattern"))
    if step.table:
        words.append(ngettext("code list of %d entry", "code list of %d entries", len(step.table)) % len(step.table))
    words += [str(PARSED[name]) for name in dict.fromkeys(step.parse) if name in PARSED]
    return gettext("; ").join(words) or gettext("as it is")
