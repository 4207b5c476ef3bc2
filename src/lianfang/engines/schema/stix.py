"""STIX 2.1 indicators → observables that a watch list can hold; what it cannot hold is said, and the rest goes on.

In: the bytes of a bundle. Out: canonical observables with the indicator they came from, and rejects with reasons.
Patterns are read by the parser of OASIS (``stix2-patterns``); the commonest form, one comparison, by a shortcut that is
tested to agree with it. Equality of addresses, domains, URLs, hashes and mail addresses joined by OR or AND is understood;
time (``FOLLOWEDBY``, ``WITHIN``, ``REPEATS``), negation and other operators are not. Source: STIX 2.1, OASIS Standard.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from stix2patterns.exceptions import ParseException
from stix2patterns.v21.pattern import Pattern

from lianfang.engines.schema import observables
from lianfang.kernel import clock
from lianfang.kernel.errors import Invalid
from lianfang.kernel.labels import TLP

LONGEST_PATTERN = 16384
MOST_COMPARISONS = 2000

_PATHS: dict[tuple[str, ...], tuple[str, ...]] = {
    ("ipv4-addr", "value"): ("ipv4", "cidr"),
    ("ipv6-addr", "value"): ("ipv6", "cidr"),
    ("domain-name", "value"): ("domain",),
    ("url", "value"): ("url",),
    ("email-addr", "value"): ("email",),
    ("email-message", "sender_ref", "value"): ("email",),
    ("email-message", "from_ref", "value"): ("email",),
    ("network-traffic", "src_ref", "value"): ("ipv4", "ipv6", "cidr", "domain"),
    ("network-traffic", "dst_ref", "value"): ("ipv4", "ipv6", "cidr", "domain"),
} | {(kind, "hashes", name): (ours,) for kind in ("file", "artifact") for name, ours in (("MD5", "md5"), ("SHA-1", "sha1"), ("SHA1", "sha1"), ("SHA-256", "sha256"), ("SHA256", "sha256"))}
_DESCRIPTIVE = {("file", "name"), ("file", "size"), ("file", "mime_type"), ("network-traffic", "src_ref", "type"), ("network-traffic", "dst_ref", "type")}
"""Beside one of the above under AND, these only say more of the same thing."""

_SIMPLE = re.compile(r"\s*+\[\s*+([a-z0-9-]{3,32}):([a-z0-9_]{3,32}(?:\.[A-Za-z0-9_]{1,32}|\.'[A-Za-z0-9-]{1,32}')?)\s*+=\s*+'((?:[^'\\]|\\['\\])*+)'\s*+\]\s*+")
_LITERAL = re.compile(r"'(?:[^'\\]|\\.)*+'", re.DOTALL)
_AND = re.compile(r"\bAND\b")
_MARKS = {
    "94868c89-83c2-464b-929b-a1a8aa3c8487": TLP.CLEAR, "613f2e26-407d-48c7-9eca-b8e91df99dc9": TLP.CLEAR,
    "bab4a63c-aed9-4cf5-a766-dfca5abac2bb": TLP.GREEN, "34098fce-860f-48ae-8e50-ebd3cc5e41da": TLP.GREEN,
    "55d920b0-5e8b-4f79-9ee9-91f868d9b421": TLP.AMBER, "f88d31f6-486f-44da-b317-01333bde0b82": TLP.AMBER,
    "939a9414-2ddd-4d32-a0cd-375ea402b003": TLP.AMBER_STRICT,
    "e828b379-4e03-4974-9ac4-e53a884c97c1": TLP.RED, "5e57c739-391a-4eb3-b6be-7d15ca92d5ed": TLP.RED,
}  # fmt: skip
"""The identifiers that STIX 2.1 (TLP 1) and OASIS' TLP 2.0 extension fix for the traffic light."""


@dataclass(frozen=True, slots=True)
class Observable:
    """One thing to watch for; ``kind`` and ``value`` as ``schema.observables`` writes them."""

    kind: str
    value: str
    stix_id: str
    name: str = ""
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    labels: tuple[str, ...] = ()
    tlp: TLP | None = None
    confidence: int | None = None


@dataclass(frozen=True, slots=True)
class Reject:
    """An object (number in the bundle, identifier) that gave less than it says, and why."""

    index: int
    stix_id: str
    reason: str
    todo: str


