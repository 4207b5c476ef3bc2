"""Data sets and their versions: the question, the copies, what each holds, how a program reads it, taking it away."""

from __future__ import annotations

import re
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.db.models import Count, Max, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse, StreamingHttpResponse
from django.template.loader import render_to_string
from django.urls import reverse, reverse_lazy
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from lianfang.commons.frame import sheets
from lianfang.commons.frame.language import either, listed
from lianfang.commons.frame.pages import page, panel, show
from lianfang.commons.frame.sheets import Column, Filter, Sheet, SheetForm, Verb
from lianfang.commons.people import queries as people
from lianfang.engines.masking import To
from lianfang.engines.schema.events import BY_NAME, COLUMNS
from lianfang.kernel.errors import Fault
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.lake import queries as lake
from lianfang.rooms.lake.types import FAMILIES
from lianfang.rooms.lake.types import Filter as Condition
from lianfang.rooms.learning import actions, models, queries
from lianfang.rooms.learning.pages.overview import LEVEL_TONES, MADE_TONES, MODEL_TONES, how_far
from lianfang.rooms.learning.types import PERIODS, Made, Origin, Period, Stand

CHOOSABLE = [column for column in COLUMNS if column.name not in ("territory", "industry", "event_day")]
SHOWN = 30


class Lines(forms.CharField):
    """Conditions, one on each line; what was copied from the search page's address is taken as well."""

    widget = forms.Textarea(attrs={"rows": 4, "class": "form-control mono", "spellcheck": "false"})

    def clean(self, value: Any) -> list[str]:
        text = "\n".join(map(str, value)) if isinstance(value, list) else value
        return [line.strip() for line in re.split(r"\n", str(super().clean(text))) if line.strip()]

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(map(str, value)) if isinstance(value, list) else value


class Chosen(forms.MultipleChoiceField):
    """Several of a list, as boxes to tick."""

    widget = forms.CheckboxSelectMultiple


