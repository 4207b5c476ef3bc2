"""What one field's values mean to the rules: a value → the set of atoms that are true of it.

Equality is a dictionary, addresses are looked up by prefix length, numbers are compared, and all other text patterns are
found in one pass of a scanner (Vectorscan or its twin).
"""

from __future__ import annotations

import ipaddress
import operator
from collections import defaultdict
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from typing import Generic, NamedTuple, Protocol, TypeVar

import re2

from lianfang.engines.rules import patterns
from lianfang.engines.rules.sieve import SpotterMaker
from lianfang.engines.rules.trees import Atom

_TEXT = frozenset({"contains", "startswith", "endswith", "like", "re"})
_COMPARE: dict[str, Callable[[float, float], bool]] = {"lt": operator.lt, "lte": operator.le, "gt": operator.gt, "gte": operator.ge}


_NUMBER = re2.compile(r"\s*[+-]?([0-9]{1,300}(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?\s*")


class Scanner(Protocol):
    """Both twins look like this."""

    def scan(self, raw: bytes) -> list[int]: ...

    def serialise(self) -> bytes: ...


ScannerMaker = Callable[..., Scanner]
Label = TypeVar("Label")


class Engine(NamedTuple):
    """One of the twins: its name, how it looks at one field's values, how at many whole events."""

    name: str
    scanner: ScannerMaker
    spotter: SpotterMaker


def engine_of(name: str) -> Engine:
    """``auto``, ``vectorscan`` or ``fallback``. ``auto`` takes Vectorscan where it is installed and loads.

    Raises ``ImportError`` if Vectorscan is asked for by name and cannot be loaded.
    """
    if name == "vectorscan" or (name == "auto" and find_spec("hyperscan")):
        try:
            from lianfang.engines.rules import vectorscan
        except ImportError:
            if name == "vectorscan":
                raise
        else:
            return Engine("vectorscan", vectorscan.Scanner, vectorscan.Spotter)
    from lianfang.engines.rules import fallback

    return Engine("fallback", fallback.Scanner, fallback.Spotter)


def number(text: str) -> float | None:
    """A value as a number, or ``None``; whole numbers stay exact.

    >>> number(" 42 "), number("1e3"), number("nan"), number("1_000")
    (42, 1000.0, None, None)
    """
    if not _NUMBER.fullmatch(text):
        return None
    plain = text.strip()
    return int(plain) if plain.lstrip("+-").isdigit() else float(plain)


def addresses(text: str) -> list[tuple[int, int]]:
    """(version, number) of an address in text; an IPv4 address written as IPv6 is both. Empty if it is none."""
    try:
        found = ipaddress.ip_address(text.strip())
    except ValueError:
        return []
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return [(int(found.version), int(found)), *([(4, int(mapped))] if mapped is not None else [])]


class Networks(Generic[Label]):
    """Networks grouped by prefix length: one dictionary look-up for each length in use."""

    def __init__(self, networks: Iterable[tuple[str, Label]]) -> None:
        self.lengths: dict[tuple[int, int], dict[int, list[Label]]] = {}
        for text, label in networks:
            network = ipaddress.ip_network(text, strict=False)
            shift = network.max_prefixlen - network.prefixlen
            self.lengths.setdefault((network.version, shift), {}).setdefault(int(network.network_address) >> shift, []).append(label)

    def holding(self, text: str) -> list[Label]:
        """Labels of the networks that hold the address."""
        return [label for version, value in addresses(text) for (kind, shift), found in self.lengths.items() if kind == version for label in found.get(value >> shift, ())]


class Matcher:
    """``match(raw)`` → atoms true of a present value; ``absent``: those true of a missing one."""

    def __init__(self, atoms: Iterable[tuple[int, Atom]], make_scanner: ScannerMaker) -> None:
        self.exact: dict[bytes, list[int]] = {}
        self.folded: dict[bytes, list[int]] = {}
        by_op: dict[str, list[tuple[int, Atom]]] = defaultdict(list)
        for number, atom in atoms:
            by_op["text" if atom.op in _TEXT else atom.op].append((number, atom))
        self.text = by_op["text"]
        self.absent = frozenset(number for number, _ in by_op["null"])
        self.present = [number for number, _ in by_op["any"]]
        self.networks = Networks([(atom.pattern, number) for number, atom in by_op["cidr"]])
        self.compared = [(number, compare, float(atom.pattern)) for op, compare in _COMPARE.items() for number, atom in by_op[op]]
        for number, atom in by_op["eq"]:
            index = self.exact if atom.cased else self.folded
            index.setdefault(patterns.raw(atom.pattern if atom.cased else patterns.lower(atom.pattern)), []).append(number)
        self.make_scanner = make_scanner
        self._scanner: Scanner | None = None

    @property
    def scanner(self) -> Scanner:
        """Built when first needed: most fields of most rules are never seen."""
        if self._scanner is None:
            self._scanner = self.make_scanner(self.text)
        return self._scanner

    def restore(self, serialised: bytes) -> None:
        """Take the scanner from its serialised form."""
        if self.text and self._scanner is None:
            self._scanner = self.make_scanner(self.text, serialised=serialised)

    def match(self, raw: bytes) -> frozenset[int]:
        """``raw`` is UTF-8 (``patterns.raw``)."""
        found = self.present + (self._scanner or self.scanner).scan(raw) if self.text else self.present[:]
        if self.folded:
            found += self.folded.get(raw.lower(), ())
        if self.exact:
            found += self.exact.get(raw, ())
        if self.networks.lengths:
            found += self.networks.holding(raw.decode())
        if self.compared:
            found += self._compare(raw.decode())
        return frozenset(found)

    def _compare(self, text: str) -> list[int]:
        value = number(text)
        return [] if value is None else [label for label, compare, bound in self.compared if compare(value, bound)]
