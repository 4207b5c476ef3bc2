"""Any file, however wrapped or damaged, gives its records or says why not, within bounded memory and time."""

from __future__ import annotations

import gzip
import io
import json
import random
import signal
import tarfile
import time
import tracemalloc
import zipfile
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from lianfang.engines.connect import codecs, eventlog, scan
from lianfang.engines.connect.files import frames, lines, stream_frames
from lianfang.engines.connect.limits import Limits, Reject
from lianfang.kernel.errors import Missing

LINES = b'{"a":"1"}\n\n{"a":"2"}\r\n{"a":"3"}'
EXPECTED = [b'{"a":"1"}', b'{"a":"2"}', b'{"a":"3"}']


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


def read(content: bytes, **more: int) -> list[bytes | Reject]:
    return list(stream_frames(io.BytesIO(content), size=len(content), limits=Limits(**more)))


def good(found: list[bytes | Reject]) -> list[bytes]:
    return [item for item in found if isinstance(item, bytes)]


def reasons(found: list[bytes | Reject]) -> str:
    assert all(item.reason and item.todo for item in found if isinstance(item, Reject))
    return " | ".join(item.reason for item in found if isinstance(item, Reject))


@pytest.mark.parametrize(
    "content",
    [
        LINES,
        b"\xef\xbb\xbf" + LINES,
        LINES.decode().encode("utf-16"),
        "﻿".encode("utf-16-be") + LINES.decode().encode("utf-16-be"),
        gzip.compress(LINES),
        gzip.compress(LINES[:12]) + gzip.compress(LINES[12:]),
        zstandard.compress(LINES),
        zstandard.compress(LINES[:12]) + zstandard.compress(LINES[12:]),
        zipped({"a.log": LINES}),
        zipped({"dir/": b"", "a.log": LINES[:10], "b.log": b"", "c.log": LINES[10:]}),
        zipped({"a.log": LINES}, zipfile.ZIP_BZIP2),
        zipped({"a.zip": zipped({"b.gz": gzip.compress(LINES)})}),
        gzip.compress(zstandard.compress(LINES)),
        b'[{"a":"1"},\n{"a":"2"} , {"a":"3"}]',
        b'\xef\xbb\xbf [{"a":"1"},{"a":"2"},{"a":"3"}]\n',
        b'\n  [\n{"a":"1"},{"a":"2"},{"a":"3"}',
    ],
    ids=["plain", "bom", "utf-16", "utf-16-be", "gz", "two gz", "zst", "two zst", "zip", "zip of parts", "zip bzip2", "gz in zip in zip", "zst in gz", "array", "array with bom", "open array"],
)
def test_whatever_it_is_wrapped_in(content: bytes) -> None:
    assert good(read(content)) == EXPECTED


def test_pretty_printed_objects_are_records() -> None:
    content = b"".join(json.dumps({"a": number, "b": {"c": "}"}}, indent=2).encode() + b"\n" for number in range(3))
    assert [json.loads(frame)["a"] for frame in good(read(content))] == [0, 1, 2]


def test_a_path_and_its_absence(tmp_path: Path) -> None:
    (tmp_path / "misnamed.txt").write_bytes(gzip.compress(LINES))
    assert list(frames(tmp_path / "misnamed.txt")) == EXPECTED
    with pytest.raises(Missing):
        list(frames(tmp_path / "absent"))


