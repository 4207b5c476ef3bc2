"""A new source by sample: paste or upload, see what it is and what would be stored, adjust by picking, save. No code.

In: what a person chose on the page; it is kept with the sample, so that it can be left and found again. Out: a ``Setup``
for the actions, and the same page with a fresh preview.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from lianfang.commons.frame.language import either, listed
from lianfang.commons.frame.pages import Nav, page, said, show
from lianfang.engines.connect import drafting, recognise
from lianfang.engines.connect.drafting import Draft, Pick
from lianfang.engines.connect.template import NOT_OURS
from lianfang.engines.schema.events import BY_NAME, COLUMNS
from lianfang.engines.schema.ocsf import ACTIVITIES_ZH, CLASSES, class_of
from lianfang.kernel.errors import Fault, Invalid
from lianfang.kernel.labels import DataLevel
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.lake import actions, models, queries
from lianfang.rooms.lake.pages import ways
from lianfang.rooms.lake.pages.asking import SEVERITIES, activity_name, class_name, status_name, title
from lianfang.rooms.lake.types import Codec, Kind, Preview, Setup

MOST_FIELDS, MOST_CONST = 300, 8
PARSES: dict[str, Any] = {
    "": _("as the target needs"), "time": _("time; without a zone it is UTC"), "local_time": _("time; without a zone it is the source's"), "host": _("host name"), "lower": _("small letters"),
    "upper": _("capital letters"), "url_host": _("host of a URL"),
}  # fmt: skip
WAYS: dict[str, Any] = {"found": _("found by itself, record by record"), "template": _("one of the templates"), "own": _("own mapping: pick where each field goes"), "yaml": _("own mapping, written as YAML")}
PLAIN = ("codec", "encoding", "zone", "header", "start", "way", "template", "name", "title", "klass", "activity", "severity", "status", "text")


@page("sample/", name="sample", permission="lake.source.add", nav=Nav("logs", _("New source by sample"), order=21, icon="wand"))
def begin(request: HttpRequest) -> HttpResponse:
    """Paste a few lines, or choose a file."""
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    context: dict[str, Any] = {"text": request.POST.get("text", "")}
    if request.method == "POST":
        sent = request.FILES.get("file")
        try:
            content = sent.read(actions.SAMPLE_BYTES) if sent else request.POST.get("text", "").encode()
            trial = actions.open_trial(content, name=(sent.name or "") if sent else "", actor=viewer)
            return HttpResponseRedirect(reverse("lake:trial", kwargs={"pk": trial.pk}))
        except Fault as fault:
            context["fault"] = fault
    return show(request, "lake/wizard_start.html", context, status=422 if "fault" in context else 200)


@page("sample/<uuid:pk>/", name="trial", permission="lake.source.view", title=_("What it is, and what would be stored"), parent="sample")
def trial(request: HttpRequest, pk: Any) -> HttpResponse:
    """The sample with its format, mapping and preview; what is changed is shown at once."""
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    row = actions.trial_of(pk, viewer=viewer)
    guesses = actions.guesses(bytes(row.content), name=row.name)
    chosen = _chosen(row, guesses)
    verb = request.POST.get("do", "")
    if request.method == "POST":
        chosen = _posted(request, chosen)
    tried = _tried(row, chosen, viewer)
    if chosen["way"] == "own" and not chosen["picks"] and tried.preview is not None:
        chosen |= _proposed(chosen, tried.preview)
        tried = _tried(row, chosen, viewer)
    if request.method == "POST":
        row.setup = chosen
        row.save(update_fields=("setup",))
        if verb in ("next", "mend") and tried.fault is None:
            answer = _go_on(request, row, chosen, viewer) if verb == "mend" else HttpResponseRedirect(reverse("lake:trial_source", kwargs={"pk": row.pk}))
            if isinstance(answer, HttpResponse):
                return answer
            tried = replace(tried, fault=answer)
    return show(request, "lake/wizard.html", _context(row, chosen, tried, guesses, viewer), status=422 if tried.fault and request.method == "POST" and verb in ("next", "mend") else 200)


@page("sample/<uuid:pk>/source/", name="trial_source", permission="lake.source.add", title=_("How it comes in"), parent="sample")
def save(request: HttpRequest, pk: Any) -> HttpResponse:
    """The source's name and way in; then the mapping, the source, and if wanted the sample as its first logs."""
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    row = actions.trial_of(pk, viewer=viewer)
    chosen = _chosen(row, [])
    asked = request.GET if request.method == "GET" else request.POST
    form = NewSource(request.POST or None, initial={"kind": asked.get("kind", Kind.HTTP), "name": asked.get("name", ""), "note": asked.get("note", "")}, viewer=viewer)
    fault: Fault | None = None
    if request.method == "POST" and form.is_valid():
        try:
            made = actions.begin_source(row, setup_of(chosen), form.cleaned_data, actor=viewer, feed="feed" in request.POST)
            messages.success(request, gettext("The source is made. What it sends is searchable within seconds."))
            return HttpResponseRedirect(reverse("lake:source", kwargs={"pk": made.pk}))
        except Fault as found:
            fault = found
    context = {"form": form, "trial": row, "fault": fault and spoken(fault), "summary": _summary(chosen), "feed": request.method == "GET" or "feed" in request.POST, "may_feed": viewer.may("lake.event.add")}
    return show(request, "lake/wizard_source.html", context, crumbs=[(gettext("New source by sample"), reverse("lake:sample")), (gettext("What it is, and what would be stored"), reverse("lake:trial", kwargs={"pk": row.pk}))], status=422 if request.method == "POST" else 200)


