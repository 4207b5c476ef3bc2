"""Fewer alerts: how much folding, grouping and ranking take away, and how many phases of attacks an analyst still meets.

Reads a labelled CSV of raw alerts named by ``BENCH_ALERTS``: ``host, signature, time, label`` (time in seconds since 1970 or
ISO 8601; the label of a phase, empty or ``false_positive`` for noise), and where it has them ``scenario, severity (1…5), tactic, ips,
users`` (the last two parted by spaces). Without it the stream of ``alert_stream.py`` is taken, and every row's name says so.

What runs is the product's own: findings by ``detect.folding``, alerts by ``respond.folding``, scores by ``respond.ranking``, incidents
by ``respond.grouping``, without a database. A phase is kept by folding when its raw alerts lie in an alert (all do, and it is
checked); it is in the ranked top when one of the first incidents, a thousandth of the raw alerts at most, holds an alert of it.
How much the largest incident swallows is printed beside: a single incident of everything would keep all phases and help nobody.

Verdicts: at the end of each day three analysts in turn judge the first twenty alerts of each organisation by their labels, and what they
said weighs the alerts of the days that follow. Beside it stands the same without verdicts.
"""

from __future__ import annotations

import csv
import os
import sys
import time
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent / "src"), str(HERE.parent)]
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "lianfang.site.settings")

import django  # noqa: E402

django.setup()

from benchmarks import alert_stream, report  # noqa: E402
from benchmarks.alert_stream import Raw  # noqa: E402

from lianfang.engines.graphs import groups  # noqa: E402
from lianfang.rooms.detect.actions import folding as detect_folding  # noqa: E402
from lianfang.rooms.detect.queries import framework  # noqa: E402
from lianfang.rooms.detect.types import FindingLine  # noqa: E402
from lianfang.rooms.respond import models  # noqa: E402
from lianfang.rooms.respond.actions import folding, grouping, ranking, weighing  # noqa: E402
from lianfang.rooms.respond.types import MEMORY, STORY, Reason  # noqa: E402

GIVEN = os.environ.get("BENCH_ALERTS", "")
NOISE = {"", "-", "false_positive", "none"}
Phase = tuple[str, str]
SLICE = 50_000
TOP = 0.001
"""The ranked top, as a share of the raw alerts."""


def given(path: str) -> list[Raw]:
    """The rows of a CSV, by time."""
    with open(path, encoding="utf-8", newline="") as file:
        rows = [Raw(line.get("scenario") or "all", line["host"], line["signature"], _moment(line["time"]), "" if line["label"].strip().lower() in NOISE else line["label"].strip(), int(line.get("severity") or 3), line.get("tactic") or "", tuple((line.get("ips") or "").split()), tuple((line.get("users") or "").split())) for line in csv.DictReader(file)]
    return sorted(rows, key=lambda raw: raw.time)