class Indicators(NamedTuple):
    """What a bundle holds for a watch list."""

    observables: list[Observable]
    rejects: list[Reject]


class _Bundle(msgspec.Struct):
    objects: list[msgspec.Raw] = []
    type: str = ""


class _Unsupported(Exception):
    """This object, or a part of its pattern, cannot be held; ``args`` are reason and todo."""


def indicators(content: bytes) -> Indicators:
    """A bundle (or one object, or a list of objects) → its observables and rejects; raises ``Invalid`` when it is no JSON of STIX."""
    objects = _objects(content)
    decoded = [_object(raw) for raw in objects]
    marks = _marks(decoded)
    found: list[Observable] = []
    rejects: list[Reject] = []
    for index, item in enumerate(decoded):
        if isinstance(item, str):
            rejects.append(Reject(index, "", item, "Ask the sender for valid STIX 2.1."))
        elif item.get("type") == "indicator":
            _indicator(item, index, marks, found, rejects)
    return Indicators(found, rejects)


def _objects(content: bytes) -> list[msgspec.Raw]:
    try:
        if content.lstrip()[:1] == b"[":
            return msgspec.json.decode(content, type=list[msgspec.Raw])
        bundle = msgspec.json.decode(content, type=_Bundle)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid("This is not a STIX bundle", why=str(error)[:200], todo="Send a JSON object of type bundle, with its objects.") from error
    if bundle.type in ("bundle", ""):
        if not bundle.type and not bundle.objects:
            raise Invalid("This is not a STIX bundle", why="It has neither a type nor objects.", todo="Send a JSON object of type bundle, with its objects.")
        return bundle.objects
    return [msgspec.Raw(content)]


def _object(raw: msgspec.Raw) -> dict[str, Any] | str:
    """A decoded object, or what is wrong with it."""
    try:
        item = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return f"Not readable: {str(error)[:120]}"
    return item if isinstance(item, dict) else "Not an object"


def _marks(objects: list[dict[str, Any] | str]) -> dict[str, TLP]:
    """Marking definitions that mean a traffic light: the fixed ones, and those that the bundle defines itself."""
    marks = {f"marking-definition--{uid}": tlp for uid, tlp in _MARKS.items()}
    for item in objects:
        if isinstance(item, dict) and item.get("type") == "marking-definition" and (tlp := _traffic_light(item)) is not None:
            marks.setdefault(str(item.get("id")), tlp)
    return marks


def _traffic_light(item: dict[str, Any]) -> TLP | None:
    definition = item.get("definition")
    extensions = item.get("extensions")
    texts = [definition.get("tlp")] if isinstance(definition, dict) else []
    texts += [part.get("tlp_2_0") for part in extensions.values() if isinstance(part, dict)] if isinstance(extensions, dict) else []
    for text in texts:
        word = {"white": "clear"}.get(str(text).lower(), str(text).lower())
        if word in list(TLP):
            return TLP(word)
    return None


def _indicator(item: dict[str, Any], index: int, marks: dict[str, TLP], found: list[Observable], rejects: list[Reject]) -> None:
    """One indicator's observables and rejects, added to the lists."""
    uid = str(item.get("id", ""))
    try:
        about = _about(item, uid, marks)
        for part in list(comparisons(item["pattern"])):  # all or nothing: a fault behind AND takes back what came before it
            if isinstance(part, str):
                rejects.append(Reject(index, uid, part, "The other parts of the pattern were taken."))
            else:
                found.append(Observable(*part, **about))
    except _Unsupported as fault:
        rejects.append(Reject(index, uid, *fault.args))


