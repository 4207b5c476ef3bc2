"""Native route and OCSF route: an event as its log wrote it, and the same event as it is stored (columns, and what is kept beside them), fire the same rules.

The way back is the template read backwards: a column that says all that a field said stands for the field; everything else is among ``unmapped`` by
its own name. What a template cannot give back stands in explained.yaml, with its reason.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
import zstandard
from tests.engines.rules.test_field_data import regression
from tests.engines.rules.three_ways import made_of, shipped

from lianfang.engines.connect import codecs, files
from lianfang.engines.connect.explain import case_of
from lianfang.engines.connect.mapping import Templates
from lianfang.engines.connect.template import Step, Template
from lianfang.engines.rules import Compiled, Examiner
from lianfang.engines.rules.compiler import compile_rules
from lianfang.engines.rules.trees import LOGSOURCE, atoms_of

EXPLAINED = yaml.safe_load(Path(__file__).with_name("explained.yaml").read_text("utf-8"))["routes"]
MOMENT = datetime(2026, 11, 20, 12, tzinfo=UTC)
AT_ONCE = 5_000


def stored(columns: Mapping[str, Sequence[Any]], at: int) -> dict[str, Any]:
    """One event as it is stored."""
    return {name: values[at] for name, values in columns.items() if values[at] is not None}


def native(template: Template, event: Mapping[str, Any]) -> dict[str, str]:
    """The fields of the log it was, as far as a stored event tells."""
    kept = json.loads(event.get("unmapped") or "{}")
    said = _filled(template.steps, event, kept, kept)
    return _filled((*case_of(template, said).steps, *template.steps), event, kept, said)


def _filled(steps: Sequence[Step], event: Mapping[str, Any], kept: Mapping[str, str], said: Mapping[str, str]) -> dict[str, str]:
    """``kept`` with what these steps give back; ``said``: what is known of the event, for their conditions."""
    row, taken = dict(kept), set()
    for step in steps:
        target = step.targets[0]
        if step.faithful and step.fields != ("*",) and target in event and target not in taken and all(test.holds(said.get(test.field)) for test in step.when):
            name = next((name for name in step.fields if name not in kept), None)
            if name is not None:
                row[name] = _text(event[target])
                taken.add(target)
    return row


def _text(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else "\n".join(value) if isinstance(value, tuple | list) else str(value)


def both(compiled: Compiled, rows: Sequence[dict[str, str]], templates: Templates) -> Iterator[tuple[int, frozenset[str], frozenset[str], frozenset[str]]]:
    """Event → what fires on it as its log wrote it, with and without what the template says of its log source, and as it is stored."""
    by_name = {template.name: template for template in (*templates.templates, templates.fallback)}
    ways = [Examiner(compiled) for _ in range(3)]
    for start in range(0, len(rows), AT_ONCE):
        some = rows[start : start + AT_ONCE]
        mapped = templates.map(some, received=MOMENT)
        back = [native(by_name[name], stored(mapped.columns, at)) for at, name in enumerate(mapped.template)]
        found = [dict(ways[0].rows(some, mapped.logsources)), dict(ways[1].rows(some)), dict(ways[2].rows(back, mapped.logsources))]
        for at in sorted(set().union(*found)):
            yield start + at, *(frozenset(one.get(at, ())) for one in found)


def held(compiled: Compiled, rows: Sequence[dict[str, str]], explained: Mapping[str, Any]) -> int:
    """All of it over some events; returns how many rules fired."""
    titles = {rule.uid: rule.title for rule in compiled.rules}
    gated = {rule.uid for rule, tree in zip(compiled.rules, compiled.trees) if any(compiled.atoms[atom].field == LOGSOURCE for atom in atoms_of(tree))}
    fired, lost, gained = set(), {}, {}
    for at, by_log, bare, by_ocsf in both(compiled, rows, Templates.load("content/mappings")):
        assert bare - gated == by_log - gated, "what the template says of the log source speaks to rules alone that ask for it"
        fired |= by_log
        for uid in by_log - by_ocsf:
            lost.setdefault(titles[uid], []).append(at)
        for uid in by_ocsf - by_log:
            gained.setdefault(titles[uid], []).append(at)
    for found, said in ((lost, explained["lost"]), (gained, explained["gained"])):
        assert {title: len(at) for title, at in found.items()} == {title: number for one in said for title, number in one["rules"].items()}, {title: rows[at[0]] for title, at in found.items()}
    return len(fired)


def test_samples_and_events_made_from_the_shipped_rules_fire_alike_on_both_routes():
    compiled = compile_rules(shipped())
    rows = [row for found in made_of(compiled).values() for row in found if row.get("Channel")]
    for name, codec in (("windows.jsonl", "json"), ("web.jsonl", "json"), ("linux.log", "syslog")):
        rows += codecs.decode(codec, Path("content/samples", name).read_bytes().splitlines()).rows
    assert held(compiled, rows, EXPLAINED["shipped"]) > 90


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.xdist_group("metamorphic")
def test_all_real_events_fire_alike_on_both_routes(sigma, field_data, tmp_path):
    with (field_data / "detection" / "windows-events-201k.jsonl.zst").open("rb") as packed:
        rows = codecs.decode("json", zstandard.ZstdDecompressor().stream_reader(packed).read().splitlines()).rows
    for _name, _uids, _count, content in regression(field_data):
        path = tmp_path / "events.evtx"
        path.write_bytes(content)
        rows = [*rows, *codecs.decode("json", [frame for frame in files.frames(path) if isinstance(frame, bytes)]).rows]
    assert len(rows) > 201_000
    assert held(sigma, rows, EXPLAINED["real"]) > 200
