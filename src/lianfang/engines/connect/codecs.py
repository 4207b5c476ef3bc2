"""Frames → flat rows of native fields. A frame is what a sender sent at once: a line, a datagram, a record.

In: the name of a codec and byte frames, from anybody. Out: rows (text → text), each with its own bytes and the number
of its frame; what cannot be read is a ``Reject``, and never an exception.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from lianfang.engines.connect import jsons, syslogs
from lianfang.engines.connect.limits import Limits, Reject, Unreadable
from lianfang.kernel.errors import Missing

__all__ = ["CODECS", "Decoded", "Limits", "Reject", "decode"]


@dataclass(slots=True)
class Decoded:
    """``rows[i]`` came from ``raws[i]``, which is (part of) the frame number ``origin[i]``."""

    rows: list[dict[str, str]] = field(default_factory=list)
    raws: list[bytes] = field(default_factory=list)
    origin: list[int] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)

    def add(self, row: dict[str, str], raw: bytes, index: int) -> None:
        """Append one row."""
        self.rows.append(row)
        self.raws.append(raw)
        self.origin.append(index)


Reader = Callable[..., dict[str, str]]


def decode(codec: str, frames: Sequence[bytes], *, limits: Limits = Limits(), encoding: str = "utf-8") -> Decoded:  # noqa: B008 - frozen
    """All frames through one codec. ``encoding`` is for syslog senders that do not speak UTF-8 (``gb18030``).

    >>> done = decode("json", [b'{"EventID": 1}', b"nonsense"])
    >>> done.rows, done.rejects[0].index, done.rejects[0].reason[:8]
    ([{'EventID': '1'}], 1, 'Not JSON')
    """
    reader = CODECS.get(codec)
    if reader is None:
        raise Missing(f"There is no codec “{codec}”", todo=f"Use one of {', '.join(sorted(CODECS))}.")
    return reader(frames, limits=limits, encoding=encoding)


def _json(frames: Sequence[bytes], *, limits: Limits, encoding: str) -> Decoded:
    done = Decoded()
    add, read = done.add, jsons.row_of
    for index, frame in enumerate(frames):
        try:
            add(read(frame, limits=limits), frame, index)
        except Unreadable as fault:
            _json_parts(done, frame, index, fault, limits)
        except RecursionError:
            done.rejects.append(_too_deep(limits).reject(index, frame, limits))
    return done


def _json_parts(done: Decoded, frame: bytes, index: int, fault: Unreadable, limits: Limits) -> None:
    """A frame that is not one object may hold several; if it holds none, the first fault stands."""
    found = list(jsons.parts(frame, limits=limits)) if len(frame) <= limits.frame_bytes else []
    if not any(isinstance(part, bytes) and part != frame for part in found):
        done.rejects.append(fault.reject(index, frame, limits))
        return
    for part in found[: limits.rows_per_frame]:
        if isinstance(part, Reject):
            done.rejects.append(Reject(index, part.raw, part.reason, part.todo))
            continue
        try:
            done.add(jsons.row_of(part, limits=limits), part, index)
        except Unreadable as reason:
            done.rejects.append(reason.reject(index, part, limits))
    if len(found) > limits.rows_per_frame:
        done.rejects.append(Reject(index, b"", f"{len(found):,} records in one frame, {limits.rows_per_frame:,} were read", "Send fewer records at once."))


def _too_deep(limits: Limits) -> Unreadable:
    return Unreadable(f"Nested deeper than {limits.depth} levels", "Flatten the record at the sender, or raise the depth limit of the source.")


def _syslog(frames: Sequence[bytes], *, limits: Limits, encoding: str) -> Decoded:
    done = Decoded()
    for index, frame in enumerate(frames):
        try:
            done.add(syslogs.row_of(frame, limits=limits, encoding=encoding), frame, index)
        except Unreadable as fault:
            done.rejects.append(fault.reject(index, frame, limits))
    return done


CODECS: dict[str, Callable[..., Decoded]] = {"json": _json, "syslog": _syslog}