class NewSource(ways.SourceForm):
    """A source without what the sample said already."""

    class Meta(ways.SourceForm.Meta):
        fields = ("name", "kind", *ways.OF_KIND, "layer", "note", "silent_after", "hold")


# ---- what was chosen -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tried:
    """A preview, or why there is none."""

    preview: Preview | None = None
    fault: Fault | None = None
    yaml: str = ""


def _chosen(row: models.Trial, guesses: list[recognise.Guess]) -> dict[str, Any]:
    """What was chosen so far; at first what was recognised."""
    empty = dict.fromkeys(PLAIN, "") | {"way": "found", "codec": Codec.AUTO, "encoding": "utf-8", "zone": models.default_zone(), "name": f"own.{str(row.pk)[-6:]}", "const": [], "picks": []}
    if row.setup or not guesses:
        return empty | row.setup
    return empty | _taken(row, guesses[0])


def _taken(row: models.Trial, guess: recognise.Guess) -> dict[str, Any]:
    """A guess as a choice; a table's first line becomes the header of the source."""
    found = {"codec": guess.codec, "encoding": guess.encoding, "header": ""}
    if guess.codec in (Codec.CSV, Codec.TSV):
        first = bytes(row.content).lstrip(b"\xef\xbb\xbf\r\n ").partition(b"\n")[0]
        found["header"] = first.decode(guess.encoding, "replace").strip()[:4000]
    return found


def _posted(request: HttpRequest, before: dict[str, Any]) -> dict[str, Any]:
    """What the page sends: plain fields, numbered rows of picks and constants."""
    data = request.POST
    if "take" in data:
        codec, _mark, encoding = data["take"].partition("|")
        row = actions.trial_of(request.resolver_match.kwargs["pk"], viewer=request.viewer)  # type: ignore[attr-defined,union-attr]
        return before | _taken(row, recognise.Guess(codec, encoding, 0.0, (), 0, 0)) | {"picks": [], "start": ""}
    found = before | {name: data[name].strip() if name != "text" else data[name] for name in PLAIN if name in data}
    if "field.0" in data:
        picks = [{part: data.get(f"{part}.{at}", "").strip() for part in ("field", "to", "parse", "regex", "table")} for at in range(MOST_FIELDS) if f"field.{at}" in data]
        found["picks"] = [pick for pick in picks if pick["field"]]
        found["const"] = [[data.get(f"const.{at}", "").strip(), data.get(f"value.{at}", "").strip()] for at in range(MOST_CONST) if data.get(f"const.{at}", "").strip()]
    if found["codec"] != before["codec"]:
        found["picks"] = []
    if found["klass"] != before["klass"]:
        found["activity"] = ""
    return found


