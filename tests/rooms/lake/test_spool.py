"""The spool's writing end: what many write at once is handed on in pieces that a reader can hold, in order."""

import threading

from lianfang.rooms.lake.actions import spool
from lianfang.rooms.lake.actions.spool import SEGMENT_BYTES, Spool

FRAME = b"x" * (64 << 10)


def test_a_flood_is_handed_on_in_pieces_of_one_size_in_the_order_in_which_it_came(tmp_path):
    writer = Spool(tmp_path)
    senders = [threading.Thread(target=lambda name=name: [writer.append(name, [FRAME] * 4, key=f"{step:02}") for step in range(40)]) for name in ("a", "b", "c")]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    writer.close()
    segments = spool.sealed(tmp_path)
    assert all(segment.size <= SEGMENT_BYTES + 4 * len(FRAME) + 1000 for segment in segments)
    groups = [group for segment in segments for group in spool.read(segment.path)[0]]
    for name in "abc":
        assert [group.key for group in groups if group.source == name] == [f"{step:02}" for step in range(40)]
