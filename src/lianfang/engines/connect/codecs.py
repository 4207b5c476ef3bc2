"""Frames → flat rows of native fields. A frame is what a sender sent at once: a line, a datagram, a record.

In: the name of a codec and byte frames, from anybody. Out: rows (text → text), each with its own bytes and the number
of its frame; what cannot be read is a ``Reject``, and never an exception.
"""

from __future__ import annotations

import codecs as text_codecs
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from lianfang.engines.connect import applines, audit, delimited, joining, jsons, mails, pairs, syslogs, text, weblogs, winxml
from lianfang.engines.connect.flatten import put
from lianfang.engines.connect.limits import Limits, Reject, Unreadable
from lianfang.kernel.errors import Missing

__all__ = ["APART", "CODECS", "Decoded", "Limits", "Reject", "codec_of", "decode"]


@dataclass(slots=True)
class Decoded:
    """``rows[i]`` came from ``raws[i]``, which is (part of) the frame number ``origin[i]``.

    ``parts`` are frames that are no event of their own: lines joined to the event before them, and header lines.
    ``header`` is the one in force at the end; hand it to the next call when a source sends its columns only once.
    """

    rows: list[dict[str, str]] = field(default_factory=list)
    raws: list[bytes] = field(default_factory=list)
    origin: list[int] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    parts: list[int] = field(default_factory=list)
    header: str = ""

    def add(self, row: dict[str, str], raw: bytes, index: int) -> None:
        """Append one row."""
        self.rows.append(row)
        self.raws.append(raw)
        self.origin.append(index)


@dataclass(frozen=True, slots=True)
class _Manner:
    """What a source says about its text: its encoding, the names of its columns, how its records begin."""

    limits: Limits
    encoding: str
    header: str
    start: str


Reader = Callable[[Sequence[bytes], _Manner], Decoded]


def decode(codec: str, frames: Sequence[bytes], *, limits: Limits = Limits(), encoding: str = "utf-8", header: str = "", start: str = "") -> Decoded:  # noqa: B008 - frozen
    """All frames through one codec.

    ``encoding`` is for senders that do not speak UTF-8 (``gb18030``; ``auto`` looks); ``header`` names the columns of
    ``csv``, ``tsv`` and ``zeek`` where no frame does; ``start`` is a RE2 pattern of the line with which a record of
    ``lines`` begins. Raises ``Missing`` for an unknown codec or encoding and ``Invalid`` for a wrong pattern.

    >>> done = decode("json", [b'{"EventID": 1}', b"nonsense"])
    >>> done.rows, done.rejects[0].index, done.rejects[0].reason[:8]
    ([{'EventID': '1'}], 1, 'Not JSON')
    >>> done = decode("csv", [b"time,src", b"2026-11-20,192.0.2.7"])
    >>> done.rows, done.parts, done.header
    ([{'time': '2026-11-20', 'src': '192.0.2.7'}], [0], 'time,src')
    """
    reader = CODECS.get(codec)
    if reader is None:
        raise Missing(f"There is no codec “{codec}”", todo=f"Use one of {', '.join(sorted(CODECS))}.")
    if encoding not in ("utf-8", "auto"):
        try:
            text_codecs.lookup(encoding)
        except LookupError as error:
            raise Missing(f"There is no encoding “{encoding}”", todo="Use utf-8, gb18030 (which holds GBK), or auto.") from error
    return reader(frames, _Manner(limits, encoding, header, start))


# ---- JSON, also under a syslog header --------------------------------------------------------------------------


def _json(frames: Sequence[bytes], manner: _Manner) -> Decoded:
    done, limits = Decoded(), manner.limits
    add, read = done.add, jsons.row_of
    foreign = manner.encoding not in ("utf-8", "utf8")
    rows = None if foreign else jsons.rows_of(frames, limits=limits)
    if rows is not None:
        return Decoded(rows, list(frames), list(range(len(frames))))
    for index, raw in enumerate(frames):
        frame = text.decoded(raw, manner.encoding).encode("utf-8", "replace") if foreign and len(raw) <= limits.frame_bytes else raw
        try:
            add(read(frame, limits=limits), raw, index)
        except Unreadable as fault:
            _json_parts(done, frame, index, fault, limits)
        except RecursionError:
            done.rejects.append(_too_deep(limits).reject(index, frame, limits))
    return done


def _json_parts(done: Decoded, frame: bytes, index: int, fault: Unreadable, limits: Limits) -> None:
    """A frame that is not one object may hold several, or one under a syslog header; if it holds none, the first fault stands."""
    if frame[:1] == b"<" and _json_below(done, frame, index, limits):
        return
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


