"""Files sealed in pieces: what was written comes back from any place, and nothing of a file that was touched."""

import io
import os
from contextlib import suppress

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given
from hypothesis import strategies as st

from lianfang.engines.envelope import SealedReader, SealedWriter
from lianfang.engines.envelope.streams import HEAD, PIECE, TAG
from lianfang.kernel.errors import Invalid

KEY, WHAT = bytes(range(32)), "test"


def sealed(data, *, at_once=10_000):
    file = io.BytesIO()
    with SealedWriter(file, KEY, purpose=WHAT) as writer:
        for start in range(0, len(data), at_once):
            writer.write(data[start : start + at_once])
    return file.getvalue()


def opened(content, key=KEY, purpose=WHAT):
    return SealedReader(io.BytesIO(content), key, purpose=purpose)


@given(st.sampled_from([0, 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 3 * PIECE + 17]), st.integers(1, 200_000), st.lists(st.tuples(st.integers(0, 4 * PIECE), st.integers(0, 2 * PIECE)), max_size=5))
def test_what_is_written_comes_back_from_any_place(size, at_once, looks):
    data = bytes(n * 7 % 251 for n in range(size))
    content = sealed(data, at_once=at_once)
    assert len(content) == HEAD + size + TAG * max(1, -(-size // PIECE))
    file = opened(content)
    assert file.read() == data
    for start, length in looks:
        file.seek(start)
        assert file.read(length) == data[start : start + length]
    assert file.seek(-min(size, 5), os.SEEK_END) == size - min(size, 5)
    assert io.BufferedReader(opened(content)).read() == data


def test_nothing_is_given_of_a_file_that_was_touched():
    data = os.urandom(3 * PIECE + 100)
    content = sealed(data)
    step = PIECE + TAG
    cut = [content[: HEAD + n * step] for n in (1, 2, 3)] + [content[:-1], content[: HEAD + 5], content[:10], b"", content + b"x", content + content[HEAD : HEAD + step]]
    for broken in cut:
        with pytest.raises(Invalid):
            opened(broken)
    first, second = content[HEAD : HEAD + step], content[HEAD + step : HEAD + 2 * step]
    other = sealed(data)
    for broken in (content[:HEAD] + second + first + content[HEAD + 2 * step :], content[: HEAD + 9] + b"!" + content[HEAD + 10 :], content[:HEAD] + other[HEAD : HEAD + step] + content[HEAD + step :]):
        with pytest.raises(Invalid):
            opened(broken).read()
    for key, purpose in ((bytes(32), WHAT), (KEY, "other")):
        with pytest.raises(Invalid):
            opened(content, key, purpose)


def test_a_writer_that_broke_off_has_written_no_whole_file():
    file = io.BytesIO()
    with suppress(OSError), SealedWriter(file, KEY, purpose=WHAT) as writer:
        writer.write(bytes(2 * PIECE))
        raise OSError("disk")
    with pytest.raises(Invalid):
        opened(file.getvalue())


def test_it_is_the_form_that_is_written_down():
    content = sealed(b"whoami")
    key = HKDF(SHA256(), 32, content[17:49], b"lianfang stream\ntest").derive(KEY)
    assert content[:17] == b"lianfang-stream1\n"
    assert AESGCM(key).decrypt(bytes(11) + b"\1", content[49:], None) == b"whoami"


def test_parquet_goes_through_it():
    table, file = pa.table({"n": list(range(100_000)), "text": [f"row {n}" for n in range(100_000)]}), io.BytesIO()
    with SealedWriter(file, KEY, purpose=WHAT) as writer:
        pq.write_table(table, writer, row_group_size=20_000)
    assert pa.Table.from_batches(pq.ParquetFile(opened(file.getvalue())).iter_batches()).equals(table)
