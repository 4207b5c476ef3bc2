"""Reading deliveries: bytes of a CSV, a plain list or a STIX bundle → candidates, and what was not understood.

Nothing is stored here: the preview and the import read alike. Every line gives a ``Candidate`` or a ``Rejected``;
``None`` in a candidate means that the delivery does not say it, so that the terms of the import apply.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time
from itertools import islice
from typing import Any

from django.utils import timezone

from lianfang.engines.connect import mails
from lianfang.engines.connect.limits import Limits, Unreadable
from lianfang.engines.schema import knowledge, observables
from lianfang.engines.schema.knowledge import Entry
from lianfang.kernel.errors import Invalid
from lianfang.rooms.intel.queries.bundles import stix
from lianfang.rooms.intel.queries.candidates import Candidate, judged
from lianfang.rooms.intel.types import CHOSEN, Form, Rejected, Terms

LARGEST = 64 << 20
"""Bytes of one delivery."""
MOST = 2_000_000
CHOSEN_FROM = 1_000
"""Lines of one delivery."""
LONGEST_LINE = 16_384
"""Characters of a line of a list; of a table, four times as many. Longer ones are rejected whole."""

Item = Candidate | Entry | Rejected

HEADERS: dict[str, tuple[str, ...]] = {
    "value": (
        "value", "indicator", "ioc", "observable", "indicator_value", "ip", "ips", "ip_address", "address", "domain", "domains", "hostname", "host", "url", "urls", "hash", "md5", "sha1", "sha256",
        "email", "cidr", "network", "指标", "指标值", "值", "情报", "情报值", "情报内容", "ip地址", "地址", "域名", "网址", "链接", "哈希", "散列", "文件哈希", "邮箱", "网段",
    ),
    "kind": ("kind", "type", "indicator_type", "ioc_type", "category", "类型", "情报类型", "指标类型", "种类"),
    "source": ("source", "feed", "provider", "来源", "情报来源", "情报源", "提供方"),
    "tlp": ("tlp", "tlp_label", "sharing", "共享级别", "共享范围", "传播级别", "分享级别"),
    "confidence": ("confidence", "score", "置信度", "可信度", "信心"),
    "valid_from": ("valid_from", "first_seen", "firstseen", "start", "since", "生效时间", "开始时间", "首次发现", "首次发现时间", "起始时间"),
    "valid_until": ("valid_until", "expires", "expiry", "expiration", "expire_at", "until", "失效时间", "过期时间", "有效期至", "截止时间", "有效期"),
    "tags": ("tags", "tag", "labels", "label", "标签", "威胁标签"),
    "note": ("note", "notes", "comment", "comments", "description", "remark", "备注", "描述", "说明", "威胁描述"),
}
"""Role → header names it is known by, in English and Chinese, lower case with ``_`` for blanks."""

MAILED = {"from": "sender", "reply_to": "reply-to", "return_path": "return path", "originating_ip": "sent from", "received_ips": "came through", "urls": "link", "domains": "domain of a link"}
ATTACHED, INSIDE = "attachment", "inside"
MENTIONED = "mentioned in the text"
DOUBTFUL = ("return path", "came through", "domain of a link", INSIDE, MENTIONED)
"""What a mail or a text says → the word for it in an indicator's note. What is doubtful may be anybody's: it is proposed, and a person has to choose it."""
PLAIN = ("value", "indicator", "ioc", "observable", "indicator_value", "指标", "指标值", "值", "情报", "情报值", "情报内容")
"""Headers that only a table of indicators has."""
ENTRY_HEADERS: dict[str, tuple[str, ...]] = {
    "kind": ("kind", "type", "category", "类型", "种类"),
    "name": ("name", "title", "名称", "漏洞名称", "样本名称", "组织名称", "事件名称", "指纹名称"),
    "key": ("id", "key", "cve", "编号", "cve编号", "cnvd编号", "cnnvd编号", "漏洞编号", "指纹", "fingerprint"),
    "summary": ("description", "summary", "note", "描述", "说明", "简介", "备注"),
    "severity": ("severity", "risk", "level", "等级", "风险等级", "危害级别"),
    "aliases": ("aliases", "alias", "also_known_as", "别名"),
    "hash": ("hash", "hashes", "md5", "sha1", "sha256", "哈希", "文件哈希", "样本哈希"),
    "link": ("link", "links", "url", "reference", "references", "参考链接", "链接"),
    "published": ("published", "date", "time", "发布时间", "时间", "发生时间", "首次发现"),
}
"""The same for tables of a knowledge base; other columns are kept as facts."""

_WORDS = {"high": 85, "medium": 50, "low": 15, "高": 85, "中": 50, "低": 15}
_COLOURS = {"white": "clear", "白": "clear", "白色": "clear", "绿": "green", "绿色": "green", "黄": "amber", "黄色": "amber", "琥珀": "amber", "琥珀色": "amber", "红": "red", "红色": "red"}
_TLP = ("clear", "green", "amber", "amber+strict", "red")
_KINDS: dict[str, tuple[str, ...]] = {
    "ip": ("ipv4", "ipv6"), "ipv4": ("ipv4",), "ipv6": ("ipv6",), "ip地址": ("ipv4", "ipv6"), "ipv4-addr": ("ipv4",), "ipv6-addr": ("ipv6",), "address": ("ipv4", "ipv6"),
    "cidr": ("cidr", "ipv4", "ipv6"), "network": ("cidr", "ipv4", "ipv6"), "网段": ("cidr", "ipv4", "ipv6"),
    "domain": ("domain",), "domain-name": ("domain",), "hostname": ("domain",), "host": ("domain", "ipv4", "ipv6"), "域名": ("domain",), "主机名": ("domain",),
    "url": ("url",), "uri": ("url",), "网址": ("url",), "链接": ("url",),
    "hash": ("md5", "sha1", "sha256"), "file": ("md5", "sha1", "sha256"), "哈希": ("md5", "sha1", "sha256"), "散列": ("md5", "sha1", "sha256"), "文件哈希": ("md5", "sha1", "sha256"),
    "md5": ("md5",), "sha1": ("sha1",), "sha-1": ("sha1",), "sha256": ("sha256",), "sha-256": ("sha256",), "email": ("email",), "邮箱": ("email",),
}  # fmt: skip
_BETWEEN, _WIDE = re.compile(r"[\s<>\"'|，。、；：！？（）“”《》「」【】]+"), re.compile(r"[\u3000-\u303f\u3400-\u9fff\uff00-\uffef]+")
_PIECE, _HEAD = 1 << 20, 1 << 16
_COMMENT = re.compile(r"^\s*(#|//|;|!)")
_TAIL = re.compile(r"(?<!\s)\s++(?:#|//|;)\s*+(.*)$")
"""A comment behind a value. Each run of blanks is looked at once: a line of nothing else costs no more than its length."""
_HOSTS = re.compile(r"^(?:0\.0\.0\.0|127\.0\.0\.1|::1?)\s+(\S+)$")
_MOMENTS = ("%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y/%m/%d %H:%M:%S", "%Y/%m/%d %H:%M", "%Y年%m月%d日 %H:%M:%S", "%Y年%m月%d日 %H:%M")
_DAYS = ("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y年%m月%d日", "%Y%m%d")


@dataclass(frozen=True, slots=True)
class Preview:
    """The beginning of a delivery as it would be taken: its form, its headers with the role of each, candidates and rejects, or why it cannot be read."""

    form: str
    headers: tuple[str, ...]
    roles: dict[str, str]
    items: tuple[Item, ...]
    fault: Invalid | None = None


class Wrong(ValueError):
    """A cell that is not understood: a code of ``REASONS`` and its detail."""


def encoding_of(content: bytes) -> str:
    """How a delivery is written: UTF-8, UTF-16 with its mark, or GB 18030, which spreadsheets in Chinese still write."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for start in range(0, len(content), _PIECE):
            decoder.decode(content[start : start + _PIECE], final=start + _PIECE >= len(content))
    except UnicodeDecodeError:
        return "gb18030"
    return "utf-8-sig"


