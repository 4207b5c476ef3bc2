"""What may come next in an attack: of the five techniques that are named, is one met later? Beside the five commonest techniques.

Real Windows events, examined by all SigmaHQ rules of good standing; a course is what one host told on one day: when each technique was first met. After every
moment of a course the rest is foretold from all courses that lie more than two days away, and from the kinds of attack that the node describes. Attacks of this
data were made by researchers, many of them alike; the figure compares two ways on the same data and is no promise for other networks.
"""

from __future__ import annotations

import os
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent / "src"), str(HERE.parent)]
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "lianfang.site.settings")

import django  # noqa: E402

django.setup()
import msgspec  # noqa: E402
from benchmarks import bench_rules, report  # noqa: E402

from lianfang.engines.graphs import Course, Following  # noqa: E402
from lianfang.engines.rules import Examiner, prepared, sources  # noqa: E402
from lianfang.engines.rules.compiler import compile_rules  # noqa: E402
from lianfang.rooms.detect.queries import scenarios  # noqa: E402
from lianfang.rooms.respond.queries import courses as respond  # noqa: E402

NAMED, APART, LEVELS = 5, 2, ("low", "medium", "high", "critical")
DAY = 86_400.0
TECHNIQUE = re.compile(r"attack\.(t\d{4})(?:\.\d{3})?")
MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)")
Guess = Callable[[Sequence[Course], set[str]], list[str]]


def courses() -> list[tuple[float, Course]]:
    """Day and course of each host and day with three techniques or more."""
    folder = bench_rules.data()
    rules = prepared(compile_rules(sources.load(folder / "sigma-rules.tar.zst")))
    techniques = {rule.uid: sorted({found.group(1).upper() for tag in rule.tags if (found := TECHNIQUE.fullmatch(tag.lower()))}) for rule in rules.rules if rule.level in LEVELS}
    lines = bench_rules.events(folder)
    met: dict[tuple[str, float], dict[str, float]] = defaultdict(dict)
    for at, fired in Examiner(rules).json_lines(lines):
        names = {name for uid in fired for name in techniques.get(uid, ())}
        if names:
            event = msgspec.json.decode(lines[at])
            found = next((found for name in ("UtcTime", "EventTime", "@timestamp", "SystemTime", "TimeCreated") if (found := MOMENT.search(str(event.get(name, ""))))), None)
            if found is None:
                continue
            moment = datetime.fromisoformat(f"{found.group(1)}T{found.group(2)}+00:00").timestamp()
            host = str(event.get("Computer") or event.get("Hostname") or event.get("host") or "").lower()
            course = met[host, moment // DAY]
            for name in names:
                course[name] = min(moment, course.get(name, moment))
    return [(day, course) for (_host, day), course in sorted(met.items()) if len(course) >= 3]


def ours(known: Sequence[Course], met: set[str]) -> list[str]:
    return [one.name for one in Following(known).expect(sorted(met), most=NAMED)]


def commonest(known: Sequence[Course], met: set[str]) -> list[str]:
    counts = Counter(name for course in known for name in course if name not in met)
    return sorted(counts, key=lambda name: (-counts[name], name))[:NAMED]


def hits(all_of_them: Sequence[tuple[float, Course]], kinds: Sequence[Course], guess: Guess) -> tuple[int, int, int]:
    """How often one of those named came later, how often in the next moment, and of how many."""
    later = soon = number = 0
    for day, course in all_of_them:
        known = [*(other for when, other in all_of_them if abs(when - day) > APART), *kinds]
        moments = sorted(set(course.values()))
        for at, until in pairwise(moments):
            named = set(guess(known, {name for name, moment in course.items() if moment <= at}))
            later += any(moment > at for name, moment in course.items() if name in named)
            soon += any(moment == until for name, moment in course.items() if name in named)
            number += 1
    return later, soon, number


def main() -> None:
    found, kinds = courses(), respond.described(scenarios.scenarios().values())
    later, soon, number = hits(found, kinds, ours)
    peer_later, peer_soon, _ = hits(found, kinds, commonest)
    print(f"{len(found)} courses, {number} moments, {len(kinds)} described kinds of attack")
    rows = [
        report.Row("following: one of five named techniques is met later", 100 * later / number, "%", "the five commonest", 100 * peer_later / number, later / peer_later),
        report.Row("following: one of five named techniques is the next", 100 * soon / number, "%", "the five commonest", 100 * peer_soon / number, soon / peer_soon),
    ]
    report.show(rows)
    report.merge(rows)


if __name__ == "__main__":
    main()