def _about(item: dict[str, Any], uid: str, marks: dict[str, TLP]) -> dict[str, Any]:
    """What the indicator says besides its pattern; raises ``_Unsupported`` when it is not one for us."""
    if item.get("revoked") is True:
        raise _Unsupported("Revoked by its author", "Nothing to do.")
    if not isinstance(item.get("pattern"), str):
        raise _Unsupported("An indicator without a pattern", "Ask the sender for valid STIX 2.1.")
    if item.get("pattern_type", "stix") != "stix":
        raise _Unsupported(f"Its pattern is written in {str(item.get('pattern_type'))[:40]}, not in STIX", "Sigma rules are installed as a rule pack; other languages are not examined.")
    references = item.get("object_marking_refs")
    lights = [marks[ref] for ref in references if isinstance(ref, str) and ref in marks] if isinstance(references, list) else []
    confidence = item.get("confidence")
    return {
        "stix_id": uid,
        "name": str(item.get("name", "")),
        "valid_from": _moment(item, "valid_from"),
        "valid_until": _moment(item, "valid_until"),
        "labels": tuple(dict.fromkeys(str(label) for key in ("indicator_types", "labels") for label in _list(item.get(key)))),
        "tlp": max(lights, key=lambda light: light.rank) if lights else None,
        "confidence": confidence if isinstance(confidence, int) and not isinstance(confidence, bool) and 0 <= confidence <= 100 else None,
    }


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _moment(item: dict[str, Any], name: str) -> datetime | None:
    """A time that is there must be one: taken as absent, it would make an indicator valid for ever."""
    value = item.get(name)
    try:
        return clock.parse(value) if isinstance(value, str) else None
    except Invalid as fault:
        raise _Unsupported(f"Its {name}: {fault.what}", "Ask the sender for valid STIX 2.1.") from fault


def comparisons(pattern: str) -> Iterator[tuple[str, str] | str]:
    """A pattern → ``(kind, value)`` of each comparison, or a ``str`` that says which one cannot be held; raises ``_Unsupported``.

    >>> list(comparisons("[domain-name:value = 'Bad.Example' OR ipv4-addr:value ISSUBSET '192.0.2.0/24']"))
    [('domain', 'bad.example'), ('cidr', '192.0.2.0/24')]
    """
    simple = _SIMPLE.fullmatch(pattern) if len(pattern) <= LONGEST_PATTERN else None
    if simple is not None:
        path = (simple[1], *simple[2].replace("'", "").split(".", 1))
        yield _understood(path, "=", f"'{simple[3]}'", alone=True)
        return
    found = _parsed(pattern)
    joined = _AND.search(_LITERAL.sub("''", pattern)) is not None
    known = any(path in _PATHS for path, _, _ in found)
    for path, operator, literal in found:
        if joined and known and path in _DESCRIPTIVE:
            continue
        for text in _texts(operator, literal):
            yield _understood(path, operator, text, alone=joined)


def _parsed(pattern: str) -> list[tuple[tuple[str, ...], str, str]]:
    """``(path, operator, literal)`` of every comparison, sorted; raises ``_Unsupported``."""
    if len(pattern) > LONGEST_PATTERN:
        raise _Unsupported(f"A pattern of {len(pattern):,} characters", "Send one indicator per observable.")
    try:
        data = Pattern(pattern).inspect()
    except (ParseException, RecursionError) as error:
        raise _Unsupported(f"Its pattern cannot be read: {str(error)[:120]}", "Ask the sender for valid STIX 2.1.") from error
    if data.qualifiers or "FOLLOWEDBY" in data.observation_ops:
        raise _Unsupported("Its pattern speaks of order or time", "Write it as a correlation rule.")
    found = [((kind, *map(str, path)), operator, literal) for kind, parts in data.comparisons.items() for path, operator, literal in parts]
    if not found or len(found) > MOST_COMPARISONS:
        raise _Unsupported(f"Its pattern makes {len(found):,} comparisons", "Send one indicator per observable.")
    return sorted(found)


def _texts(operator: str, literal: str) -> list[str]:
    """The literals of a set, or the one."""
    return _LITERAL.findall(literal) if operator == "IN" else [literal]


def _understood(path: tuple[str, ...], operator: str, literal: str, *, alone: bool) -> tuple[str, str] | str:
    """One comparison as an observable. What cannot be held spoils the whole pattern when it stands ``alone`` or under AND."""
    name = ":".join((path[0], ".".join(path[1:])))
    reason = ""
    if operator not in ("=", "IN", "ISSUBSET"):
        reason = f"The operator {operator} of {name} is not equality"
    elif path not in _PATHS:
        reason = f"{name} is nothing a watch list can hold"
    else:
        text = literal[1:-1].replace("\\'", "'").replace("\\\\", "\\")
        seen = observables.observe(text) if literal.startswith("'") else None
        if seen is not None and seen[0] in _PATHS[path]:
            return seen
        reason = f"“{literal[:80]}” is not a value for {name}"
    if alone:
        raise _Unsupported(reason, "Watch for it with a rule instead.")
    return reason
