"""Candidates: a value that may become an indicator, and whether watching for it makes sense.

In: text, perhaps defanged. Out: kind and canonical form, or the reason why not: an indicator that matches half of one's
own traffic is worse than none.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lianfang.engines.schema import observables
from lianfang.rooms.intel.models import LONGEST
from lianfang.rooms.intel.types import Rejected, Terms

WIDEST = {4: 8, 6: 19}
"""The shortest prefixes that are taken: what registries hand out at most."""

_INTERNAL = tuple(ipaddress.ip_network(net) for net in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"))
_NOWHERE = tuple(ipaddress.ip_network(net) for net in ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3", "::/127", "fe80::/10", "ff00::/8"))
_EMPTY_FILES = frozenset({
    "d41d8cd98f00b204e9800998ecf8427e", "da39a3ee5e6b4b0d3255bfef95601890afd80709", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Candidate:
    """A value with what its delivery says of it; ``None`` where it says nothing. ``object``: the bytes it came in, for STIX."""

    line: int
    kind: str
    value: str
    source: str | None = None
    tlp: str | None = None
    confidence: int | None = None
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    tags: tuple[str, ...] = ()
    note: str = ""
    stix_id: str = ""
    object: bytes = b""


def judged(line: int, raw: str, text: str, terms: Terms, **given: Any) -> Candidate | Rejected:
    """A text as a candidate, or why it is none."""
    found = observables.observe(text)
    if found is None:
        return Rejected(line, raw[:500], "unknown")
    code, detail = unfit(*found, internal=terms.internal)
    return Rejected(line, raw[:500], code, detail) if code else Candidate(line, *found, **given)


def unfit(kind: str, value: str, *, internal: bool = False) -> tuple[str, str]:
    """Why watching for this would only make noise, as a code of ``REASONS`` and its detail; empty when it makes sense.

    >>> unfit("ipv4", "127.0.0.1"), unfit("cidr", "200.0.0.0/6"), unfit("ipv4", "203.0.113.9")
    (('nowhere', ''), ('wide', '8'), ('', ''))
    """
    if len(value) > LONGEST:
        return "long", str(LONGEST)
    if value in _EMPTY_FILES:
        return "empty", ""
    return _unfit_network(ipaddress.ip_network(value), internal) if kind in ("ipv4", "ipv6", "cidr") else ("", "")


def _unfit_network(network: Any, internal: bool) -> tuple[str, str]:
    if network.prefixlen < WIDEST[network.version]:
        return "wide", str(WIDEST[network.version])
    if any(network.version == other.version and network.overlaps(other) for other in _NOWHERE):
        return "nowhere", ""
    if not internal and any(network.version == other.version and network.subnet_of(other) for other in _INTERNAL):
        return "private", ""
    return "", ""
