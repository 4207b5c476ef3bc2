"""What format a sample is of: codecs ranked by how much of it they read, each with its reasons.

In: some frames of an unknown source. Out: ``Guess``es, best first; nothing is stored and nothing is decided. A guess is
tried, not only looked at: the share of records that the codec reads, and, with templates, the share that one knows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from lianfang.engines.connect import codecs, delimited, mails
from lianfang.engines.connect.limits import Limits, Unreadable
from lianfang.engines.connect.mapping import Templates

MOST = 200
"""Frames that are tried."""
_GENERIC = frozenset({"fallback", "json", "syslog", "syslog.lines", "windows.other"})
_LOOKS = {
    "json": "{number} of {all} records are JSON objects",
    "cef": "{number} of {all} records have a CEF header (CEF:0|…)",
    "leef": "{number} of {all} records have a LEEF header (LEEF:1.0|…)",
    "auditd": "{number} of {all} records are of the Linux audit daemon (type=… msg=audit(…))",
    "winxml": "{number} of {all} records are Windows events as XML",
    "web": "{number} of {all} records are access or error records of a web server",
    "kv": "{number} of {all} records are names and values (name=value)",
    "syslog": "{number} of {all} records are lines with a syslog header, or plain lines",
}

_WEIGHTS = {"syslog": 0.6, "kv": 0.8}
"""Nearly every line is a syslog line, many have pairs."""


class Reason(str):
    """A sentence, and what it is made of: ``text`` with ``{places}`` for ``values``, so that it can be said in another language."""

    text: str
    values: dict[str, Any]

    def __new__(cls, text: str, **values: Any) -> Self:
        made = super().__new__(cls, text.format(**values))
        made.text, made.values = text, values
        return made


@dataclass(frozen=True, slots=True)
class Guess:
    """``score`` 0 to 1; ``template`` is the one that knows most of the records (``""``: none does)."""

    codec: str
    encoding: str
    score: float
    reasons: tuple[Reason, ...]
    read: int
    rejected: int
    template: str = ""


def recognise(frames: Sequence[bytes], *, templates: Templates | None = None, received: datetime | None = None, limits: Limits = Limits()) -> list[Guess]:  # noqa: B008 - frozen
    """Ranked guesses for a sample; empty when it holds nothing. With templates, ``received`` must be given.

    >>> best = recognise([b"time,src_ip,action", b"2026-11-20 08:00:01,192.0.2.7,deny", b"2026-11-20 08:00:02,192.0.2.8,deny"])[0]
    >>> best.codec, best.encoding, best.reasons[0]
    ('csv', 'utf-8', 'The first line names 3 columns, and 2 of 2 lines have as many values')
    """
    sample = [frame for frame in frames if frame.strip()][:MOST]
    if not sample:
        return []
    encoding, why = encoding_of(sample)
    looks = Counter(codecs.codec_of(frame) for frame in sample)
    guesses = [_tried(codec, sample, encoding, _WEIGHTS.get(codec, 0.9) * number / len(sample), Reason(_LOOKS[codec], number=number, all=len(sample)), limits) for codec, number in looks.items()]
    guesses += [_tried(codec, sample, encoding, weight, reason, limits) for codec, weight, reason in _by_form(sample, looks, limits, encoding)]
    if len(looks) > 1:
        guesses.append(_tried("auto", sample, encoding, 0.75, Reason("The sample mixes {number} formats", number=len(looks)), limits))
    if templates is not None and received is not None:
        guesses = [_known(guess, sample, templates, received, limits) for guess in guesses]
    best: dict[str, Guess] = {}
    for guess in sorted((each for each in guesses if each.read), key=lambda each: -each.score):
        best.setdefault(guess.codec, Guess(guess.codec, encoding, round(guess.score, 3), (*guess.reasons, *why), guess.read, guess.rejected, guess.template))
    return list(best.values())


def encoding_of(frames: Sequence[bytes]) -> tuple[str, tuple[Reason, ...]]:
    """UTF-8, or GB 18030 where the bytes are none and Chinese text comes out.

    >>> encoding_of(["登录失败".encode("gbk")])[0], encoding_of(["登录失败".encode()])[0], encoding_of([bytes([255, 254, 1])])[0]
    ('gb18030', 'utf-8', 'utf-8')
    """
    whole = b"\n".join(frames)[: 1 << 20]
    broken = whole.decode("utf-8", "replace").count("\ufffd")
    if not broken:
        return "utf-8", ()
    text = whole.decode("gb18030", "replace")
    chinese = sum("\u4e00" <= letter <= "\u9fff" for letter in text)
    if chinese and text.count("\ufffd") * 4 < broken and chinese > text.count("\ufffd"):
        return "gb18030", (Reason("The bytes are not UTF-8 but Chinese in GB 18030 (GBK)"),)
    return "utf-8", (Reason("{number} bytes are not UTF-8", number=broken),)


def _by_form(sample: list[bytes], looks: Counter[str], limits: Limits, encoding: str) -> list[tuple[str, float, Reason]]:
    """Formats that only several lines together show."""
    found: list[tuple[str, float, Reason]] = []
    if sample[0].startswith(b"#separator ") or any(frame.startswith(b"#fields") for frame in sample[:10]):
        found.append(("zeek", 1.0, Reason("It begins with the header of a Zeek log (#separator, #fields)")))
    if mails.looks_like(b"\n".join(sample)[:4096]):
        found.append(("mail", 1.0, Reason("It begins like a mail message (From, To, Date …), or is Outlook's container")))
    found += _tables(sample, limits, encoding)
    if not looks["json"]:
        folded = codecs.decode("lines", sample, limits=limits, encoding=encoding)
        joined, levelled = len(folded.parts), sum("level" in row and "timestamp" in row for row in folded.rows)
        if joined and any("exception" in row for row in folded.rows):
            found.append(("lines", 0.95, Reason("{number} of {all} lines continue the record before them, with a stack trace", number=joined, all=len(sample))))
        elif folded.rows and levelled > 0.8 * len(folded.rows):
            found.append(("lines", 0.7, Reason("{number} of {all} records begin with a time and a level", number=levelled, all=len(folded.rows))))
    return found


def _tables(sample: list[bytes], limits: Limits, encoding: str) -> list[tuple[str, float, Reason]]:
    first = sample[0][: limits.frame_bytes].decode(encoding, "replace").strip()
    if len(sample) < 2 or first[:1] in "{[<#":
        return []
    try:
        header = delimited.names_of(first)
    except Unreadable:
        return []
    if header is None or len(header[1]) < 2:
        return []
    codec = "tsv" if header[0] == "\t" else "csv"
    done = codecs.decode(codec, sample, limits=limits, encoding=encoding)
    share = len(done.rows) / (len(sample) - 1)
    return [(codec, 0.95, Reason("The first line names {columns} columns, and {number} of {all} lines have as many values", columns=len(header[1]), number=len(done.rows), all=len(sample) - 1))] if share > 0.5 else []


def _tried(codec: str, sample: list[bytes], encoding: str, weight: float, reason: Reason, limits: Limits) -> Guess:
    """``weight`` (0 to 1) is how much the look says; the score is that times the share that can be read."""
    frames = [b"\n".join(sample)] if codec == "mail" else sample
    done = codecs.decode(codec, frames, limits=limits, encoding=encoding)
    events = len(done.rows) + len(done.rejects)
    reasons = (reason,) if not done.rejects else (reason, Reason("{number} records cannot be read: {why}", number=len(done.rejects), why=done.rejects[0].reason))
    return Guess(codec, encoding, weight * len(done.rows) / max(1, events), reasons, len(done.rows), len(done.rejects))


def _known(guess: Guess, sample: list[bytes], templates: Templates, received: datetime, limits: Limits) -> Guess:
    """A codec whose rows a template of their own knows is the better guess."""
    frames = [b"\n".join(sample)] if guess.codec == "mail" else sample
    rows = codecs.decode(guess.codec, frames, limits=limits, encoding=guess.encoding).rows
    if not rows:
        return guess
    names = Counter(name for name in templates.map(rows, received=received).template if name not in _GENERIC)
    if not names:
        return guess
    name, number = names.most_common(1)[0]
    score = min(1.0, guess.score + 0.1 * number / len(rows))
    return Guess(guess.codec, guess.encoding, score, (*guess.reasons, Reason("The template {name} knows {number} of {all} records", name=name, number=number, all=len(rows))), guess.read, guess.rejected, name)
