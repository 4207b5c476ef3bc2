"""Knowledge bases of others → entries: vulnerabilities, malware, security events, hacker groups, device fingerprints.

In: bytes in the formats in which such knowledge is handed around: NVD's CVE JSON 2.0 (nvd.nist.gov/developers), CNVD's XML
of shared vulnerabilities, objects of STIX 2.1, rows of a table. Out: ``Entry``s, and ``Unread`` with the reason for what
could not be understood; the rest goes on. XML is read by Expat; a document type is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from xml.parsers import expat

import msgspec

from lianfang.engines.schema import observables
from lianfang.kernel.errors import Invalid

LONG, MANY = 8_000, 200
"""Characters of a text, and items of a list, that are kept of one entry."""


class Kind(StrEnum):
    """What an entry is about."""

    VULNERABILITY = "vulnerability"
    MALWARE = "malware"
    EVENT = "event"
    GROUP = "group"
    FINGERPRINT = "fingerprint"


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that is known. ``number``: its place in the delivery from 1; ``key``: what it is known by everywhere (a CVE, a STIX identifier, else its name)."""

    number: int
    kind: Kind
    key: str
    name: str
    summary: str = ""
    severity: int = 0
    score: float | None = None
    aliases: tuple[str, ...] = ()
    hashes: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    published: datetime | None = None
    modified: datetime | None = None


@dataclass(frozen=True, slots=True)
class Unread:
    """A place in a delivery, its beginning, and why it is no entry."""

    number: int
    raw: str
    reason: str


WORDS = {
    "critical": 5, "high": 4, "medium": 3, "moderate": 3, "low": 2, "none": 1, "info": 1, "informational": 1, "超危": 5, "严重": 5, "高": 4, "高危": 4, "中": 3, "中危": 3, "低": 2, "低危": 2,
}  # fmt: skip
"""Words for a severity → the numbers of ``kernel.labels.Severity``."""
KINDS: dict[str, Kind] = {
    "vulnerability": Kind.VULNERABILITY, "cve": Kind.VULNERABILITY, "漏洞": Kind.VULNERABILITY, "malware": Kind.MALWARE, "sample": Kind.MALWARE, "恶意软件": Kind.MALWARE, "恶意样本": Kind.MALWARE, "样本": Kind.MALWARE,
    "event": Kind.EVENT, "incident": Kind.EVENT, "安全事件": Kind.EVENT, "事件": Kind.EVENT, "group": Kind.GROUP, "actor": Kind.GROUP, "apt": Kind.GROUP, "黑客组织": Kind.GROUP, "组织": Kind.GROUP,
    "fingerprint": Kind.FINGERPRINT, "device": Kind.FINGERPRINT, "设备指纹": Kind.FINGERPRINT, "指纹": Kind.FINGERPRINT,
}  # fmt: skip
"""Words for a kind, as tables use them."""
STIX: dict[str, Kind] = {
    "vulnerability": Kind.VULNERABILITY, "malware": Kind.MALWARE, "incident": Kind.EVENT, "intrusion-set": Kind.GROUP, "threat-actor": Kind.GROUP, "x-device-fingerprint": Kind.FINGERPRINT,
}  # fmt: skip
"""Types of STIX objects that are entries; STIX has none for fingerprints of devices, so ours is an extension."""
_CVE = re.compile(r"CVE-\d{4}-\d{4,7}", re.IGNORECASE)


# ---- NVD -------------------------------------------------------------------------------------------------------


class _Nvd(msgspec.Struct):
    vulnerabilities: list[dict[str, Any]]


def nvd(content: bytes) -> Iterator[Entry | Unread]:
    """The CVEs of NVD's API or feed, version 2.0; raises ``Invalid`` when it is none. What NVD rejected itself is left out.

    >>> text = b'{"vulnerabilities": [{"cve": {"id": "CVE-2014-0160", "descriptions": [{"lang": "en", "value": "Heartbleed"}], "metrics": {"cvssMetricV31": [{"cvssData": {"baseScore": 7.5, "baseSeverity": "HIGH"}}]}}}]}'
    >>> [(one.key, one.severity, one.score) for one in nvd(text)]
    [('CVE-2014-0160', 4, 7.5)]
    """
    try:
        items = msgspec.json.decode(content, type=_Nvd).vulnerabilities
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid("This is no CVE JSON of the NVD", why=str(error)[:200], todo="Send the answer of NVD's API 2.0 as it came.") from error
    for number, item in enumerate(items, 1):
        try:
            cve = item["cve"]
            if cve.get("vulnStatus") != "Rejected":
                yield _cve(number, cve)
        except (KeyError, TypeError, AttributeError, ValueError, IndexError, Invalid) as error:
            yield Unread(number, str(item)[:300], f"{type(error).__name__}: {str(error)[:120]}")