def _moment(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return datetime.fromisoformat(text).timestamp()


def findings(rows: list[Raw]) -> Iterator[FindingLine]:
    """As detect would store them, batch by batch."""
    about = {(raw.scenario, raw.signature, raw.host): raw for raw in rows}
    for start in range(0, len(rows), SLICE):
        part = rows[start : start + SLICE]
        columns = {
            "event_id": [f"{start + at:x}" for at in range(len(part))], "time": [datetime.fromtimestamp(raw.time, UTC) for raw in part], "host": [raw.host for raw in part], "territory": [raw.scenario for raw in part], "level": [1] * len(part),
            "ips": [list(raw.ips) for raw in part], "user": [raw.users[0] if raw.users else None for raw in part],
        }  # fmt: skip
        for at, fold in enumerate(detect_folding.fold({row: (raw.signature,) for row, raw in enumerate(part)}, columns)):
            one = about[fold.territory, fold.rule_uid, fold.host]
            yield FindingLine(
                id=f"{start}-{at}", batch=str(start), organisation="", territory=fold.territory, industry="", kind="sigma", rule_uid=fold.rule_uid, title=fold.rule_uid, title_zh="", severity=one.severity, status="test", author="", licence="", techniques=(),
                tactics=(one.tactic,) if one.tactic else (), alarm="", host=fold.host, user="", source="bench", source_name="bench", first=fold.first, last=fold.last, count=fold.count, events=(), entities=fold.plain_entities(), level=1, backfilled=False, sample=False,
            )  # fmt: skip


def folded(lines: Iterable[FindingLine]) -> list[models.Alert]:
    """As respond would raise them."""
    by_key: dict[folding.Key, list[FindingLine]] = defaultdict(list)
    for line in lines:
        by_key[folding.key_of(line)].append(line)
    return [session.alert for mine in by_key.values() for session in folding.fold(mine, [])]


def rank(alerts: list[models.Alert]) -> dict[object, list[Reason]]:
    """Scores as at the end of the stream, each alert knowing what came before it; gives the reasons."""
    told: dict[object, list[Reason]] = {}
    order = framework.attack().order
    by_host: dict[tuple[str, str], list[models.Alert]] = defaultdict(list)
    by_rule: dict[tuple[str, str], list[models.Alert]] = defaultdict(list)
    for alert in sorted(alerts, key=lambda alert: (alert.first, alert.rule_uid)):
        by_host[alert.territory, alert.host].append(alert)
        by_rule[alert.territory, alert.rule_uid].append(alert)
    for mine in by_host.values():
        sights = [ranking.Sight(alert.rule_uid, alert.kind, tuple(alert.tactics), alert.first, alert.last) for alert in mine]
        for alert, sight in zip(mine, sights, strict=True):
            around = [other for other in sights if other.within(sight, STORY)]
            before = [other for other in by_rule[alert.territory, alert.rule_uid] if alert.first - MEMORY <= other.first <= alert.first]
            past = ranking.Past(len({other.host for other in before}), sum(other.host == alert.host and other is not alert for other in before))
            alert.score, told[alert.pk] = ranking.rank(sight, severity=alert.severity, status=alert.status, count=alert.count, around=around, past=past, order=order)
    return told


JUDGED = 20
"""Alerts of an organisation that are judged in a day: those that stand first."""


def by_verdicts(alerts: list[models.Alert], told: dict[object, list[Reason]], held: dict[object, set[Phase]], *, heard: bool) -> tuple[float, set[Phase], int]:
    """Of the alerts judged, how many in a hundred were attacks; the phases that were judged; how many were judged. ``heard``: verdicts weigh what follows."""
    said: dict[tuple[str, str], list[ranking.Judgement]] = defaultdict(list)
    days: dict[tuple[int, str], list[models.Alert]] = defaultdict(list)
    for alert in alerts:
        days[int(alert.first.timestamp() // 86_400), alert.territory].append(alert)
    real, number, met = 0, 0, set()
    for day, territory in sorted(days):
        mine = days[day, territory]
        records = {alert.pk: ranking.track(said[territory, alert.rule_uid][-weighing.KEPT :], host=alert.host, entities=weighing.traces(alert), now=alert.first) if heard else ranking.UNJUDGED for alert in mine}
        scores = {alert.pk: ranking.moved(told[alert.pk], record=records[alert.pk])[0] for alert in mine}
        for at, alert in enumerate(sorted(mine, key=lambda alert: (-scores[alert.pk], alert.first, alert.rule_uid))[:JUDGED]):
            verdict = "true_positive" if held.get(alert.pk) else "false_positive"
            said[territory, alert.rule_uid].append(ranking.Judgement(alert.last, "abc"[at % 3], verdict, alert.host, weighing.traces(alert)))
            real, number = real + bool(held.get(alert.pk)), number + 1
            met |= held.get(alert.pk, set())
    return 100 * real / max(1, number), met, number


def incidents(alerts: list[models.Alert]) -> list[tuple[models.Incident, list[models.Alert]]]:
    """Groups of each organisation, the first to look at first."""
    by_key = {str(alert.pk): alert for alert in alerts}
    of: dict[str, list[models.Alert]] = defaultdict(list)
    for alert in alerts:
        of[alert.territory].append(alert)
    found = []
    for territory, mine in of.items():
        for group in groups(map(grouping.sight_of, mine), grouping.KINDS):
            row, members = models.Incident(territory=territory), [by_key[key] for key in group.members]
            grouping.summed(row, members)
            found.append((row, members))
    return sorted(found, key=lambda pair: (-pair[0].score, pair[0].first, str(pair[0].title)))


def phases_of(rows: list[Raw], alerts: list[models.Alert]) -> dict[object, set[Phase]]:
    """The phases that each alert holds. Raises ``AssertionError`` when a labelled raw alert lies in none: then folding lost it."""
    of: dict[folding.Key, list[models.Alert]] = defaultdict(list)
    for alert in sorted(alerts, key=lambda alert: alert.first):
        of[folding.key_of(alert)].append(alert)
    held: dict[object, set[Phase]] = defaultdict(set)
    for raw in rows:
        if raw.label:
            mine = of[raw.scenario, raw.host, raw.signature]
            alert = mine[bisect_right([one.first.timestamp() for one in mine], raw.time + 1e-3) - 1]
            assert alert.first.timestamp() - 1e-3 <= raw.time <= alert.last.timestamp() + 1e-3, raw
            held[alert.pk].add((raw.scenario, raw.label))
    return held


def main() -> int:
    rows = given(GIVEN) if GIVEN else alert_stream.stream()
    about = f"{Path(GIVEN).name}" if GIVEN else "generated stream"
    all_phases = {(raw.scenario, raw.label) for raw in rows if raw.label}
    began = time.process_time()
    alerts = folded(findings(rows))
    spent_folding = time.process_time() - began
    told = rank(alerts)
    held = phases_of(rows, alerts)
    began = time.process_time()
    heard, met_heard, judged = by_verdicts(alerts, told, held, heard=True)
    spent_weighing = time.process_time() - began
    deaf, met_deaf, _number = by_verdicts(alerts, told, held, heard=False)
    began = time.process_time()
    found = incidents(alerts)
    spent_grouping = time.process_time() - began
    top = found[: max(1, int(len(rows) * TOP))]
    seen = {phase for _row, members in top for alert in members for phase in held.get(alert.pk, ())}
    loudest = sorted(alerts, key=lambda alert: (-alert.score, alert.first, alert.rule_uid))[: max(1, int(len(rows) * TOP))]
    by_score = {phase for alert in loudest for phase in held.get(alert.pk, ())}
    first = next((at for at in range(1, len(found) + 1) if {phase for _row, members in found[:at] for alert in members for phase in held.get(alert.pk, ())} == all_phases), len(found))
    purity = sorted(sum(bool(held.get(alert.pk)) for alert in members) / len(members) for _row, members in found if any(held.get(alert.pk) for alert in members))
    kept = {phase for phases in held.values() for phase in phases}
    table = [
        report.Row(f"alerts, {about}: raw", len(rows), "alerts"),
        report.Row(f"alerts, {about}: phases of attacks", len(all_phases), "phases"),
        report.Row(f"alerts, {about}: folded away", 100 * (1 - len(alerts) / len(rows)), "%", goal=99.3),
        report.Row(f"alerts, {about}: phases kept by folding", len(kept), "phases", goal=f"{len(all_phases)}"),
        report.Row(f"alerts, {about}: folded and grouped away", 100 * (1 - len(found) / len(rows)), "%"),
        report.Row(f"alerts, {about}: taken away in the ranked top", 100 * (1 - len(top) / len(rows)), "%", goal=99.9),
        report.Row(f"alerts, {about}: phases in the ranked top of incidents", len(seen), "phases", "ranked top of alerts", len(by_score), goal=f"{round(62 / 65 * len(all_phases))} of {len(all_phases)}"),
        report.Row(f"alerts, {about}: incidents until every phase was met", first, "incidents"),
        report.Row(f"alerts, {about}: largest incident, of all alerts", 100 * max(len(members) for _row, members in found) / len(alerts), "%"),
        report.Row(f"alerts, {about}: alerts of attacks in incidents with attacks, median", 100 * purity[len(purity) // 2] if purity else 0.0, "%"),
        report.Row(f"alerts, {about}: attacks among {judged} alerts judged, {JUDGED} a day", heard, "%", "without verdicts", deaf),
        report.Row(f"alerts, {about}: phases among the alerts judged", len(met_heard), "phases", "without verdicts", len(met_deaf)),
        report.Row(f"alerts, {about}: weighing by verdicts", len(alerts) / max(spent_weighing, 1e-9), "alerts/CPU-s"),
        report.Row(f"alerts, {about}: folding", len(rows) / max(spent_folding, 1e-9), "raw alerts/CPU-s"),
        report.Row(f"alerts, {about}: grouping", len(alerts) / max(spent_grouping, 1e-9), "alerts/CPU-s"),
    ]
    report.show(table)
    report.merge(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
