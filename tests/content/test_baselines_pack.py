"""The pack of baselines keeps its promises: each fires on its samples through decoder, mapper and engine, stays silent on near misses, and can be read in Chinese."""

from __future__ import annotations

import re
from pathlib import Path
from uuid import UUID

import pytest
import yaml

from lianfang.engines.rules.sources import RuleText
from lianfang.rooms.detect import actions
from lianfang.rooms.detect.queries import baselines

PACK = Path(__file__).parents[2] / "content" / "rules" / "baselines"
RULES = {f"{path.parent.name}/{path.name}": path.read_text("utf-8") for path in sorted(PACK.glob("*/*.yml"))}


def test_every_baseline_fires_on_its_samples_and_not_on_its_near_misses():
    report = actions.test_pack(PACK)
    assert report.failures == ()
    assert report.problems == ()
    assert report.rules == len(RULES) >= 12
    assert report.samples >= 2 * len(RULES)


def test_there_is_one_of_each_kind():
    kinds = {baselines.read(RuleText(path, text)).spec.kind for path, text in RULES.items()}
    assert kinds == {"first_seen", "new_pair", "rarity", "rate", "peer"}


@pytest.mark.parametrize("path", RULES)
def test_it_can_be_read_by_an_analyst(path):
    rule = yaml.safe_load(RULES[path])
    own = rule["lianfang"]
    assert UUID(rule["id"]).version == 4
    assert rule["author"] == "Lianfang"
    assert any(re.fullmatch(r"attack\.t\d{4}(\.\d{3})?", tag) for tag in rule["tags"])
    assert any(tag.startswith("lianfang.alarm.") for tag in rule["tags"])
    assert re.search("[一-鿿]", own["title_zh"])
    assert re.search("[一-鿿]", own["description_zh"])
    assert len(rule["falsepositives"]) == len(own["falsepositives_zh"])