def _cve(number: int, cve: dict[str, Any]) -> Entry:
    key = str(cve["id"]).upper()
    if not _CVE.fullmatch(key):
        raise ValueError("the identifier is no CVE")
    said = {one.get("lang"): str(one.get("value", "")) for one in cve.get("descriptions", ())}
    summary = said.get("zh") or said.get("en") or next(iter(said.values()), "")
    metrics = cve.get("metrics") or {}
    measured: dict[str, Any] = next((metrics[name][0] for name in ("cvssMetricV40", "cvssMetricV31", "cvssMetricV30", "cvssMetricV2") if metrics.get(name)), {})
    data = measured.get("cvssData") or {}
    word = str(data.get("baseSeverity") or measured.get("baseSeverity") or "").lower()
    matches = (match for found in cve.get("configurations", ()) for node in found.get("nodes", ()) for match in node.get("cpeMatch", ()))
    facts = {
        "cvss": str(data.get("vectorString", ""))[:200],
        "cwe": _several(one.get("value", "") for each in cve.get("weaknesses", ()) for one in each.get("description", ()) if str(one.get("value", "")).startswith("CWE-")),
        "products": _several(match.get("criteria", "") for match in matches if match.get("vulnerable")),
    }
    return Entry(
        number, Kind.VULNERABILITY, key, _title(summary) or key, summary[:LONG], WORDS.get(word, 0), float(data["baseScore"]) if "baseScore" in data else None,
        links=_several(one.get("url", "") for one in cve.get("references", ())), facts=_filled(facts), published=_moment(cve.get("published")), modified=_moment(cve.get("lastModified")),
    )  # fmt: skip


# ---- CNVD ------------------------------------------------------------------------------------------------------


def cnvd(content: bytes) -> Iterator[Entry | Unread]:
    """The vulnerabilities of CNVD's XML (``vulnerabilitys``); raises ``Invalid`` when it is none.

    >>> text = "<vulnerabilitys><vulnerability><number>CNVD-2021-00001</number><cves><cve><cveNumber>CVE-2021-1</cveNumber></cve></cves><title>弱口令</title><serverity>高</serverity></vulnerability></vulnerabilitys>"
    >>> [(one.key, one.name, one.severity, one.aliases) for one in cnvd(text.encode())]
    [('CNVD-2021-00001', '弱口令', 4, ('CVE-2021-1',))]
    """
    reader, parser = _Cnvd(), expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = reader.start, reader.end, reader.text
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = _forbidden
    try:
        for at in range(0, len(content), 1 << 18):
            parser.Parse(content[at : at + (1 << 18)], False)
            yield from reader.taken()
        parser.Parse(b"", True)
    except expat.ExpatError as error:
        raise Invalid("The XML breaks off or is none", why=f"{expat.errors.messages.get(error.code, 'broken')}, line {error.lineno}", todo="Send the whole file as CNVD wrote it.") from error
    yield from reader.taken()


def _forbidden(*_: Any) -> None:
    raise Invalid("The XML declares a document type or entities", why="CNVD's files never do.", todo="Check where the file comes from.")


class _Cnvd:
    """Elements of one vulnerability → lists of texts by the name of the element."""

    def __init__(self) -> None:
        self.number, self.path, self.parts = 0, list[str](), list[str]()
        self.found: dict[str, list[str]] = {}
        self.ready: list[Entry | Unread] = []

    def taken(self) -> list[Entry | Unread]:
        ready, self.ready = self.ready, []
        return ready

    def start(self, name: str, _said: dict[str, str]) -> None:
        if len(self.path) > 20:
            raise Invalid("The XML is nested too deep", todo="Send the file as CNVD wrote it.")
        self.path.append(name)
        self.parts = []
        if name == "vulnerability":
            self.number, self.found = self.number + 1, {}

    def text(self, data: str) -> None:
        if sum(map(len, self.parts)) < LONG:
            self.parts.append(data)

    def end(self, name: str) -> None:
        self.path.pop()
        if name == "vulnerability":
            self.ready.append(self._entry())
        elif (text := "".join(self.parts).strip()) and len(self.found.setdefault(name, [])) < MANY:
            self.found[name].append(text[:LONG])
        self.parts = []

    def _entry(self) -> Entry | Unread:
        said = {name: values[0] for name, values in self.found.items()}
        if "number" not in said:
            return Unread(self.number, str(said)[:300], "it has no number")
        links = (word for text in self.found.get("referenceLink", ()) for word in text.split() if word.startswith("http"))
        facts = {"products": self.found.get("product", []), "scope": said.get("isEvent", ""), "remedy": said.get("formalWay", ""), "patch": said.get("patchName", "")}
        return Entry(
            self.number, Kind.VULNERABILITY, said["number"][:120], said.get("title", said["number"])[:300], said.get("description", ""), WORDS.get(said.get("serverity", said.get("severity", "")).strip(), 0),
            aliases=_several(self.found.get("cveNumber", ())), links=_several(links), facts=_filled(facts), published=_moment(said.get("openTime") or said.get("submitTime")),
        )  # fmt: skip


