"""What stands inside attachments: links of texts, pages, documents and packed files, hashes of what is packed, senders of mails in mails.

In: a file's name and bytes. Out: findings, each with the place where it stands (``bill.zip › list.txt``). Nothing is run and nothing drawn;
members, sizes, depth and findings are bounded, and what cannot be read (encrypted, broken, of another kind) gives nothing.
"""

from __future__ import annotations

import hashlib
import html
import io
import re
import zipfile
import zlib
from base64 import b64decode
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesParser
from email.utils import getaddresses

MEMBERS, MEMBER, WHOLE, DEEP, MOST = 200, 8 << 20, 64 << 20, 3, 500
"""Members of a packed file, bytes of one and of all, files in files, findings of one attachment."""
TEXT = 2 << 20
PARTED = " › "
_URL = re.compile(r"(?:https?|ftp)://[^\s<>\"'()\[\]{}|\\^`\u0000-\u0020]{1,2000}+", re.IGNORECASE)
_NAMED = re.compile(rb"^(from|to|date|subject|message-id|received|mime-version):", re.IGNORECASE | re.MULTILINE)
_PACKED = re.compile(r"aHR0c[A-Za-z0-9+/]{8,2700}={0,2}")
"""Base64 of what begins with http, as pages hide links from filters."""
_URI = re.compile(rb"/URI\s{0,8}\(((?:[^()\\]|\\.){1,2000})\)")
_OUTSIDE = re.compile(r"<Relationship\b[^>]{0,2000}>", re.IGNORECASE)
_GRAMMARS = ("schemas.openxmlformats.org", "schemas.microsoft.com", "www.w3.org", "purl.org", "ns.adobe.com", "docs.oasis-open.org")
"""Hosts that only name the grammar of a document."""
_PAGES = (".htm", ".html", ".xhtml", ".svg", ".xml", ".hta", ".js", ".vbs", ".url", ".lnk", ".txt", ".csv", ".log", ".ics", ".ps1", ".bat", ".eml", ".rtf")


@dataclass(frozen=True, slots=True)
class Finding:
    """One value: ``what`` is url, sha256 or email; ``place`` says in which file it stands."""

    what: str
    value: str
    place: str


def inside(name: str, content: bytes) -> list[Finding]:
    """What stands inside a file, each value of a place once.

    >>> inside("pay.html", b'<form action="http://bad.example/in"><script>atob("aHR0cDovL2hpZGRlbi5leGFtcGxlL3g=")</script>')
    [Finding(what='url', value='http://bad.example/in', place='pay.html'), Finding(what='url', value='http://hidden.example/x', place='pay.html')]
    """
    found: dict[Finding, None] = {}
    room = [WHOLE]
    with suppress(RecursionError):
        for one in _of(name, content, 0, room):
            found.setdefault(one, None)
            if len(found) >= MOST:
                break
    return list(found)


def _of(place: str, content: bytes, depth: int, room: list[int]) -> Iterator[Finding]:
    low = place.lower()
    if content.startswith(b"PK\x03\x04"):
        yield from _zipped(place, content, depth, room)
    elif content.startswith(b"%PDF"):
        yield from _pdf(place, content)
    elif low.endswith(".eml") or names_a_mail(content[:2048]):
        yield from _mail(place, BytesParser().parsebytes(content), depth, room)
    elif low.endswith(_PAGES) or _is_text(content[:4096]):
        yield from _text(place, _decoded(content[:TEXT]))


def mail_inside(place: str, message: Message) -> list[Finding]:
    """The same of a mail that lies in a mail as a message."""
    return list(dict.fromkeys(_mail(place, message, 0, [WHOLE])))[:MOST]


def _text(place: str, text: str) -> Iterator[Finding]:
    plain = html.unescape(text)
    for link in _URL.findall(plain):
        host = link.split("/", 3)[2].lower()
        if host not in _GRAMMARS:
            yield Finding("url", link.rstrip(".,;:!?。，；"), place)
    for packed in _PACKED.findall(plain):
        with suppress(ValueError):
            yield from (Finding("url", link, place) for link in _URL.findall(b64decode(packed + "=" * (-len(packed) % 4)).decode("utf-8", "replace")))