def _json_below(done: Decoded, frame: bytes, index: int, limits: Limits) -> bool:
    """``<14>Nov 20 08:00:01 waf1 app: {…}``: the object, with the header beside it."""
    try:
        header, rest = syslogs.split(text.text_of(frame, limits=limits), limits=limits)
        begin = rest.find("{", 0, 256)
        if not header or begin < 0:
            return False
        row = jsons.row_of(rest[begin:].encode("utf-8", "replace"), limits=limits)
    except (Unreadable, RecursionError):
        return False
    if rest[:begin].strip():
        put(header, "tag", rest[:begin].strip())
    done.add(text.under(row, header), frame, index)
    return True


def _too_deep(limits: Limits) -> Unreadable:
    return Unreadable(f"Nested deeper than {limits.depth} levels", "Flatten the record at the sender, or raise the depth limit of the source.")


# ---- one frame, one row ----------------------------------------------------------------------------------------


def _each(read: Callable[..., dict[str, str]]) -> Reader:
    """A codec out of a function that reads one frame."""

    def codec(frames: Sequence[bytes], manner: _Manner) -> Decoded:
        done, limits, encoding = Decoded(), manner.limits, manner.encoding
        for index, frame in enumerate(frames):
            try:
                done.add(read(frame, limits=limits, encoding=encoding), frame, index)
            except Unreadable as fault:
                done.rejects.append(fault.reject(index, frame, limits))
        return done

    return codec


# ---- columns named by a line above -----------------------------------------------------------------------------


def _columns(make: Callable[[Limits, str], delimited.Columns | delimited.Zeek]) -> Reader:
    """A codec out of a reader that knows the header in force. Records that ``files`` took apart come as JSON objects."""

    def codec(frames: Sequence[bytes], manner: _Manner) -> Decoded:
        done, limits = Decoded(), manner.limits
        reader = make(limits, manner.encoding)
        try:
            reader.begin(manner.header)
        except Unreadable as fault:
            raise Missing("The names of the columns cannot be read", why=fault.reason, todo=fault.todo) from fault
        for index, frame in enumerate(frames):
            try:
                rows = _object(frame, limits) or reader.read(frame)
            except Unreadable as fault:
                done.rejects.append(fault.reject(index, frame, limits))
                continue
            for row in rows:
                done.add(row, frame, index)
            if not rows:
                done.parts.append(index)
        done.header = reader.header()
        return done

    return codec


def _object(frame: bytes, limits: Limits) -> list[dict[str, str]]:
    if not frame.startswith(b'{"'):
        return []
    try:
        return [jsons.row_of(frame, limits=limits)]
    except (Unreadable, RecursionError):
        return []


# ---- several frames, one row -----------------------------------------------------------------------------------


def _grouped(name: str, read: Callable[..., dict[str, str]]) -> Reader:
    """A codec whose events span frames; ``read`` gets the frames of one event."""

    def codec(frames: Sequence[bytes], manner: _Manner) -> Decoded:
        done, limits = Decoded(), manner.limits
        for group in joining.groups(name, enumerate(frames), start=manner.start, limits=limits):
            index, held = group[0][0], [frame for _, frame in group]
            try:
                done.add(read(held, limits=limits, encoding=manner.encoding), b"\n".join(held), index)
                done.parts += [number for number, _ in group[1:]]
            except Unreadable as fault:
                done.rejects += [fault.reject(number, frame, limits) for number, frame in group]
        return done

    return codec


def _lines(held: Sequence[bytes], *, limits: Limits, encoding: str) -> dict[str, str]:
    return applines.row_of(b"\n".join(held), limits=limits, encoding=encoding)


def _winxml(frames: Sequence[bytes], manner: _Manner) -> Decoded:
    done, limits = Decoded(), manner.limits
    for group in joining.groups("winxml", enumerate(frames), limits=limits):
        index, whole = group[0][0], b"\n".join(frame for _, frame in group)
        try:
            found = list(winxml.rows_of(whole, limits=limits, encoding=manner.encoding))
        except Unreadable as fault:
            found = [fault]
        if not found and all(winxml.only_around(frame) for _, frame in group):
            done.parts += [number for number, _ in group]
            continue
        for row in found or [winxml.NO_EVENT]:
            if isinstance(row, Unreadable):
                done.rejects.append(row.reject(index, whole, limits))
            else:
                done.add(row, whole, index)
        done.parts += [number for number, _ in group[1:]]
    return done


# ---- found by looking ------------------------------------------------------------------------------------------

