"""Several ingest processes of one node: whose is which segment, who may run beside whom, and a client's number that two of them see."""

import json

import pytest
from tests.rooms.lake.conftest import sysmon

from lianfang.kernel.errors import Conflict, Invalid
from lianfang.kernel.viewer import SYSTEM
from lianfang.rooms.lake import actions, models
from lianfang.rooms.lake.actions import receiving, spool
from lianfang.rooms.lake.actions.ingesting import Line, Part, writing
from lianfang.rooms.lake.actions.spool import Segment, Spool

pytestmark = pytest.mark.django_db(transaction=True)


def written(*groups):
    """Groups (key, numbers), each by a writer of its own: one slot of the spool and one segment for each."""
    writers = [Spool(receiving.root()) for _ in groups]
    for writer, (key, numbers) in zip(writers, groups):
        writer.append("edr", [json.dumps(sysmon(n)).encode() for n in numbers], key=key)
    for writer in writers:
        writer.close()


def carried(part: Part) -> int:
    """What this part stores of what waits."""
    line, count = Line(part), 0
    while prepared := line.take():
        line.storer.keep(prepared)
        line.done(prepared)
        count += sum(tally.events for one in prepared for tally in one.tallies.values())
    return count


def test_every_segment_falls_to_exactly_one_part(home):
    for of in (1, 2, 3, 7):
        parts = [Part(number, of) for number in range(1, of + 1)]
        for slot in range(30):
            segment = Segment(5, f"w{slot:03d}", home / "x", 1)
            assert [part.has(segment) for part in parts].count(True) == 1


def test_parts_store_what_is_theirs_and_together_everything(source, home, all_events):
    written(("", range(10)), ("", range(10, 30)), ("", range(30, 60)), ("", range(60, 61)))
    assert [carried(Part(1, 2)), carried(Part(2, 2))] == [40, 21]
    assert len(all_events()) == 61


def test_a_number_that_two_parts_see_is_stored_once_whoever_is_killed(source, home, all_events):
    """The same messages in two slots, as after a part of a topic went to another member: the first to see them has them, even if it dies first."""
    written(("part:0-10", range(10)), ("part:0-10", range(10)))
    assert Line(Part(1, 2)).take()  # killed before anything is stored
    assert carried(Part(2, 2)) == 0
    assert carried(Part(1, 2)) == 10
    written(("part:0-10", range(10)))
    assert carried(Part(1, 2)) == carried(Part(2, 2)) == 0
    assert len(all_events()) == 10
    assert not spool.sealed(receiving.root())


def test_after_the_number_of_processes_was_changed_nothing_is_lost_or_doubled(source, home, all_events):
    written(("a", range(10)), ("a", range(10)), ("b", range(10, 20)))
    assert Line(Part(2, 2)).take()
    assert Line(Part(1, 2)).take()
    assert actions.drain() == 3
    assert len(all_events()) == 20
    assert models.Source.objects.get(name=source).events == 20


def test_parts_run_side_by_side_and_nothing_else_beside_them(home):
    with writing(Part(1, 2)), writing(Part(2, 2)):
        for other in (Part(1, 2), Part(), Part(3, 3)):
            with pytest.raises(Conflict, match="stores events already"), writing(other):
                pass
        with pytest.raises(Conflict):
            actions.drain()
    with writing(), pytest.raises(Conflict), writing(Part(1, 2)):
        pass
    with writing(Part(3, 3)):
        pass


@pytest.mark.parametrize("text", ["", "2", "0/2", "3/2", "-1/2", "a/b", "1/65", "1/2/3", "²/2"])
def test_a_part_that_is_none_is_refused(text):
    with pytest.raises(Invalid):
        Part.parse(text)


def test_receipts_that_are_claimed_stay_the_claimants(source):
    models.Receipt.objects.create(source="edr", key="k", segment="00000000005-w000")
    line = Line()
    segment = lambda worker: Segment(5, worker, receiving.root(), 1)  # noqa: E731
    assert line._is_new("edr", "k", segment("w000"))
    assert not line._is_new("edr", "k", segment("w001"))
    assert receiving.receive("edr", [b"{}"], actor=SYSTEM)


def test_what_one_writer_takes_is_shared_by_all_parts(source, home, all_events, monkeypatch):
    monkeypatch.setenv("LIANFANG_INGEST", "3")
    receiving.seal()
    for batch in range(6):
        receiving.receive("edr", [json.dumps(sysmon(10 * batch + n)).encode() for n in range(10)], actor=SYSTEM)
    receiving.seal()
    assert [carried(Part(number, 3)) for number in (1, 2, 3)] == [20, 20, 20]
    assert len(all_events()) == 60
