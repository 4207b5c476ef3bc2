"""The child process that parses Windows event logs, one 64 KiB chunk at a time. Standard library and ``evtx`` only.

Why a process of its own: a single changed byte (a loop in the chunk's table of strings) keeps the native parser busy
for ever while it holds the interpreter's lock, so no thread can stop it. A process can be stopped.

In (stdin): 4 bytes of length, a chunk; again. Out (stdout) for each chunk: messages of one letter, 4 bytes of length and
a body: ``R`` a record as JSON, ``E`` what is wrong with one, ``.`` the end of the chunk.
"""

import struct
import sys
import zlib
from io import BytesIO
from typing import Any

MEMORY = 2 << 30
MOST_ERRORS = 1000


def header() -> bytes:
    """A file header for one chunk ([MS-EVEN6]; the layout is that of libevtx's documentation)."""
    start = struct.pack("<8sQQQIHHHH76xI", b"ElfFile\0", 0, 0, 1, 128, 1, 3, 4096, 1, 0)
    return (start + struct.pack("<I", zlib.crc32(start[:120]))).ljust(4096, b"\0")


def answer(chunk: bytes) -> None:
    """All records of one chunk, then the end mark. What escapes here ends the process, and the parent starts another."""
    import evtx

    try:
        records: Any = evtx.PyEvtxParser(BytesIO(header() + chunk), number_of_threads=1).records_json()
        errors = 0
        while errors < MOST_ERRORS:
            try:
                say(b"R", next(records)["data"])
            except StopIteration:
                break
            except Exception as error:
                errors += 1
                say(b"E", str(error))
    except Exception as error:
        say(b"E", str(error))
    say(b".", "")
    sys.stdout.buffer.flush()


def say(letter: bytes, body: str) -> None:
    """One message."""
    content = body.encode("utf-8", "replace")
    sys.stdout.buffer.write(letter + struct.pack("<I", len(content)) + content)


def main() -> None:
    """Answer until the parent closes the pipe."""
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (ImportError, ValueError, OSError):  # not on this platform: the parent's clock remains
        pass
    while len(length := sys.stdin.buffer.read(4)) == 4:
        answer(sys.stdin.buffer.read(struct.unpack("<I", length)[0]))


if __name__ == "__main__":
    main()
