"""Logs over syslog, from folders and from files: nothing is lost, nothing twice, and the doors follow the sources."""

import gzip
import json
import os
import socket
import threading
import time
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.patience import free_port, wait_for
from tests.rooms.lake.conftest import doors, dying, sysmon

from lianfang.kernel.errors import Invalid
from lianfang.rooms.lake import actions, models, queries
from lianfang.rooms.lake.actions import listening, receiving
from lianfang.rooms.lake.adapters import folder
from lianfang.rooms.lake.adapters.syslog.framing import Framer
from lianfang.rooms.lake.adapters.syslog.listeners import Tcp, Udp
from lianfang.rooms.lake.types import Busy

LINE = "<38>Nov 20 08:00:0{} app-01 sshd[812]: Failed password for root from 203.0.113.77 port 4022{} ssh2"


# ---- framing ---------------------------------------------------------------------------------------------------

messages = st.lists(st.binary(min_size=1, max_size=60).map(lambda b: b"<1>" + b.replace(b"\n", b"").replace(b"\0", b"").replace(b"\r", b"") + b"."), max_size=12)


@given(messages, st.data())
def test_messages_come_out_whole_however_the_stream_is_cut(sent, data):
    stream = b"".join(b"%d %s" % (len(one), one) if data.draw(st.booleans()) else one + b"\n" for one in sent)
    framer, got, at = Framer(), [], 0
    while at < len(stream):
        step = data.draw(st.integers(1, 40))
        got += framer.feed(stream[at : at + step])[0]
        at += step
    assert got + framer.end()[0] == sent


@given(st.binary(max_size=400), st.integers(1, 50))
def test_any_stream_is_framed_within_bounds(stream, step):
    framer = Framer(longest=50)
    for at in range(0, len(stream), step):
        frames, _ = framer.feed(stream[at : at + step])
        assert all(len(frame) <= 50 + step for frame in frames)
        assert len(framer._rest) <= 50 + 2 * step + 20
    framer.end()


def test_a_message_that_is_too_long_is_said_and_skipped():
    framer = Framer(longest=100)
    frames, faults = framer.feed(b"5000 " + b"x" * 5000 + b"5 <1>ab" + b"y" * 300)
    more, more_faults = framer.feed(b"y" * 100 + b"\n<2>cd\n")
    assert frames + more == [b"<1>ab", b"<2>cd"]
    assert len(faults + more_faults) == 2


# ---- sockets ---------------------------------------------------------------------------------------------------


PADDING = b"x" * 1000


def test_tcp_stops_reading_while_the_node_is_busy_and_loses_nothing():
    got, busy = [], threading.Event()
    busy.set()

    def put(frames, faults):
        if busy.is_set():
            raise Busy("full")
        got.extend(frames)

    door = Tcp("127.0.0.1", 0, put)
    with socket.create_connection(("127.0.0.1", door.port)) as sender:
        sender.settimeout(0.5)
        sent = 0
        try:
            while sent < 200_000:  # some 200 MB: more than the system's own buffers ever hold
                sender.sendall(b"<1>line %d %s\n" % (sent, PADDING))
                sent += 1
        except TimeoutError:
            pass
        assert sent < 200_000, "the sender felt the pressure"
        assert got == []
        busy.clear()
        wait_for(lambda: len(got) >= sent - 1)
    wait_for(lambda: len(got) >= sent)
    door.close()
    assert got[:sent] == [b"<1>line %d %s" % (n, PADDING) for n in range(sent)]


def test_udp_counts_what_it_had_to_drop():
    def put(frames, faults):
        raise Busy("full")

    door = Udp("127.0.0.1", 0, put)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for n in range(50):
            sender.sendto(b"<1>%d" % n, ("127.0.0.1", door.port))
    wait_for(lambda: door.dropped == 50)
    door.close()


@pytest.mark.django_db(transaction=True)
def test_syslog_ports_open_and_close_with_their_sources(viewers, all_events):
    udp, tcp = free_port(socket.SOCK_DGRAM), free_port(socket.SOCK_STREAM)
    actions.create_source("net-udp", kind="syslog_udp", host="127.0.0.1", port=udp, actor=viewers.member)
    actions.create_source("net-tcp", kind="syslog_tcp", host="127.0.0.1", port=tcp, actor=viewers.member)
    actions.create_source("taken", kind="syslog_tcp", host="127.0.0.1", port=tcp, actor=viewers.member)
    with doors():
        wait_for(lambda: models.Source.objects.exclude(trouble="").exists())
        with socket.create_connection(("127.0.0.1", tcp)) as sender, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
            for n in range(5):
                sender.sendall(LINE.format(n, n).encode() + b"\n")
                datagrams.sendto(LINE.format(n, n).encode(), ("127.0.0.1", udp))
        time.sleep(0.5)
        actions.pause_source(models.Source.objects.get(name="net-tcp"), actor=viewers.member)

        def closed():
            try:
                socket.create_connection(("127.0.0.1", tcp), timeout=0.2).close()
            except OSError:
                return True
            return models.Source.objects.filter(name="taken", trouble="").exists()  # the other one took the port over

        wait_for(closed)
    actions.drain()
    names = [row["name"] for row in models.Source.objects.filter(events=5).values("name")]
    assert sorted(names) == ["net-tcp", "net-udp"]


# ---- folders ---------------------------------------------------------------------------------------------------


@pytest.fixture
def inbox(home, monkeypatch):
    path = home / "inbox"
    path.mkdir()
    monkeypatch.setattr(listening, "SETTLED", 0.0)
    monkeypatch.setattr(listening, "LOOK", 0.05)
    return path


