"""A large batch is worked on a slice at a time; nobody outside can tell."""

import json
import time

import pytest
from tests.rooms.lake.conftest import sysmon

from lianfang.rooms.lake import actions, declare, models
from lianfang.rooms.lake.actions import ingesting, preparing, receiving

pytestmark = pytest.mark.django_db(transaction=True)


class Recorder:
    """An examiner that finds whoami and keeps what it is given to conclude."""

    seen: list[int] = []
    concluded: list[tuple[str, dict, dict]] = []

    def examine(self, batch):
        self.seen.append(len(batch))
        return {at: ("whoami",) for at, row in enumerate(batch.rows) if "whoami" in row.get("CommandLine", "")}

    def conclude(self, batch, hits):
        columns = {name: dict(values) for name, values in batch.columns.items()}
        self.concluded.append((batch.ref, columns, hits))


@pytest.fixture
def taken(monkeypatch, source, viewers):
    """Send records as one group and store them, so many frames at a time; what was examined and concluded, and what is stored."""
    monkeypatch.setattr(declare, "_factories", {"recorder": Recorder})

    def take(slice_, records):
        monkeypatch.setattr(preparing, "SLICE", slice_)
        Recorder.seen, Recorder.concluded = [], []
        actions.receive(source, [json.dumps(one).encode() if isinstance(one, dict) else one for one in records], actor=viewers.member)
        receiving.seal()
        ingesting.drain()
        return Recorder.seen, Recorder.concluded

    return take


RECORDS = [
    *(sysmon(n) for n in range(5)),  # each runs whoami
    b"not JSON",
    *({"host": f"h{n}", "message": "no process here"} for n in range(4)),
    {"msg": "whoami is not in a command line"},
    *(sysmon(n, User=f"HARBOUR\\u{n}") for n in range(10, 13)),
]


def test_what_fires_in_several_slices_is_concluded_together(taken, all_events):
    seen, concluded = taken(4, RECORDS)
    assert seen == [4, 3, 4, 2], "a frame that could not be read was in the second slice"
    ((_, columns, hits),) = concluded
    assert list(hits) == [0, 1, 2, 3, 4, 10, 11, 12]
    assert [columns["host"][at] for at in (4, 10)] == ["pc-04.harbour.example", "pc-10.harbour.example"]
    assert len(all_events()) == 13
    assert models.Source.objects.get().rejects == 1


def test_the_size_of_slices_changes_nothing(taken, all_events):
    whole, small = taken(1000, RECORDS)[1], taken(3, RECORDS)[1]
    strip = lambda found: [({name: list(values.values()) for name, values in columns.items() if name not in ("event_id", "received", "time")}, hits) for _, columns, hits in found]  # noqa: E731
    assert strip(whole) == strip(small)
    numbers = sorted(event["event_id"].rpartition("-")[2] for event in all_events())
    assert numbers == sorted(2 * [f"{at:05x}" for at in range(len(RECORDS)) if at != 5])


def test_records_that_span_frames_are_not_cut(taken, source, all_events):
    """Lines of one auditd event belong together, wherever a slice would end."""
    models.Source.objects.filter(name=source).update(codec="auditd")
    stamp = int(time.time())
    lines = [f"type={kind} msg=audit({stamp}.00{n}:{n}): {rest}".encode() for n in range(6) for kind, rest in (("SYSCALL", 'syscall=59 exe="/usr/bin/id"'), ("EXECVE", 'argc=1 a0="id"'))]
    taken(3, lines)
    assert len(all_events()) == 6
