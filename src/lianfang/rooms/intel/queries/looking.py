"""Looking up: is this known? One text or a thousand, each found by a look at an index, whatever the number of indicators.

An address is also known by the networks that hold it, a domain by the domains above it, a URL by its host: all these are
written out as digests and asked for together.
"""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from lianfang.engines.schema import observables
from lianfang.kernel.errors import Invalid
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.intel import models
from lianfang.rooms.intel.queries.candidates import WIDEST
from lianfang.rooms.intel.types import About, Answer, Known

MOST = 1_000
"""Texts of one question."""
_AT_ONCE = 800

Name = tuple[str, str]


def look_up(texts: Sequence[str], viewer: Viewer) -> list[Answer]:
    """What is known, in the viewer's scope, of each text; in the order asked. Raises ``Invalid`` for too many at once."""
    viewer.must("intel.indicator.view")
    if len(texts) > MOST:
        raise Invalid("Too many values at once", why="At most 1,000 are answered.", todo="Ask in parts.")
    named = [(text, observables.observe(text)) for text in texts]
    wanted = {name for _, found in named if found for name in names_of(*found)}
    known = _known(wanted, viewer)
    return [Answer(text, *(found or ("", "")), known=tuple(_held(found, known))) for text, found in named]


def names_of(kind: str, value: str) -> Iterator[Name]:
    """Everything under which a value may be known, itself first.

    >>> list(names_of("domain", "a.bad.example"))
    [('domain', 'a.bad.example'), ('domain', 'bad.example')]
    """
    yield kind, value
    if kind in ("ipv4", "ipv6"):
        yield from _networks(value)
    elif kind == "domain":
        yield from _parents(value)
    elif kind == "url" and (host := observables.host_of(value)):
        found = observables.observe(host)
        if found and found[0] != "url":
            yield from names_of(*found)


def _networks(value: str) -> Iterator[Name]:
    address = ipaddress.ip_address(value)
    for length in range(address.max_prefixlen - 1, WIDEST[address.version] - 1, -1):
        yield "cidr", str(ipaddress.ip_network((address, length), strict=False))


def _parents(value: str) -> Iterator[Name]:
    parts = value.split(".")
    yield from (("domain", ".".join(parts[at:])) for at in range(1, len(parts) - 1))


def _known(wanted: Iterable[Name], viewer: Viewer) -> dict[Name, list[models.Indicator]]:
    """Name → the indicators of this name that the viewer may see."""
    digests = iter({models.digest_of(*name) for name in wanted})
    found: dict[Name, list[models.Indicator]] = defaultdict(list)
    while part := list(islice(digests, _AT_ONCE)):
        for row in models.Indicator.objects.seen_by(viewer).filter(digest__in=part).order_by("-confidence", "source"):
            found[row.kind, row.value].append(row)
    return found


def _held(found: Name | None, known: dict[Name, list[models.Indicator]]) -> Iterator[Known]:
    for name in names_of(*found) if found else ():
        for row in known.get(name, ()):
            yield known_of(row, through="" if name == found else name[1])


def known_of(row: models.Indicator, *, through: str = "") -> Known:
    """An indicator as a value that may leave the room."""
    return Known(
        str(row.pk), row.kind, row.value, row.source, row.tlp, row.confidence, row.valid_from, row.valid_until, tuple(row.tags), row.note, row.standing.value, through,
    )  # fmt: skip


def groups_named(tags: Iterable[str], viewer: Viewer) -> list[tuple[str, str]]:
    """The groups of the knowledge base, in the viewer's scope, that have one of these names or also go by it: their name and who says so."""
    wanted = {tag.casefold().strip() for tag in tags} - {""}
    if not wanted or not viewer.may("intel.entry.view"):
        return []
    rows = models.Entry.objects.seen_by(viewer).filter(about=About.GROUP).order_by("name", "source").values_list("name", "aliases", "source")
    return list(dict.fromkeys((name, source) for name, aliases, source in rows.iterator(chunk_size=1000) if wanted & {one.casefold().strip() for one in (name, *aliases)}))


def plain(answer: Answer) -> dict[str, Any]:
    """An answer as JSON."""
    names = ("id", "kind", "value", "source", "tlp", "confidence", "valid_from", "valid_until", "tags", "note", "standing", "through")
    return {"asked": answer.asked, "kind": answer.kind, "value": answer.value, "active": answer.active, "known": [{name: getattr(one, name) for name in names} for one in answer.known]}
