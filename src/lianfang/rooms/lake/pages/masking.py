"""Desensitising: the list of rules, one rule with its versions and what it does to real rows, a pasted line, a pseudonym led back."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.loader import render_to_string
from django.urls import reverse, reverse_lazy
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from lianfang.commons.frame import sheets
from lianfang.commons.frame.language import either, headed, listed
from lianfang.commons.frame.pages import Nav, page, panel, show
from lianfang.commons.frame.sheets import Column, Filter, Sheet, SheetForm, Verb, linked
from lianfang.engines.masking import KINDS
from lianfang.engines.masking.rules import OURS
from lianfang.engines.schema.events import BY_NAME, COLUMNS
from lianfang.kernel.errors import Fault
from lianfang.rooms.lake import actions, models, queries
from lianfang.rooms.lake.pages.asking import title
from lianfang.rooms.lake.queries import shielding

AROUND, SHOWN = 40, 320
"""Characters of a long text that are shown around what changes, and in all."""
INSIDE: dict[str, Any] = {
    "phone": _("mobile phone numbers"), "resident_id": _("resident identity numbers"), "bank_card": _("bank card numbers"), "credit_code": _("unified social credit codes"),
    "email": _("e-mail addresses"), "ip": _("IP addresses"), "credential": _("passwords and keys"),
}  # fmt: skip


class Words(forms.MultipleChoiceField):
    """Several of some words, kept as one text with commas."""

    widget = forms.CheckboxSelectMultiple

    def prepare_value(self, value: Any) -> Any:
        return [word.strip() for word in value.split(",")] if isinstance(value, str) else value

    def clean(self, value: Any) -> str:  # type: ignore[override]
        return ", ".join(super().clean(self.prepare_value(value) if value else value))


class MaskForm(SheetForm):
    """A rule without code: what, where, how."""

    columns = Words(label=_("Columns"), required=False, help_text=_("What stands in them is hidden in the whole record: raw log, lists and other texts too."))
    kinds = Words(label=_("Values inside texts"), required=False, choices=[(kind, INSIDE[kind]) for kind in KINDS], help_text=_("Found wherever they stand; numbers only with a right check digit."))

    class Meta:
        model = models.MaskRule
        fields = ("name", "title", "why", "enabled", "way", "sources", "to", "below", "columns", "kinds", "natives", "classes", "verb", "form", "first", "last", "keep_domain", "domain", "spare", "reversible", "examine", "raw")

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.fields["columns"].choices = [(column.name, title(column.name)) for column in COLUMNS if column.name not in OURS - {"time"}]  # type: ignore[attr-defined]
        if not self.instance._state.adding:
            self.fields["name"].disabled = True


def what(row: models.MaskRule) -> str:
    """What a rule hides, in a few words."""
    parts = [title(name) if name in BY_NAME else name for name in row.words("columns")] + [str(INSIDE.get(kind, kind)) for kind in row.words("kinds")] + row.words("natives") + row.words("classes")
    return listed(parts[:6]) + (" …" if len(parts) > 6 else "")


def how(row: models.MaskRule) -> str:
    """What it does with it."""
    return f"{row.get_verb_display()} · {row.get_form_display()}" if row.form else row.get_verb_display()


def where(row: models.MaskRule) -> str:
    """Of which sources, or for whom."""
    return (row.sources or gettext("all sources")) if row.way == "in" else f"{row.get_to_display()} · {row.get_below_display()}"


MASKS = sheets.register(
    Sheet(
        model=models.MaskRule,
        title=_("Desensitising"),
        path="masking",
        about=linked(_("What is hidden of logs before they are stored, and of what leaves. A value that a rule hides is hidden in the whole record, the raw log included."), "lake:masking_shipped", _("Rules that ship")),
        columns=(
            Column("title", _("Rule"), value=str, sort="name"), Column("enabled", _("On"), cell="yesno"), Column("way", _("Works")), Column("what", _("What"), value=what, sort=False), Column("how", _("How"), value=how, sort=False),
            Column("where", _("Where"), value=where, sort=False), Column("version", _("Version")), Column("changed", _("Changed")), Column("changed_by", shown=False), Column("name", shown=False), Column("why", shown=False),
        ),
        facts=(
            Column("enabled", _("On"), cell="yesno"), Column("way", _("Works")), Column("what", _("What"), value=what), Column("how", _("How"), value=how), Column("where", _("Where"), value=where), "why", "spare", "domain",
            Column("reversible", cell="yesno"), "examine", "raw", "version", "changed", "changed_by",
        ),
        filters=(Filter("enabled", _("On")), Filter("way", _("Works")), Filter("verb", _("What is done"))),
        search=("name", "title", "why"),
        fields=MaskForm.Meta.fields,
        form=MaskForm,
        order="name",
        nav=Nav("governance", _("Desensitising"), order=20, icon="eye-off", group="desensitising"),
        create=actions.create_mask,
        change=actions.change_mask,
        remove=actions.remove_mask,
        found=False,
        verbs=(
            Verb("on", pgettext_lazy("rule of desensitising", "Switch on"), actions.switch_mask, permission="lake.maskrule.change", bulk=True, icon="player-play", when=lambda row: not row.enabled),
            Verb("off", pgettext_lazy("rule of desensitising", "Switch off"), actions.switch_mask, permission="lake.maskrule.change", bulk=True, icon="player-pause", when=lambda row: row.enabled, confirm=_("From now on originals are stored, or leave. Switch it off?")),
        ),
        template="lake/masking_detail.html",
        empty=(_("No rule yet"), _("Logs are stored, and leave, as they come. Take over rules that ship and look what each would do, or write your own."), reverse_lazy("lake:masking_shipped"), _("Rules that ship")),
    )
)


@panel("lake.maskrule.main", title=_("What it does"), order=10)
def before_and_after(request: HttpRequest, row: models.MaskRule) -> str:
    """Real rows of the lake as they are and as the rule would leave them, and a line to try."""
    try:
        shown = queries.preview(row, viewer=request.viewer)  # type: ignore[attr-defined]
    except Fault as fault:
        return render_to_string("lake/masking_preview.html", {"fault": fault, "row": row}, request=request)
    return render_to_string("lake/masking_preview.html", {"changes": [_named(one) for one in shown], "row": row}, request=request)


@panel("lake.maskrule.main", title=_("Versions"), order=20)
def versions(request: HttpRequest, row: models.MaskRule) -> str:
    """Every version, the newest first, with what it said."""
    lines = [{"edition": one, "said": listed(_told(name, value) for name, value in one.definition.items() if value not in ("", [], None, False) and name not in ("name", "zh", "why"))} for one in row.editions.all()[:50]]
    return render_to_string("lake/masking_versions.html", {"lines": lines}, request=request)


def _told(name: str, value: Any) -> str:
    """One thing that a version said, in the words of the form."""
    field = models.MaskRule._meta.get_field("natives" if name == "fields" else name)
    choices = dict(field.choices or ())  # type: ignore[union-attr]
    words = [title(one) if name == "columns" and one in BY_NAME else INSIDE.get(one, one) if name == "kinds" else choices.get(one, one) for one in (value if isinstance(value, list) else [value])]
    return str(field.verbose_name) if value is True else headed(field.verbose_name, " ".join(map(str, words)))  # type: ignore[union-attr]


def _named(one: Any) -> dict[str, Any]:
    cells = [(name, *_apart(str(before), str(after or ""))) for name, before, after in one.cells]
    return {"event": one.event_id, "cells": [{"label": title(name), "before": before, "after": after} for name, before, after in cells]}


def _apart(before: str, after: str) -> tuple[str, str]:
    """Two texts cut to where they differ, with a few words around; a long stretch in the middle is left out."""
    start = _alike(before, after)
    end = min(_alike(before[::-1], after[::-1]), min(len(before), len(after)) - start)
    return _cut(before, start, end), _cut(after, start, end)


def _alike(one: str, other: str) -> int:
    return next((at for at, (a, b) in enumerate(zip(one, other)) if a != b), min(len(one), len(other)))


def _cut(text: str, start: int, end: int) -> str:
    first, last = max(0, start - AROUND), min(len(text), len(text) - end + AROUND)
    shown = text[first:last]
    shown = shown if len(shown) <= SHOWN else f"{shown[: SHOWN // 2]} … {shown[-SHOWN // 2 :]}"
    return f"{'…' if first else ''}{shown}{'…' if last < len(text) else ''}"


@page("masking-shipped/", name="masking_shipped", permission="lake.maskrule.view", title=_("Rules that ship"), parent="maskrule_list")
def shipped(request: HttpRequest) -> HttpResponse:
    """Rules that come with the product; those taken over are changed and switched on one by one."""
    viewer = request.viewer  # type: ignore[attr-defined]
    if request.method == "POST":
        made = actions.take_over(request.POST.getlist("name"), actor=viewer)
        messages.success(request, gettext("Taken over: %d. They are off; look what each would do, then switch it on.") % len(made))
        return HttpResponseRedirect(reverse("lake:maskrule_list"))
    known = set(models.MaskRule.objects.filter(organisation=viewer.organisation).values_list("name", flat=True))
    lines = [{"name": name, "title": either(entry.get("zh", ""), name.replace("-", " ")), "why": either(entry.get("zh_why", ""), entry.get("why", "")), "way": entry["way"], "taken": name in known} for name, entry in shielding.shipped().items()]
    return show(request, "lake/masking_shipped.html", {"lines": lines, "left": viewer.may("lake.maskrule.add") and any(not line["taken"] for line in lines)})


@page("masking-try/", name="masking_try", permission="lake.maskrule.view", title=_("Try a line"), parent="maskrule_list")
def try_line(request: HttpRequest) -> HttpResponse:
    """A pasted line as it would be stored: through its format, its mapping and the rules that are on, or one rule."""
    viewer = request.viewer  # type: ignore[attr-defined]
    chosen, line = request.POST.get("rule", request.GET.get("rule", "")), request.POST.get("line", "")
    rows = models.MaskRule.objects.seen_by(viewer).order_by("name")
    context: dict[str, Any] = {"rules": [{"pk": str(row.pk), "name": str(row)} for row in rows], "chosen": chosen, "line": line}
    if request.method == "POST":
        try:
            rule = rows.filter(pk=chosen).first() if chosen else None
            context["changes"] = [_named(one) for one in queries.tried(line, rule, viewer=viewer)]
        except Fault as fault:
            context["fault"] = fault
    return show(request, "lake/masking_try.html", context, status=422 if "fault" in context else 200)


@page("pseudonyms/", name="pseudonyms", permission="lake.pseudonym.open", nav=Nav("governance", _("Lead a pseudonym back"), order=21, icon="user-check", group="desensitising"))
def pseudonyms(request: HttpRequest) -> HttpResponse:
    """Who stood behind it: for the organisation whose log it was, with a reason that stands in the ledger."""
    context: dict[str, Any] = {"token": request.POST.get("token", request.GET.get("token", "")), "reason": request.POST.get("reason", "")}
    if request.method == "POST":
        try:
            context["found"] = actions.lead_back(context["token"], reason=context["reason"], actor=request.viewer)  # type: ignore[attr-defined]
        except Fault as fault:
            context["fault"] = fault
    return show(request, "lake/pseudonyms.html", context, status=getattr(context.get("fault"), "status", 200))