def test_a_line_of_100_megabytes_costs_no_memory_and_the_next_is_read() -> None:
    content = b'{"a":"1"}\n' + b"x" * 100_000_000 + b'\n{"a":"2"}\n'
    stream = io.BytesIO(content)
    tracemalloc.start()
    found = list(stream_frames(stream, size=len(content)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert good(found) == [b'{"a":"1"}', b'{"a":"2"}']
    assert "Too large" in reasons(found)
    assert peak < 16 << 20


def test_an_element_of_an_array_over_the_limit_is_left_out_and_the_next_is_read() -> None:
    content = b'[{"a":"1"},{"a":"' + b"x" * 5_000_000 + b'"},{"a":"2"}]'
    found = read(content)
    assert good(found) == [b'{"a":"1"}', b'{"a":"2"}']
    assert "Too large" in reasons(found)


def test_a_zip_bomb_is_stopped_early() -> None:
    bomb = zipped({f"{number}.txt": b"\0" * 10_000_000 for number in range(4)})
    start = time.perf_counter()
    found = read(bomb, free=4_000_000, ratio=100)
    assert "bomb" in reasons(found)
    assert time.perf_counter() - start < 5


def test_bombs_of_every_kind_are_bounded() -> None:
    zeros = (b"0" * 999 + b"\n") * 5_000
    for bomb in (gzip.compress(gzip.compress(zeros)), zstandard.compress(zeros), zipped({"a.zip": zipped({"a": zeros})})):
        assert "bomb" in reasons(read(bomb, free=1_000_000, ratio=50))
    assert "come out of this file" in reasons(read(gzip.compress(zeros), file_bytes=1_000_000))


def test_real_compression_is_no_bomb() -> None:
    content = b"".join(b'{"number":"%d","text":"the same words in every line"}\n' % number for number in range(50_000))
    assert len(read(zstandard.compress(content), free=1_000_000)) == 50_000


def test_packing_within_packing_ends_somewhere() -> None:
    content = LINES
    for _ in range(30):
        content = gzip.compress(content)
    assert "times over" in reasons(read(content))


def test_too_many_files_in_an_archive() -> None:
    found = read(zipped({str(number): b"x" for number in range(30)}), members=20)
    assert len(good(found)) == 20
    assert "files in one archive" in reasons(found)


def test_an_encrypted_member_is_said_and_the_others_are_read() -> None:
    content = bytearray(zipped({"a": b"one", "b": b"two"}, zipfile.ZIP_STORED))
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + flags] |= 1
    found = read(bytes(content))
    assert good(found) == [b"two"]
    assert "password" in reasons(found)


@pytest.mark.parametrize("wrap", [gzip.compress, zstandard.compress, lambda content: zipped({"a": content})])
def test_a_cut_off_file_gives_what_is_there(wrap) -> None:
    content = b"".join(b'{"number":"%d","noise":"%d"}\n' % (number, hash(str(number))) for number in range(40_000))
    whole = wrap(content)
    found = read(whole[: len(whole) // 2])
    assert reasons(found)
    assert all(frame in content for frame in good(found)[:100])


def test_text_between_objects_is_not_swallowed() -> None:
    found = read(b'[{"a":"1"}, nonsense, {"a":"2"}] tail')
    assert good(found) == [b'{"a":"1"}', b'{"a":"2"}']
    assert [item.raw for item in found if isinstance(item, Reject)] == [b"nonsense", b"tail"]


@given(st.binary(max_size=400), st.sampled_from([b"", b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"PK\x03\x04", b"ElfFile\0", b"[{", b"\xff\xfe", b"{\n"]))
@settings(max_examples=200, deadline=None)
def test_nothing_that_a_file_contains_raises(content: bytes, magic: bytes) -> None:
    for item in read(magic + content, frame_bytes=64):
        assert isinstance(item, bytes | Reject)


@given(st.binary(max_size=300), st.integers(1, 20))
def test_lines_do_not_depend_on_how_they_arrive(content: bytes, size: int) -> None:
    whole = list(lines(iter([content]), limits=Limits(frame_bytes=32)))
    parts = list(lines(iter([content[start : start + size] for start in range(0, len(content), size)]), limits=Limits(frame_bytes=32)))
    assert good(whole) == good(parts)
    assert len(whole) == len(parts)


texts = st.text(st.sampled_from('ab"\\{}[],: \n中'), max_size=8)
objects = st.dictionaries(texts, st.recursive(texts | st.integers(), lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2), max_leaves=5), max_size=3)


@given(st.lists(objects, max_size=5), st.integers(1, 30), st.sampled_from([None, 2]), st.booleans())
def test_values_do_not_depend_on_how_they_arrive(items: list, size: int, indent: int | None, array: bool) -> None:
    content = (json.dumps(items, indent=indent) if array else "\n".join(json.dumps(item, indent=indent) for item in items)).encode()
    parts = [content[start : start + size] for start in range(0, len(content), size)]
    found = list(scan.values(parts, limits=Limits()))
    assert [json.loads(item) for item in good(found)] == items
    assert len(found) == len(items)


@given(st.binary(max_size=200), st.integers(1, 20))
def test_the_scanner_bears_anything(content: bytes, size: int) -> None:
    for item in scan.values([content[start : start + size] for start in range(0, len(content), size)], limits=Limits(frame_bytes=20, sample_bytes=5)):
        assert len(item if isinstance(item, bytes) else item.raw) <= 20 + size


# ---- event logs ----------------------------------------------------------------------------------------------------


def test_a_false_event_log_is_rejects() -> None:
    header = b"ElfFile\0".ljust(4096, b"\0")
    found = read(header + b"ElfChnk\0" + bytes(range(256)) * 300 + b"not a chunk".ljust(65536, b"x"))
    assert good(found) == []
    assert "does not begin like one" in reasons(found)


def test_a_parser_that_does_not_come_back_is_stopped_and_the_file_given_up() -> None:
    reader = eventlog.Reader(patience=0.2)
    for _ in range(2):
        reader._running().send_signal(signal.SIGSTOP)  # it never reads, it never answers
        with pytest.raises(eventlog.Stopped, match="did not finish"):
            reader.records(b"ElfChnk\0".ljust(65536, b"\0"))
        assert reader.process is None
    reader.patience = 30
    assert [letter for letter, _ in reader.records(b"ElfChnk\0".ljust(65536, b"\0"))] in ([], [b"E"])
    reader.stop()


class NeverBack(eventlog.Reader):
    """Every chunk is one too many."""

    def records(self, chunk: bytes) -> list[tuple[bytes, bytes]]:
        raise eventlog.Stopped("the parser crashed")


def test_a_file_full_of_traps_is_given_up() -> None:
    content = b"\0" * 4096 + b"ElfChnk\0".ljust(65536, b"\0") * 50
    found = list(eventlog.records(io.BytesIO(content), reader=NeverBack()))
    assert len(found) == eventlog.MOST_STOPS + 1


@pytest.fixture(scope="module")
def logs(field_data: Path) -> list[bytes]:
    with (field_data / "detection/sigma-regression-part.tar.zst").open("rb") as packed, tarfile.open(fileobj=zstandard.ZstdDecompressor().stream_reader(packed), mode="r|") as archive:
        return [archive.extractfile(member).read() for member in archive if member.name.endswith(".evtx")]  # type: ignore[union-attr]


@pytest.mark.data
def test_real_event_logs_give_every_record(logs: list[bytes]) -> None:
    found = [item for log in logs for item in read(log)]
    assert reasons(found) == ""
    done = codecs.decode("json", good(found))
    assert len(done.rows) == len(found) >= len(logs)
    assert all({"Channel", "EventID", "Provider_Name", "Computer", "SystemTime"} <= set(row) for row in done.rows)


@pytest.mark.data
def test_event_logs_inside_archives(logs: list[bytes]) -> None:
    packed = zipped({"a/b.evtx": logs[0], "c.zip": zipped({"d.evtx": logs[1]}), "e.gz": gzip.compress(logs[2])})
    assert good(read(packed)) == [item for log in logs[:3] for item in good(read(log))]


@pytest.mark.data
def test_damaged_event_logs_never_raise_nor_hang(logs: list[bytes]) -> None:
    chance = random.Random(20261120)
    start = time.monotonic()
    for _ in range(300):
        log = bytearray(chance.choice(logs))
        if chance.random() < 0.2:
            del log[chance.randrange(len(log)) :]
        for _ in range(chance.choice([0, 1, 10, 300])):
            if log:
                log[min(len(log) - 1, chance.choice([chance.randrange(4700), 4096 + chance.randrange(4000)]))] = chance.choice([0, 255, chance.randrange(256)])
        codecs.decode("json", good(read(bytes(log))))
    assert time.monotonic() - start < 60


@pytest.mark.data
def test_a_loop_in_the_table_of_strings_costs_nothing(logs: list[bytes]) -> None:
    """One byte that sends the native parser round for ever; its table is blanked before it sees it."""
    for log in logs[:20]:
        hostile = bytearray(log)
        for place in range(4096 + 128, 4096 + 384, 4):
            offset = int.from_bytes(log[place : place + 4], "little")
            if offset:
                hostile[4096 + offset : 4096 + offset + 4] = offset.to_bytes(4, "little")
        assert good(read(bytes(hostile))) == good(read(log))