def draft_of(chosen: dict[str, Any]) -> Draft:
    """The mapping that was picked; raises ``Invalid`` for a target that is none."""
    picks = []
    for one in chosen["picks"]:
        if one["to"] or one["regex"]:
            picks.append(Pick(one["field"], _column(one["to"], one["field"]) if one["to"] else "", one["parse"], one["regex"], _table(one["table"])))
    const = tuple((_column(name, gettext("constant")), value) for name, value in chosen["const"])
    return Draft(chosen["name"], chosen["title"], chosen["klass"], chosen["activity"], chosen["severity"], chosen["status"], const, tuple(picks))


def _column(said: str, where: str) -> str:
    """A target by its name, its OCSF path or its title."""
    name = drafting.column_of(said)
    if name not in BY_NAME:
        name = next((one.name for one in COLUMNS if said.lower() in (one.zh.lower(), one.en.lower())), "")
    if not name or name in NOT_OURS:
        raise Invalid(gettext("“%s” is no attribute of an event") % said[:80], why=gettext("It was chosen for: %s") % where, todo=gettext("Choose one of the list; type a part of its name to search it."))
    return name


def _table(text: str) -> tuple[tuple[str, str], ...]:
    """``high=4; low=2`` → pairs; ``*`` is all others."""
    parts = [part.strip() for part in text.replace("；", ";").replace("\n", ";").split(";") if part.strip()]
    pairs = [tuple(piece.strip() for piece in part.rpartition("=")[::2]) for part in parts]
    if any(not name or not value for name, value in pairs):
        raise Invalid(gettext("The table of values cannot be read"), why=text[:200], todo=gettext("Write pairs like high=4; low=2; *=1."))
    return tuple(pairs)


def setup_of(chosen: dict[str, Any]) -> Setup:
    """What was chosen, as the actions understand it; raises ``Invalid``."""
    setup = Setup(chosen["codec"], chosen["encoding"], chosen["header"], chosen["start"], chosen["zone"])
    if chosen["way"] == "template":
        return replace(setup, template=chosen["template"])
    if chosen["way"] == "own":
        return replace(setup, mapping=drafting.written(draft_of(chosen)))
    if chosen["way"] == "yaml":
        return replace(setup, mapping=chosen["text"])
    return setup


def _tried(row: models.Trial, chosen: dict[str, Any], viewer: Viewer) -> Tried:
    try:
        setup = setup_of(chosen)
        return Tried(actions.preview(bytes(row.content), setup, viewer=viewer, name=row.name), None, setup.mapping)
    except Fault as fault:
        return Tried(_without_mapping(row, chosen, viewer), fault)


def _without_mapping(row: models.Trial, chosen: dict[str, Any], viewer: Viewer) -> Preview | None:
    """The fields stay on the page while the mapping is wrong."""
    try:
        return actions.preview(bytes(row.content), setup_of(chosen | {"way": "found"}), viewer=viewer, name=row.name)
    except Fault:
        return None


def _proposed(chosen: dict[str, Any], seen: Preview) -> dict[str, Any]:
    """A first mapping to change: where the shipped templates put fields of these names, and the class they gave most records."""
    used: set[str] = set()
    picks = []
    for field in seen.fields[:MOST_FIELDS]:
        to = next((one for one in (*field.columns, field.usual) if one and one not in used), "")
        used.add(to)
        picks.append({"field": field.name, "to": to, "parse": "local_time" if to == "time" else "", "regex": "", "table": ""})
    classes = [event.columns.get("class_uid", 0) for event in seen.events]
    most = max(set(classes), key=classes.count) if classes else 0
    return {"picks": picks, "klass": chosen["klass"] or (CLASSES[most].name if most in CLASSES and most else "")}