# ---- STIX and tables -------------------------------------------------------------------------------------------


def stix(number: int, item: Mapping[str, Any], *, hashes: Sequence[str] = ()) -> Entry | Unread:
    """One STIX object of a type in ``STIX`` → its entry. ``hashes``: those of the samples that a malware names."""
    kind, outside = STIX[str(item.get("type"))], [one for one in item.get("external_references") or () if isinstance(one, dict)]
    cves = [str(one["external_id"]).upper() for one in outside if _CVE.fullmatch(str(one.get("external_id", "")))]
    name = str(item.get("name") or item.get("value") or (cves[0] if cves else ""))
    if not name:
        return Unread(number, str(dict(item))[:300], "it has no name")
    passed = {"id", "type", "spec_version", "name", "description", "aliases", "external_references", "created", "modified", "created_by_ref", "object_marking_refs", "revoked", "sample_refs", "labels", "confidence", "extensions", "granular_markings"}
    facts = {key: [str(one) for one in value[:MANY]] if isinstance(value, list) else str(value)[:LONG] for key, value in item.items() if key not in passed and not isinstance(value, dict)}
    return Entry(
        number, kind, cves[0] if kind is Kind.VULNERABILITY and cves else str(item.get("id") or name)[:120], name[:300], str(item.get("description") or "")[:LONG], WORDS.get(str(item.get("severity", "")).lower(), 0),
        aliases=_several(item.get("aliases") or ()), hashes=tuple(hashes)[:MANY], links=_several(one.get("url", "") for one in outside), facts=_filled(facts), published=_moment(item.get("first_seen") or item.get("created")), modified=_moment(item.get("modified")),
    )  # fmt: skip


def row(number: int, cells: Mapping[str, str], roles: Mapping[str, str]) -> Entry | Unread:
    """One row of a table: header → text, and header → role (name, key, kind, summary, severity, aliases, hash, link, published). Other columns are facts.

    >>> found = row(2, {"类型": "黑客组织", "名称": "Harbour Cat", "别名": "HC-1；Grey Cat", "国家": "?"}, {"类型": "kind", "名称": "name", "别名": "aliases"})
    >>> found.kind, found.name, found.aliases, found.facts
    (<Kind.GROUP: 'group'>, 'Harbour Cat', ('HC-1', 'Grey Cat'), {'国家': '?'})
    """
    said: dict[str, list[str]] = {}
    facts: dict[str, Any] = {}
    for header, text in cells.items():
        if text.strip():
            said.setdefault(roles[header], []).append(text.strip()) if header in roles else facts.update({header[:60]: text.strip()[:LONG]})
    name, raw = next(iter(said.get("name", said.get("key", []))), ""), ",".join(cells.values())[:300]
    kind = KINDS.get(next(iter(said.get("kind", [])), "").lower())
    if not name:
        return Unread(number, raw, "it has no name")
    if kind is None:
        return Unread(number, raw, "its kind is none of: " + ", ".join(Kind))
    found = [seen for text in said.get("hash", ()) for one in _split(text) if (seen := observables.observe(one))]
    return Entry(
        number, kind, next(iter(said.get("key", [])), name)[:120], name[:300], " ".join(said.get("summary", ()))[:LONG], WORDS.get(next(iter(said.get("severity", [])), "").lower(), 0),
        aliases=_several(one for text in said.get("aliases", ()) for one in _split(text)), hashes=tuple(value for kind, value in found if kind in ("md5", "sha1", "sha256"))[:MANY],
        links=_several(said.get("link", ())), facts=facts, published=_moment(next(iter(said.get("published", [])), "")),
    )  # fmt: skip


def _split(text: str) -> list[str]:
    return [part for part in re.split(r"[\s,;|，；、]+(?=\S)" if re.fullmatch(r"[0-9A-Fa-f\s,;|]+", text) else r"[,;|，；、]\s*", text) if part]


def _several(values: Any) -> tuple[str, ...]:
    return tuple(dict.fromkeys(str(value)[:500] for value in values if value))[:MANY]


def _filled(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in facts.items() if value}


def _title(summary: str) -> str:
    """The first sentence, for lists."""
    return re.split(r"(?<=[.。])\s*", summary.strip(), maxsplit=1)[0][:200]


def _moment(text: Any) -> datetime | None:
    """A time as these formats write it; without a zone it is UTC; nothing for what is none."""
    try:
        plain = str(text or "").strip()
        found = datetime.fromisoformat(plain) if plain else None
        found = found if found is None or found.tzinfo else found.replace(tzinfo=UTC)
        return found.astimezone(UTC) if found and found.year >= 1970 else None
    except (ValueError, OverflowError):
        return None