@pytest.fixture
def watch(inbox, viewers, monkeypatch):
    """``watch()``: look once at the folder, as the ingest process does every second."""
    actions.create_source("files", kind="folder", path=str(inbox), codec="json", actor=viewers.member)
    monkeypatch.setattr(listening.Watch, "_watch", lambda self: None)

    def look():
        listening.Watch(models.Source.objects.get(name="files")).look()
        receiving.seal()
        actions.drain()

    return look


def line(n: int) -> str:
    return json.dumps(sysmon(n)) + "\n"


@pytest.mark.django_db(transaction=True)
def test_a_growing_file_is_followed_through_rotation(inbox, watch, all_events):
    log = inbox / "app.log"
    log.write_text(line(1) + line(2)[:40])
    watch()
    assert len(all_events()) == 1, "half a line waits"
    with log.open("a") as file:
        file.write(line(2)[40:] + line(3))
    watch()
    log.rename(inbox / "app.log.1")
    log.write_text(line(4))
    with (inbox / "app.log.1").open("a") as file:
        file.write(line(5))
    watch()
    watch()
    assert sorted(event["host"][:5] for event in all_events()) == [f"pc-0{n}" for n in range(1, 6)]


@pytest.mark.django_db(transaction=True)
def test_a_truncated_file_is_read_from_its_start_again(inbox, watch, all_events):
    log = inbox / "app.log"
    log.write_text("".join(line(n) for n in range(5)))
    watch()
    log.write_text(line(7))
    watch()
    assert len(all_events()) == 6


@pytest.mark.django_db(transaction=True)
def test_packed_files_are_read_once_they_rest(inbox, watch, all_events):
    (inbox / "a.json.gz").write_bytes(gzip.compress((line(1) + line(2)).encode()))
    with zipfile.ZipFile(inbox / "b.zip", "w") as archive:
        archive.writestr("one.jsonl", line(3))
        archive.writestr("two.jsonl", line(4))
    (inbox / "c.json.part").write_text(line(5))
    os.symlink("/etc/passwd", inbox / "link.log")
    watch()
    watch()
    assert sorted(event["host"][:5] for event in all_events()) == ["pc-01", "pc-02", "pc-03", "pc-04"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_crash_while_a_part_is_received_loses_and_doubles_nothing(inbox, watch, all_events, monkeypatch, moment):
    log = inbox / "app.log"
    log.write_text(line(1) + line(2))

    with monkeypatch.context() as world:
        world.setattr(receiving, "receive", dying(moment))
        with pytest.raises(SystemExit):
            watch()
    with log.open("a") as file:
        file.write(line(3))
    watch()
    watch()
    assert sorted(event["host"][:5] for event in all_events()) == ["pc-01", "pc-02", "pc-03"]


@pytest.mark.django_db(transaction=True)
def test_a_folder_waits_while_the_node_is_busy(inbox, watch, all_events, monkeypatch):
    (inbox / "app.log").write_text(line(1))
    with monkeypatch.context() as world:
        world.setattr(receiving.spool(), "limit", 10)
        with pytest.raises(Busy):
            watch()
    receiving.seal()
    watch()
    assert len(all_events()) == 1


@pytest.mark.django_db(transaction=True)
def test_only_allowed_folders_are_watched(home, inbox, viewers):
    (home / "keys").mkdir(exist_ok=True)
    (inbox / "out").symlink_to(home / "keys")
    for path in (str(home / "keys"), "/etc", "relative", str(inbox / "out"), f"{inbox}/../keys", "/nowhere"):
        with pytest.raises(Invalid):
            actions.create_source("spy", kind="folder", path=path, actor=viewers.member)


@given(st.lists(st.binary(max_size=30).map(lambda b: b.replace(b"\n", b"").replace(b"\r", b"")), max_size=20), st.integers(0, 200))
def test_lines_are_read_in_parts_that_never_overlap(tmp_path_factory, texts, first):
    path = tmp_path_factory.mktemp("lines") / "f.log"
    path.write_bytes(b"".join(text + b"\n" for text in texts))
    got, end = folder.lines(path, 0, None, idle=False)
    assert got == [text for text in texts if text]
    assert end == path.stat().st_size


# ---- files and the sample --------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
@pytest.mark.covers("D05", "Q01")
def test_a_file_given_twice_is_stored_once(tmp_path, viewers, all_events):
    path = tmp_path / "export.jsonl.gz"
    path.write_bytes(gzip.compress("".join(line(n) for n in range(50)).encode()))
    steps = []
    for _ in range(2):
        report = actions.ingest_path(path, "export", actor=viewers.member, progress=lambda done, total: steps.append((done, total)))
        assert report == {"files": 1, "events": 50, "rejects": 0}
    actions.settle()
    assert steps[-1] == (path.stat().st_size, path.stat().st_size)
    assert len(all_events()) == 50


@pytest.mark.django_db(transaction=True)
def test_a_hostile_archive_is_kept_among_the_rejects(tmp_path, viewers, all_events):
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros.log", bytes(300 << 20))
        archive.writestr("good.jsonl", line(1))
    actions.ingest_path(tmp_path / "bomb.zip", "archive", actor=viewers.member)
    actions.settle()
    assert queries.reject_groups(viewer=viewers.member)


@pytest.mark.django_db(transaction=True)
def test_the_sample_stream_is_of_this_very_hour_and_goes_with_one_click(settings, viewers, all_events, last_hour):
    actions.feed_sample(settings.CONTENT / "samples", actor=viewers.member)
    actions.drain()
    found = all_events()
    assert len(found) > 400
    assert {event["source"] for event in found} == {"sample-linux", "sample-web", "sample-windows"}
    assert queries.has_sample(viewer=viewers.member)
    assert actions.erase_sample(actor=viewers.member) == 3
    assert all_events() == ()
    actions.drain()
    assert not models.Source.objects.filter(kind="sample").exists()
