"""Levels, masks and labels decide as declared, and say why."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lianfang.engines.policy import BASELINE, Audience, Label, LevelRule, classify, load, mask, may_travel, reasons
from lianfang.kernel.errors import Invalid, Refused
from lianfang.kernel.labels import TLP, DataLevel

labels = st.builds(Label, st.sampled_from(TLP), st.sampled_from("abc"), st.sampled_from(DataLevel), st.frozensets(st.sampled_from("xy")), st.frozensets(st.sampled_from("abc")))
audiences = st.builds(Audience, st.sampled_from("abc"), st.sampled_from(["", "x", "y"]), st.booleans(), st.sampled_from(DataLevel))


@pytest.mark.parametrize(
    ("column", "text", "level"),
    [
        ("process_cmd", "whoami /all", 2),
        ("process_cmd", "net use \\\\fs1\\c$ /user:backup Password=Winter", 4),
        ("process_cmd", "mysqldump --password=Winter db", 4),
        ("url", "/login?pwd=winter", 4),
        ("message", "用户口令：123456", 4),
        ("message", "口令: 123456", 4),
        ("message", "order 110101199003071234567890", 2),
        ("message", "id 11010119900307123X ok", 4),
        ("script", "Get-Process", 3),
    ],
)
def test_the_level_follows_what_stands_in_the_event(column, text, level):
    assert classify({"class_uid": [1007], column: [text]}) == [level]


def test_a_level_can_be_explained():
    columns = {"class_uid": [1007, 3002], "user": [None, "zhang"], "message": [None, "password: x"]}
    assert classify(columns) == [2, 4]
    assert [rule.name for rule in reasons(columns, 1)] == ["credentials", "identity"]
    assert reasons(columns, 0) == []


@given(st.lists(st.tuples(st.sampled_from([1007, 3002, 4001]), st.one_of(st.none(), st.text(max_size=12))), max_size=20))
def test_rows_do_not_influence_each_other(rows):
    columns = {"class_uid": [row[0] for row in rows], "user": [row[1] for row in rows]}
    assert classify(columns) == [classify({"class_uid": [uid], "user": [user]})[0] for uid, user in rows]


def test_an_institution_brings_its_own_rules(tmp_path):
    path = tmp_path / "levels.yaml"
    path.write_text("- {name: trading, level: 4, why: Trading hosts., present: [host]}\n", "utf-8")
    assert classify({"host": ["trade-1", None]}, load(path)) == [4, 2]
    path.write_text("- {name: bad, level: 9, why: x}\n", "utf-8")
    with pytest.raises(Invalid, match="bad"):
        load(path)
    path.write_text("- {name: worse, level: 3, why: x, matches: {url: '(['}}\n", "utf-8")
    with pytest.raises(Invalid, match="worse"):
        load(path)


@given(st.text(min_size=1, max_size=40), st.sampled_from(["text", "name"]))
def test_a_mask_never_shows_the_whole(value, kind):
    assert len(mask(value, kind).replace("●", "")) <= 1


@given(labels, audiences)
def test_a_stricter_traffic_light_never_opens_a_door(label, audience):
    doors = [may_travel(Label(tlp, label.owner, label.level, label.industries, frozenset()), audience).allowed for tlp in TLP]
    assert doors == sorted(doors, reverse=True)


@given(labels, audiences)
def test_the_owner_always_has_it_and_others_only_with_every_condition(label, audience):
    decision = may_travel(label, audience)
    if label.owner == audience.organisation:
        assert decision.allowed
    elif decision.allowed:
        assert label.level <= audience.clearance
        assert not label.industries or audience.industry in label.industries
        assert label.tlp is TLP.CLEAR or (label.tlp is TLP.GREEN and audience.member) or audience.organisation in label.named
    else:
        assert decision.why
        with pytest.raises(Refused):
            decision.or_refuse()


SHIPPED = Path(__file__).parents[3] / "content/taxonomies/levels.yaml"
TEXTS = ["net use x /user:a Password=b", "whoami", "--password=x", "-p secret", "口令：1", "id 11010119900307123X ok", "pwd: x", "/p:x", "pass", "", "11010119900307123"]


@given(st.lists(st.fixed_dictionaries({"class_uid": st.sampled_from([1007, 3002, 4002]), "user": st.sampled_from([None, "", "lin"]), "process_cmd": st.sampled_from(TEXTS), "message": st.sampled_from([None, *TEXTS]), "script": st.sampled_from([None, "x"])}), max_size=5))
def test_the_file_that_ships_says_what_the_node_does_without_one(rows):
    columns = {name: [row[name] for row in rows] for name in ("class_uid", "user", "process_cmd", "message", "script")}
    assert classify(columns, load(SHIPPED)) == classify(columns)


def test_an_empty_list_is_not_present():
    assert classify({"ips": [(), [], ("a",)]}, [LevelRule("ips", DataLevel.L3, "why", present=("ips",))]) == [2, 2, 3]


def test_the_rules_that_ship_have_reasons():
    assert all(rule.why and rule.rows for rule in BASELINE)
