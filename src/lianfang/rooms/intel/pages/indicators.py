"""Pages: the watch list, a look-up for one value or many, imports with preview and progress."""

from __future__ import annotations

import csv
import io
from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.urls import reverse, reverse_lazy
from django.utils.text import capfirst
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from lianfang.commons.frame import sheets
from lianfang.commons.frame.pages import Found, Nav, finder, page, said, sayable, show, told, unchanged
from lianfang.commons.frame.sheets import SEVERITIES, Column, Filter, Onward, Question, Sheet, SheetForm, Verb, linked
from lianfang.engines.schema import observables
from lianfang.kernel import clock
from lianfang.kernel.errors import Fault, Invalid, sentences
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.intel import actions, models, queries
from lianfang.rooms.intel.queries import intakes, reading
from lianfang.rooms.intel.queries.candidates import Candidate
from lianfang.rooms.intel.types import CHOSEN, About, Form, Kind, Mark, Stage, Standing, Terms, Way
from lianfang.rooms.lake import queries as lake

SECTION = "intelligence"
FEED_FIELDS = ("name", "address", "way", "items", "value", "note", "since", "login", "user", "every", "tlp", "confidence", "days", "enabled")
sayable("%(marked)s are marked more closely than may go, %(own)s are your own.", "At most %(number)s are shared at once.", "No record at %(place)s has %(key)s.")
sayable(*(form for word in (*reading.MAILED.values(), f"{reading.ATTACHED}: %(name)s", f"{reading.INSIDE}: %(name)s") for form in (f"{word} (%(subject)s)", word)))
TONES = {Standing.ACTIVE: "good", Standing.PENDING: "busy", Standing.EXPIRED: "quiet", Standing.REVOKED: "warn"}
STAGES = {Stage.DRAFT: "quiet", Stage.WAITING: "busy", Stage.RUNNING: "busy", Stage.DONE: "good", Stage.FAILED: "bad"}
ROLES = (
    ("", _("not used")), ("value", _("value")), ("kind", _("kind")), ("source", _("source")), ("tlp", _("sharing")), ("confidence", _("confidence")),
    ("valid_from", _("valid from")), ("valid_until", _("valid until")), ("tags", _("tags")), ("note", _("note")),
)  # fmt: skip


# ---- the watch list --------------------------------------------------------------------------------------------


class Tags(forms.CharField):
    """Short words, parted by commas or lines."""

    widget = forms.TextInput(attrs={"class": "form-control"})

    def clean(self, value: Any) -> list[str]:
        text = ",".join(map(str, value)) if isinstance(value, list) else value
        found = str(super().clean(text)).replace("，", ",").replace("\n", ",").split(",")
        return list(dict.fromkeys(tag.strip()[:60] for tag in found if tag.strip()))

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(map(str, value)) if isinstance(value, list) else value


class IndicatorForm(SheetForm):
    tags = Tags(label=_("tags"), required=False, help_text=_("Parted by commas."))

    class Meta:
        model = models.Indicator
        fields = actions.FIELDS
        widgets = {
            "valid_from": forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
            "valid_until": forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
            "note": forms.Textarea(attrs={"rows": 4}),
        }


def _standing(rows: QuerySet, values: list[str]) -> QuerySet:
    """The rows that stand in one of these ways now."""
    now = clock.now()
    ended = Q(valid_until__isnull=False, valid_until__lte=now)
    ways = {
        Standing.REVOKED: Q(revoked=True),
        Standing.PENDING: Q(revoked=False, valid_from__gt=now),
        Standing.EXPIRED: Q(revoked=False, valid_from__lte=now) & ended,
        Standing.ACTIVE: Q(revoked=False, valid_from__lte=now) & ~ended,
    }
    wanted = Q(pk__in=[])
    for value in values:
        wanted |= ways.get(value, Q(pk__in=[]))
    return rows.filter(wanted)


