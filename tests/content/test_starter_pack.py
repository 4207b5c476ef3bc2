"""The starter pack keeps its promises: every rule loads, fires on its samples, stays silent on its near misses, and can be read in Chinese."""

import re
from collections import Counter
from functools import cache
from pathlib import Path
from uuid import UUID

import orjson
import pytest
import yaml

from lianfang.engines.connect import codecs
from lianfang.engines.connect.mapping import Templates
from lianfang.engines.rules import sources
from lianfang.engines.rules.compiler import compile_rules
from lianfang.engines.rules.examiner import Examiner
from lianfang.kernel import clock

CONTENT = Path(__file__).parents[2] / "content"
PACK = CONTENT / "rules" / "starter"
GROUPS = ("windows", "linux", "web", "trading")
RULES = {f"{path.parent.name}/{path.name}": yaml.safe_load(path.read_text("utf-8")) for group in GROUPS for path in sorted((PACK / group).glob("*.yml"))}
SAMPLES = {sample["rule"]: sample for sample in (yaml.safe_load(path.read_text("utf-8")) for path in sorted((PACK / "samples").glob("*.yaml")))}
WANTED = ("exploit", "weak-password", "webshell", "abnormal-login", "callback", "ransomware", "mining", "credential", "persistence", "lateral", "log-clearing", "evasion", "discovery", "exfiltration", "scan")


@cache
def compiled():
    return compile_rules(sources.load([PACK / group for group in GROUPS]))


@cache
def examiner(engine):
    return Examiner(compiled(), engine=engine)


@cache
def templates():
    return Templates.load(CONTENT / "mappings")


@cache
def attack():
    return yaml.safe_load((CONTENT / "frameworks" / "attack.yaml").read_text("utf-8"))


@cache
def alarms():
    return {alarm["key"] for alarm in yaml.safe_load((CONTENT / "frameworks" / "alarms.yaml").read_text("utf-8"))}


def frames(sample, kind):
    """The frames of one kind as bytes, as a source would send them."""
    for one in sample[kind]:
        frame = one["frame"]
        yield one["note"], frame.encode() if isinstance(frame, str) else orjson.dumps(sample.get("base", {}) | frame)


def fired(codec, frame, engine):
    """Uids of the rules that fire on a frame, through decoder, mapping and engine."""
    decoded = codecs.decode(codec, [frame])
    assert not decoded.rejects
    mapped = templates().map(decoded.rows, received=clock.now())
    return {uid for _, uids in examiner(engine).rows(decoded.rows, mapped.logsources) for uid in uids}


def test_the_pack_is_large_enough_and_has_all_its_samples():
    assert len(RULES) >= 60
    assert Counter(path.split("/")[0] for path in RULES).keys() == set(GROUPS)
    assert RULES.keys() == SAMPLES.keys()


def test_every_rule_compiles():
    assert compiled().problems == ()
    assert {rule.uid for rule in compiled().rules} == {rule["id"] for rule in RULES.values()}


@pytest.mark.parametrize("engine", ["vectorscan", "fallback"])
@pytest.mark.parametrize("path", SAMPLES)
def test_a_rule_fires_on_its_samples_and_not_on_its_near_misses(path, engine):
    sample, uid = SAMPLES[path], RULES[path]["id"]
    assert sample["fires"], "a firing sample"
    assert sample["silent"], "a near miss"
    for note, frame in frames(sample, "fires"):
        assert uid in fired(sample["codec"], frame, engine), note
    for note, frame in frames(sample, "silent"):
        assert uid not in fired(sample["codec"], frame, engine), note


def test_near_misses_do_not_wake_other_rules_of_the_pack():
    """A near miss is ordinary life: nothing else in the pack may take offence either, but for the few named here."""
    neighbours = {("web/weblogic_service_attack.yml", "web/middleware_console_opened.yml")}
    names = {rule["id"]: path for path, rule in RULES.items()}
    woken = {(path, names[uid]) for path, sample in SAMPLES.items() for _, frame in frames(sample, "silent") for uid in fired(sample["codec"], frame, "auto")}
    assert woken - neighbours == set()


@pytest.mark.parametrize("path", RULES)
def test_a_rule_can_be_read_by_an_analyst(path):
    rule = RULES[path]
    own = rule["lianfang"]
    assert rule["author"] == "Lianfang"
    assert rule["level"] in {"low", "medium", "high", "critical"}
    assert rule["falsepositives"]
    assert len(rule["description"]) > 60
    for text in (own["title_zh"], own["description_zh"], *own["falsepositives_zh"]):
        assert re.search(r"[\u4e00-\u9fff]", text), text
        assert not re.search(r"[\u4e00-\u9fff][,;:?]", text), f"half-width punctuation: {text}"
    assert len(own["description_zh"]) > 25


@pytest.mark.parametrize("path", RULES)
def test_its_tags_name_attack_and_one_alarm_type(path):
    tags = RULES[path]["tags"]
    techniques = {tag.removeprefix("attack.").upper() for tag in tags if re.fullmatch(r"attack\.t\d{4}(\.\d{3})?", tag)}
    tactics = {tag.removeprefix("attack.") for tag in tags if tag.startswith("attack.") and not tag.startswith("attack.t1")}
    known = {name for tactic in attack()["tactics"] for name in (tactic["key"], *tactic.get("also", ()))}
    named = [tag.removeprefix("lianfang.alarm.") for tag in tags if tag.startswith("lianfang.alarm.")]
    assert techniques
    assert all(id in attack()["techniques"] or id.split(".")[0] in attack()["techniques"] for id in techniques)
    assert tactics
    assert tactics <= known
    assert len(named) == 1
    assert set(named) <= alarms()
    assert len(tags) == len(set(tags))


def test_ids_titles_and_logic_are_unique():
    for values in (
        [UUID(rule["id"]).version == 4 and rule["id"] for rule in RULES.values()],
        [rule["title"] for rule in RULES.values()],
        [rule["lianfang"]["title_zh"] for rule in RULES.values()],
        [orjson.dumps([rule["logsource"], rule["detection"]], option=orjson.OPT_SORT_KEYS) for rule in RULES.values()],
    ):
        assert False not in values
        assert len(values) == len(set(values))


def test_the_alarm_types_that_the_industry_names_are_there():
    present = {tag.removeprefix("lianfang.alarm.") for rule in RULES.values() for tag in rule["tags"] if tag.startswith("lianfang.alarm.")}
    assert set(WANTED) <= present


def test_samples_name_nobody_and_nowhere_real():
    """Addresses and names in samples are those that RFC 1918, 5737, 3849 and 2606 reserve, or the tools' own local ones."""
    text = "\n".join(path.read_text("utf-8") for path in (PACK / "samples").glob("*.yaml"))
    reserved = re.compile(r"^(10|127|192\.168|172\.(1[6-9]|2\d|3[01])|192\.0\.2|198\.51\.100|203\.0\.113|169\.254|0\.0|100\.100\.100\.200)\b")
    addresses = {found for found in re.findall(r"(?<![\d.+_v])(\d{1,3}(?:\.\d{1,3}){3})(?![\d.]*\d)", text) if not reserved.match(found)}
    assert addresses <= {"2.7.41491.993"}


def test_the_reference_is_current():
    from tools import rules_reference

    assert rules_reference.main(["--check"]) == 0
