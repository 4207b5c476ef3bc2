"""The mapper: rows do not influence each other, nothing is lost, memory is bounded, templates are told what is wrong with them."""

from __future__ import annotations

import contextlib
import json
import random
import time
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lianfang.engines.connect import mapping
from lianfang.engines.connect import template as templates
from lianfang.engines.connect.mapping import FILLED, Templates
from lianfang.engines.connect.memo import Memo, Pool
from lianfang.engines.connect.times import moment, plausible
from lianfang.kernel.errors import Fault, Invalid, Missing

NOW = datetime(2026, 11, 20, 9, tzinfo=UTC)
FOLDER = Path(__file__).parents[3] / "content/mappings"
TEMPLATES = Templates.load(FOLDER)

values = st.one_of(st.sampled_from(["-", "", "1", "4624", "4688", "10", "Security", "security", "0x10", "192.0.2.1", "2026-11-20 08:00:00", "A\\b", "a=1,b=2", "%%14592", "sshd", "accepted", "GET", "404"]), st.text(max_size=6))
names = st.sampled_from(["Channel", "EventID", "Computer", "SystemTime", "UtcTime", "TargetUserName", "LogonType", "IpAddress", "Hashes", "User", "Image", "ObjectType", "Direction", "program", "message", "action", "facility", "timestamp", "cs-method", "sc-status", "Zzz"])
rows_ = st.lists(st.dictionaries(names, values, max_size=8), max_size=12)


def columns_of(mapped: Any, index: int) -> dict[str, Any]:
    return {name: mapped.columns[name][index] for name in FILLED} | {"logsource": mapped.logsources[index]}


@given(rows_, st.randoms())
@settings(max_examples=40, deadline=None)
def test_a_row_means_the_same_in_any_company_and_order(rows: list[dict[str, str]], chance: random.Random) -> None:
    many = [dict(row) for number, row in enumerate(rows) for _ in range(1 + 9 * (number % 2))]  # some shapes often, some rarely
    chance.shuffle(many)
    together = TEMPLATES.map(many, received=NOW)
    known: dict[str, dict[str, Any]] = {}
    for index, row in enumerate(many):
        key = json.dumps(row)
        alone = known.get(key) or known.setdefault(key, columns_of(TEMPLATES.map([row], received=NOW), 0))
        assert columns_of(together, index) | {"unmapped": None} == alone | {"unmapped": None}  # a rare shape may keep more


def rest(columns: dict[str, Any]) -> dict[str, str]:
    found: dict[str, str] = json.loads(columns["unmapped"] or "{}")
    return found


@given(rows_)
@settings(max_examples=60, deadline=None)
def test_no_field_is_lost(rows: list[dict[str, str]]) -> None:
    often, rarely = TEMPLATES.map(rows * 9, received=NOW), TEMPLATES.map(rows, received=NOW)
    for mapped, index, row in [(mapped, index, row) for mapped in (often, rarely) for index, row in enumerate(rows)]:
        columns = columns_of(mapped, index)
        kept = rest(columns)
        said = {str(value) for value in columns.values()}
        for name, value in row.items():
            if value in ("", "-") or name in kept:
                assert kept.get(name, value) == value
                continue
            assert value in said or any(isinstance(item, int | datetime) or item.lower() == value.lower().rstrip(".").lstrip("\\") or item == value.strip() for item in columns.values() if isinstance(item, int | datetime | str)), (name, value)


def test_rows_are_never_changed_and_columns_are_complete() -> None:
    rows = [{"Channel": "Security", "EventID": "4624", "TargetUserName": "lin"}] * 20
    mapped = TEMPLATES.map(rows, received=NOW)
    assert rows[0] == {"Channel": "Security", "EventID": "4624", "TargetUserName": "lin"}
    assert all(len(mapped.columns[name]) == 20 for name in FILLED)
    assert TEMPLATES.map([], received=NOW).columns["time"] == []


def test_unique_values_cost_no_memory() -> None:
    memo = Memo(str.upper, pool=Pool(100_000))
    for number in range(20_000):
        assert memo[f"value {number}"] == f"VALUE {number}"
    assert len(memo) + len(memo.old) < 1500
    long = "x" * 5000
    assert memo[long] == long.upper()
    assert long not in memo