sheets.register(
    Sheet(
        model=models.Indicator,
        title=_("Watch list"),
        columns=(
            Column("value", cell="code"), "kind", "source", Column("standing", _("Standing"), cell="badge", tones=TONES, choices=dict(Standing.choices)), "confidence", Column("tlp", cell="badge"),
            "valid_until", "tags", "changed", Column("valid_from", shown=False), Column("note", value=lambda row: said(row.note), sort="note", shown=False), Column("stix_id", shown=False), Column("created", shown=False),
        ),
        filters=("kind", Filter("standing", _("Standing"), kind="choice", choices=tuple(Standing.choices), apply=_standing), Filter("source", kind="text"), "tlp", "confidence", "valid_until", "changed"),
        search=("value", "source", "note"),
        fields=actions.FIELDS,
        form=IndicatorForm,
        order="-changed",
        nav=Nav(SECTION, _("Watch list"), order=10, icon="eye-search"),
        create=actions.add,
        change=actions.change,
        remove=actions.remove,
        importable=False,
        onward=(Onward("intel:share", pgettext_lazy("verb", "Share"), "share", "intel.indicator.export"),),
        about=linked(_("What events are examined for, as long as it is active."), "intel:import", _("Import indicators")),
        empty=(_("Nothing is watched for yet"), _("Bring in a list, a table or a STIX bundle, or enter a value by hand."), reverse_lazy("intel:import"), _("Import indicators")),
        verbs=(
            Verb("revoke", _("Revoke"), actions.revoke, permission="intel.indicator.change", bulk=True, icon="eye-off", when=lambda row: not row.revoked),
            Verb("restore", _("Restore"), actions.restore, permission="intel.indicator.change", bulk=True, icon="eye", when=lambda row: row.revoked),
        ),
    )
)  # fmt: skip


# ---- sharing ---------------------------------------------------------------------------------------------------

WATCHED_BY_DEFAULT = f"standing={Standing.ACTIVE}"
FIELDS_SAID = {"source": _("source"), "note": _("note"), "tags": _("tags"), "own": _("Values of your own")}


@page("share/", name="share", permission="intel.indicator.export", title=_("Share indicators"), parent="indicator_list")
def share(request: HttpRequest) -> HttpResponse:
    """What the list showed, with chosen fields hidden: seen side by side, then taken away or reported."""
    viewer, post = request.viewer, request.POST  # type: ignore[attr-defined]
    asked = post.get("asked", "") or request.GET.urlencode() or WATCHED_BY_DEFAULT
    question = Question.of(sheets.of("intel.indicator"), QueryDict(asked), viewer)
    context: dict[str, Any] = {"asked": asked, "sentence": question.sentence() or gettext("the whole watch list"), "goals": lake.destinations("indicators", viewer=viewer), "marks": Mark.choices[:-1], "ours": post.get("ours", ""), "words": post.get("words", "")}
    status = 200
    try:
        how = actions.sharing_of(dict(post.lists()))
        context |= {"how": how, "fields": [(name, capfirst(label), [(way, said, getattr(how, name) == way) for way, said in Way.choices]) for name, label in FIELDS_SAID.items()]}
        if request.method == "POST" and post.get("do") == "take":
            return _taken(actions.share(question.every(), how, about=context["sentence"], actor=viewer))
        if request.method == "POST" and post.get("to"):
            row = actions.report(question.every(), how, post["to"], about=context["sentence"], actor=viewer)
            messages.success(request, gettext("Kept; it is sent now and can be watched here."))
            return HttpResponseRedirect(reverse("lake:report", kwargs={"pk": row.pk}))
        context["seen"] = actions.look(question.every(), how, actor=viewer)
    except Fault as fault:
        context["fault"], status = fault, fault.status
    return show(request, "intel/share_seen.html" if request.htmx else "intel/share.html", context, status=200 if request.htmx else status)  # type: ignore[attr-defined]


