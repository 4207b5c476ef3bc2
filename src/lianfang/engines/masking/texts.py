r"""Values inside longer texts: find those of a kind, and cover given ones wherever and however they are written.

In: texts. Out: what stands in them, or the same texts without it. Candidates are found by RE2; those with a check digit are
checked by the recognisers of ``grading``, all distinct ones of a batch at once.
"""

from __future__ import annotations

import html
import ipaddress
import json
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.compute as pc
import re2

from lianfang.engines.grading.shapes import recognise

KINDS = ("phone", "resident_id", "bank_card", "credit_code", "email", "ip", "credential")
"""What can be found inside a text."""
NUMBERS = frozenset(("phone", "resident_id", "bank_card", "credit_code"))
SHORT = 6
"""A value of fewer characters is covered only where it stands by itself, so that “li” does not tear “client” apart."""
_MAIL = r"[A-Za-z0-9.!#$%&*+/=?^_`{|}~-]{1,64}(?:@|%40|\\u0040)(?:[A-Za-z0-9-]{1,63}\.)+[A-Za-z]{2,24}"
_NUMBERS = r"\d{17}[Xx]|\+?86[ -]?1[3-9]\d[ -]?\d{4}[ -]?\d{4}|1[3-9]\d[ -]\d{4}[ -]\d{4}|\d{4}(?:[ -]\d{4}){2,3}(?:[ -]\d{1,4})?|\d{11,}|[0-9A-HJ-NPQRTUWXYa-hj-npqrtuwxy]{18}"
_ADDRESS = r"\d{1,3}(?:\.\d{1,3}){3}|(?:[0-9A-Fa-f]{0,4}:){2,7}(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9A-Fa-f]{0,4})"
_SECRET = r"(?i:pass(?:word|wd|phrase)?|pwd|secret|api[_-]?key|access[_-]?token|口令|密码)\\?[\"']?\s{0,3}[=:：]\s{0,3}\\?[\"']?([^\s\"'&,;\\]{1,200})"  # noqa: S105  (what to look for)
_PARTS = (("credential", f"(?:{_SECRET})"), ("email", f"({_MAIL})"), ("ip", f"({_ADDRESS})"), ("number", f"({_NUMBERS})"))

Hide = Callable[[str, Sequence[str]], Sequence[str | None]]
"""Kind and distinct values → what stands in for them."""


def cleared(texts: Sequence[str], kinds: Iterable[str], hide: Hide) -> tuple[list[str], list[dict[str, tuple[str, str]]]]:
    """Texts without values of some kinds, and for each text what was replaced: value → (kind, stand-in).

    >>> cleared(["回拨 13812345678", "password=Xy1"], ["phone", "credential"], lambda kind, values: [f"<{kind}>" for _ in values])
    (['回拨 <phone>', 'password=<credential>'], [{'13812345678': ('phone', '<phone>')}, {'Xy1': ('credential', '<credential>')}])
    """
    wanted = frozenset(kinds)
    seek, names = _finder(wanted)
    likely = pc.match_substring_regex(pa.array(texts, pa.string()), seek.pattern).to_pylist()  # most texts hold nothing, which Arrow says ten times faster
    found = [_spans(seek, names, text) if may else [] for text, may in zip(texts, likely)]
    told = _kinds({text[begin:end] for text, spans in zip(texts, found) for begin, end, kind in spans if kind in ("number", "ip")}, wanted)
    told |= {text[begin:end]: kind for text, spans in zip(texts, found) for begin, end, kind in spans if kind in ("email", "credential")}
    hidden: dict[str, tuple[str, str]] = {}
    for kind in wanted:
        values = [value for value, its in told.items() if its == kind]
        hidden.update((value, (kind, new or "")) for value, new in zip(values, hide(kind, values)))
    done, replaced = [], []
    for text, spans in zip(texts, found):
        parts, own, at = [], {}, 0
        for begin, end, _kind in spans:
            value = text[begin:end]
            if value in hidden:
                parts += [text[at:begin], hidden[value][1]]
                own[value], at = hidden[value], end
        done.append("".join([*parts, text[at:]]) if parts else text)
        replaced.append(own)
    return done, replaced


@cache
def _finder(wanted: frozenset[str]) -> tuple[Any, tuple[str, ...]]:
    """A pattern of the kinds that are wanted alone: another would swallow what stands inside it. Its groups are named in order."""
    parts = [(kind, pattern) for kind, pattern in _PARTS if kind in wanted or (kind == "number" and wanted & NUMBERS)]
    return re2.compile("|".join(pattern for _kind, pattern in parts) or r"[^\s\S]"), tuple(kind for kind, _pattern in parts)