def test_memos_share_their_bytes_and_what_is_used_stays() -> None:
    pool, asked = Pool(100_000), []
    many, few = Memo(str.upper, pool=pool), Memo(lambda value: asked.append(value) or value, pool=pool)  # type: ignore[func-returns-value]
    for number in range(20_000):
        assert many[f"value {number}"] == f"VALUE {number}"
        assert few["kept"] == "kept"
        assert pool.used <= pool.limit
    assert asked == ["kept"]
    assert sum(len(memo) + len(memo.old) for memo in pool.memos) < 1500
    pool.forget([many])
    assert pool.memos == [few]


def test_endless_shapes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapping, "_KEPT_LAYOUTS", 200)
    mapper = Templates.load(FOLDER, cache_bytes=1 << 20)
    for start in range(0, 600, 100):
        mapper.map([{f"field {number}": "x", "Channel": f"c{number}", "EventID": "1"} for number in range(start, start + 100) for _ in range(9)], received=NOW)
    assert 0 < len(mapper._layouts) <= 201
    assert mapper._pool.used <= mapper._pool.limit


def test_a_time_without_year_or_zone_takes_them_from_its_receipt() -> None:
    row = {"message": "m", "facility": "auth", "timestamp": "Dec 31 23:59:59"}
    new_year = datetime(2026, 1, 1, 0, 0, 5, tzinfo=UTC)
    assert TEMPLATES.map([row], received=new_year).columns["time"] == [datetime(2025, 12, 31, 23, 59, 59, tzinfo=UTC)]
    shanghai = timezone(timedelta(hours=8))
    assert TEMPLATES.map([row], received=new_year, zone=shanghai).columns["time"] == [datetime(2025, 12, 31, 15, 59, 59, tzinfo=UTC)]
    assert TEMPLATES.map([row], received=datetime(2024, 12, 31, 23, tzinfo=UTC)).columns["time"][0].year == 2024


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-20T08:00:00Z", "2026-11-20T08:00:00+00:00"),
        ("2026-11-20T16:00:00.1234567+08:00", "2026-11-20T08:00:00.123456+00:00"),
        ("2026-11-20 08:00:00.914", "2026-11-20T08:00:00.914000+00:00"),
        ("2026-11-20 08:00:00 UTC", "2026-11-20T08:00:00+00:00"),
        ("2026-11-20 08:00:00 +0000", "2026-11-20T08:00:00+00:00"),
        ("20261120T080000Z", "2026-11-20T08:00:00+00:00"),
        ("1795161600", "2026-11-20T08:00:00+00:00"),
        ("1795161600.5", "2026-11-20T08:00:00.500000+00:00"),
        ("1795161600123", "2026-11-20T08:00:00.123000+00:00"),
        ("1795161600123456", "2026-11-20T08:00:00.123456+00:00"),
        ("1795161600123456789", "2026-11-20T08:00:00.123456+00:00"),
        ("134396352000000000", "2026-11-20T08:00:00+00:00"),
        ("20/Nov/2026:16:00:00 +0800", "2026-11-20T08:00:00+00:00"),
        ("Nov 20 08:00:00", "2026-11-20T08:00:00+00:00"),
        ("Nov 20 2026 08:00:00", "2026-11-20T08:00:00+00:00"),
        ("*Nov 20 08:00:00.123", "2026-11-20T08:00:00.123000+00:00"),
        ("2026/11/20 08:00:00", "2026-11-20T08:00:00+00:00"),
        ("2026年11月20日 08:00:00", "2026-11-20T08:00:00+00:00"),
        ("Fri, 20 Nov 2026 08:00:00 GMT", "2026-11-20T08:00:00+00:00"),
    ],
)
def test_time_in_the_forms_of_the_world(text: str, expected: str) -> None:
    found = moment(text, near=NOW)
    assert found is not None
    assert found.isoformat() == expected