def _taken(content: bytes) -> HttpResponse:
    answer = HttpResponse(content, content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="indicators-{clock.now():%Y%m%d-%H%M%S}.csv"'
    return answer


# ---- the knowledge base ----------------------------------------------------------------------------------------


def _facts(row: models.Entry) -> list[str]:
    """Each fact as “name: values”."""
    return [f"{name}: {', '.join(value) if isinstance(value, list) else value}" for name, value in row.facts.items()]


sheets.register(
    Sheet(
        model=models.Entry,
        path="knowledge",
        title=_("Knowledge base"),
        about=linked(_("Vulnerabilities, malware, security events, hacker groups and device fingerprints, as others know them."), "intel:import", _("Bring a knowledge base in")),
        columns=(
            Column("name", link=lambda row: reverse("intel:entry", kwargs={"pk": row.pk})), "about", Column("key", cell="code"), Column("severity", cell="severity"), Column("score", cell="number"), "source", "published", "changed",
            Column("tlp", cell="badge", shown=False),
        ),
        facts=("about", Column("key", cell="code"), "summary", Column("severity", cell="severity"), Column("score", cell="number"), "aliases", "hashes", "links", Column("facts", _("further facts"), value=_facts, cell="list"), "source", Column("tlp", cell="badge"), "published", "modified", "created", "changed"),
        filters=("about", Filter("severity", kind="choice", choices=SEVERITIES), Filter("source", kind="text"), "published", "changed"),
        search=("name", "key", "summary", "words"),
        order="-changed",
        nav=Nav(SECTION, _("Knowledge base"), order=25, icon="book"),
        create=False,
        change=False,
        remove=actions.forget,
        empty=(_("Nothing is known yet"), _("Bring in CVE JSON of the NVD, CNVD's XML, a STIX bundle or a table."), reverse_lazy("intel:import"), _("Bring a knowledge base in")),
    )
)  # fmt: skip


# ---- looking up ------------------------------------------------------------------------------------------------


@page("lookup/", name="lookup", permission="intel.indicator.view", nav=Nav(SECTION, _("Look up"), order=20, icon="zoom-question"), title=_("Look up"))
def lookup(request: HttpRequest) -> HttpResponse:
    """Is this known? One value in the address, or many in the box."""
    text = request.POST.get("values", "") if request.method == "POST" else request.GET.get("q", "")
    asked = list(dict.fromkeys(part for line in text.splitlines() for part in [line.strip()] if part))
    fault, answers = None, []
    try:
        answers = queries.look_up(asked, request.viewer)  # type: ignore[attr-defined]
    except Invalid as found:
        fault = found
    tally = {"asked": len(answers), "known": sum(bool(one.known) for one in answers), "active": sum(one.active for one in answers)}
    return show(request, "intel/lookup.html", {"text": text, "answers": answers, "fault": told(fault) if fault else "", "tally": tally, "tones": TONES, "labels": dict(Standing.choices)})


@finder
def find(words: str, viewer: Viewer) -> list[Found]:
    """The search everywhere finds indicators by their exact value, however it is written."""
    if not viewer.may("intel.indicator.view") or observables.observe(words) is None:
        return []
    known = queries.look_up([words], viewer)[0].known[:5]
    return [Found(one.value, reverse("intel:indicator", kwargs={"pk": one.id}), _("indicator"), "eye-search", one.source) for one in known]


# ---- importing -------------------------------------------------------------------------------------------------


class ImportForm(forms.Form):
    """A delivery and the terms on which it is taken in."""

    file = forms.FileField(label=_("file"), required=False, help_text=_("Indicators: CSV, a list with one value per line, a STIX 2.1 bundle. A mail (.eml, .msg). Knowledge: CVE JSON 2.0 of the NVD, CNVD XML, STIX 2.1, CSV with name and type. At most 64 MB."))
    text = forms.CharField(label=_("or text"), required=False, strip=False, widget=forms.Textarea(attrs={"rows": 6, "spellcheck": "false"}), help_text=_("Also written harmlessly, such as hxxp://bad[.]example; # begins a comment."))
    form = forms.ChoiceField(label=_("format"), choices=Form.choices, initial=Form.AUTO)
    source = forms.CharField(label=_("source"), max_length=120, help_text=_("Who says so, where a row does not say it itself."))
    tlp = forms.ChoiceField(label=_("sharing"), choices=Mark.choices, initial=Mark.AMBER)
    confidence = forms.IntegerField(label=_("confidence"), min_value=0, max_value=100, initial=50)
    days = forms.IntegerField(label=_("valid for days"), min_value=0, max_value=3650, initial=90, help_text=_("From now, where a row names no end; 0: without end."))
    tags = Tags(label=_("tags"), required=False, help_text=_("Parted by commas."))
    internal = forms.BooleanField(label=_("take private addresses too"), required=False)

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            field.widget.attrs.setdefault("class", {"Select": "form-select", "CheckboxInput": "form-check-input"}.get(type(field.widget).__name__, "form-control"))

    def clean(self) -> dict[str, Any]:
        said = super().clean() or {}
        if not said.get("file") and not (said.get("text") or "").strip():
            self.add_error("file", _("Choose a file, or paste text."))
        if said.get("file") and said["file"].size > reading.LARGEST:
            self.add_error("file", _("At most 64 MB are taken at once."))
        return said

    @property
    def delivery(self) -> tuple[str, bytes]:
        """Its name and its bytes."""
        file = self.cleaned_data.get("file")
        return (file.name, file.read()) if file else (str(_("pasted text")), self.cleaned_data["text"].encode())

    @property
    def terms(self) -> Terms:
        said = self.cleaned_data
        return Terms(said["source"].strip(), said["tlp"], said["confidence"], said["days"], tuple(said["tags"]), said["internal"])


@page("import/", name="import", permission="intel.indicator.add", title=_("Import indicators"), parent="indicator_list")
def upload(request: HttpRequest) -> HttpResponse:
    """Choose a file or paste text; what comes next is the preview."""
    form = ImportForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        try:
            row = actions.upload(*form.delivery, form=form.cleaned_data["form"], terms=form.terms, actor=request.viewer)  # type: ignore[attr-defined]
            return HttpResponseRedirect(reverse("intel:delivery", kwargs={"pk": row.pk}))
        except Invalid as fault:
            form.add_error(None, told(fault))
    return show(request, "intel/import.html", {"form": form}, status=422 if form.errors else 200)


@page("imports/<uuid:pk>/", name="delivery", permission="intel.intake.view", title=_("Import"), parent="intake_list")
def delivery(request: HttpRequest, pk: Any) -> HttpResponse:
    """One import: its preview until it is started, its progress while it runs, what became of it afterwards."""
    row = intakes.intake(pk, request.viewer)  # type: ignore[attr-defined]
    if request.method == "POST":
        return _done_with(request, row)
    if row.stage == Stage.DRAFT:
        return _preview(request, row, None)
    stuck = intakes.stuck(row)
    if answer := unchanged(request, row.stage, row.percent, row.read, stuck):
        return answer
    rejects = [one.said for one in intakes.rejects(row)[:50]]
    return show(request, "intel/delivery.html", {"row": row, "rejects": rejects, "trouble": gettext(row.trouble or stuck) if row.trouble or stuck else "", "tones": STAGES, "busy": row.stage in (Stage.WAITING, Stage.RUNNING) and not stuck}, title=row.name)


def _done_with(request: HttpRequest, row: models.Intake) -> HttpResponse:
    """Look again with other columns, take it in, or discard it."""
    viewer, wish = request.viewer, request.POST.get("do")  # type: ignore[attr-defined]
    viewer.must("intel.indicator.add")
    columns = _columns(request, row) if row.form == Form.CSV and row.stage == Stage.DRAFT else None
    if wish == "discard":
        actions.discard(row, actor=viewer)
        messages.success(request, _("The import was discarded."))
        return HttpResponseRedirect(reverse("intel:intake_list"))
    if wish == "start":
        try:
            actions.start(row, columns=columns, only=[int(one) for one in request.POST.getlist("only") if one.isascii() and one.isdigit()], actor=viewer)
        except Invalid as fault:
            messages.error(request, told(fault))
        return HttpResponseRedirect(reverse("intel:delivery", kwargs={"pk": row.pk}))
    return _preview(request, row, columns)


def _columns(request: HttpRequest, row: models.Intake) -> dict[str, str]:
    """Header → role, as chosen in the preview."""
    headers, guessed = reading.heads(intakes.content(row), row.form)
    known = {role for role, _label in ROLES if role}
    said = {header: request.POST.get(f"role-{at}", guessed.get(header, "")) for at, header in enumerate(headers)}
    return {header: role for header, role in said.items() if role in known}


def _preview(request: HttpRequest, row: models.Intake, columns: dict[str, str] | None) -> HttpResponse:
    seen = intakes.preview(row, columns=columns)
    heads = [(at, header, seen.roles.get(header, "")) for at, header in enumerate(seen.headers)]
    items = [(item, isinstance(item, Candidate)) for item in seen.items]
    known = {(found.kind, found.value) for found in _there(items, request.viewer)}  # type: ignore[attr-defined]
    context = {"row": row, "terms": intakes.terms(row), "heads": heads, "roles": ROLES, "items": [(item, taken, taken and (item.kind, item.value) in known, taken and not item.note.startswith(reading.DOUBTFUL)) for item, taken in items], "chosen": row.form in CHOSEN, "notes": {item.note: said(item.note) for item, _taken in items if row.form in CHOSEN and getattr(item, "note", "")}, "fault": told(seen.fault) if seen.fault else "", "kinds": dict(Kind.choices), "about": dict(About.choices)}
    return show(request, "intel/preview.html", context, title=row.name)


def _there(items: list[tuple[Any, bool]], viewer: Viewer) -> list[models.Indicator]:
    digests = [models.digest_of(item.kind, item.value) for item, taken in items if taken]
    return list(models.Indicator.objects.seen_by(viewer).filter(digest__in=digests))


@page("imports/<uuid:pk>/rejects/", name="rejects", permission="intel.intake.view", title=pgettext_lazy("indicators", "Rejects"), parent="intake_list")
def rejects(request: HttpRequest, pk: Any) -> HttpResponse:
    """What an import did not take, as a table to be corrected and brought in again."""
    row = intakes.intake(pk, request.viewer)  # type: ignore[attr-defined]
    out = io.StringIO()
    table = csv.writer(out)
    table.writerow([_("line"), _("content"), _("reason"), _("what to do")])
    for one in intakes.rejects(row).iterator(chunk_size=2_000):
        table.writerow([one.line, _defused(one.raw), one.said.reason, one.said.todo])
    answer = HttpResponse("\ufeff" + out.getvalue(), content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="rejects-{row.pk}.csv"'
    return answer


def _defused(text: str) -> str:
    """A cell that a spreadsheet would run as a formula is shown instead (OWASP, CSV injection)."""
    return "'" + text if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def _discard(row: models.Intake, *, actor: Viewer) -> None:
    actions.discard(row, actor=actor)


sheets.register(
    Sheet(
        model=models.Intake,
        title=_("Imports"),
        columns=("name", "source", "form", Column("stage", cell="badge", tones=STAGES), "read", "added", "renewed", "same", Column("doubled", shown=False), "rejected", "created_by", "created", Column("bytes", cell="bytes", shown=False), Column("finished", shown=False)),
        filters=("stage", "form", Filter("source", kind="text"), "created"),
        search=("name", "source", "created_by"),
        order="-created",
        nav=Nav(SECTION, _("Imports"), order=30, icon="file-import"),
        create=False,
        change=False,
        remove=False,
        link=lambda row: reverse("intel:delivery", kwargs={"pk": row.pk}),
        verbs=(Verb("discard", _("Discard"), _discard, permission="intel.indicator.add", bulk=True, danger=True, icon="trash", confirm=_("The record of the import and its rejects go; indicators that came of it stay. Go on?")),),
        about=linked(_("What was brought in, by whom, and what was rejected."), "intel:import", _("Import indicators")),
        found=False,
    )
)  # fmt: skip


# ---- outside APIs ----------------------------------------------------------------------------------------------


TROUBLE = Column("trouble", value=lambda row: sentences(*(said(line) for line in row.trouble.split("\n"))), sort=False)
"""What went wrong at the last look, in the reader's language."""


class FeedForm(SheetForm):
    """The secret is written, never shown."""

    secret = forms.CharField(label=_("password or token"), required=False, max_length=1000, strip=False, widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}), help_text=_("Kept sealed and never shown. Empty: as it was."))

    class Meta:
        model = models.Feed
        fields = FEED_FIELDS

    field_order = ("name", "address", "way", "items", "value", "note", "since", "login", "user", "secret", "every", "tlp", "confidence", "days", "enabled")


sheets.register(
    Sheet(
        model=models.Feed,
        title=_("Outside APIs"),
        path="feeds",
        columns=("name", "way", Column("address", cell="code"), "enabled", "looked", "brought", "due", TROUBLE),
        facts=("name", "way", Column("address", cell="code"), "items", "value", "note", "since", "login", "user", "every", "tlp", "confidence", "days", "enabled", "looked", "brought", "due", TROUBLE),
        filters=("way", "enabled", "looked"),
        search=("name", "address"),
        fields=FEED_FIELDS,
        form=FeedForm,
        order="name",
        nav=Nav(SECTION, _("Outside APIs"), order=28, icon="rss"),
        create=actions.add_feed,
        change=actions.change_feed,
        remove=actions.remove_feed,
        importable=False,
        verbs=(Verb("look", _("Ask now"), actions.look_now, permission="intel.feed.change", bulk=True, icon="refresh"),),
        about=_("APIs of others that are asked for indicators and knowledge by the clock. What each brings stands among the imports."),
        empty=(_("No outside API yet"), _("A feed by HTTPS, an API such as MISP's or OTX's, or a collection of TAXII 2.1."), "", ""),
    )
)  # fmt: skip