def _pdf(place: str, content: bytes) -> Iterator[Finding]:
    """Links of a document: as they stand, and inside its packed streams."""
    for piece in (content, *_streams(content)):
        for raw in _URI.findall(piece):
            link = re.sub(rb"\\(.)", rb"\1", raw).decode("utf-8", "replace")
            if _URL.fullmatch(link):
                yield Finding("url", link, place)


def _streams(content: bytes) -> Iterator[bytes]:
    """The first packed streams of a document, opened."""
    at = 0
    for _ in range(MEMBERS):
        begin = content.find(b"stream", at)
        at = content.find(b"endstream", begin + 6)
        if begin < 0 or at < 0:
            return
        with suppress(zlib.error):
            yield zlib.decompressobj().decompress(content[begin + 6 : at].lstrip(b"\r\n"), TEXT)
        at += 9


def _zipped(place: str, content: bytes, depth: int, room: list[int]) -> Iterator[Finding]:
    """Members with their hashes and what stands in them; of documents of an office only links that lead outside."""
    try:
        packed = zipfile.ZipFile(io.BytesIO(content))
        members = packed.infolist()[:MEMBERS]
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        return
    office = any(member.filename == "[Content_Types].xml" for member in members)
    for member in members:
        data = b"" if member.is_dir() or member.flag_bits & 1 else _member(packed, member, room)
        if not data:
            continue
        if office:
            yield from _office(place, member.filename, data)
            continue
        at = f"{place}{PARTED}{_plain(member.filename)}"
        yield Finding("sha256", hashlib.sha256(data).hexdigest(), at)
        if depth < DEEP:
            yield from _of(at, data, depth + 1, room)


def _office(place: str, member: str, data: bytes) -> Iterator[Finding]:
    if member.endswith(".rels"):
        for relation in _OUTSIDE.findall(_decoded(data)):
            if 'targetmode="external"' in relation.lower():
                yield from _text(place, relation)
    elif member.endswith(".xml") and member.startswith(("word/", "xl/", "ppt/")):
        yield from _text(place, re.sub(r"<[^<>]{0,4000}>", " ", _decoded(data[:TEXT])))


def _member(packed: zipfile.ZipFile, member: zipfile.ZipInfo, room: list[int]) -> bytes:
    """The bytes of a member; nothing of one that is too large, or when all together are."""
    try:
        with packed.open(member) as file:
            data = file.read(min(MEMBER, max(room[0], 0)) + 1)
    except (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, OSError, ValueError, EOFError):
        return b""
    room[0] -= len(data)
    return data if len(data) <= MEMBER and room[0] >= 0 else b""


def _mail(place: str, message: Message, depth: int, room: list[int]) -> Iterator[Finding]:
    """Senders, links and attachments of a mail in a mail."""
    for _shown, address in getaddresses([str(value) for name in ("From", "Reply-To", "Return-Path") for value in (message.get_all(name) or [])[:20]]):
        if "@" in address:
            yield Finding("email", address, place)
    for number, part in enumerate(message.walk()):
        if number >= MEMBERS:
            return
        raw = None if part.is_multipart() else part.get_payload(decode=True)
        if not isinstance(raw, bytes):
            continue
        if part.get_filename() or not part.get_content_type().startswith("text/"):
            at = f"{place}{PARTED}{_plain(part.get_filename() or '(no name)')}"
            yield Finding("sha256", hashlib.sha256(raw).hexdigest(), at)
            if depth < DEEP:
                yield from _of(at, raw, depth + 1, room)
        else:
            yield from _text(place, _decoded(raw[:TEXT]))


def names_a_mail(head: bytes) -> bool:
    r"""Whether three of the header fields that a mail has stand here.

    >>> names_a_mail(b"From: a@b.cn\nTo: c@d.cn\nSUBJECT: x"), names_a_mail(b"From: a\nFrom: b\nFrom: c")
    (True, False)
    """
    return len({name.lower() for name in _NAMED.findall(head)}) >= 3


def _is_text(head: bytes) -> bool:
    return b"\0" not in head and sum(byte < 9 or 13 < byte < 32 for byte in head) == 0


def _decoded(raw: bytes) -> str:
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return raw.decode("utf-16", "replace")
    return raw.decode("utf-8", "replace")


def _plain(name: str) -> str:
    return " ".join(name.encode("utf-8", "replace").decode().replace("\0", "").split())[-120:]