class Lines:
    """The lines of a delivery, decoded as they are asked for. NUL, which no database keeps, becomes U+FFFD.

    One that is longer than ``longest`` raises ``csv.Error``, as the reader of tables does itself; the next can still be asked for.
    """

    def __init__(self, content: bytes, longest: int, newline: str | None = "") -> None:
        self._lines, self._longest = io.TextIOWrapper(io.BytesIO(content), encoding_of(content), "replace", newline), longest

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        if len(line) > self._longest:
            raise csv.Error(f"longer than {self._longest:,} characters")
        return line.replace("\0", "\ufffd").replace("\ufeff", "")


def form_of(content: bytes) -> str:
    """What a delivery looks like: a STIX bundle, a table with a header, or a list."""
    if mails.looks_like(content[:4096]):
        return Form.MAIL
    head = content[:4096].lstrip(b"\xef\xbb\xbf \t\r\n")
    if head.startswith(b"{") and b'"vulnerabilities"' in content[:65536]:
        return Form.NVD
    if head.startswith(b"<") and b"<vulnerabilit" in head:
        return Form.CNVD
    if head.startswith((b"{", b"[")) and b'"type"' in content[:65536]:
        return Form.STIX
    first = _first(content)
    headers = _cells(first, _delimiter(first))
    if {"name", "kind"} <= set(known_by(headers, ENTRY_HEADERS).values()) and not known_by(headers, {"value": PLAIN}):
        return Form.TABLE
    return Form.CSV if "value" in roles_of(headers).values() else Form.LIST


