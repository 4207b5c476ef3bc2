"""A source that changes its form is noticed against its own past; one that only changes its mood is not."""

import random
from datetime import UTC, datetime

import pytest

from lianfang.engines.connect.drift import Usual, look, misfits
from lianfang.engines.connect.mapping import Templates
from lianfang.engines.connect.template import parse

NOW = datetime(2026, 11, 20, 9, tzinfo=UTC)
TEXT = "{template: t, detect: {}, class: network_activity, map: [{from: ts, to: time}, {from: src, to: src_ip}, {from: port, to: src_port}, {from: name, to: host}, {from: user, to: user}]}"


def row(n: int, **more: str) -> dict[str, str]:
    return {"ts": "2026-11-20T08:00:00Z", "src": f"192.0.2.{n % 250}", "port": str(n % 60000), "name": "gate", **({"user": "li"} if n % 3 else {}), **more}


def window(rows, *, rejects=0):
    return look(rows, Templates([parse(TEXT)]).map(rows, received=NOW) if rows else None, rejects=rejects, received=NOW)


@pytest.fixture
def usual():
    found, chance = Usual(), random.Random(7)
    for _ in range(12):
        found.learn(window([row(chance.randrange(1000)) for _ in range(25)], rejects=chance.randrange(3)))
    return Usual(found.as_dict())


def changed(rows) -> list[dict[str, str]]:
    return [{("source_address" if name == "src" else name): value for name, value in one.items()} for one in rows]


def test_an_ordinary_window_is_no_drift_whatever_its_size(usual):
    for size in (20, 25, 400):
        assert usual.judge(window([row(n) for n in range(size)], rejects=size // 20), strict=True) == []


def test_a_renamed_field_is_named_with_what_it_was_and_what_it_is(usual):
    (found,) = usual.judge(window(changed(row(n) for n in range(30))), strict=True)
    assert (found.what, found.template, found.name, found.before, found.now, found.lost, found.fresh, found.sure) == ("attribute", "t", "src_ip", 1.0, 0.0, ("src",), ("source_address",), True)


def test_texts_that_give_no_value_any_more_are_a_drift_without_any_field_gone(usual):
    (found,) = usual.judge(window([row(n, port=f"tcp/{n}") for n in range(30)]), strict=True)
    assert (found.name, found.lost, found.fresh, found.sure) == ("src_port", (), (), True)


def test_a_time_in_another_form_is_a_drift_too(usual):
    (found,) = usual.judge(window([row(n, ts="yesterday") for n in range(30)]), strict=False)
    assert found.name == "time"


def test_records_of_another_kind_are_told_but_not_sure_where_no_template_was_named(usual):
    """A flood of something that has no port is no broken format: it must still be looked at by the rules."""
    flood = [{name: value for name, value in row(n).items() if name != "port"} for n in range(60)]
    assert [one.sure for one in usual.judge(window(flood), strict=False)] == [False]
    assert [one.sure for one in usual.judge(window(flood), strict=True)] == [True]


def test_more_rejects_than_usual_are_a_drift_and_a_few_are_not(usual):
    assert [one.what for one in usual.judge(window([row(n) for n in range(15)], rejects=15), strict=True)] == ["rejects"]
    assert usual.judge(window([row(n) for n in range(27)], rejects=3), strict=True) == []


def test_what_is_seldom_filled_may_be_missing(usual):
    assert usual.judge(window([{name: value for name, value in row(n).items() if name != "user"} for n in range(40)]), strict=True) == []


def test_only_the_rows_that_show_the_change_are_misfits(usual):
    rows = [*(row(n) for n in range(20)), *changed(row(n) for n in range(20))]
    changes = usual.judge(window(rows), strict=True)
    mapped = Templates([parse(TEXT)]).map(rows, received=NOW)
    assert sorted(misfits(changes, rows, mapped, received=NOW)) == list(range(20, 40))


def test_accepted_it_is_usual_and_carried_only_the_attributes_stay(usual):
    new = changed(row(n) for n in range(30))
    changes = usual.judge(window(new), strict=True)
    assert usual.without(changes).judge(window(new), strict=True) == []
    anew = usual.carried("t2")
    assert list(anew.kinds) == ["t2"] and not anew.kinds["t2"].fields and anew.kinds["t2"].columns["src_ip"]


def test_a_young_source_is_not_judged():
    young = Usual()
    young.learn(window([row(n) for n in range(30)]))
    assert young.judge(window(changed(row(n) for n in range(30))), strict=True) == []


def test_a_new_field_is_told_where_records_are_alike_and_not_where_kinds_take_turns(usual):
    (found,) = usual.judge(window([row(n, version="2") for n in range(30)]), strict=True)
    assert (found.what, found.fresh, found.sure) == ("fields", ("version",), False)
    mixed = Usual()
    for turn in range(12):
        mixed.learn(window([row(n, **{f"kind{turn % 4}": "x", f"more{turn % 4}": "y"}) for n in range(25)]))
    assert mixed.judge(window([row(n, kind9="x", more9="y") for n in range(30)]), strict=True) == []