_BLANK = b" \t\r\n\xef\xbb\xbf"
_CEF = re.compile(rb"(?:^|\s)CEF:\d\|")
_LEEF = re.compile(rb"(?:^|\s)LEEF:\d(?:\.\d)?\|")
_AUDIT = re.compile(rb"(?:^|\s)type=[A-Z0-9_\[\]]{2,60} msg=audit\(\d")
_ACCESS = re.compile(rb'^(?:[\w.-]{1,253}:\d{1,5} )?[0-9A-Fa-f:.]{2,45} \S{1,64} \S{1,64} \[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "')
_ERROR = re.compile(rb"^(?:\d{4}/\d\d/\d\d \d\d:\d\d:\d\d \[[a-z]{3,8}\] \d+#\d+: |\[(?:[A-Z][a-z]{2} )?[A-Z][a-z]{2} [ \d]?\d \d\d:\d\d:\d\d(?:\.\d{1,9})? \d{4}\] \[[\w:-]{3,60}\])")
_PAIR = re.compile(rb"(?:^|[\s,;|:)\]])[ \-]?[A-Za-z][\w.\-()]{0,60}=(?=\S)|[,\xef][\s\xbc\x8c]{0,3}[^\s,:=\"]{2,30}:(?=\S)")
_SYSLOG_JSON = re.compile(rb"^<\d{1,3}>[^{]{1,400}?\{\s*\"")


def codec_of(frame: bytes) -> str:
    r"""The codec that one frame looks as if it were for: ``json``, ``cef``, ``leef``, ``auditd``, ``winxml``, ``web``, ``kv``, else ``syslog``.

    >>> [codec_of(frame) for frame in (b'{"a":1}', b"<1>Nov 20 08:00:01 h CEF:0|a|b|c|d|e|5|", b"a=1 b=2 c=3 d=4", b"<38>Nov 20 08:00:01 web1 sshd[1]: x")]
    ['json', 'cef', 'kv', 'syslog']
    """
    head = frame[:2048].lstrip(_BLANK)
    if head[:1] in (b"{", b"["):
        return "web" if _ERROR.match(head) else "json"
    if head.startswith((b"<Event>", b"<Event ")) or (head.startswith(b"<?xml") and b"<Event" in head):
        return "winxml"
    for codec, pattern in (("cef", _CEF), ("leef", _LEEF), ("auditd", _AUDIT)):
        if pattern.search(head, 0, 512):
            return codec
    if _ACCESS.match(head) or _ERROR.match(head):
        return "web"
    if _SYSLOG_JSON.match(head):
        return "json"
    return "kv" if len(_PAIR.findall(head)) >= 4 and not _OWN.search(head, 0, 200) else "syslog"


_OWN = re.compile(rb"\s(?:sshd|sudo|su|nginx|apache2?|httpd|kernel|systemd|CRON|cron|login|pam_\w+)(?:\[\d+\])?: ")
"""Programs whose messages the ``syslog`` codec reads itself."""


def _auto(frames: Sequence[bytes], manner: _Manner) -> Decoded:
    """Each frame by its look; the frames of one look keep their order."""
    by: dict[str, list[int]] = {}
    for index, frame in enumerate(frames):
        by.setdefault(codec_of(frame), []).append(index)
    whole = Decoded()
    for codec, at in by.items():
        part = CODECS[codec]([frames[index] for index in at], manner)
        whole.rows += part.rows
        whole.raws += part.raws
        whole.origin += [at[index] for index in part.origin]
        whole.rejects += [replace(reject, index=at[reject.index]) for reject in part.rejects]
        whole.parts += [at[index] for index in part.parts]
    return whole


CODECS: dict[str, Reader] = {
    "json": _json,
    "syslog": _each(syslogs.row_of),
    "cef": _each(pairs.cef),
    "leef": _each(pairs.leef),
    "kv": _each(pairs.kv),
    "csv": _columns(lambda limits, encoding: delimited.Columns(limits, encoding)),
    "tsv": _columns(lambda limits, encoding: delimited.Columns(limits, encoding, "\t")),
    "zeek": _columns(lambda limits, encoding: delimited.Zeek(limits, encoding)),
    "suricata": _json,
    "web": _each(weblogs.row_of),
    "winxml": _winxml,
    "auditd": _grouped("auditd", audit.row_of),
    "lines": _grouped("lines", _lines),
    "mail": _each(mails.row_of),
    "auto": _auto,
}
"""Every codec by its name. Honeypots (Cowrie, HFish) and Suricata's EVE write JSON."""
APART = frozenset({"json", "syslog", "cef", "leef", "kv", "suricata", "web", "mail"})
"""Codecs that read each frame by itself: the frames may be given in parts."""
