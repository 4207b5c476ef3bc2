"""A sieve never hides a row, and spares most files."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lianfang.engines.columns import joining, sieves
from lianfang.engines.columns.query import Bounds, Query
from lianfang.engines.columns.shape import table
from lianfang.engines.columns.store import EventStore

DAWN = datetime(2026, 11, 20, tzinfo=UTC)


@pytest.fixture(scope="module")
def sifted(tmp_path_factory):
    """Eight files of other addresses and words each, in three groups of a hundred rows, all with a sieve."""
    with pytest.MonkeyPatch.context() as world:
        world.setattr(sieves, "WORTH", 1)
        world.setattr(joining, "ROW_GROUP", 100)
        store = EventStore(tmp_path_factory.mktemp("sifted"))
        for file in range(8):
            n = range(300)
            store.append("iam", table({
                "event_id": [f"{file}-{i}" for i in n], "time": [DAWN + timedelta(days=file, minutes=i) for i in n], "ips": [[f"10.{file}.{i // 100}.{i % 100}", "8.8.8.8"] if i % 3 else [] for i in n],
                "raw": [f'User=Name{file}x{i} 登录{chr(0x4E00 + file * 300 + i)} "C:\\Temp{file}\\File{i}.EXE"' if i % 7 else None for i in n],
            }), transactions={})  # fmt: skip
        query = Query(store)
        assert query.sift("iam") == 8
        assert query.sift("iam") == 0
    return query


def files(query, *holds):
    return len({piece.path for piece in query._pieces(Bounds(("iam",), holds=holds))})


@settings(deadline=None, max_examples=80)
@given(file=st.integers(0, 7), row=st.integers(1, 299), start=st.integers(0, 40), length=st.integers(1, 30), upper=st.booleans())
def test_whatever_a_row_holds_finds_its_file(sifted, file, row, start, length, upper):
    (event,) = sifted.rows("SELECT ips, raw FROM stored WHERE event_id = ?", [f"{file}-{row}"], bounds=Bounds(("iam",)))
    piece = (event["raw"] or "")[start : start + length]
    piece = piece.upper() if upper else piece
    value = event["ips"][0] if event["ips"] else "8.8.8.8"
    for holds in ((("ips", (value,)),), (("raw", (piece,)),), (("raw", ("nothing like it", piece)), ("ips", ("1.2.3.4", value)))):
        found = sifted.rows("SELECT event_id FROM stored", bounds=Bounds(("iam",), holds=holds))
        assert {"event_id": f"{file}-{row}"} in found


def test_of_a_file_only_the_groups_that_may_hold_a_value_are_read(sifted):
    (path,) = (path for path in sifted.store.files(["iam"]) if f"event_day={(DAWN + timedelta(days=3)).date()}" in path)
    assert sieves.ranges(sifted.store.root, path, (("ips", ("10.3.1.7",)),)) == ((100, 200),)
    assert sieves.ranges(sifted.store.root, path, (("ips", ("10.3.0.7", "10.3.2.8")),)) == ((0, 100), (200, 300))
    assert sieves.ranges(sifted.store.root, path, (("ips", ("8.8.8.8",)),)) is None, "it may be anywhere"
    assert sieves.ranges(sifted.store.root, path, (("ips", ("1.2.3.4",)),)) == ()
    rows = sifted.rows("SELECT count(*) AS n FROM stored", bounds=Bounds(("iam",), holds=(("ips", ("10.3.0.7", "10.3.2.8")),)))
    assert rows == [{"n": 200}]


def test_what_is_rare_opens_few_files(sifted):
    assert files(sifted, ("ips", ("10.3.1.7",))) == 1
    assert files(sifted, ("ips", ("8.8.8.8",))) == 8
    assert files(sifted, ("ips", ("1.2.3.4",))) <= 1
    assert files(sifted, ("raw", ("name5x12",))) == 1
    assert files(sifted, ("raw", ("xyzzyplugh",))) == 0
    assert files(sifted, ("raw", ("xyzzyplugh", "NAME5X12"))) == 1
    assert files(sifted, ("raw", ("a",))) == 8, "a short word says nothing"


def test_a_file_without_a_sieve_is_opened_and_sieves_of_gone_files_go(tmp_path, monkeypatch):
    monkeypatch.setattr(sieves, "WORTH", 1)
    store = EventStore(tmp_path)
    query = Query(store)
    for n in range(3):
        store.append("iam", table({"event_id": [f"e{n}"], "time": [DAWN], "ips": [["10.0.0.1"]], "raw": ["some text"]}), transactions={})
    assert files(query, ("ips", ("1.2.3.4",))) == 3
    assert query.sift("iam") == 3
    assert files(query, ("ips", ("1.2.3.4",))) == 0
    store.compact("iam")
    assert files(query, ("ips", ("1.2.3.4",))) == 1
    query.sift("iam")
    assert len(list((tmp_path / sieves.FOLDER / "iam").iterdir())) == 1
