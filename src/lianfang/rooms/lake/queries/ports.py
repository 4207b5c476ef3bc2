"""Ports allotted beforehand: the range that firewalls let through to this node, and the next of it that no source holds.

In: ``LIANFANG_SYSLOG_PORTS`` (``1514-1613``). Out: a port for a new syslog source.
"""

from __future__ import annotations

import os
import re

from lianfang.kernel.errors import Conflict, Invalid
from lianfang.rooms.lake import models
from lianfang.rooms.lake.types import Kind, Stage

USUAL = "1514-1613"
DATAGRAMS = frozenset({Kind.SYSLOG_UDP})


def port_range() -> range:
    """The ports that are set aside for syslog; raises ``Invalid`` for what is no range."""
    said = os.environ.get("LIANFANG_SYSLOG_PORTS") or USUAL
    found = re.fullmatch(r"\s*(\d{1,5})\s*(?:-\s*(\d{1,5})\s*)?", said)
    first, last = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if not 0 < first <= last < 65536:
        raise Invalid("LIANFANG_SYSLOG_PORTS is no range of ports", why=f"It says {said[:40]}.", todo="Write 1514-1613.")
    return range(first, last + 1)


def next_port(kind: str) -> int:
    """The first port of the range that no source of the same transport holds; UDP and TCP do not get into each other's way."""
    kinds = DATAGRAMS if kind in DATAGRAMS else {Kind.SYSLOG_TCP, Kind.SYSLOG_TLS}
    taken = set(models.Source.objects.filter(kind__in=kinds).exclude(stage=Stage.ERASING).exclude(port=None).values_list("port", flat=True))
    free = next((port for port in port_range() if port not in taken), None)
    if free is None:
        raise Conflict("All ports set aside for syslog are taken", why="Every port of LIANFANG_SYSLOG_PORTS belongs to a source.", todo="Choose a port by hand, remove a source, or widen the range.")
    return free