def setup_from(row: models.Source, viewer: Viewer) -> dict[str, Any]:
    """How a source is read now, as a choice to begin with: its own mapping as picks, or as YAML where it says more."""
    chosen: dict[str, Any] = {"codec": row.codec, "encoding": row.encoding, "zone": row.zone, "header": row.header, "start": row.start, "way": "template" if row.template else "found", "template": row.template}
    if not row.template or any(one.name == row.template for one in queries.shipped()):
        return chosen
    text = queries.mapping_text(row.template, viewer=viewer)
    draft = drafting.draft_of(text)
    if draft is None:
        return chosen | {"way": "yaml", "text": text}
    picks = [{"field": one.field, "to": one.to, "parse": one.parse, "regex": one.regex, "table": "; ".join(f"{name}={value}" for name, value in one.table)} for one in draft.picks]
    said = {"name": draft.name, "title": draft.title, "klass": draft.klass, "activity": draft.activity, "severity": draft.severity, "status": draft.status}
    return chosen | said | {"way": "own", "picks": picks, "const": [list(one) for one in draft.const]}


# ---- the page --------------------------------------------------------------------------------------------------


def _context(row: models.Trial, chosen: dict[str, Any], tried: Tried, guesses: list[recognise.Guess], viewer: Viewer) -> dict[str, Any]:
    seen = tried.preview
    return {
        "trial": row, "chosen": chosen, "guesses": [_guess(one, chosen) for one in guesses], "codecs": Codec.choices, "encodings": models.Source._meta.get_field("encoding").choices, "ways": WAYS.items(),
        "templates": queries.template_choices(viewer=viewer), "own": chosen["way"] == "own", "rows": _rows(chosen, seen) if chosen["way"] == "own" else [], "const": [*chosen["const"], *[["", ""]] * 2][:MOST_CONST],
        "targets": [(one.name, f"{title(one.name)} · {one.path or one.name}") for one in COLUMNS if one.name not in NOT_OURS], "classes": [(one.name, class_name(one.uid)) for one in CLASSES.values() if one.uid and not one.deprecated],
        "activities": _activities(chosen["klass"]), "severities": SEVERITIES.items(), "parses": PARSES.items(), "yaml": tried.yaml, "fault": tried.fault and spoken(tried.fault), "preview": seen and _preview(seen),
        "columns_named": chosen["codec"] in (Codec.CSV, Codec.TSV, Codec.ZEEK), "many_lines": chosen["codec"] == Codec.LINES, "may_mend": viewer.may("lake.source.change"),
    }  # fmt: skip


def _guess(one: recognise.Guess, chosen: dict[str, Any]) -> dict[str, Any]:
    reasons = [gettext(reason.text).format(**{name: said(value) for name, value in reason.values.items()}) for reason in one.reasons]
    return {"codec": one.codec, "encoding": one.encoding, "name": Codec(one.codec).label, "percent": round(one.score * 100), "reasons": reasons, "on": one.codec == chosen["codec"] and one.encoding == chosen["encoding"]}


def _rows(chosen: dict[str, Any], seen: Preview | None) -> list[dict[str, Any]]:
    """One line per field of the sample, in its order; then the picks for fields that the sample does not have."""
    known = {field.name: field for field in seen.fields} if seen else {}
    picks: dict[str, list[dict[str, str]]] = {}
    for pick in chosen["picks"]:
        picks.setdefault(pick["field"], []).append(pick)
    empty = {"to": "", "parse": "", "regex": "", "table": ""}
    lines = [{**pick, "field": name, "seen": field} for name, field in known.items() for pick in picks.get(name, [empty])]
    lines += [{**pick, "seen": None} for name, found in picks.items() if name not in known for pick in found]
    return [{**line, "at": at, "open": bool(line["parse"] or line["regex"] or line["table"])} for at, line in enumerate(lines[:MOST_FIELDS])]


