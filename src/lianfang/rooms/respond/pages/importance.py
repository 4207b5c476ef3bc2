"""How important hosts, users and ranges of addresses are: the sheet with its import; and on the page of a rule, what people judged its alerts to be."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils.translation import gettext_lazy as _

from lianfang.commons.frame.pages import Nav, panel, said
from lianfang.commons.frame.sheets import Column, Filter, Sheet, SheetForm, register
from lianfang.commons.people import queries as people
from lianfang.kernel.errors import Invalid
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.lake import queries as lake
from lianfang.rooms.respond import actions, models, queries

TONES = {models.Weight.HIGH: "warn", models.Weight.MEDIUM: "quiet", models.Weight.LOW: "quiet"}


class ImportanceForm(SheetForm):
    """What, and how important."""

    class Meta:
        model = models.Importance
        fields = ("about", "value", "importance", "reason")

    def clean(self) -> dict[str, Any]:
        values: dict[str, Any] = super().clean() or {}
        if values.get("about") and values.get("value"):
            try:
                values["value"] = actions.plain(values["about"], values["value"])
            except Invalid as fault:
                self.add_error("value", forms.ValidationError(f"{said(fault.what)}: {said(fault.why)}. {said(fault.todo)}"))
        return values


IMPORTANCES = register(
    Sheet(
        model=models.Importance,
        kind="importance",
        path="importance",
        title=_("Importance of assets"),
        about=_("What matters most to your work. The same threat stands higher where it meets something important; what is said of an organisation holds for those below it that say nothing else."),
        columns=(
            Column("value", cell="code"), "about", Column("importance", cell="badge", tones=TONES), "reason", Column("organisation", _("Organisation"), value=lambda row: people.name_of(row.organisation), sort=False), "changed",
        ),
        filters=(Filter("about", _("Kind")), Filter("importance", _("Importance")), Filter("organisation", _("Organisation"), kind="choice", choices=lake.owner_choices)),
        search=("value", "reason"),
        fields=ImportanceForm.Meta.fields,
        form=ImportanceForm,
        order="-importance",
        nav=Nav("alerts", _("Importance of assets"), order=40, icon="scale"),
        create=actions.create_importance,
        change=actions.change_importance,
        remove=actions.remove_importance,
        empty=(_("Nobody has said what is important"), _("Import a table of hosts, users and address ranges, or write one entry."), "/respond/importance/import/", _("Import a table")),
    )
)  # fmt: skip


@panel("detect.rule.side", title=_("How its alerts were judged"), order=40)
def judged(request: HttpRequest, row: Any) -> str:
    """By people of the organisations in view, and what that does to the order of its next alerts."""
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    lines = queries.judged(row.uid, viewer)
    return render_to_string("respond/panel_judged.html", {"lines": lines}, request) if lines else ""
