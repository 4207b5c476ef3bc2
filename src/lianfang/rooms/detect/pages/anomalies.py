"""Log anomaly alarms: the list, one with what it told, and the doors to it from the tree of log templates."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.translation import gettext as translate
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from lianfang.commons.frame.language import listed
from lianfang.commons.frame.pages import Nav, page, panel
from lianfang.commons.frame.sheets import Column, Filter, Sheet, SheetForm, Verb, register
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.detect import actions, models
from lianfang.rooms.detect.queries import anomalies
from lianfang.rooms.lake import queries as lake
from lianfang.rooms.lake.types import TemplateTree


class AnomalyForm(SheetForm):
    """Whose logs, and what about them is an alarm."""

    source = forms.ChoiceField(label=_("Log source"), required=False, help_text=models.AnomalyAlarm._meta.get_field("source").help_text)

    class Meta:
        model = models.AnomalyAlarm
        fields = ("name", "source", "layer", "fresh", "more", "fewer", "learning", "calendar", "severity", "note", "enabled")

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        names = lake.source_names(viewer=self.viewer) if self.viewer is not None else []
        self.fields["source"].choices = [("", "—"), *((name, name) for name in names)]  # type: ignore[attr-defined]


def whose(row: models.AnomalyAlarm) -> str:
    """The sources it is about."""
    return row.source or (translate("all of the layer “%(layer)s”") % {"layer": row.get_layer_display()} if row.layer else translate("all sources"))


def what(row: models.AnomalyAlarm) -> str:
    """What is an alarm, in a line."""
    return listed(str(row._meta.get_field(name).verbose_name) for name in ("fresh", "more", "fewer") if getattr(row, name))  # type: ignore[union-attr]


ANOMALIES = register(
    Sheet(
        model=models.AnomalyAlarm,
        title=_("Log anomaly alarms"),
        path="anomalies",
        about=_("Alarms without rules: what the programs behind a source never said before, or say much more or much less than at this time of day. Found by their log templates."),
        columns=("name", Column("whose", _("Whose logs"), value=whose, sort=False), Column("what", _("What is an alarm"), value=what, sort=False), Column("told", cell="number"), "last", Column("enabled", cell="yesno"), Column("severity", cell="severity", shown=False), Column("made_by", shown=False)),
        facts=(Column("severity", cell="severity"), Column("whose", _("Whose logs"), value=whose), Column("what", _("What is an alarm"), value=what), "learning", Column("calendar", _("Calendar"), value=lambda row: str(row.calendar or translate("always"))), "note", Column("enabled", cell="yesno"), Column("spared", _("Lines without alarm"), value=lambda row: len(row.spared), cell="number"), "told", "last", "made_by", "created"),
        filters=("layer", "severity", "enabled", Filter("source", _("Log source"), kind="choice", choices=lake.source_choices)),
        search=("name", "source"),
        fields=AnomalyForm.Meta.fields,
        form=AnomalyForm,
        order="name",
        nav=Nav("detection", _("Log anomaly alarms"), order=33, icon="wave-saw-tool"),
        create=actions.create_anomaly,
        change=actions.change_anomaly,
        remove=actions.remove_anomaly,
        verbs=(
            Verb("disable", _("Set out of use"), actions.switch_anomaly, permission="detect.anomalyalarm.change", bulk=True, icon="player-pause", when=lambda row: row.enabled),
            Verb("enable", _("Put into use"), actions.switch_anomaly, permission="detect.anomalyalarm.change", bulk=True, icon="player-play", when=lambda row: not row.enabled),
            Verb("hear", _("Hear of all lines again"), actions.hear_all_again, permission="detect.anomalyalarm.change", icon="bell", when=lambda row: bool(row.spared)),
        ),
        template="detect/monitor.html",
        empty=(_("No log is judged yet"), _("Choose a source, or a layer such as the operating systems: what is not as usual in its logs becomes an alarm, and nobody writes a rule."), "/detect/anomalies/add/", _("New log anomaly alarm")),
    )
)  # fmt: skip


@page("anomalies/<uuid:pk>/spare/<uuid:template>/", name="anomalyalarm_spare", permission="detect.anomalyalarm.change", title=_("No alarm for this line any more"), parent="anomalyalarm_list")
@require_POST
def spare(request: HttpRequest, pk: UUID, template: UUID) -> HttpResponse:
    """A template of which nobody wants to hear any more."""
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    row = actions.spare_template(models.AnomalyAlarm.objects.fetch(pk, viewer), str(template), actor=viewer)
    messages.success(request, translate("This line is no alarm any more; on the page of the alarm all of them can be heard again."))
    return HttpResponseRedirect(reverse("detect:anomalyalarm", kwargs={"pk": row.pk}))


@panel("detect.anomalyalarm.main", title=_("What is judged"), order=5)
def judged(request: HttpRequest, row: models.AnomalyAlarm) -> str:
    """The sources it is about, with how many templates of each are known, and for which it is too early."""
    return render_to_string("detect/panel_judged.html", {"row": row, "lines": anomalies.judged(row, request.viewer)}, request)  # type: ignore[attr-defined]


@panel("lake.log_templates.doors", order=10, permission="detect.anomalyalarm.add")
def from_tree(request: HttpRequest, tree: TemplateTree) -> str:
    """Above the tree of a source: its alarm, or the form of a new one filled in."""
    own = anomalies.about(tree.source, request.viewer)  # type: ignore[attr-defined]
    if own is not None:
        return render_to_string("detect/door_anomaly.html", {"url": reverse("detect:anomalyalarm", kwargs={"pk": own.pk}), "own": own}, request)
    asked = {"source": tree.source, "name": translate("Unusual logs of %s") % tree.source, "fresh": "on", "more": "on"}
    return render_to_string("detect/door_anomaly.html", {"url": f"{reverse('detect:anomalyalarm_add')}?{urlencode(asked)}"}, request)
