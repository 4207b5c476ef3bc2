"""What a rule does with a value: mask it, give it a pseudonym, cut it, take it away, or leave a keyed digest.

In: a method and an Arrow column (or distinct values). Out: as many values again. Every distinct value is worked once, however
often it stands in the column.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lianfang.engines.masking.keyed import Keyed

STAR = "*"


class Verb(StrEnum):
    """What is done."""

    MASK = "mask"
    PSEUDONYM = "pseudonym"
    TRUNCATE = "truncate"
    REMOVE = "remove"
    HASH = "hash"


class Form(StrEnum):
    """What the value is taken for."""

    TEXT = "text"
    NAME = "name"
    PHONE = "phone"
    RESIDENT_ID = "resident_id"
    BANK_CARD = "bank_card"
    EMAIL = "email"
    ADDRESS = "address"
    IP = "ip"
    DIGITS = "digits"
    TIME = "time"


KEPT: dict[Form, tuple[int, int]] = {Form.PHONE: (3, 4), Form.RESIDENT_ID: (3, 2), Form.BANK_CARD: (6, 4), Form.EMAIL: (1, 0), Form.NAME: (1, 0), Form.ADDRESS: (6, 0)}
"""How many characters at the beginning and end a mask leaves where a rule says nothing; of a card at most what PCI DSS lets be shown."""
FORMS: dict[Verb, tuple[Form, ...]] = {
    Verb.MASK: (Form.TEXT, Form.NAME, Form.PHONE, Form.RESIDENT_ID, Form.BANK_CARD, Form.EMAIL, Form.ADDRESS, Form.IP),
    Verb.PSEUDONYM: (Form.TEXT, Form.NAME, Form.EMAIL, Form.IP, Form.DIGITS, Form.PHONE, Form.RESIDENT_ID, Form.BANK_CARD),
    Verb.TRUNCATE: (Form.TEXT, Form.IP, Form.TIME),
    Verb.REMOVE: tuple(Form),
    Verb.HASH: tuple(Form),
}
"""Which forms a verb understands."""
_HOUR = re.compile(r"^(\d{4}-\d\d-\d\d[ T]\d\d):\d\d(?::\d\d(?:[.,]\d+)?)?(.*)$")


@dataclass(frozen=True, slots=True)
class Method:
    """A verb and how. ``first``, ``last``: characters that a mask leaves (none said: as the form has it), or to which a text is cut; ``keep_domain``: of mail addresses."""

    verb: Verb
    form: Form = Form.TEXT
    first: int | None = None
    last: int | None = None
    keep_domain: bool = False

    def hide(self, values: Sequence[str], keyed: Keyed) -> list[str | None]:
        """What stands in for each of some distinct values; ``None`` for what is taken away.

        >>> keyed = Keyed(bytes(32))
        >>> Method(Verb.MASK, Form.PHONE).hide(["13812345678"], keyed), Method(Verb.MASK, Form.NAME).hide(["张三丰"], keyed)
        (['138****5678'], ['张**'])
        >>> Method(Verb.TRUNCATE, Form.IP).hide(["192.0.2.17", "2001:db8:7:8::1"], keyed)
        ['192.0.2.0', '2001:db8:7::']
        """
        if self.verb is Verb.REMOVE:
            return [None] * len(values)
        if self.verb is Verb.PSEUDONYM and self.form is Form.IP:
            return list(keyed.addresses(values))
        one = self._one(keyed)
        return [one(value) for value in values]

    def _one(self, keyed: Keyed) -> Callable[[str], str | None]:
        if self.verb is Verb.HASH:
            return keyed.digest
        if self.verb is Verb.TRUNCATE:
            return {Form.IP: network, Form.TIME: hour}.get(self.form, lambda value: value[: self.first or 0] or None)
        if self.verb is Verb.PSEUDONYM:
            named: dict[Form, Callable[[str], str]] = {Form.NAME: keyed.name, Form.EMAIL: partial(keyed.mail, keep_domain=self.keep_domain), Form.TEXT: partial(keyed.word, prefix="x")}
            return named.get(self.form, keyed.digits)
        first, last = KEPT.get(self.form, (0, 0))
        first, last = first if self.first is None else self.first, last if self.last is None else self.last
        if self.form is Form.EMAIL:
            return lambda value: "@".join([starred(value.rpartition("@")[0] or value, first, last), *value.rpartition("@")[2:]]) if "@" in value else starred(value, first, last)
        return masked_address if self.form is Form.IP else lambda value: starred(value, first, last)


def starred(value: str, first: int, last: int) -> str:
    """The middle as stars; at least half of a short value is hidden.

    >>> starred("6222020200012345678", 6, 4), starred("li", 1, 0), starred("abc", 2, 2)
    ('622202*********5678', 'l*', 'a**')
    """
    if first + last > len(value) // 2 and len(value) < 8:
        first, last = min(first, len(value) // 2), 0
    first = min(first, max(0, len(value) - 1))
    last = min(last, len(value) - first - 1)
    return value[:first] + STAR * (len(value) - first - last) + (value[-last:] if last > 0 else "")


def network(value: str) -> str:
    """The /24 (IPv6: /48) of an address; what is none is starred."""
    try:
        parsed = ipaddress.ip_address(value.strip())
    except ValueError:
        return starred(value, 0, 0)
    return str(ipaddress.ip_network((parsed, 24 if parsed.version == 4 else 48), strict=False).network_address)


def masked_address(value: str) -> str:
    """An address with its last part hidden.

    >>> masked_address("192.0.2.17"), masked_address("2001:db8::17")
    ('192.0.2.*', '2001:db8:0:*')
    """
    told = network(value)
    if STAR in told:
        return told
    return told.rpartition(".")[0] + ".*" if "." in told else ":".join(part.lstrip("0") or "0" for part in ipaddress.ip_address(told).exploded.split(":")[:3]) + ":*"


def hour(value: str) -> str:
    """A time cut to its hour; what is written otherwise is starred.

    >>> hour("2026-11-20T08:29:59.123+08:00"), hour("yesterday")
    ('2026-11-20T08:00:00+08:00', '*********')
    """
    found = _HOUR.match(value)
    return f"{found[1]}:00:00{found[2]}" if found else starred(value, 0, 0)


def apply(column: pa.Array | pa.ChunkedArray, method: Method, keyed: Keyed, *, spare: frozenset[str] = frozenset()) -> pa.Array:
    """A column of texts with its values replaced, each distinct one worked once. ``spare``: values (lower case) that stay as they are.

    >>> apply(pa.array(["li", None, "li", "root"]), Method(Verb.MASK, Form.NAME), Keyed(bytes(32)), spare=frozenset({"root"})).to_pylist()
    ['l*', None, 'l*', 'root']
    """
    coded = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    coded = coded if pa.types.is_dictionary(coded.type) else coded.dictionary_encode()
    hidden = hide(coded.dictionary.to_pylist(), method, keyed, spare=spare)
    return pc.take(pa.array(hidden, pa.string()), coded.indices)


def hide(values: Sequence[str], method: Method, keyed: Keyed, *, spare: frozenset[str] = frozenset()) -> list[str | None]:
    """The same for a list of distinct values; blanks stay."""
    at = [number for number, value in enumerate(values) if value and value.lower() not in spare]
    told: list[str | None] = list(values)
    for number, hidden in zip(at, method.hide([values[number] for number in at], keyed)):
        told[number] = hidden
    return told


def method_of(entry: Any) -> Method:
    """A method from what a rule says: ``verb``, ``form``, ``first``, ``last``, ``keep_domain``. Raises ``ValueError`` with what is wrong."""
    method = Method(Verb(entry.get("verb", "")), Form(entry.get("form") or "text"))
    if method.form not in FORMS[method.verb]:
        raise ValueError(f"“{method.verb}” does not know the form “{method.form}”; it knows {', '.join(FORMS[method.verb])}")
    for name in ("first", "last"):
        kept = entry.get(name)
        if kept is not None and (not isinstance(kept, int) or isinstance(kept, bool) or not 0 <= kept <= 1000):
            raise ValueError(f"{name} is a number from 0 to 1000")
    return replace(method, first=entry.get("first"), last=entry.get("last"), keep_domain=entry.get("keep_domain") is True)