def _first(content: bytes) -> str:
    """The first line that holds something, cut at its end, never within a character; nothing when no line ends within 64 KB."""
    head = content[:_HEAD] if len(content) <= _HEAD else content[: max(content.rfind(end, 0, _HEAD) + 1 for end in (b"\n", b"\r"))]
    return next((line.strip("\r\n") for line in Lines(head, _HEAD) if line.strip()), "")


def read(content: bytes, *, form: str, terms: Terms, columns: Mapping[str, str] | None = None) -> Iterator[Item]:
    """Every candidate and reject of a delivery, in its order. ``columns``: header → role, instead of guessing.

    Raises ``Invalid`` when the whole cannot be read as ``form``.
    """
    if len(content) > LARGEST:
        raise Invalid("The delivery is too large", why="At most 64 MB are taken at once.", todo="Split it.")
    if form == Form.AUTO:
        form = form_of(content)
    if form == Form.STIX:
        return stix(content, terms=terms)
    if form in (Form.NVD, Form.CNVD):
        return _entries(knowledge.nvd(content) if form == Form.NVD else knowledge.cnvd(content))
    if form == Form.MAIL:
        return _mail(content, terms)
    if form == Form.TEXT:
        return _text(content, terms)
    if form == Form.TABLE:
        return _entries(_entry_rows(content))
    return _table(content, terms, columns) if form == Form.CSV else _lines(content, terms)


def size(content: bytes, form: str) -> int:
    """About how many items ``read`` will give, so that progress can be told."""
    marks = {Form.STIX: b'"pattern"', Form.NVD: b'"cve"', Form.CNVD: b"</vulnerability>"}
    return max(1, content.count(marks.get(form, b"\n")))  # type: ignore[call-overload]


def preview(content: bytes, *, form: str, terms: Terms, columns: Mapping[str, str] | None = None, count: int = 20) -> Preview:
    """The first ``count`` candidates and rejects of a delivery, and how its columns were understood. Raises ``Invalid`` as ``read`` does."""
    form = form_of(content) if form == Form.AUTO else form
    headers, roles = heads(content, form)
    return Preview(str(form), headers, dict(columns or roles), tuple(islice(read(content, form=form, terms=terms, columns=columns), CHOSEN_FROM if form in CHOSEN else count)))


def heads(content: bytes, form: str) -> tuple[tuple[str, ...], dict[str, str]]:
    """The headers of a table, and the role we guess for each; nothing for other forms."""
    if form != Form.CSV:
        return (), {}
    first = _first(content)
    headers = tuple(_cells(first, _delimiter(first)))
    return headers, roles_of(headers)


