"""What arrived is read in pieces: every event once by each reader, whatever writers brought it and in what order, and no file a second time."""

import random
from datetime import timedelta

import pytest

from lianfang.engines.columns import shape
from lianfang.engines.columns.query import Query
from lianfang.kernel import clock
from lianfang.kernel.viewer import SYSTEM
from lianfang.rooms.lake.queries import arriving, places

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def store(home):
    """``store(writer, ago, many)``: a segment of so many events, begun so many seconds ago. Returns their names. ``after``: they are the rest of that one."""

    def store(writer, ago, many, table="iam", after=()):
        moment = clock.now() - timedelta(seconds=ago)
        begun = after[0].split("-")[0] if after else f"{int(moment.timestamp() * 1000):011x}"
        names = [f"{begun}-{writer}-{n + len(after):05x}" for n in range(many)]
        rows = {"event_id": names, "time": [moment] * many, "source": ["gate"] * many, "territory": [""] * many, "industry": [""] * many, "level": [2] * many, "host": [f"h{n % 3}" for n in range(many)], "class_uid": [3002] * many}
        places.store().append(table, shape.table(rows), transactions={})
        return names

    return store


def taken(reached, *, most=10, end=None):
    """All that came, piece by piece: the events of each, and how far it led at last."""
    found, to = [], dict(reached)
    for piece in arriving.pieces(reached, most=most, viewer=SYSTEM, end=end):
        events = arriving.between("event_id", to, piece.to, viewer=SYSTEM)["event_id"].to_pylist()
        assert len(events) == piece.number
        found.append(events)
        to = piece.to
    assert not piece.more
    return found, to


@pytest.mark.parametrize("seed", range(4))
def test_each_reader_takes_every_event_once(store, seed):
    chance = random.Random(seed)
    readers = {name: {"w000": arriving.floor_of(()) + "-"} for name in ("often", "seldom")}
    seen, all_of_them = {name: [] for name in readers}, []
    ago = dict.fromkeys(("w000", "w001", "w002"), 200)
    for turn in range(6):
        for _ in range(chance.randint(0, 4)):
            writer = chance.choice(list(ago)[: 1 + turn // 2])
            ago[writer] -= chance.randint(1, 5)
            all_of_them += store(writer, ago[writer], chance.randint(1, 12))
        end = None
        for name in [name for name in readers if name == "often" or turn in (3, 5)]:
            pieces, readers[name] = taken(readers[name], most=chance.randint(1, 15), end=end)
            end = readers[name]
            seen[name] += [event for piece in pieces for event in piece]
    for events in seen.values():
        assert sorted(events) == sorted(all_of_them)
    assert readers["often"] == readers["seldom"], "who was given the same end stands at the same place"


def test_a_piece_ends_with_a_segment_and_the_last_says_that_it_is_the_last(store):
    for n in range(5):
        store("w000", 60 - n, 6)
    found = list(arriving.pieces({"w000": arriving.floor_of(()) + "-"}, most=10, viewer=SYSTEM))
    assert [(piece.number, piece.more) for piece in found] == [(12, True), (12, True), (6, False)]
    assert [(piece.number, piece.more) for piece in arriving.pieces(found[-1].to, most=10, viewer=SYSTEM)] == [(0, False)]


def test_files_that_were_read_are_not_opened_again(store, monkeypatch):
    opened = []
    relation = Query._relation
    monkeypatch.setattr(Query, "_relation", lambda query, files, **more: relation(query, opened.append(list(files)) or opened[-1], **more))
    for n in range(4):
        store("w000", 60 - n, 3)
    _pieces, to = taken({"w000": arriving.floor_of(()) + "-"}, most=100)
    opened.clear()
    late = store("w001", 70, 2)
    assert taken(to, most=100)[0] == [late], "a writer that is new brings what it began before"
    assert opened and all(len(files) <= 1 for files in opened)


def test_who_must_look_further_back_opens_what_another_had_no_need_to_read(store):
    """A writer that was silent for hours holds back a reader that knows it, and none that does not: what one passed over is new to the other."""
    old = store("w001", 600, 3)
    new = store("w000", 60, 3)
    assert places.store().compact("iam") == 2, "both in one file"
    taken({"w000": new[0]}, most=100)
    assert sorted(taken({"w000": new[-1], "w001": old[0]}, most=100)[0][0]) == sorted(old[1:])


def test_what_still_lies_in_the_spool_is_read_when_all_of_it_is_stored(store, home):
    """A segment's events go into several tables one after the other; whoever reads between two of them must not take the rest for read."""
    before = store("w000", 60, 3)
    half = store("w000", 50, 4, "iam")
    sequence = int(half[0].split("-")[0], 16)
    waiting = home / "spool" / "w000" / f"{sequence:016d}.ready"
    waiting.parent.mkdir(parents=True)
    waiting.touch()
    other = store("w001", 55, 2)
    start = {"w000": arriving.floor_of(()) + "-"}
    found, to = taken(start, most=100)
    assert [sorted(piece) for piece in found] == [sorted(before + other)]
    assert arriving.last_events(viewer=SYSTEM) == {"w000": before[-1], "w001": other[-1]}, "who begins now begins before it"
    rest = store("w000", 50, 4, "system_activity", after=half)
    waiting.rename(waiting.with_suffix(".open"))
    assert taken(to, most=100)[0] == [[]]
    waiting.with_suffix(".open").unlink()
    assert sorted(taken(to, most=100)[0][0]) == sorted(half + rest)


def test_what_begins_from_now_on_is_for_the_next(store):
    early, late = store("w000", 60, 2), store("w000", -60, 2)
    found, to = taken({"w000": arriving.floor_of(()) + "-"}, most=100)
    assert found == [early] and to["w000"] < late[0]


def test_one_reading_serves_all_who_count(store, monkeypatch):
    names = [name for n in range(3) for name in store("w000", 60 - n, 6)]
    start = {"w000": arriving.floor_of(()) + "-"}
    (piece,) = arriving.pieces(start, most=100, viewer=SYSTEM)
    by_host, by_class = arriving.Tally(("host",), where=(("class_uid", (3002,)),)), arriving.Tally(("class_uid",))
    none = arriving.Tally(("user",), where=(("class_uid", (4001,)),))
    read, between = [], arriving.between
    monkeypatch.setattr(arriving, "between", lambda *given, **more: read.append(given) or between(*given, **more))
    arrivals = arriving.Arrivals([by_host, by_class, none], start, piece.to, viewer=SYSTEM)
    assert {(row["entity"], row["n"]) for row in arrivals.count(by_host).to_pylist()} == {("h0", 6), ("h1", 6), ("h2", 6)}
    assert [(row["entity"], row["n"]) for row in arrivals.count(by_class).to_pylist()] == [("3002", len(names))]
    assert arrivals.count(none).num_rows == 0
    assert len(read) == 1
