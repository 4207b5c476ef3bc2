"""The doors of another node to which we report: events as NDJSON, captures as files, indicators as a table.

In: an address, a key, and pieces of a report. Out: what the other side took and refused, with its reasons. What it says when it
takes nothing becomes a fault that tells whether a later try may help. No redirect is followed: a key goes to one host only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import IO, Any
from urllib.parse import quote

import httpx
import msgspec

from lianfang.kernel.errors import Conflict, Fault, Invalid, sentences
from lianfang.rooms.lake.adapters.reaching import asking, checked_address, client, is_home, web_parts, wrong

PATIENCE = 60.0
MOST_ANSWER = 1 << 20
BUSY = (408, 409, 423, 425, 429)
"""Answers after which the same may be taken later."""
EMPTY = 422
"""What a door answers that would take something, to a request that holds nothing."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Where to, and with which key."""

    address: str
    key_id: str
    secret: str = field(default="", repr=False)
    authority: str = ""

    def checked(self) -> Settings:
        """Itself; raises ``Invalid`` when it can be no destination."""
        parts = web_parts(self.address, what="This is no address", like="https://centre.example", own="Write ID and secret of the key into their own fields.", plain=False)
        if parts.scheme != "https" and not is_home(parts.hostname or ""):
            raise wrong("Reports are not sent in clear", "Use https.")
        return self


@dataclass(frozen=True, slots=True)
class Answer:
    """What the other side took of a piece. ``refusals``: (row from 1, reason), as many as it names."""

    accepted: int
    refused: int
    refusals: tuple[tuple[int, str], ...] = ()


class Door:
    """The doors of one destination. Not for two threads at once."""

    def __init__(self, settings: Settings):
        self.settings = settings.checked()
        self._client = client(settings.authority, patience=PATIENCE, Accept="application/json", Authorization=f"Lianfang {settings.key_id}:{settings.secret}")

    def close(self) -> None:
        self._client.close()

    def events(self, source: str, lines: bytes, *, key: str) -> Answer:
        """NDJSON; the other side stores the same ``key`` once."""
        told = self._post(f"/api/lake/ingest/{quote(source, safe='')}", content=lines, headers={"Content-Type": "application/x-ndjson", "Idempotency-Key": key})
        return Answer(_count(told, "accepted"), _count(told, "rejected"), _refusals(told, "reason"))

    def capture(self, source: str, name: str, file: IO[bytes], *, packets: int) -> Answer:
        """A capture; the other side knows its content again and stores it once."""
        self._post(f"/api/lake/files/{quote(source, safe='')}", files={"files": (name, file, "application/vnd.tcpdump.pcap")})
        return Answer(packets, 0)

    def indicators(self, table: bytes, terms: Mapping[str, Any]) -> Answer:
        """A table (CSV); what is there already stays as it is."""
        told = self._post("/api/intel/import", params={**terms, "form": "csv"}, content=table, headers={"Content-Type": "text/csv"})
        refused = _count(told, "rejected")
        return Answer(_count(told, "read") - refused, refused, tuple((max(1, line - 1), reason) for line, reason in _refusals(told, "reason")))  # its lines count the head

    def tried(self, path: str, *, form: bool = False) -> None:
        """Whether a door would take something with this key: it says so to a request that holds nothing. Raises what is in the way."""
        try:
            self._post(path, **({"data": {"empty": "1"}} if form else {"content": b""}))
        except _Empty:
            return

    def _post(self, path: str, *, headers: Mapping[str, str] | None = None, **more: Any) -> dict[str, Any]:
        target, extra, host = checked_address(self.settings.address.rstrip("/") + path)
        with asking(host), self._client.stream("POST", target, headers={"Host": host, **(headers or {})}, extensions=extra, **more) as response:
            body = b"".join(_bounded(response))
        return _told(response.status_code, body, host)


class _Empty(Invalid):
    """The other side says that a request holds nothing, or not what it takes."""


def _bounded(response: httpx.Response) -> Any:
    size = 0
    for piece in response.iter_bytes():
        size += len(piece)
        if size > MOST_ANSWER:
            raise Conflict("The answer is too large", why=f"More than {MOST_ANSWER >> 20} MiB.", todo="See that the address is that of a node.")
        yield piece


def _told(status: int, body: bytes, host: str) -> dict[str, Any]:
    """What a good answer says; raises what another one means."""
    try:
        said = msgspec.json.decode(body)
    except msgspec.DecodeError:
        said = None
    if status in (200, 202) and isinstance(said, dict):
        return said
    raise _fault(status, said if isinstance(said, dict) else {}, host)


def _fault(status: int, said: Mapping[str, Any], host: str) -> Fault:
    why = sentences(*(str(said.get(name) or "") for name in ("what", "why", "todo")))[:300]
    if status == EMPTY:
        return _Empty("The other side refuses this", why=why, todo="See what it asks for, then send again.")
    if status in BUSY or status >= 500:
        return Conflict(f"{host} answers {status}", why=why, todo="It is tried again.", retry=True)
    if status == 401:
        return Conflict("The other side does not know the key", why=why, todo="Check ID and secret of the key, and that it was not revoked.")
    if status == 403:
        return Conflict("The other side does not let this key in", why=why, todo="Ask for a key with lake.event.add, lake.source.add (captures), intel.indicator.add (indicators).")
    if status == 404:
        return Conflict("The other side has no such door", why=why, todo="Check the address and the name of the log source there.")
    if status in (200, 202):
        return Conflict(f"{host} answers, but not like a node", todo="Check the address.")
    return Conflict(f"{host} answers {status}", why=why, todo="Check the address.")


def _count(told: Mapping[str, Any], name: str) -> int:
    value = told.get(name, 0)
    return value if isinstance(value, int) and value >= 0 else 0


def _refusals(told: Mapping[str, Any], name: str) -> tuple[tuple[int, str], ...]:
    found = told.get("rejects") or []
    return tuple((int(one.get("line") or 0), str(one.get(name, ""))[:300]) for one in found[:100] if isinstance(one, dict)) if isinstance(found, list) else ()