# ---- knowledge bases -------------------------------------------------------------------------------------------


def _entries(found: Iterator[Entry | knowledge.Unread]) -> Iterator[Item]:
    """Entries as they are; what is none as a reject."""
    for one in islice(found, MOST):
        if isinstance(one, knowledge.Unread):
            yield Rejected(one.number, one.raw[:500].replace("\0", "\ufffd"), "entry", one.reason[:200].replace("\0", "\ufffd"))
        else:
            yield one


def _entry_rows(content: bytes) -> Iterator[Entry | knowledge.Unread]:
    first = _first(content)
    delimiter = _delimiter(first)
    headers = _cells(first, delimiter)
    roles, table = known_by(headers, ENTRY_HEADERS), csv.reader(_behind_head(Lines(content, 4 * LONGEST_LINE)), delimiter=delimiter)
    for number, cells in _numbered(table):
        if isinstance(cells, str):
            yield knowledge.Unread(number, "", cells)
        else:
            yield knowledge.row(number, dict(zip(headers, cells)), roles)


# ---- mail ------------------------------------------------------------------------------------------------------


def _mail(content: bytes, terms: Terms) -> Iterator[Item]:
    """What a mail may be watched by: who sent it and where answers go, the servers it came through, its links, the hashes of its attachments, and what stands inside them."""
    try:
        said = mails.record_of(content, limits=Limits())["mail"]
    except Unreadable as fault:
        yield Rejected(1, content[:200].decode("utf-8", "replace").replace("\0", "\ufffd"), "mail", fault.reason[:200])
        return
    subject, names = str(said.get("subject", ""))[:200], said.get("attachment_names", [])
    told = [(one, label) for name, label in MAILED.items() for one in _listed(said.get(name))]
    told += [(digest, f"{ATTACHED}: {name}") for name, digest in zip(names, said.get("attachment_sha256", []))]
    told += [(found.value, f"{ATTACHED if found.what == 'sha256' else INSIDE}: {found.place}") for found in mails.inside(content, limits=Limits())]
    told = list({value: (value, label) for value, label in reversed(told)}.values())[::-1]  # each once, where it stands first
    for number, (value, label) in enumerate(told, 1):
        if not terms.only or number in terms.only:
            yield judged(number, value, value, terms, note=f"{label} ({subject})" if subject else label, tags=("mail",))


def _listed(value: Any) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list) else [str(value)] if value else []


# ---- texts -----------------------------------------------------------------------------------------------------


def values_in(text: str) -> list[tuple[str, str]]:
    """Every address, domain, URL, hash or e-mail address that stands in a text as (kind, value), each once, also written harmlessly.

    >>> values_in("it calls hxxp://Bad[.]example/x, then 198.51.100.7. 随后连接drop.example收取。")
    [('url', 'http://bad.example/x'), ('ipv4', '198.51.100.7'), ('domain', 'drop.example')]
    """
    words = (word.strip(".,;:!?()=*`") for part in _BETWEEN.split(text) for word in _parted(part))
    return list(dict.fromkeys(found for word in words if 3 < len(word) <= LONGEST_LINE and (found := observables.observe(word))))


def _parted(word: str) -> list[str]:
    """Chinese is written without blanks: what stands between its signs is a word of its own, unless all of it is Chinese (a domain)."""
    return _WIDE.split(word) if re.search(r"[0-9A-Za-z]", word) else [word]


def _text(content: bytes, terms: Terms) -> Iterator[Item]:
    """What stands in a text; what stands behind a form feed is only mentioned there."""
    said, _feed, mentioned = content.decode(encoding_of(content), "replace").replace("\0", "\ufffd").partition("\f")
    found = dict.fromkeys((value for _kind, value in values_in(mentioned)), MENTIONED) | dict.fromkeys((value for _kind, value in values_in(said)), "")
    for number, (value, label) in enumerate(sorted(found.items(), key=lambda one: one[1]), 1):
        if not terms.only or number in terms.only:
            yield judged(number, value, value, terms, note=label)


