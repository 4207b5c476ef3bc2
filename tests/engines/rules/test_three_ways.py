"""The engine, the plain interpreter and SQL say the same; what SQL says otherwise or cannot say stands in explained.yaml, each with its reason.

By default over events made from each rule that ships and from the rules that use every modifier; over all real events where they are at hand.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
import yaml
import zstandard
from tests.engines.rules import three_ways
from tests.engines.rules.conftest import PACK
from tests.engines.rules.test_field_data import regression
from tests.engines.rules.three_ways import Verdict, compare, made_of, shipped

from lianfang.engines.connect import codecs, files
from lianfang.engines.rules import Compiled, Examiner, sources
from lianfang.engines.rules.compiler import compile_rules

PARTS = 4
EXPLAINED = yaml.safe_load(Path(__file__).with_name("explained.yaml").read_text("utf-8"))


def agreed(verdict: Verdict, explained: dict, compiled: Compiled) -> None:
    """Engine and interpreter agree on everything; SQL on everything but what is explained, and all that is explained is still so."""
    titles = {rule.uid: rule.title for rule in compiled.rules}
    assert {titles[uid]: sorted(at)[:5] for uid, at in verdict.engine_only.items() if at} == {}
    assert {titles[uid]: sorted(at)[:5] for uid, at in verdict.naive_only.items() if at} == {}
    assert {titles[uid]: found for uid, found in verdict.by_sql.items()} == {title: found for one in explained["differs"] for title, found in one["rules"].items()}
    unsaid = Counter(next((one["reason"] for one in explained["unsaid"] if why.startswith(one["says"])), why) for why in verdict.unsaid.values())
    assert unsaid == {one["reason"]: one["rules"] for one in explained["unsaid"]}


def joined(verdicts: list[Verdict]) -> Verdict:
    """Several as one: a rule is unsaid if it is in all of them."""
    whole = Verdict()
    for at, one in enumerate(verdicts):
        for mine, theirs in ((whole.engine_only, one.engine_only), (whole.naive_only, one.naive_only), (whole.sql_only, one.sql_only), (whole.sql_lacks, one.sql_lacks), (whole.hits, one.hits)):
            for uid, events in theirs.items():
                mine[uid] |= {(at, event) for event in events}
        whole.unsaid = dict(one.unsaid) if at == 0 else {uid: why for uid, why in whole.unsaid.items() if uid in one.unsaid}
    return whole


@pytest.mark.parametrize("engine", ["vectorscan", "fallback"])
@pytest.mark.parametrize("pack", ["shipped", "modifiers"])
def test_events_made_from_rules_are_judged_alike(pack, engine):
    texts = PACK if pack == "modifiers" else shipped()
    compiled = compile_rules(texts)
    events = made_of(compiled)
    verdict = joined([compare(compiled, {text.path: text.text for text in texts}, rows, engine=engine, source=source) for source, rows in events.items()])
    assert len(verdict.hits) >= len(compiled.rules) - 1, "each must have fired"
    agreed(verdict, EXPLAINED[pack], compiled)


def test_a_hit_that_the_engine_loses_or_invents_is_seen(own, monkeypatch):
    rows = [event for found in made_of(own).values() for event in found]
    plainly = Examiner.rows
    monkeypatch.setattr(Examiner, "rows", lambda self, *given: [(index, uids) for index, uids in plainly(self, *given) if index != 0])
    verdict = compare(own, {text.path: text.text for text in PACK}, rows)
    assert any(0 in at for at in verdict.naive_only.values())
    monkeypatch.setattr(Examiner, "rows", lambda self, *given: [(index, tuple({*uids, own.rules[1].uid})) for index, uids in plainly(self, *given)])
    verdict = compare(own, {text.path: text.text for text in PACK}, rows)
    assert verdict.engine_only[own.rules[1].uid]


def test_a_fault_that_engine_and_interpreter_share_is_seen_by_sql(own, monkeypatch):
    """They share the trees: what the compiler gets wrong only another hand's reading of the text shows."""
    number = next(at for at, rule in enumerate(own.rules) if rule.title == "starts and ends")
    spoilt = Compiled(own.rules, (*own.trees[:number], own.trees[number - 1], *own.trees[number + 1 :]), own.atoms)
    rows = [event for found in made_of(own).values() for event in found]
    assert own.rules[number].uid in compare(spoilt, {text.path: text.text for text in PACK}, rows).by_sql


# ---- data that nobody here wrote -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def texts(field_data):
    return {text.path: text.text for text in sources.load(field_data / "detection" / "sigma-rules.tar.zst")}


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize("part", [pytest.param(part, marks=pytest.mark.xdist_group(f"three ways {part % 2}")) for part in range(PARTS)])
def test_all_real_events_are_judged_alike(part, sigma, texts, field_data):
    """In parts, by kind of event, so that two cores share them; together they are all 201,000."""
    with (field_data / "detection" / "windows-events-201k.jsonl.zst").open("rb") as packed:
        rows = [json.loads(line) for line in zstandard.ZstdDecompressor().stream_reader(packed).read().splitlines()]
    assert len(rows) == 201_000
    mine = [rows[index] for number, indices in enumerate(sorted(three_ways.kinds(rows).values(), key=len, reverse=True)) if number % PARTS == part for index in sorted(indices)]
    verdict = compare(sigma, texts, mine)
    assert len(verdict.hits) > 10
    agreed(verdict, EXPLAINED["real"], sigma)


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.xdist_group("field data")
def test_the_events_of_the_regression_files_are_judged_alike(sigma, texts, field_data, tmp_path):
    rows = []
    for _name, _uids, _count, content in regression(field_data):
        path = tmp_path / "events.evtx"
        path.write_bytes(content)
        rows += codecs.decode("json", [frame for frame in files.frames(path) if isinstance(frame, bytes)]).rows
    verdict = compare(sigma, texts, rows)
    assert len(verdict.hits) > 90
    agreed(verdict, EXPLAINED["regression"], sigma)
