"""One answer of an HTTP address for rooms above, by the same rules as sources that are asked: hosts, redirects, sizes, secrets.

In: an address, a login, and what was seen before. Out: status, headers and body; 304 for what did not change.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass

from lianfang.rooms.lake.adapters.poll import Poll, Settings


@dataclass(frozen=True, slots=True)
class Fetched:
    """What came back; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def fetch(address: str, *, user: str = "", secret: str = "", login: str = "password", authority: str = "", accept: str = "", known: Mapping[str, str] | None = None) -> Fetched:
    """GET. ``known``: ``etag`` and ``modified`` of the last answer. Raises ``Invalid`` for what is no address, ``Conflict`` (retry) for what may pass."""
    with closing(Poll(Settings(address, user=user, secret=secret, login=login, authority=authority))) as door:
        answer = door.get(address, dict(known or {}), accept=accept)
        return Fetched(answer.status, {name.lower(): value for name, value in answer.headers.items()}, answer.body)
