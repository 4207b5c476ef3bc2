"""What distinct values are: resident identity numbers, phones, cards … each value judged once, many at a time.

In: an Arrow array of distinct texts. Out: for every kind which values are of it, which have its shape only, and which
hold one inside a longer text. Nothing here runs per value in Python: bytes are classed by a table, numbers are checked as
matrices, the rest goes through RE2 inside Arrow. A kind with a check digit asks for it; one without asks for ranges.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

KINDS = ("resident_id", "credit_code", "phone", "bank_card", "email", "ip", "mac", "contract", "person_name", "date", "year", "digest", "masked")
"""In the order in which a value that could be two of them is taken for one."""
CHECKED = ("resident_id", "credit_code", "phone", "bank_card")
"""Kinds whose shape (a length of digits) says little and whose check says much: both are counted."""
PART = 200_000

Flags = np.ndarray[Any, np.dtype[np.bool_]]
Bytes = np.ndarray[Any, np.dtype[np.uint8]]

DIGIT, ALPHA, DOT, COLON, DASH, SPACE, AT, OTHER = (1 << at for at in range(8))


def _classes() -> Bytes:
    table = np.full(256, OTHER, np.uint8)
    for chars, bit in ((b"0123456789", DIGIT), (b".", DOT), (b":", COLON), (b"-", DASH), (b" +()", SPACE), (b"@", AT)):
        table[list(chars)] = bit
    table[65:91] = table[97:123] = ALPHA
    return table


_CLASS = _classes()
_PROVINCES = np.array([11, 12, 13, 14, 15, 21, 22, 23, 31, 32, 33, 34, 35, 36, 37, 41, 42, 43, 44, 45, 46, 50, 51, 52, 53, 54, 61, 62, 63, 64, 65, 71, 81, 82, 83])
_PHONES = np.array([*range(130, 140), *range(145, 154), *range(155, 160), 162, 165, 166, 167, *range(170, 179), *range(180, 194), *range(195, 200)])
"""The first three digits that mainland operators were given."""
_RESIDENT_WEIGHTS = np.array([7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2])
_CREDIT_WEIGHTS = np.array([pow(3, at, 31) for at in range(17)])
_ORGANISATION_WEIGHTS = np.array([3, 7, 9, 10, 5, 8, 4, 2])
_CREDIT_SIGNS = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_MONTHS = np.array([0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])
_SURNAMES = (
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林高罗郑梁谢宋唐许韩冯邓曹彭曾肖田董潘袁蔡蒋余于杜叶程魏苏吕丁任卢姚沈钟姜崔谭陆范汪廖石金韦贾夏付方邹熊白孟秦邱侯江尹薛闫段雷龙黎史陶贺毛郝顾龚邵"
    "万覃武钱戴严莫孔向常汤康易乔赖文施洪辛柯庄温牛樊葛邢安齐伍庞颜倪聂章鲁岳翟申殷詹欧耿关兰焦俞左柳甘祝包宁尚符舒阮纪梅童凌毕单裴霍涂成苗谷盛曲翁冉骆蓝路游靳管柴蒙鲍华喻祁蒲房滕屈饶解牟艾尤阳穆农司卓古吉缪简车项连芦麦褚娄窦戚景党宫费卜冷晏席卫米柏宗瞿桂全佟应臧闵苟邬边卞姬师和仇栾隋商刁沙荣巫寇桑郎甄丛仲虞敖巩明佘池查麻苑迟邝"
)
_EMAIL = r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\.)+[A-Za-z]{2,24}$"
_OCTET = r"(?:25[0-5]|2[0-4]\d|1?\d?\d)"
_V4 = rf"^{_OCTET}(?:\.{_OCTET}){{3}}$"
_V6 = r"^(?i:(?:[0-9a-f]{1,4}:){7}[0-9a-f]{1,4}|(?:[0-9a-f]{1,4}(?::[0-9a-f]{1,4}){0,6})?::(?:[0-9a-f]{1,4}(?::[0-9a-f]{1,4}){0,6})?)$"
_MAC = r"^(?i:[0-9a-f]{2}(?::[0-9a-f]{2}){5}|[0-9a-f]{2}(?:-[0-9a-f]{2}){5}|[0-9a-f]{4}(?:\.[0-9a-f]{4}){2})$"
_PRODUCTS = (
    "cu|al|zn|pb|ni|sn|au|ag|rb|wr|hc|ss|fu|bu|ru|sp|ao|br|ad|op|sc|nr|lu|bc|ec|a|b|m|y|p|c|cs|jd|l|v|pp|j|jm|i|eg|eb|pg|rr|fb|bb|lh|lg|bz"
    "|sr|cf|pm|wh|ri|lr|jr|rs|rm|oi|ta|ma|fg|sf|sm|zc|cy|ap|cj|ur|sa|pf|pk|sh|px|pr|pl|if|ih|ic|im|io|ho|mo|ts|tf|t|tl|si|lc|ps|pt|pd"
)
_CONTRACT = rf"^(?i:(?:{_PRODUCTS})\d?\d(?:0[1-9]|1[0-2])(?:-?[CP]-?\d{{2,6}})?)$"
"""A product listed on one of the six exchanges, one or two digits of the year, the month, and for options the side and price."""
_DATE = r"^(?:19|20)\d{2}(?:-(?:0?[1-9]|1[0-2])-(?:0?[1-9]|[12]\d|3[01])|(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01]))(?:$|[ T]\d{2}:\d{2})"
_DIGEST = r"^(?i:[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64})$"
_MASKED = r"\*{3,}|●{2,}|[xX]{6,}"
_INSIDE = r"(?:^|[^0-9A-Za-z])(?P<found>[1-9]\d{5}(?:19|20)\d{9}[0-9Xx]|1[3-9]\d{9}|(?:62|4|5[1-5])\d{12,17})(?:[^0-9A-Za-z]|$)"


@dataclass(frozen=True, slots=True)
class Found:
    """Flags over the values that were given: of a kind as a whole; with its shape, checked or not; with one inside (the first that stands there)."""

    whole: dict[str, Flags]
    shaped: dict[str, Flags]
    inside: dict[str, Flags]


def recognise(values: pa.Array | Iterable[str | None]) -> Found:
    """Judge distinct values; nulls and blanks are of no kind.

    >>> found = recognise(["11010519491231002X", "13812345678", "12345678901", "6222021234567890123"])
    >>> [kind for kind in KINDS if found.whole[kind].any()]
    ['resident_id', 'phone']
    """
    array = values if isinstance(values, pa.Array) else pa.array(values, pa.string())
    parts = [_part(array.slice(start, PART)) for start in range(0, max(len(array), 1), PART)]
    if len(parts) == 1:
        return parts[0]
    return Found(*({kind: np.concatenate([getattr(part, field)[kind] for part in parts]) for kind in getattr(parts[0], field)} for field in ("whole", "shaped", "inside")))


def _part(array: pa.Array) -> Found:
    texts = _Texts(pc.ascii_trim(pc.fill_null(array, ""), characters=" \t\r\n'\""))
    whole, shaped = {kind: np.zeros(len(array), np.bool_) for kind in KINDS}, {kind: np.zeros(len(array), np.bool_) for kind in CHECKED}
    _numbers(texts, np.flatnonzero(texts.only(DIGIT | ALPHA)), whole, shaped)
    _spaced(texts, whole, shaped)
    _names(texts, whole["person_name"])
    for kind, pattern, rows in _patterned(texts):
        if len(rows):
            whole[kind][rows[texts.match(rows, pattern)]] = True
    _once(whole)
    return Found(whole, shaped, _held(texts, whole))


class _Texts:
    """An array of texts as bytes: where each begins, how long it is, of which classes its characters are."""

    def __init__(self, array: pa.Array):
        self.array = array
        _validity, offsets, data = array.buffers()
        ends = np.frombuffer(offsets, np.int32)[array.offset : array.offset + len(array) + 1].astype(np.int64)
        self.data: Bytes = np.frombuffer(data, np.uint8) if data is not None and data.size else np.zeros(0, np.uint8)
        self.starts, self.lengths = ends[:-1], np.diff(ends)
        filled = np.flatnonzero(self.lengths)
        self.bits = np.zeros(len(array), np.uint8)
        if len(filled):
            self.classes = _CLASS[self.data[: ends[-1]]]
            self.bits[filled] = np.bitwise_or.reduceat(self.classes, self.starts[filled])

    def only(self, bits: int) -> Flags:
        """Which are filled and hold no other classes than these."""
        return np.asarray((self.bits != 0) & (self.bits & np.uint8(~bits & 255) == 0), np.bool_)

    def having(self, bits: int) -> Flags:
        """Which hold all these classes."""
        return np.asarray(self.bits & np.uint8(bits) == bits, np.bool_)

    def long(self, least: int, most: int) -> Flags:
        """Which have so many bytes."""
        return np.asarray((self.lengths >= least) & (self.lengths <= most), np.bool_)

    def square(self, rows: np.ndarray[Any, Any], width: int, *, last: bool = False) -> Bytes:
        """The first (or last) ``width`` bytes of each of the rows, one line each."""
        starts = self.starts[rows] + (self.lengths[rows] - width if last else 0)
        return np.asarray(self.data[starts[:, None] + np.arange(width)], np.uint8)

    def match(self, rows: np.ndarray[Any, Any], pattern: str) -> Flags:
        """Which of the rows an RE2 pattern finds."""
        return np.asarray(pc.match_substring_regex(self.array.take(pa.array(rows)), pattern).to_numpy(zero_copy_only=False), np.bool_)

    def digits(self, rows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """How many digits each of the rows holds."""
        counts = np.zeros(len(self.lengths), np.int64)
        filled = np.flatnonzero(self.lengths)
        if len(filled):
            counts[filled] = np.add.reduceat((self.classes == DIGIT).astype(np.int32), self.starts[filled])
        return np.asarray(counts[rows])


def _numbers(texts: _Texts, rows: np.ndarray[Any, Any], whole: dict[str, Flags], shaped: dict[str, Flags], to: np.ndarray[Any, Any] | None = None) -> None:
    """Kinds that are a fixed number of digits. ``to``: where in the flags each text of ``texts`` belongs, when not at its own place."""
    to = np.arange(len(texts.lengths)) if to is None else to
    lengths, digits = texts.lengths[rows], texts.bits[rows] == DIGIT

    def note(kind: str, tested: np.ndarray[Any, Any], good: Flags) -> None:
        if kind in shaped:
            shaped[kind][to[tested]] = True
        whole[kind][to[tested[good]]] = True

    eighteen = rows[lengths == 18]
    if len(eighteen):
        signs = texts.square(eighteen, 18)
        like = (signs[:, :17] >= 48).all(axis=1) & (signs[:, :17] <= 57).all(axis=1) & ((signs[:, 17] <= 57) | ((signs[:, 17] | 32) == 120))
        note("resident_id", eighteen[like], _resident(signs[like]))
        note("credit_code", eighteen, _credit(signs))
    eleven = rows[digits & (lengths == 11)]
    if len(eleven):
        note("phone", eleven, np.isin(_value(texts.square(eleven, 3)), _PHONES))
    thirteen = rows[digits & (lengths == 13)]
    if len(thirteen):
        signs = texts.square(thirteen, 5)
        abroad = _value(signs[:, :2]) == 86
        note("phone", thirteen[abroad], np.isin(_value(signs[abroad, 2:]), _PHONES))
    cards = rows[digits & (lengths >= 13) & (lengths <= 19)]
    if len(cards):
        note("bank_card", cards, _card(texts, cards))
    four = rows[digits & (lengths == 4)]
    if len(four):
        note("year", four, np.isin(_value(texts.square(four, 2)), (19, 20)))


def _value(signs: Bytes) -> np.ndarray[Any, Any]:
    """Lines of digits as numbers."""
    weights = 10 ** np.arange(signs.shape[1] - 1, -1, -1, dtype=np.int64)
    return np.asarray((signs.astype(np.int64) - 48) @ weights)


def _resident(signs: Bytes) -> Flags:
    """GB 11643: a province, a day that was, and the check digit (ISO 7064, mod 11-2)."""
    numbers = signs[:, :17].astype(np.int64) - 48
    check = np.frombuffer(b"10X98765432", np.uint8)[(numbers @ _RESIDENT_WEIGHTS) % 11]
    last = np.where(signs[:, 17] == 120, 88, signs[:, 17])
    year, month, day = _value(signs[:, 6:10]), _value(signs[:, 10:12]), _value(signs[:, 12:14])
    days = _MONTHS[np.where(month <= 12, month, 0)] - ((month == 2) & ~((year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))))
    born = (year >= 1900) & (year <= datetime.now(UTC).year) & (month >= 1) & (day >= 1) & (day <= days)
    return np.asarray((check == last) & born & np.isin(_value(signs[:, :2]), _PROVINCES), np.bool_)


def _credit_values() -> np.ndarray[Any, np.dtype[np.int64]]:
    table = np.full(256, -1, np.int64)
    for value, sign in enumerate(_CREDIT_SIGNS):
        table[ord(sign)] = table[ord(sign.lower())] = value
    return table


_CREDIT = _credit_values()


def _credit(signs: Bytes) -> Flags:
    """GB 32100: registrar and kind, a region, an organisation code that checks by itself (GB 11714), and the check sign."""
    values = _CREDIT[signs]
    good = (values >= 0).all(axis=1) & (values[:, 0] > 0) & (values[:, 2:8] <= 9).all(axis=1)
    region = values[:, 2] * 10 + values[:, 3]
    check = (31 - (values[:, :17] @ _CREDIT_WEIGHTS) % 31) % 31
    # The organisation code counts letters from 10 on in the whole alphabet, not in the reduced one.
    upper = np.where(signs >= 97, signs - 32, signs).astype(np.int64)
    native = np.where(upper <= 57, upper - 48, upper - 55)
    own = 11 - (native[:, 8:16] @ _ORGANISATION_WEIGHTS) % 11
    own = np.where(own == 10, 33, np.where(own == 11, 0, own))  # 10 is written X
    return np.asarray(good & (np.isin(region, _PROVINCES) | (region == 10)) & (check == values[:, 17]) & (own == native[:, 16]), np.bool_)


def _card(texts: _Texts, rows: np.ndarray[Any, Any]) -> Flags:
    """ISO/IEC 7812: an issuer that fits the length, and the Luhn digit."""
    lengths, total = texts.lengths[rows], np.zeros(len(rows), np.int64)
    for place in range(19):
        there = lengths > place
        sign = texts.data[texts.starts[rows] + np.maximum(lengths - 1 - place, 0)].astype(np.int64) - 48
        doubled = sign * 2 if place % 2 else sign
        total += np.where(there, doubled - 9 * (doubled > 9), 0)
    head = _value(texts.square(rows, 4))
    two = head // 100
    union = (((two == 62) | (two == 81)) & (lengths >= 16)) | (np.isin(head, (9558, 9559)) & (lengths >= 16))
    visa = (two // 10 == 4) & np.isin(lengths, (13, 16, 19))
    master = (((two >= 51) & (two <= 55)) | ((head >= 2221) & (head <= 2720))) & (lengths == 16)
    others = (np.isin(two, (34, 37)) & (lengths == 15)) | ((two == 35) & (lengths == 16)) | (np.isin(two, (30, 36, 38)) & (lengths == 14))
    return np.asarray((total % 10 == 0) & (union | visa | master | others), np.bool_)


def _spaced(texts: _Texts, whole: dict[str, Flags], shaped: dict[str, Flags]) -> None:
    """Numbers written in groups: 138 1234 5678, +86-138…, 6222 0212 …."""
    rows = np.flatnonzero(texts.only(DIGIT | DASH | SPACE | ALPHA) & texts.having(DIGIT) & ((texts.bits & (DASH | SPACE)) != 0) & texts.long(12, 26))
    rows = rows[texts.digits(rows) >= 11]
    if len(rows):
        closed = _Texts(pc.replace_substring_regex(texts.array.take(pa.array(rows)), r"[-\s+()]", ""))
        _numbers(closed, np.flatnonzero(closed.only(DIGIT | ALPHA)), whole, shaped, rows)


def _names(texts: _Texts, found: Flags) -> None:
    """Two to four Chinese characters, the first of them a surname: a hint, since other words look so too."""
    rows = np.flatnonzero((texts.bits == OTHER) & np.isin(texts.lengths, (6, 9, 12)))
    if len(rows):
        lead = texts.square(rows, 3).astype(np.int64) @ np.array([65536, 256, 1])
        found[rows[np.isin(lead, [int.from_bytes(sign.encode(), "big") for sign in _SURNAMES])]] = True


def _patterned(texts: _Texts) -> Iterable[tuple[str, str, np.ndarray[Any, Any]]]:
    """The kinds that RE2 tells, each with the rows that could be of it."""
    yield "email", _EMAIL, np.flatnonzero(texts.having(AT) & texts.having(DOT) & texts.long(6, 254))
    yield "ip", _V4, np.flatnonzero((texts.bits == DIGIT | DOT) & texts.long(7, 15))
    colon = texts.having(COLON) & texts.only(DIGIT | ALPHA | COLON)
    yield "ip", _V6, np.flatnonzero(colon & texts.long(3, 39))
    yield "mac", _MAC, np.flatnonzero((colon | texts.only(DIGIT | ALPHA | DASH) | texts.only(DIGIT | ALPHA | DOT)) & (texts.long(17, 17) | texts.long(14, 14)))
    yield "contract", _CONTRACT, np.flatnonzero(texts.only(DIGIT | ALPHA | DASH) & texts.having(DIGIT | ALPHA) & texts.long(4, 16))
    yield "date", _DATE, np.flatnonzero(texts.only(DIGIT | DASH | COLON | SPACE | DOT | ALPHA) & texts.having(DIGIT) & texts.long(8, 32))
    yield "digest", _DIGEST, np.flatnonzero(texts.only(DIGIT | ALPHA) & texts.having(DIGIT) & np.isin(texts.lengths, (32, 40, 64)))
    yield "masked", _MASKED, np.flatnonzero(((texts.bits & OTHER) != 0) | (texts.having(ALPHA) & texts.long(6, 40)))


def _once(whole: dict[str, Flags]) -> None:
    """Each value is of one kind: the first that claims it."""
    taken: Flags | None = None
    for kind in KINDS:
        if taken is not None:
            whole[kind] &= ~taken
        taken = whole[kind].copy() if taken is None else taken | whole[kind]


def _held(texts: _Texts, whole: dict[str, Flags]) -> dict[str, Flags]:
    """Numbers of persons inside longer texts, checked as if they stood alone."""
    inside = {kind: np.zeros(len(texts.lengths), np.bool_) for kind in CHECKED}
    known = np.logical_or.reduce([whole[kind] for kind in KINDS if kind != "masked"])
    rows = np.flatnonzero(~known & (texts.lengths > 11) & ((texts.bits & (SPACE | OTHER | COLON | AT | DASH)) != 0) & texts.having(DIGIT))
    rows = rows[texts.digits(rows) >= 11]
    if len(rows):
        held = pc.struct_field(pc.extract_regex(texts.array.take(pa.array(rows)), _INSIDE), "found")
        there = np.flatnonzero(np.asarray(held.is_valid().to_numpy(zero_copy_only=False)))
        tokens = _Texts(held.take(pa.array(there)))
        found, shaped = {kind: np.zeros(len(there), np.bool_) for kind in KINDS}, {kind: np.zeros(len(there), np.bool_) for kind in CHECKED}
        _numbers(tokens, np.arange(len(there)), found, shaped)
        _once(found)
        for kind in CHECKED:
            inside[kind][rows[there[found[kind]]]] = True
    return inside