class DataSetForm(SheetForm):
    """The question as boxes and lines."""

    tables = Chosen(label=_("event tables"), required=False, choices=list(FAMILIES.items()), help_text=_("None chosen: all."))
    filters = Lines(label=_("conditions"), required=False, help_text=_("One on each line, as the search page writes them: column:operator:value."))
    columns = Chosen(label=pgettext_lazy("data set", "columns"), required=False, help_text=_("None chosen: those of the list of events."))

    class Meta:
        model = models.DataSet
        fields = ("name", "purpose", "origin", "tables", "filters", "words", "columns", "period", "since", "until", "pace")
        widgets = {name: forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M") for name in ("since", "until")}

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.fields["columns"].choices = [(column.name, either(column.zh, column.en)) for column in CHOOSABLE]  # type: ignore[attr-defined]


def rows_of(viewer: Viewer) -> QuerySet[models.DataSet]:
    """Data sets with how many versions can be read, and what they hold at most."""
    ready = Q(versions__state=Made.READY)
    return models.DataSet.objects.seen_by(viewer).annotate(kept=Count("versions", filter=ready), last=Max("versions__made", filter=ready), level=Max("versions__level", filter=ready))


def asked_of(row: models.DataSet) -> str:
    """The question as a sentence."""
    if row.origin == Origin.LESSONS:
        return str(row.get_origin_display())
    parts = [listed(str(FAMILIES.get(table, table)) for table in row.tables) or gettext("all event tables"), *(said(text) for text in row.filters), *([f"“{row.words}”"] if row.words else [])]
    return " · ".join([*parts, str(row.get_period_display())])


def level_of(row: models.DataSet) -> str:
    """The highest level of the versions that can be read; nothing while there is none."""
    level = getattr(row, "level", None)
    return f"L{level}" if level else ""


def said(text: str) -> str:
    """A condition by the column's name."""
    one = Condition.of(text)
    column = BY_NAME.get(one.column)
    return f"{either(column.zh, column.en) if column else one.column} {gettext(OPERATORS.get(one.op, one.op))} {one.value}".strip()


OPERATORS = {"is": "is", "is_not": "is not", "contains": "contains", "starts": "begins with", "any_of": "is one of", "above": "is above", "below": "is below", "empty": "is empty", "filled": "is filled"}
"""As the lake's search page says them, whose catalogue translates them."""

SETS = sheets.register(
    Sheet(
        model=models.DataSet,
        path="sets",
        parent="overview",
        about=_("A data set is a question over the lake with a name and a purpose. Each version is a copy of what it found, never changes, and is kept as long as its level says."),
        columns=(
            "name", Column("asked", _("Question"), value=asked_of, cell="text", sort=False), Column("kept", _("Versions"), cell="number", sort=False), Column("last", _("Newest"), cell="time", sort=False),
            Column("level", _("Level"), value=level_of, cell="text", sort=False), "pace", Column("purpose", shown=False), Column("due", shown=False), Column("declared_by", shown=False), Column("origin", shown=False),
        ),
        facts=(Column("owner", _("Organisation"), value=lambda row: people.name_of(row.organisation)), "purpose", Column("asked", _("Question"), value=asked_of, cell="text"), Column("columns", value=lambda row: listed(_titles(row)), cell="text"), "pace", "due", Column("highest", _("Highest level of its versions"), value=level_of, cell="text"), "declared_by", "created"),
        filters=("origin", "pace"),
        search=("name", "purpose"),
        fields=DataSetForm.Meta.fields,
        form=DataSetForm,
        rows=rows_of,
        order="name",
        importable=False,
        create=actions.create_set,
        change=actions.change_set,
        remove=actions.remove_set,
        verbs=(Verb("make", _("Make a version"), actions.ask_version, permission="learning.version.add", icon="stack-2"),),
        form_template="learning/set_form.html",
        template="learning/set.html",
        empty=(_("There is no data set yet"), _("Ask in the log search, then keep the question as a data set; or write one here."), reverse_lazy("learning:dataset_add"), _("New data set")),
    )
)


def _titles(row: models.DataSet) -> list[str]:
    return [either(BY_NAME[name].zh, BY_NAME[name].en) for name in row.columns if name in BY_NAME]


@panel("learning.dataset.main", title=_("Versions"), order=10)
def versions_panel(request: HttpRequest, row: models.DataSet) -> str:
    """The copies, newest first, with how far the one is that is being made."""
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    rows = models.Version.objects.seen_by(viewer).filter(dataset=row).order_by("-number")[:SHOWN]
    lines = [{"row": one, "tone": MADE_TONES[Made(one.state)], "work": how_far(one.job) if one.state == Made.WAITING else None} for one in rows]
    return render_to_string("learning/part_versions.html", {"row": row, "lines": lines, "moving": any(line["row"].state == Made.WAITING for line in lines), "may_make": viewer.may("learning.version.add")}, request=request)


@page("sets/<uuid:pk>/versions/", name="versions_part", permission="learning.version.view", title=_("Versions"), parent="dataset_list")
def versions_part(request: HttpRequest, pk: Any) -> HttpResponse:
    """The same, for the page that waits."""
    return HttpResponse(versions_panel(request, models.DataSet.objects.fetch(pk, request.viewer)))  # type: ignore[attr-defined]


@panel("learning.dataset.side", title=_("Models taught with it"), order=10, permission="learning.model.view")
def taught_panel(request: HttpRequest, row: models.DataSet) -> str:
    """The models that came of it, and the trainings that use it."""
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    rows = models.Model.objects.seen_by(viewer).filter(taught__dataset=row).order_by("-proposed", "-id")[:8]
    return render_to_string("learning/part_taught.html", {"lines": [{"row": one, "tone": MODEL_TONES[Stand(one.state)]} for one in rows], "trainings": models.Training.objects.seen_by(viewer).filter(dataset=row)}, request=request)


# ---- versions --------------------------------------------------------------------------------------------------

VERSIONS = sheets.register(
    Sheet(
        model=models.Version,
        path="versions",
        parent="overview",
        columns=(
            Column("label", _("Version"), value=str, sort=False), Column("state", tones=MADE_TONES), "rows", Column("bytes", cell="bytes"), Column("level", cell="badge", tones=LEVEL_TONES), "since", "until", "made", "asked_by", Column("expires", cell="day"),
            Column("digest", cell="code", shown=False), Column("number", shown=False), Column("dataset", shown=False, value=lambda one: str(one.dataset_id), plain=lambda one: str(one.dataset_id), sort=False), Column("why", shown=False),
        ),
        facts=(Column("state", tones=MADE_TONES), "rows", Column("bytes", cell="bytes"), Column("level", cell="badge", tones=LEVEL_TONES), "since", "until", "made", "asked_by", Column("expires", cell="day"), "removed", "why", Column("digest", cell="code")),
        filters=("state", "level", Filter("dataset", _("Data set")), "made"),
        rows=lambda viewer: models.Version.objects.seen_by(viewer).select_related("dataset"),
        order="-moment",
        found=False,
        verbs=(Verb("drop", _("Remove the copy"), actions.remove_version, permission="learning.version.delete", icon="trash", danger=True, confirm=_("The copy is gone for good; its record stays. Remove it?"), when=lambda row: row.state != Made.REMOVED),),
        template="learning/version.html",
    )
)


@panel("learning.version.main", title=_("Columns"), order=10)
def columns_panel(request: HttpRequest, row: models.Version) -> str:
    """What it holds, column by column, and which state of which table it was read from."""
    lines = [{**column, "title": either(BY_NAME[column["name"]].zh, BY_NAME[column["name"]].en) if column["name"] in BY_NAME and row.dataset.origin == Origin.EVENTS else "", "tone": LEVEL_TONES.get(column["level"] or 1), "level_said": f"L{column['level']}", "share": round(100 * column["filled"] / row.rows) if row.rows else 0} for column in row.columns]
    tables = [{"name": name, "label": FAMILIES.get(name, name), "version": number} for name, number in row.tables.items()]
    return render_to_string("learning/part_columns.html", {"row": row, "lines": lines, "tables": tables}, request=request)


@panel("learning.version.main", title=_("Reading it in Python"), order=20)
def snippet_panel(request: HttpRequest, row: models.Version) -> str:
    """Lines to copy: pyarrow, pandas, torch."""
    address = f"{settings.PUBLIC_URL.rstrip('/')}/api/learning/versions/{row.pk}/rows" if getattr(settings, "PUBLIC_URL", "") else request.build_absolute_uri(f"/api/learning/versions/{row.pk}/rows")
    return render_to_string("learning/part_snippet.html", {"code": snippet(address, row)}) if row.ready else ""


def snippet(address: str, row: models.Version) -> str:
    """A program that reads a version batch by batch, as a table, as a frame, as tensors."""
    number = next((column["name"] for column in row.columns if column["type"] == "int64" and column["name"] != "level"), "level")
    return f'''import urllib.request
import pyarrow as pa

address = "{address}"
ask = urllib.request.Request(f"{{address}}?form=arrow", headers={{"Authorization": "Lianfang KEY_ID:KEY_SECRET"}})
with pa.ipc.open_stream(urllib.request.urlopen(ask)) as batches:
    table = batches.read_all()  # or: for batch in batches, which keeps one in memory

# pandas
frame = table.to_pandas()
# numpy, torch
values = table["{number}"].fill_null(0).to_numpy()
# tensor = torch.from_numpy(values.copy())
'''


@panel("learning.version.side", title=_("Take it away"), order=5)
def taking_panel(request: HttpRequest, row: models.Version) -> str:
    """What this person would get: rows, masked rows, what needs approval."""
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    if not row.ready:
        return ""
    context: dict[str, Any] = {"row": row, "may": viewer.may("lake.event.export") and viewer.may("lake.event.view")}
    if context["may"]:
        try:
            given, masked, left_out = queries.counted(row, viewer=viewer)
            shown, _veiled = queries.levels(row, viewer=viewer)
        except Fault as fault:
            return render_to_string("learning/part_take.html", {**context, "may": False, "fault": fault}, request=request)
        limit = lake.approving(viewer)
        context |= {"given": sum(given.values()) + masked, "masked": masked, "left_out": left_out, "needs": sum(number for level, number in shown.items() if level >= limit), "limit": limit, "mine": viewer.may("lake.event.export")}
    return render_to_string("learning/part_take.html", context, request=request)


@page("versions/<uuid:pk>/take/", name="version_take", permission="learning.version.view", title=_("Take it away"), parent="version_list")
def take(request: HttpRequest, pk: Any) -> StreamingHttpResponse:
    """As Parquet, or as Arrow with ``?form=arrow``."""
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    taken = actions.take(models.Version.objects.select_related("dataset").fetch(pk, viewer), request.GET.get("form", "parquet"), to=To.EXPORT, actor=viewer)
    return StreamingHttpResponse(taken.pieces, content_type=taken.kind, headers={queries.LEFT_OUT: str(taken.left_out), "Content-Disposition": f'attachment; filename="{_plain(taken.name)}"'})


def _plain(name: str) -> str:
    """A name for a file that every system takes.

    >>> _plain("登录 failures/x-v1.parquet")
    '登录_failures_x-v1.parquet'
    """
    return re.sub(r"[^\w.-]+", "_", name)


@page("versions/<uuid:pk>/approval/", name="version_approval", permission="lake.event.export", title=_("Ask for approval"), parent="version_list")
def approval(request: HttpRequest, pk: Any) -> HttpResponse:
    """Put the whole of it before a second person; the request is one of the lake's."""
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    row = models.Version.objects.select_related("dataset").fetch(pk, viewer)
    if request.method != "POST":
        return HttpResponseRedirect(reverse("learning:version", kwargs={"pk": pk}))
    try:
        asked = actions.ask_approval(row, reason=request.POST.get("reason", ""), actor=viewer)
    except Fault as fault:
        return show(request, "learning/approval.html", {"row": row, "fault": fault, "reason": request.POST.get("reason", "")}, status=fault.status)
    messages.success(request, gettext("Asked. A second person decides; you find it here."))
    return HttpResponseRedirect(reverse("lake:exportrequest", kwargs={"pk": asked.pk}))


@page("versions/<uuid:pk>/manifest/", name="version_manifest", permission="learning.version.view", title=pgettext_lazy("data set", "Manifest"), parent="version_list")
def manifest(request: HttpRequest, pk: Any) -> HttpResponse:
    """The manifest as JSON."""
    row = models.Version.objects.select_related("dataset").fetch(pk, request.viewer)  # type: ignore[attr-defined]
    return JsonResponse(queries.described(row), json_dumps_params={"ensure_ascii": False, "indent": 1})


@panel("lake.search.keep", permission="learning.dataset.add")
def keep(request: HttpRequest, asked: Any) -> str:
    """From the search page to a data set with the same question."""
    time = {"period": asked.span if asked.span in PERIODS else Period.DAY} if asked.span else {"period": Period.FIXED, "since": asked.low, "until": asked.high}
    pairs = {"filters": "\n".join(f"{one.column}:{one.op}:{one.value}" for one in asked.filters), "words": asked.words, **time}
    return render_to_string("learning/part_keep.html", {"pairs": [(name, value) for name, value in pairs.items() if value]}, request=request)
