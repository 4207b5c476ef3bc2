"""Batch size, order, path, matcher and the size of caches never change hits; and hits are what the trees plainly say."""

import json
import random
from functools import cache

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.engines.rules.conftest import rule, selection

from lianfang.engines.rules import Examiner, jsonpath, judging, naive, prepared, rowpath
from lianfang.engines.rules.compiler import compile_rules

SYSMON = "Microsoft-Windows-Sysmon/Operational"
FIELDS = ["CommandLine", "Image", "ParentImage", "User", "Description", "SourceIp", "ProcessId", "LogonId", "OriginalFileName", "IntegrityLevel", "Hashes", "Other"]
PIECES = [
    " -Enc ", "alpha", "BETA", "C:\\Users\\", ".exe", "\\cmd.exe", "root", "Администратор", "KeRnEl", "kernel", "cmd", "/c ", "whoami", "计算机", "net2 user", " /add",
    "powershell", "秘密", "mimikatz", "sekurlsa::", "logon", "first word", "second word", "中文关键字", "a/b", "C:\\Temp\\x", "system", "10.0.0.1", "fe80::1", "1500", "999", " ", "", '"', "\n", "\u212a", "İ",
]  # fmt: skip
VALUES = st.lists(st.sampled_from(PIECES), max_size=4).map("".join)
EVENTS = st.fixed_dictionaries(
    {},
    optional={
        "Channel": st.sampled_from([SYSMON, SYSMON.lower(), "Security", "Windows PowerShell", "Odd"]),
        "EventID": st.sampled_from(["1", "4103", "5007", "77", "x"]),
        **dict.fromkeys(FIELDS, VALUES),
    },
)
SOURCES = st.sampled_from([("", "", ""), ("windows", "", ""), ("linux", "process_creation", ""), ("nginx", "webserver", "")])


@cache
def pack():
    from tests.engines.rules.conftest import PACK

    return prepared(compile_rules(PACK))


@cache
def with_clues():
    """The rules that need something to be there; those that compare two fields do not."""
    return pack().only({rule.uid for rule in pack().rules if "fieldref" not in rule.title})


@cache
def lasting(engine: str) -> Examiner:
    """Examiners that live through all examples: what they remember must not matter."""
    return Examiner(pack(), engine=engine)


def lines(rows) -> list[bytes]:
    return [json.dumps(row, ensure_ascii=index % 2 == 0).encode() for index, row in enumerate(rows)]


def table(rows) -> pa.Table:
    names = sorted(set().union(*rows)) or ["x"]
    return pa.table({name: pa.array([row.get(name) for row in rows], pa.string()) for name in names})


@settings(max_examples=60, deadline=None)
@given(st.lists(EVENTS, min_size=1, max_size=12), st.data())
def test_all_paths_say_what_the_trees_say(rows, data):
    sources = data.draw(st.none() | st.lists(SOURCES, min_size=len(rows), max_size=len(rows)))
    expected = naive.examine(pack(), rows, sources)
    for engine in ("vectorscan", "fallback"):
        for examiner in (lasting(engine), Examiner(pack(), engine=engine, cache_bytes=10_000)):
            assert examiner.rows(rows, sources) == expected
            assert examiner.json_lines(lines(rows), sources) == expected
            assert examiner.arrow(table(rows), sources) == expected
            assert examiner.arrow(table(rows).unify_dictionaries(), sources) == expected


def stream(seed: int, size: int) -> list[dict]:
    """Events as a host makes them: a few kinds, mostly dull, often the same."""
    dice = random.Random(seed)
    rows = []
    for number in range(size):
        row = {"Channel": SYSMON, "EventID": dice.choice(["1", "1", "1", "7"]), "Image": dice.choice(["C:\\Windows\\a.exe", "C:\\Windows\\b.exe"] * 20 + ["C:\\x\\cmd.exe"]), "Serial": str(number)}
        row["ParentImage"] = "C:\\Windows\\explorer.exe"
        row["CommandLine"] = dice.choice(["a", "b", f"unique {number} " + "y" * dice.choice([1, 2000, 6000])]) + (dice.choice(PIECES) if dice.random() < 0.05 else "")
        if dice.random() < 0.01:
            row["Other"] = dice.choice(["mimikatz", "sekurlsa::logon", "dull"])
        rows.append(row)
    return rows


@pytest.mark.parametrize("engine", ["vectorscan", "fallback"])
def test_a_glance_costs_no_hits(engine, monkeypatch):
    monkeypatch.setattr(judging, "_FAMILIAR", 100)
    rows = stream(1, 1500)
    expected = naive.examine(with_clues(), rows)
    by_json, by_row, by_arrow = (Examiner(with_clues(), engine=engine) for _ in range(3))
    for _ in range(2):
        assert by_json.json_lines(lines(rows)) == expected
        assert by_row.rows(rows) == expected
        assert by_arrow.arrow(table(rows)) == expected
    glances = [each.plans.get("glance") for each in by_json.kernel.distinct.values()]
    assert any(glance is not None and len(glance.short.keys) + len(glance.long.keys) > 0 for glance in glances), "the test must have tested something"