def _activities(klass: str) -> list[tuple[str, str]]:
    try:
        found = class_of(int(klass) if klass.isdigit() else klass) if klass else None
    except Invalid:
        found = None
    return [(caption, either(ACTIVITIES_ZH.get(caption, caption), caption)) for caption in found.activities.values()] if found else []


def _preview(seen: Preview) -> dict[str, Any]:
    return {
        "records": seen.records, "percent": round(100 * seen.coverage), "rejects": [{"number": one.number, "reason": said(one.reason), "todo": said(one.todo), "raw": one.raw} for one in seen.rejects],
        "events": [_event(one) for one in seen.events], "unread": [field.name for field in seen.fields if not field.columns], "failing": [field for field in seen.fields if field.failed],
    }  # fmt: skip


def _event(one: Any) -> dict[str, Any]:
    columns = one.columns
    known = [{"name": name, "title": title(name), "value": _value(name, value, columns)} for name, value in columns.items() if name not in ("time", "class_uid") and not (name == "activity_id" and not value)]
    faults = [{"field": field.name, "text": field.text, "columns": listed(map(title, field.failed))} for field in one.fields if field.failed]
    return {
        "number": one.number, "time": columns.get("time"), "class": class_name(columns.get("class_uid", 0)), "activity": activity_name(columns.get("class_uid"), columns.get("activity_id")), "level": DataLevel(one.level).name,
        "host": columns.get("host"), "user": columns.get("user") or columns.get("actor_user"), "message": columns.get("message") or columns.get("process_cmd") or columns.get("url") or one.raw, "template": one.template,
        "percent": round(100 * one.coverage), "columns": known, "unmapped": [(field.name, field.text) for field in one.fields if not field.columns], "faults": faults, "raw": one.raw,
    }  # fmt: skip


def _value(name: str, value: Any, columns: Any) -> str:
    if name == "activity_id":
        return activity_name(columns.get("class_uid"), value) or str(value)
    if name in ("severity_id", "status_id"):
        return str((SEVERITIES.get(value) if name == "severity_id" else status_name(value)) or value)
    return "; ".join(map(str, value)) if isinstance(value, list) else str(value)


def spoken(fault: Fault) -> dict[str, Any]:
    """A fault for a template, with what differs."""
    return {"what": said(fault.what), "why": said(fault.why), "todo": said(fault.todo), "differences": fault.details.get("differences", [])}


def _go_on(request: HttpRequest, row: models.Trial, chosen: dict[str, Any], viewer: Viewer) -> HttpResponse | Fault:
    """The source that is mended reads like this from now on."""
    try:
        source = actions.mend_source(row, setup_of(chosen), actor=viewer, renew="renew" in request.POST)
    except Fault as fault:
        return fault
    count = actions.release_held(source, since=row.created, actor=viewer)
    messages.success(request, gettext("From now on %s is read like this.") % source.name + (" " + ngettext("%d record goes through again. If it fails again, it is listed anew.", "%d records go through again. What fails again is listed anew.", count) % count if count else ""))
    return HttpResponseRedirect(reverse("lake:source", kwargs={"pk": source.pk}))


def _summary(chosen: dict[str, Any]) -> list[tuple[Any, Any]]:
    mapped = {"found": WAYS["found"], "template": chosen["template"], "own": chosen["title"] or chosen["name"]}.get(chosen["way"], chosen["name"])
    found = [(gettext("Format"), Codec(chosen["codec"]).label), (gettext("Character set"), chosen["encoding"].upper()), (gettext("Mapping template"), mapped), (gettext("Time zone"), chosen["zone"])]
    return found + [(gettext("Header line"), chosen["header"])] * bool(chosen["header"]) + [(gettext("Beginning of a record"), chosen["start"])] * bool(chosen["start"])