# ---- lists -----------------------------------------------------------------------------------------------------


def _lines(content: bytes, terms: Terms) -> Iterator[Item]:
    lines = Lines(content, LONGEST_LINE, newline=None)
    for number in range(1, MOST + 1):
        try:
            line = next(lines).strip()
        except StopIteration:
            return
        except csv.Error:
            yield Rejected(number, "", "long", str(LONGEST_LINE))
            continue
        if line and not _COMMENT.match(line):
            yield _line(number, line, terms)


def _line(number: int, line: str, terms: Terms) -> Item:
    """One value, perhaps with a comment behind it; lines of a hosts file give their name."""
    found = _TAIL.search(line)
    note, bare = (found[1], line[: found.start()]) if found else ("", line)
    hosts = _HOSTS.match(bare)
    bare = hosts[1] if hosts else bare.partition(",")[0].partition("\t")[0].strip()
    return judged(number, line, bare, terms, note=note)


# ---- tables ----------------------------------------------------------------------------------------------------


def roles_of(headers: Sequence[str]) -> dict[str, str]:
    """Header → role, by the names we know.

    >>> roles_of(["指标", "Type", "过期时间", "x"])
    {'指标': 'value', 'Type': 'kind', '过期时间': 'valid_until'}
    """
    return known_by(headers, HEADERS)


