"""Covering: which rules can fire on what this node receives, and what would bring the others to it.

The figures stand in the rules as ``actions.survey`` left them. How often a rule fired, and which source sends what, is told as
far as the viewer may know.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

import yaml
from django.conf import settings

from lianfang.commons.frame.language import either
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.detect import models
from lianfang.rooms.detect.queries import last_fired, loading, rule_rows
from lianfang.rooms.detect.types import BASELINE, CORRELATION, STATES, Coverage, MissingField, MissingSource, PackCoverage, RuleState
from lianfang.rooms.lake import queries as lake


def state_of(row: models.Rule, fired: bool) -> str:
    """One of ``STATES``: what stands between a rule and its firing, the first thing first."""
    if row.problem:
        return "unusable"
    if not row.enabled:
        return "off"
    if row.reach in (models.Reach.SOURCE, models.Reach.FIELDS):
        return str(row.reach)
    return "fired" if fired else str(row.reach or "unknown")


def coverage(viewer: Viewer) -> Coverage:
    """The report of this node. Raises ``Refused`` for who may not see rules."""
    viewer.must("detect.rule.view")
    packs: dict[str, Counter[str]] = defaultdict(Counter)
    names: dict[str, str] = {}
    fields: dict[str, list[models.Rule]] = defaultdict(list)
    sources: Counter[tuple[str, str, str]] = Counter()
    for row in rule_rows(viewer):
        state = state_of(row, last_fired(row) is not None)
        packs[str(row.pack_id)][state] += 1
        names[str(row.pack_id)] = row.pack.name
        if state == "fields":
            for name in row.waits:
                fields[name].append(row)
        elif state == "source" and row.category not in (CORRELATION, BASELINE):  # what a correlation waits for is said of the rules that it is built upon; a baseline looks at no one source
            sources[row.product, row.category, row.service] += 1
    survey = models.Survey.objects.first()
    return Coverage(
        at=survey.at if survey else None,
        kinds=models.EventKind.objects.count(),
        packs=tuple(PackCoverage(pk, names[pk], sum(counts.values()), {state: counts[state] for state in STATES}) for pk, counts in sorted(packs.items(), key=lambda pair: names[pair[0]])),
        fields=_missing_fields(fields, viewer),
        sources=tuple(MissingSource(*key, count, advice(*key)) for key, count in sorted(sources.items(), key=lambda pair: (-pair[1], pair[0]))),
    )


def by_rule(viewer: Viewer) -> list[RuleState]:
    """The state of every rule."""
    return [RuleState(row.uid, str(row), row.pack.name, state_of(row, last_fired(row) is not None), tuple(row.waits), last_fired(row)) for row in rule_rows(viewer)]


def _missing_fields(waiting: dict[str, list[models.Rule]], viewer: Viewer) -> tuple[MissingField, ...]:
    wanted = {row.nearest for rows in waiting.values() for row in rows}
    kinds = {kind.pk: kind for kind in models.EventKind.objects.all() if kind.pk in wanted}
    seen = set(lake.source_names(viewer=viewer)) if viewer.may("lake.source.view") or viewer.may("lake.event.view") else set()
    found = [_missing_field(name, rows, [kinds[pk] for pk in dict.fromkeys(row.nearest for row in rows) if pk in kinds], seen) for name, rows in waiting.items()]
    return tuple(sorted(found, key=lambda one: (-one.rules, one.field)))


def _missing_field(name: str, rows: list[models.Rule], kinds: list[models.EventKind], seen: set[str]) -> MissingField:
    said = dict.fromkeys(advice(kind.product, kind.category, kind.service, field=name) for kind in kinds)
    return MissingField(
        field=name,
        rules=len(rows),
        alone=sum(len(row.waits) == 1 for row in rows),
        kinds=tuple(dict.fromkeys(told(kind) for kind in kinds)),
        sources=tuple(sorted({source for kind in kinds for source in kind.sources} & seen)),
        advice=" ".join(one for one in said if one),
    )


def told(kind: models.EventKind) -> str:
    """A kind of event in few words: its channel and event id where it has them, else its log source."""
    where = kind.channel or " / ".join(part for part in (kind.product, kind.category, kind.service) if part) or "?"
    return f"{where} {kind.event_id}".strip()


def built_upon(row: models.Rule) -> list[models.Rule]:
    """The rules whose matches a correlation looks at, in their order; none for other rules."""
    refs = next((one.refs for one in loading.correlations() if one.uid == row.uid), ()) if row.category == CORRELATION else ()
    rows = {rule.uid: rule for rule in models.Rule.objects.filter(uid__in=refs, gone=False)}
    return [rows[ref] for ref in refs if ref in rows]


def nearest(row: models.Rule) -> models.EventKind | None:
    """The kind of event on which a rule can fire, or needs least to."""
    return models.EventKind.objects.filter(pk=row.nearest).first() if row.nearest else None


# ---- what to switch on -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Hint:
    """What to switch on, for whatever fits; empty parts fit anything."""

    product: str
    category: str
    service: str
    field: str
    en: str
    zh: str

    def fits(self, product: str, category: str, service: str, field: str) -> bool:
        own, given = (self.product, self.category, self.service, self.field), (product, category, service, field)
        return all(not mine or mine.lower() == theirs.lower() for mine, theirs in zip(own, given, strict=True))


@cache
def _hints() -> tuple[tuple[Hint, ...], tuple[Hint, ...]]:
    said: dict[str, list[dict[str, Any]]] = yaml.safe_load((settings.CONTENT / "frameworks" / "logsources.yaml").read_text("utf-8"))
    empty = dict.fromkeys(("product", "category", "service", "field"), "")
    sources, fields = ([Hint(**empty | one) for one in said[part]] for part in ("sources", "fields"))
    return tuple(sources), tuple(fields)


def advice(product: str, category: str, service: str, *, field: str = "") -> str:
    """What to switch on for a log source, or for a field of it, in the reader's language; ``""`` where nothing is known."""
    sources, fields = _hints()
    found = _first(fields if field else sources, product, category, service, field)
    return either(found.zh, found.en) if found else ""


def _first(hints: Iterable[Hint], *given: str) -> Hint | None:
    return next((hint for hint in hints if hint.fits(*given)), None)
