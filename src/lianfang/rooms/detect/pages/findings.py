"""Findings: what rules found, before it became alerts. For whoever wants to check the folding."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from lianfang.commons.frame.pages import Nav
from lianfang.commons.frame.sheets import SEVERITIES, Column, Filter, Sheet, register
from lianfang.commons.people import queries as people
from lianfang.rooms.detect import models, queries
from lianfang.rooms.detect.queries import exemptions, framework
from lianfang.rooms.lake import queries as lake

FINDINGS = register(
    Sheet(
        model=models.Finding,
        kind="finding",
        path="findings",
        title=_("Findings"),
        about=_("One line per rule, host and quarter of an hour, as stored batch by batch; alerts are folded from these."),
        order="-last",
        nav=Nav("alerts", _("Findings"), order=50, icon="search"),
        columns=(
            Column("title", _("Finding"), value=str, sort="title"),
            Column("severity", cell="severity"),
            "host",
            Column("user", value=lambda row: row.named, sort="named"),
            Column("count", cell="number"),
            Column("alarm", _("Alarm type"), value=lambda row: framework.alarm_name(row.alarm), sort="alarm"),
            "techniques",
            "first",
            "last",
            Column("organisation", _("Organisation"), value=lambda row: people.name_of(row.organisation), sort=False),
            "source_name",
            "author",
            Column("licence", shown=False),
            Column("kind", shown=False),
            Column("backfilled", shown=False),
            Column("sample", shown=False),
            Column("exemption", _("Exception"), value=lambda row: exemptions.name_of(row.exemption), sort=False, shown=False),
            Column("rule_uid", cell="code", shown=False),
            Column("batch", cell="code", shown=False),
            Column("events", shown=False),
        ),
        filters=(
            Filter("severity", _("Severity"), kind="choice", choices=SEVERITIES),
            Filter("kind"),
            Filter("host", _("Host")),
            Filter("organisation", _("Organisation"), kind="choice", choices=lake.owner_choices),
            Filter("source", _("Source"), kind="choice", choices=lake.source_choices),
            Filter("last", _("Last event")),
            Filter("backfilled"),
            Filter("rule", _("Rule"), kind="text", lookup="rule_uid"),
            Filter("exempted", _("Taken by an exception"), kind="boolean", apply=lambda rows, values: rows.filter(exemption__isnull=values[0] != "1")),
            Filter("exemption", _("Exception"), kind="choice", choices=exemptions.choices),
        ),
        search=("title", "title_zh", "host", "named"),
        create=False,
        change=False,
        remove=False,
        found=False,
        rows=queries.finding_rows,
        poll=10,
    )
)