def known_by(headers: Sequence[str], names_of: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    """Header → role, by the names of each role."""
    known = {name: role for role, names in names_of.items() for name in names}
    plain = {header: re.sub(r"[\s\-]+", "_", header.strip().strip("#").strip().lower()) for header in headers}
    return {header: known[name] for header, name in plain.items() if name in known}


def _delimiter(line: str) -> str:
    return max(",;\t|", key=line.count)


def _cells(line: str, delimiter: str) -> list[str]:
    return next(csv.reader([line], delimiter=delimiter), [])


def _table(content: bytes, terms: Terms, columns: Mapping[str, str] | None) -> Iterator[Item]:
    lines, first = Lines(content, 4 * LONGEST_LINE), _first(content)
    delimiter = _delimiter(first)
    headers = _cells(first, delimiter)
    roles = dict(columns) if columns else roles_of(headers)
    if "value" not in roles.values():
        raise Invalid("No column holds the values", why=f"The headers are {', '.join(headers)[:200] or 'missing'}.", todo="Name one of them “value” or “指标”, or choose the column in the preview.")
    places = [(roles.get(header, ""), at) for at, header in enumerate(headers)]
    return _rows(csv.reader(_behind_head(lines), delimiter=delimiter), places, terms)


def _behind_head(lines: Lines) -> Lines:
    """The lines after the first that holds something."""
    while not next(lines, "\n.").strip():
        pass
    return lines


def _numbered(table: Iterator[list[str]]) -> Iterator[tuple[int, list[str] | str]]:
    """Rows that hold something, with their numbers below the head; where one is no CSV, why."""
    for number in range(2, MOST + 1):
        try:
            cells = next(table)
        except StopIteration:
            return
        except csv.Error as error:
            yield number, str(error)[:100]
            continue
        if any(cell.strip() for cell in cells):
            yield number, cells


def _rows(table: Iterator[list[str]], places: Sequence[tuple[str, int]], terms: Terms) -> Iterator[Item]:
    for number, cells in _numbered(table):
        if isinstance(cells, str):
            yield Rejected(number, "", "csv", cells)
        else:
            yield from _row(number, cells, places, terms)


def _row(number: int, cells: Sequence[str], places: Sequence[tuple[str, int]], terms: Terms) -> Iterator[Item]:
    """One row may hold several values (an address and a hash, say); each becomes a candidate."""
    raw, said = ",".join(cells)[:500], {role: cells[at].strip() for role, at in places if role and role != "value" and at < len(cells) and cells[at].strip()}
    values = [cells[at].strip() for role, at in places if role == "value" and at < len(cells) and cells[at].strip()]
    if not values:
        yield Rejected(number, raw, "bare")
        return
    try:
        given = _given(said)
    except Wrong as wrong:
        yield Rejected(number, raw, *wrong.args)
        return
    for value in values:
        yield _of_kind(judged(number, raw, value, terms, **given), said.get("kind", ""), raw)


def _of_kind(item: Item, said: str, raw: str) -> Item:
    """A value that is not of the kind its row claims is refused: one of the two is wrong."""
    wanted = _KINDS.get(said.lower())
    if isinstance(item, Candidate) and wanted and item.kind not in wanted:
        return Rejected(item.line, raw, "kind", f"{item.value[:80]}: {item.kind} ≠ {said[:20]}")
    return item


def _given(said: Mapping[str, str]) -> dict[str, Any]:
    """The cells of a row beside its value, understood; raises ``Wrong`` for the first that is not."""
    given: dict[str, Any] = {}
    if "source" in said:
        given["source"] = said["source"][:120]
    if "tlp" in said:
        given["tlp"] = tlp(said["tlp"])
    if "confidence" in said:
        given["confidence"] = confidence(said["confidence"])
    if "valid_from" in said:
        given["valid_from"] = moment(said["valid_from"])
    if "valid_until" in said:
        given["valid_until"] = moment(said["valid_until"], end=True)
    if "tags" in said:
        given["tags"] = tuple(dict.fromkeys(tag.strip()[:60] for tag in re.split(r"[,;|，；、]", said["tags"]) if tag.strip()))
    if "note" in said:
        given["note"] = said["note"]
    if "valid_from" in given and "valid_until" in given and given["valid_until"] <= given["valid_from"]:
        raise Wrong("span", "")
    return given


def tlp(text: str) -> str:
    """``TLP:AMBER+STRICT``, ``white``, 绿 … → a mark; raises ``Wrong``.

    >>> tlp("TLP:White"), tlp("琥珀")
    ('clear', 'amber')
    """
    plain = re.sub(r"^tlp[:：\s]*", "", text.strip().lower()).replace("_", "+").replace("-", "+").replace(" ", "")
    found = _COLOURS.get(plain, plain)
    if found not in _TLP:
        raise Wrong("tlp", text[:40])
    return found


def confidence(text: str) -> int:
    """0–100, a percentage, a fraction, or high, medium, low (STIX 2.1 appendix A) → 0–100; raises ``Wrong``.

    >>> confidence("80 %"), confidence("0.9"), confidence("高")
    (80, 90, 85)
    """
    plain = text.strip().lower().rstrip("%％").strip()
    if plain in _WORDS:
        return _WORDS[plain]
    try:
        number = float(plain)
    except ValueError:
        number = -1.0
    number = number * 100 if "." in plain and 0 <= number <= 1 else number
    if not 0 <= number <= 100:
        raise Wrong("confidence", text[:40])
    return round(number)


def moment(text: str, *, end: bool = False) -> datetime:
    """A time as people and machines write it → aware UTC; a day is its beginning, or its ``end``. Raises ``Wrong``.

    Without a zone the node's own is meant. Numbers are Unix seconds or milliseconds.
    """
    plain = text.strip()
    if re.fullmatch(r"\d{10}|\d{13}", plain):
        return datetime.fromtimestamp(int(plain) / (1000 if len(plain) == 13 else 1), UTC)
    found = _written(plain, end)
    if found is None:
        raise Wrong("time", text[:40])
    try:
        moment = (found if timezone.is_aware(found) else timezone.make_aware(found)).astimezone(UTC)
    except (OverflowError, ValueError) as error:
        raise Wrong("time", text[:40]) from error
    if moment.year < 1970:  # no watch list is older; and not every database keeps such times
        raise Wrong("time", text[:40])
    return moment


def _written(plain: str, end: bool) -> datetime | None:
    for form in _DAYS:
        try:
            day = datetime.strptime(plain, form)
        except ValueError:
            continue
        return datetime.combine(day, time(23, 59, 59) if end else time())
    for form in _MOMENTS:
        try:
            return datetime.strptime(plain, form)
        except ValueError:
            continue
    try:
        return datetime.fromisoformat(plain)
    except ValueError:
        return None