@pytest.mark.parametrize("text", ["", "-", "yesterday", "2026-13-01", "Foo 20 08:00:00", "99999999999999999999999", "1" * 60, "12:00", "Feb 30 08:00:00", "9999-12-31T23:59:59-23:00", "0001-01-01T00:00:00+23:00"])
def test_what_is_no_time(text: str) -> None:
    assert plausible(text, near=NOW) is None


@given(st.text(max_size=40))
def test_any_text_may_be_asked_for_its_time(text: str) -> None:
    moment(text, near=NOW)


@given(st.datetimes(datetime(1990, 1, 1), datetime(2200, 1, 1)), st.sampled_from([" ", "T"]), st.sampled_from(["", "Z"]))
def test_iso_times_are_exact(when: datetime, between: str, zone: str) -> None:
    assert moment(when.isoformat(between, "microseconds") + zone, near=NOW) == when.replace(tzinfo=UTC)


# ---- what is wrong with a template -----------------------------------------------------------------------------------

HEAD = "template: t\ndetect: {a: '*'}\n"


@pytest.mark.parametrize(
    ("source", "line", "words"),
    [
        ("template: [", 1, "not YAML"),
        ("detect: {a: 1}", 1, "needs “template”"),
        ("template: t", 1, "needs “detect”"),
        ("- 1", 1, "names and values"),
        (HEAD + "colour: red", 1, "does not know “colour”"),
        (HEAD + "class: dancing", 1, "no event class “dancing”"),
        (HEAD + "class: authentication\nactivity: Dance", 1, "no activity “Dance”"),
        (HEAD + "class: authentication\nactivity: 55", 1, "no activity 55"),
        (HEAD + "unmapped: drop", 1, "only be “keep”"),
        (HEAD + "map:\n  - {from: a, to: nowhere}", 4, "not a column"),
        (HEAD + "map:\n  - {from: a, to: raw}", 4, "not a column"),
        (HEAD + "map:\n  - {to: host}", 4, "either “from” or “first_of”"),
        (HEAD + "map:\n  - {from: a, first_of: [b], to: host}", 4, "either “from” or “first_of”"),
        (HEAD + "map:\n  - {from: a}", 4, "needs “to”"),
        (HEAD + "map:\n  - {from: a, to: host}\n  - {from: a, to: host, shout: 1}", 5, "does not know “shout”"),
        (HEAD + "map:\n  - {from: a, regex: '(?P<host>a'}", 4, "RE2 does not accept"),
        (HEAD + "map:\n  - {from: a, regex: '(?=a)(?P<host>a)'}", 4, "RE2 does not accept"),
        (HEAD + "map:\n  - {from: a, regex: '(?P<nobody>a)'}", 4, "not a column"),
        (HEAD + "map:\n  - {from: a, regex: 'a'}", 4, "needs “to”"),
        (HEAD + "map:\n  - {from: a, to: host, parse: magic}", 4, "parse does not know"),
        (HEAD + "map:\n  - {from: a, to: src_port, parse: text}", 4, "holds int"),
        (HEAD + "map:\n  - {from: a, to: host, take: middle}", 4, "take does not know"),
        (HEAD + "map:\n  - {from: a, to: host, split: ''}", 4, "split needs a text"),
        (HEAD + "map:\n  - {from: a, to: src_port, enum: {a: b}}", 4, "holds int"),
        (HEAD + "map:\n  - {from: a, to: src_port, lookup: nothing}", 4, "no table “nothing”"),
        (HEAD + "map:\n  - {from: '*', to: host}", 4, "fills lists only"),
        (HEAD + "map:\n  - {from: a, to: host, when: 5}", 4, "must name fields"),
        (HEAD + "map: 5", 2, "must be a list"),
        (HEAD + "const: {time: now}", 1, "cannot be a constant"),
        (HEAD + "const: {src_port: a}", 1, "must be a number"),
        (HEAD + "cases:\n  - {class: authentication}", 4, "needs “when”"),
        (HEAD + "map:\n  - {from: a, to: host, to: user}", 4, "written twice"),
        ("a: &a [*a]", 1, ""),
    ],
)
def test_a_wrong_template_is_told_where_and_what(source: str, line: int, words: str) -> None:
    with pytest.raises(Invalid) as caught:
        templates.parse(source, path="mine.yaml")
    assert f"mine.yaml, line {line}" in caught.value.what
    assert words in str(caught.value)