ODDLY_WRITTEN = [
    r'"C:\\Windows\\Temp\\newest.ps1"', r'{"inner": "Windows\\Temp\newest.ps1"}', r'{"inner":"\\\\harbour\\secrets"}', r'"\\\\harbour\\secrets"', r'{"inner" : "\\harbour\\secrets"}',
    r'"left/right"', r'"left\/right"', r'{"inner":"left\/right"}', r'["dull","left\/right"]', r'"\u0074oken=\u007babc\u007d"', r'"token={abc}"', r'{ "token=": {"abc": 1} }', r'["a","token={abc}\n"]',
    r'{"verdict": true}', r'{"verdict"   :   true}', r'"the \"verdict\":true"', r'"kept in folder\\"', r'{"inner":"kept in folder\n"}',
]  # fmt: skip


@pytest.mark.parametrize("engine", ["vectorscan", "fallback"])
def test_a_glance_sees_what_is_written_otherwise_than_compared(engine, monkeypatch):
    """Numbers, escapes and nested objects have many notations; a literal that is traced in raw text must be found in each."""
    monkeypatch.setattr(judging, "_FAMILIAR", 100)
    wanted = [r"Temp\newest", "\\\\\\\\harbour", r"harbour\secrets", "left/right", "token={abc}", '"verdict":true', "folder\\"]
    rules = prepared(compile_rules([rule(f"trace {at}", selection(f"  CommandLine|contains: '{text}'")) for at, text in enumerate(wanted)]))
    dull = [f'{{"Channel":"{SYSMON}","EventID":"1","CommandLine":"unique {number} {"y" * 1500}"}}'.encode() for number in range(400)]
    odd = [f'{{"Channel":"{SYSMON}","EventID":"1","CommandLine":{value}}}'.encode() for value in ODDLY_WRITTEN]
    lasting = Examiner(rules, engine=engine)
    assert lasting.json_lines(dull) == []
    glance = next(each.plans["glance"] for each in lasting.kernel.distinct.values() if each.seen)
    assert glance is not None and glance.traced == ("CommandLine",), "the test must have tested something"
    expected = naive.examine(rules, [jsonpath.flatten(json.loads(line)) for line in odd])
    assert len(expected) >= len(ODDLY_WRITTEN) - 3
    assert [hit for at, line in enumerate(odd) for hit in shifted(lasting.json_lines([line]), at)] == expected


def test_caches_that_hold_almost_nothing_cost_no_hits(monkeypatch):
    monkeypatch.setattr(judging, "_FAMILIAR", 100)
    monkeypatch.setattr(jsonpath, "CHUNK", 100)
    monkeypatch.setattr(rowpath, "CHUNK", 100)
    rows = stream(5, 1200)
    expected = naive.examine(with_clues(), rows)
    for cache_bytes in (1_000, 100_000):
        examiner = Examiner(with_clues(), cache_bytes=cache_bytes)
        assert [examiner.json_lines(lines(rows)), examiner.rows(rows)] == [expected] * 2
        assert [hit for start in range(0, 1200, 60) for hit in shifted(examiner.arrow(table(rows[start : start + 60])), start)] == expected
        assert examiner.stats().turns >= 3


def shifted(hits, start: int) -> list:
    return [(start + index, uids) for index, uids in hits]


def test_batches_and_order_do_not_matter(monkeypatch):
    monkeypatch.setattr(judging, "_FAMILIAR", 300)
    rows = stream(2, 1200)
    expected = dict(Examiner(with_clues()).rows(rows))
    order = list(range(len(rows)))
    random.Random(3).shuffle(order)
    shuffled = [rows[index] for index in order]
    for size in (1, 7, 250, 1200):
        monkeypatch.setattr(jsonpath, "CHUNK", size)
        monkeypatch.setattr(rowpath, "CHUNK", size)
        for examine, whole in ((Examiner(with_clues()).json_lines, lines(shuffled)), (Examiner(with_clues()).rows, shuffled)):
            found = {}
            for start in range(0, len(rows), 300):
                found.update((order[start + index], uids) for index, uids in examine(whole[start : start + 300]))
            assert found == expected


def test_tables_in_pieces_are_the_same_table():
    rows = stream(4, 600)
    whole = table(rows)
    pieces = pa.concat_tables([whole.slice(0, 100), whole.slice(100, 1), whole.slice(101)])
    encoded = pa.table({name: whole.column(name).dictionary_encode() for name in whole.column_names})
    expected = Examiner(pack()).rows(rows)
    for each in (whole, pieces, encoded, encoded.slice(0), whole.to_batches(max_chunksize=70)):
        given = pa.Table.from_batches(each) if isinstance(each, list) else each
        assert Examiner(pack()).arrow(given) == expected
    assert [(index + 500, uids) for index, uids in Examiner(pack()).arrow(encoded.slice(500))] == [hit for hit in expected if hit[0] >= 500]


def test_columns_of_numbers_and_lists_are_read_as_text():
    typed = pa.table(
        {
            "Channel": [SYSMON] * 2,
            "EventID": pa.array([1, 1], pa.uint16()),
            "ProcessId": pa.array([1500, None], pa.int64()),
            "LogonId": pa.array([999.5, 999.0]),
            "CommandLine": pa.array([["a", "b -enc c"], None], pa.list_(pa.string())),
            "IntegrityLevel": [True, None],
        }
    )
    rows = [{"Channel": SYSMON, "EventID": 1, "ProcessId": 1500, "LogonId": 999.5, "CommandLine": "a\nb -enc c", "IntegrityLevel": True}, {"Channel": SYSMON, "EventID": 1, "LogonId": 999.0}]
    assert Examiner(pack()).arrow(typed) == Examiner(pack()).rows(rows)
    assert {0, 1} == {index for index, _ in Examiner(pack()).arrow(typed)}
