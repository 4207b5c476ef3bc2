"""HTTP addresses that are asked for records, page after page, with ETag, Retry-After and bounds.

In: an address and how its pages are linked. Out: records as JSON. The node speaks to the host of the address only:
redirects and links elsewhere are refused. Where the host's name leads into a private network the node's settings must
allow that network (``LIANFANG_POLL_NETWORKS``), so that nobody reaches through a source what they cannot reach
themselves; the address that was checked is the one that is connected to.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from time import monotonic
from typing import Any
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit, urlunsplit

import httpx
import msgspec

from lianfang.kernel import clock
from lianfang.kernel.errors import Conflict
from lianfang.rooms.lake.adapters import Page, http, names_of
from lianfang.rooms.lake.adapters.reaching import asking, checked_address, client, is_home, origin, web_parts, wrong
from lianfang.rooms.lake.types import Login, Paging

PATIENCE = 15.0
WHOLE = 60.0
"""Seconds for a whole answer, however slowly it comes."""
MOST_BYTES = 32 << 20
MOST_PAGES = 1000
KNOWN = 20_000
"""Records of the last look that are known again; more than that in one list may be taken twice."""
REDIRECTS = 3
TAGS = {"etag": "ETag", "modified": "Last-Modified"}
LONGEST_REST = 3600.0

_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_list = msgspec.json.Decoder(list[msgspec.Raw]).decode


@dataclass(frozen=True, slots=True)
class Settings:
    """What to ask. ``items`` and ``next`` are keys parted by dots; ``parameter`` carries number or cursor."""

    address: str
    user: str = ""
    secret: str = field(default="", repr=False)
    login: str = Login.PASSWORD
    paging: str = Paging.NONE
    items: str = ""
    next: str = ""
    parameter: str = ""
    authority: str = ""

    def checked(self) -> Settings:
        """Itself; raises ``Invalid`` when it can be no address."""
        parts = web_parts(self.address, what="This is no HTTP address", like="https://api.example/events", own="Write them into their own fields; the password is sealed there.")
        if self.secret and parts.scheme != "https" and not is_home(parts.hostname or ""):
            raise wrong("A secret is not sent in clear", "Use https, or give no secret.")
        return self


class Later(Conflict):
    """The other side wants to be left alone for ``retry_after`` seconds."""

    def __init__(self, what: str, *, retry_after: float, **more: Any):
        super().__init__(what, **more)
        self.retry_after = retry_after


class Answer:
    """What came back: status, headers, and the body unless nothing changed."""

    def __init__(self, status: int, headers: httpx.Headers, body: bytes, url: str):
        self.status, self.headers, self.body, self.url = status, headers, body, url


class Poll:
    """One address that is asked. Not for two threads at once."""

    def __init__(self, settings: Settings):
        self.settings = settings.checked()
        self._client = client(settings.authority, patience=PATIENCE, **{"Accept": "application/json, application/x-ndjson", "Accept-Encoding": "gzip"})

    def close(self) -> None:
        self._client.close()

    def get(self, url: str, position: dict[str, Any], *, accept: str = "") -> Answer:
        """One answer as it is; ``accept``: the media type to ask for."""
        if accept:
            self._client.headers["Accept"] = accept
        return self._ask(url, position)

    def page(self, position: dict[str, Any], *, until: dict[str, Any] | None = None) -> Page:
        """The next page: where the last one pointed, or from the start. Records of this look and the one before are left out.

        ``next`` in a position is where to go on; ``known`` names the records of this look, ``before`` those of the last
        one; ``number`` counts the pages of this look; ``etag`` and ``modified`` are those of a look of one page.
        """
        at = position.get("next")
        answer = self._ask(self._url(at), {} if at else position)
        if answer.status == httpx.codes.NOT_MODIFIED:
            return Page([], position)
        records = _records(answer.body, self.settings.items)
        names, known = names_of(records), {*position.get("known", ()), *position.get("before", ())}
        fresh = [place for place, name in enumerate(names) if until is not None or name not in known]
        after, more = self._after(position, answer, names)
        return Page([records[place] for place in fresh], after, more=more, names=[names[place] for place in fresh], known=len(records) - len(fresh))

    def _after(self, position: dict[str, Any], answer: Answer, names: list[str]) -> tuple[dict[str, Any], bool]:
        """Where to go on, and whether at once. A cursor stays where it is until it moves; lists begin again at their first page."""
        at, seen = position.get("next"), [*position.get("known", ()), *names][-KNOWN:]
        following = self._following(answer, at, len(names))
        if self.settings.paging == Paging.CURSOR:
            moved = following is not None and following != at
            return {"next": following if moved else at, "known": [] if moved else names[-KNOWN:]}, moved and bool(names)
        if following:
            number = position.get("number", 1) + 1
            if number > MOST_PAGES:
                raise Conflict(f"More than {MOST_PAGES:,} pages", why="The next page always leads to another one.", todo="Check how the pages are linked, or ask for less.")
            return {"next": following, "known": seen, "before": position.get("before", []), "number": number}, True
        tags = {} if at else {name: value for name, header in TAGS.items() if (value := answer.headers.get(header))}  # of several pages the first one's tag tells nothing
        return {"before": seen or position.get("before", []), **tags}, False

    def _url(self, at: Any) -> str:
        """The address of a page: the link itself, or the address with its number or cursor."""
        paging, address = self.settings.paging, self.settings.address
        if paging == Paging.LINK and at:
            return str(at)
        if paging == Paging.NUMBER:
            return _with(address, self.settings.parameter or "page", str(at or 1))
        if paging == Paging.CURSOR and at:
            return _with(address, self.settings.parameter or "cursor", str(at))
        return address

    def _following(self, answer: Answer, at: Any, count: int) -> Any:
        """Where the next page is, or nothing."""
        paging = self.settings.paging
        if paging == Paging.NUMBER:
            return int(at or 1) + 1 if count else None
        if paging == Paging.CURSOR:
            return _scalar(answer.body, self.settings.next or "cursor")
        if paging == Paging.LINK:
            link = _scalar(answer.body, self.settings.next) if self.settings.next else _linked(answer.headers.get("Link", ""))
            return self._beside(urljoin(answer.url, str(link))) if link else None
        return None

    def _beside(self, url: str) -> str:
        """The address, if it leads to the same host in the same way."""
        if origin(url) != origin(self.settings.address):
            raise Conflict("The other side leads elsewhere", why=f"It points to {url[:200]}.", todo="Make a source for that host, if it is trusted.")
        return url

    def _ask(self, url: str, position: dict[str, Any]) -> Answer:
        """One answer; redirects are followed on the same host only. Raises ``Conflict``, ``Later``."""
        for _ in range(REDIRECTS):
            answer = self._once(url, position)
            if answer.status not in (301, 302, 303, 307, 308):
                return self._good(answer)
            url = self._beside(urljoin(url, answer.headers.get("Location", "")))
        raise Conflict("The other side redirects without end", todo="Check the address.")

    def _once(self, url: str, position: dict[str, Any]) -> Answer:
        target, extra, host = checked_address(url)
        headers = {"Host": host, **self._login()}
        if value := position.get("etag"):
            headers["If-None-Match"] = value
        if value := position.get("modified"):
            headers["If-Modified-Since"] = value
        with asking(host), self._client.stream("GET", target, headers=headers, extensions=extra) as response:
            body = b"" if response.status_code == httpx.codes.NOT_MODIFIED else http.whole(_in_time(response), encoding=response.headers.get("Content-Encoding", ""))
            return Answer(response.status_code, response.headers, body, url)

    def _login(self) -> dict[str, str]:
        said = self.settings
        if not said.secret:
            return {}
        if said.login == Login.BEARER:
            return {"Authorization": f"Bearer {said.secret}"}
        if said.login == Login.HEADER:
            return {said.user or "X-API-Key": said.secret}
        return {"Authorization": f"Basic {b64encode(f'{said.user}:{said.secret}'.encode()).decode()}"}

    def _good(self, answer: Answer) -> Answer:
        if answer.status in (200, 204, 206, 304):
            return answer
        what = f"The other side answers {answer.status}"
        if answer.status in (429, 503):
            raise Later(what, retry_after=min(_rest(answer.headers.get("Retry-After", "")), LONGEST_REST), why="It has enough for the moment.", todo="It is asked again when it said so.", retry=True)
        raise Conflict(what, why=answer.body[:120].decode("utf-8", "replace"), todo="Check address, parameters and login; it is tried again.", retry=True)


# ---- reading an answer -----------------------------------------------------------------------------------------


def _in_time(response: httpx.Response) -> Iterator[bytes]:
    """The body as it was sent, within ``MOST_BYTES`` and ``WHOLE`` seconds."""
    size, deadline = 0, monotonic() + WHOLE
    for piece in response.iter_raw():
        size += len(piece)
        if size > MOST_BYTES:
            raise Conflict("The answer is too large", why=f"More than {MOST_BYTES >> 20} MiB.", todo="Ask for smaller pages.")
        if monotonic() > deadline:
            raise Conflict("The answer takes too long", why=f"It is not whole after {WHOLE:.0f} s.", todo="Ask for smaller pages; it is tried again.", retry=True)
        yield piece


def _records(body: bytes, keys: str) -> list[bytes]:
    """The records of a body: what stands at ``keys``, one record or a list; without keys also JSON lines. Raises ``Conflict``."""
    if not body.strip():
        return []
    try:
        return _listed(_at(body, keys))
    except (msgspec.DecodeError, KeyError, RecursionError, UnicodeDecodeError) as error:
        lines = [line for raw in body.split(b"\n") if (line := raw.strip())]
        if not keys and len(lines) > 1 and all(line[:1] == b"{" for line in lines):
            return lines
        raise Conflict("The answer holds no records", why=f"Nothing is found at {keys or 'its top'}: {error}", todo="Check where the records are; it is tried again.") from error


def _listed(data: bytes) -> list[bytes]:
    text = data.strip()
    if text == b"null":
        return []
    return [bytes(item) for item in _list(text)] if text[:1] == b"[" else [text] if _fields(text) else []


def _at(body: bytes, keys: str) -> bytes:
    """The piece of JSON at ``keys``; raises ``KeyError`` or msgspec's error.

    >>> _at(b'{"data": {"records": [1, 2]}}', "data.records")
    b'[1, 2]'
    """
    piece = body
    for key in filter(None, keys.split(".")):
        piece = bytes(_fields(piece)[key])
    return piece


def _scalar(body: bytes, keys: str) -> str | int | None:
    """A text or number at ``keys``, or nothing."""
    with suppress(msgspec.DecodeError, KeyError, RecursionError):
        found = msgspec.json.decode(_at(body, keys))
        return found if isinstance(found, str | int) and not isinstance(found, bool) and found != "" else None
    return None


def _linked(header: str) -> str:
    """The target of ``rel="next"`` in a header Link (RFC 8288).

    >>> _linked('</a?page=1>; rel="prev", </a?page=3>; rel="next"')
    '/a?page=3'
    """
    for target, rest in re.findall(r"<([^>]*)>((?:\s*;[^,<]*)*)", header):
        if re.search(r'rel="?[^";]*\bnext\b', rest):
            return str(target)
    return ""


def _with(address: str, name: str, value: str) -> str:
    """The address with one parameter set.

    >>> _with("https://a.example/x?size=9&page=1", "page", "2")
    'https://a.example/x?size=9&page=2'
    """
    parts = urlsplit(address)
    asked = [(key, old) for key, old in parse_qsl(parts.query, keep_blank_values=True) if key != name]
    return urlunsplit(parts._replace(query=urlencode([*asked, (name, value)])))


def _rest(header: str) -> float:
    """Seconds of a header Retry-After: a number, or a date; a minute when it says neither."""
    if header.strip().isdigit():
        return float(header)
    with suppress(ValueError, TypeError):
        return max(1.0, (parsedate_to_datetime(header) - clock.now()).total_seconds())
    return 60.0
