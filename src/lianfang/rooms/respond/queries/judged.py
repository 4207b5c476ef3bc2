"""What people judged the alerts of a rule to be."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from lianfang.commons.people import queries as people
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.respond import models
from lianfang.rooms.respond.queries.asking import seen
from lianfang.rooms.respond.types import Verdict

SHOWN = 8


@dataclass(frozen=True, slots=True)
class Line:
    """One organisation: its last verdicts on the rule."""

    name: str
    false: int
    benign: int
    real: int


def judged(rule_uid: str, viewer: Viewer) -> list[Line]:
    """Verdicts on the rule in the organisations whose alerts of it the viewer sees, those with most first."""
    rows = models.Judged.objects.filter(rule_uid=rule_uid)
    owners = dict(seen(viewer).filter(rule_uid=rule_uid, territory__in=list(rows.values_list("territory", flat=True))).order_by().values_list("territory", "organisation").distinct()) if rows.exists() else {}
    lines = []
    for row in rows.filter(territory__in=owners):
        counts = Counter(one[3] for one in row.said)
        lines.append(Line(people.name_of(owners[row.territory]), counts[Verdict.FALSE_POSITIVE], counts[Verdict.BENIGN], counts[Verdict.TRUE_POSITIVE]))
    return sorted(lines, key=lambda line: (-(line.false + line.benign + line.real), line.name))[:SHOWN]