def _spans(seek: Any, names: tuple[str, ...], text: str) -> list[tuple[int, int, str]]:
    """Candidates, from left to right: begin, end, and ``number``, ``ip``, ``email`` or ``credential``."""
    found = []
    for match in seek.finditer(text):
        for group, kind in enumerate(names, 1):
            begin, end = match.span(group)
            if begin >= 0:
                found.append((begin, end, kind))
                break
    return found


def _kinds(values: set[str], wanted: frozenset[str]) -> dict[str, str]:
    """Candidates that pass their check → their kind."""
    distinct = sorted(values)
    if not distinct:
        return {}
    flags = recognise(pa.array(distinct, pa.string())).whole
    return {distinct[at]: kind for kind in ("phone", "resident_id", "bank_card", "credit_code", "ip") if kind in wanted for at in flags[kind].nonzero()[0]}


class Cover:
    """One value and what stands in for it, in all the ways in which records write it: plain, in JSON, percent-encoded, in XML.

    >>> Cover("li@corp.example", "u_1@d.invalid").over('{"to":"LI@corp.example","url":"/?u=li%40corp.example"}')
    '{"to":"u_1@d.invalid","url":"/?u=u_1%40d.invalid"}'
    >>> Cover("li", "u_1").over("client li\\\\nli")
    'client u_1\\\\nu_1'
    """

    __slots__ = ("alone", "forms", "value")

    def __init__(self, value: str, hidden: str | None):
        new = hidden if hidden is not None else "*" * 3
        ways: tuple[Callable[[str], str], ...] = (
            str,
            lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
            lambda text: json.dumps(text)[1:-1],
            lambda text: quote(text, safe=""),
            lambda text: quote(text),
            html.escape,
        )
        forms: dict[bytes, bytes] = {}
        for way in ways:
            forms.setdefault(_bytes(way(value)).lower(), _bytes(way(new)))
        address = is_address(value)
        if address and ":" in value:
            for spelt in (ipaddress.ip_address(value).compressed, ipaddress.ip_address(value).exploded):
                forms.setdefault(_bytes(spelt).lower(), _bytes(new))
        self.value, self.forms = value, tuple(forms.items())
        self.alone = len(value) < SHORT or address

    def over(self, text: str) -> str:
        """The text without the value."""
        return covered(text, (self,))


def covered(text: str, covers: Sequence[Cover]) -> str:
    """A text without any of some values, all replaced at once, the longest first. Upper and lower case count alike where they are ASCII."""
    data = _bytes(text)
    low = data.lower()
    spans = [(at, -end, new) for cover in covers for form, new in cover.forms if form in low for at, end in _places(low, form, alone=cover.alone)]
    if not spans:
        return text
    parts, last = [], 0
    for at, end, new in sorted(spans):
        if -end > last:  # one that begins inside another and ends behind it hides its tail as well
            parts += [data[last:at], new]
            last = -end
    return b"".join([*parts, data[last:]]).decode("utf-8", "surrogatepass")


def _places(low: bytes, form: bytes, *, alone: bool) -> Iterable[tuple[int, int]]:
    at = low.find(form)
    while at >= 0:
        end = at + len(form)
        if not alone or _by_itself(low, at, end):
            yield at, end
        at = low.find(form, at + 1)


def ordered(values: dict[str, Cover]) -> tuple[Cover, ...]:
    """Covers in the order in which they are looked for."""
    return tuple(values[value] for value in sorted(values, key=lambda value: (-len(value), value)))


def is_address(value: str) -> bool:
    """Whether it is an IP address.

    >>> is_address("192.0.2.7"), is_address("pc-7")
    (True, False)
    """
    if ":" not in value and value.count(".") != 3:
        return False
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return True


_WORD = frozenset(b"0123456789abcdefghijklmnopqrstuvwxyz")


def _by_itself(low: bytes, at: int, end: int) -> bool:
    """No letter or digit before or after, escapes (``\\n``, ``%20``) aside."""
    if end < len(low) and low[end] in _WORD and low[end - 1] in _WORD:
        return False
    if at == 0 or low[at - 1] not in _WORD or low[at] not in _WORD:
        return True
    return (at >= 2 and low[at - 2 : at - 1] == b"\\" and low[at - 1] in b"nrtbf") or (at >= 3 and low[at - 3 : at - 2] == b"%")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