def test_a_folder_without_templates_and_two_of_one_name(tmp_path: Path) -> None:
    with pytest.raises(Missing):
        Templates.load(tmp_path)
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text(HEAD)
    with pytest.raises(Invalid, match="is also in"):
        Templates.load(tmp_path)


@given(st.text(max_size=60))
@settings(max_examples=80, deadline=None)
def test_any_text_is_a_template_or_a_fault(text: str) -> None:
    with contextlib.suppress(Fault):
        templates.parse(HEAD + "map:\n  - " + text)


def mapper(source: str) -> Templates:
    return Templates([templates.parse("template: t\ndetect: {}\n" + source)])


def only(source: str, row: dict[str, str]) -> dict[str, Any]:
    return columns_of(mapper(source).map([row], received=NOW), 0)


def test_each_verb() -> None:
    assert only("map: [{from: a, to: process, split: ' ', take: last}]", {"a": "x y z"})["process"] == "z"
    assert only("map: [{from: a, to: process, take: {before: '@'}}]", {"a": "x@y"})["process"] == "x"
    assert only("map: [{from: a, to: src_port, enum: {http: 80, '*': 0}}]", {"a": "HTTP"})["src_port"] == 80
    assert only("tables: {t: {'6': tcp}}\nmap: [{from: a, to: protocol, lookup: t}]", {"a": "6"})["protocol"] == "tcp"
    assert only("map: [{first_of: [x, a, b], to: host}]", {"a": "-", "b": "y"})["host"] == "y"
    assert only("map: [{from: a, to: device.hostname}]", {"a": "h"})["host"] == "h"
    assert only("map: [{from: a, to: host, when: {b: 'x*'}}, {from: c, to: host}]", {"a": "1", "b": "Xy", "c": "2"})["host"] == "1"
    assert only("map: [{from: a, to: host, when: {b: null}}]", {"a": "1"})["host"] == "1"
    assert only("map: [{from: a, to: host, when: {b: '*'}}]", {"a": "1"})["host"] is None
    assert only("const: {product: P}\nmap: [{from: a, to: product}]", {"a": "-"})["product"] == "P"
    assert only(r"map: [{from: a, regex: '^(?P<user_domain>[^\\]+)\\(?P<user>.+)$'}]", {"a": "D\\u"})["user"] == "u"
    assert only("map: [{from: a, regex: '(?P<src_port>\\d+)'}]", {"a": "port 22"})["src_port"] == 22
    assert only("map: [{from: '*', to: ips}]", {"a": "192.0.2.1", "b": "::1", "c": "no"})["ips"] == ("192.0.2.1", "::1")


def test_a_value_that_gives_nothing_is_kept() -> None:
    columns = only("map: [{from: a, to: src_port}, {from: b, to: src_ip}]", {"a": "many", "b": "nowhere"})
    assert (columns["src_port"], columns["src_ip"]) == (None, None)
    assert rest(columns) == {"a": "many", "b": "nowhere"}


def test_a_pattern_on_hostile_text_is_linear() -> None:
    start = time.perf_counter()
    only("map: [{from: a, regex: '(?P<host>(a+)+)$'}]", {"a": "a" * 50_000 + "!"})
    assert time.perf_counter() - start < 1


@pytest.mark.data
def test_real_events_find_their_template(field_data: Path) -> None:

    from lianfang.engines.connect import codecs, files

    path = field_data / "detection/windows-events-201k.jsonl.zst"
    frames = [frame for frame, _ in zip(files.frames(path), range(20_000)) if isinstance(frame, bytes)]
    rows = codecs.decode("json", frames).rows
    mapped = TEMPLATES.map(rows, received=NOW)
    assert len(mapped.template) == 20_000
    assert sum(uid > 0 for uid in mapped.columns["class_uid"]) > 18_000
    assert all(host for host in mapped.columns["host"])
    assert {when.year for when in mapped.columns["time"]} <= {2019, 2020, 2021, 2022, 2023}
