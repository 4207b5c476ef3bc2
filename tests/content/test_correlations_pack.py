"""The pack of correlations keeps its promises: each fires on its samples through decoder, mapper, engine and correlator, stays silent on near misses, and can be read in Chinese."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from uuid import UUID

import pytest
import yaml

from lianfang.engines.rules import sources
from lianfang.engines.rules.compiler import compile_rules
from lianfang.rooms.detect import actions

CONTENT = Path(__file__).parents[2] / "content"
PACK = CONTENT / "rules" / "correlations"
RULES = {f"{path.parent.name}/{path.name}": yaml.safe_load(path.read_text("utf-8")) for group in ("chains", "steps") for path in sorted((PACK / group).glob("*.yml"))}
CHAINS = {path: rule for path, rule in RULES.items() if path.startswith("chains/")}
WANTED = {"weak-password", "abnormal-login", "webshell", "exploit", "scan", "ransomware", "mining", "exfiltration", "phishing", "lateral", "credential", "destruction", "outage", "callback", "log-clearing", "persistence", "discovery", "privilege"}


@cache
def framework():
    return yaml.safe_load((CONTENT / "frameworks" / "attack.yaml").read_text("utf-8"))


def test_every_correlation_fires_on_its_samples_and_not_on_its_near_misses():
    report = actions.test_pack(PACK)
    assert report.failures == ()
    assert report.problems == ()
    assert report.rules == len(RULES)
    assert report.samples >= 2 * len(RULES)


def test_there_are_enough_and_each_serves():
    compiled = compile_rules(sources.load([PACK / "chains", PACK / "steps"]))
    assert compiled.problems == ()
    assert len(compiled.correlations) == len(CHAINS) >= 60
    referred = {ref for one in compiled.correlations for ref in one.refs}
    assert {rule.uid for rule in compiled.rules} <= referred, "a step that nothing looks at"
    assert {one.kind for one in compiled.correlations} >= {"event_count", "value_count", "value_sum", "temporal", "temporal_ordered", "absence"}
    assert {tag.removeprefix("lianfang.alarm.") for rule in CHAINS.values() for tag in rule["tags"] if tag.startswith("lianfang.alarm.")} >= WANTED


@pytest.mark.parametrize("path", RULES)
def test_it_can_be_read_by_an_analyst(path):
    rule, own = RULES[path], RULES[path]["lianfang"]
    assert UUID(rule["id"]).version == 4
    assert rule["author"] == "Lianfang"
    for text in (own["title_zh"], own["description_zh"]):
        assert re.search(r"[\u4e00-\u9fff]", text)
        assert not re.search(r"[\u4e00-\u9fff][,;:?]", text), f"half-width punctuation: {text}"
    if path in CHAINS:
        assert rule["level"] in {"medium", "high", "critical"}
        assert len(rule["description"]) > 60
    else:
        assert rule["tags"] == ["lianfang.step"]


@pytest.mark.parametrize("path", CHAINS)
def test_its_tags_name_attack_and_one_alarm_type(path):
    attack = framework()
    known = {name for tactic in attack["tactics"] for name in (tactic["key"], *tactic.get("also", ()))}
    tags = CHAINS[path]["tags"]
    techniques = {tag.removeprefix("attack.").upper() for tag in tags if re.fullmatch(r"attack\.t\d{4}(\.\d{3})?", tag)}
    tactics = {tag.removeprefix("attack.") for tag in tags if tag.startswith("attack.") and not re.match(r"attack\.t\d", tag)}
    assert techniques and all(id in attack["techniques"] or id.split(".")[0] in attack["techniques"] for id in techniques)
    assert tactics and tactics <= known
    assert sum(tag.startswith("lianfang.alarm.") for tag in tags) == 1


def test_ids_titles_and_logic_are_unique():
    for values in ([rule["id"] for rule in RULES.values()], [rule["title"] for rule in RULES.values()], [rule["lianfang"]["title_zh"] for rule in RULES.values()], [rule["name"] for rule in RULES.values()]):
        assert len(values) == len(set(values))
