r"""A copy of a mail that may be shared: what tells who was attacked is hidden, what tells of the attacker stays.

In: a message (RFC 5322), what is ours, and keys. Out: a message again, and every change beside what stood there. Hidden are recipients and
their names wherever they stand (also in links, percent-encoded or as base64), hosts and addresses of our own, personal numbers in subject and
text, chosen headers; attachments become a note with name, size and digests, unless they are kept by choice. Links, senders and foreign
servers stay as they are, and so do headers nobody chose: signatures over the mail no longer hold.
"""

from __future__ import annotations

import copy
import email
import email.charset
import email.header
import email.utils
import fnmatch
import hashlib
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from email.generator import BytesGenerator
from email.message import Message
from email.mime.text import MIMEText
from io import BytesIO

from lianfang.engines.masking.ours import NUMBERS, Ours, Secret
from lianfang.kernel.errors import Invalid

MOST_PARTS, DEEP, LONGEST_TEXT, SHORTEST = 500, 60, 2 << 20, 4
"""Parts and containers of one mail; characters of a text; of a name before @ that is hidden where it stands alone."""
RECIPIENTS = ("To", "Cc", "Bcc", "Delivered-To", "Envelope-To", "X-Original-To", "X-Envelope-To", "X-Forwarded-To", "X-Forwarded-For", "X-Rcpt-To", "Apparently-To", "Resent-To", "Resent-Cc", "Resent-Bcc", "Final-Recipient", "Original-Recipient")
SENDERS = ("From", "Sender", "Reply-To", "Return-Path", "Errors-To", "Resent-From")
DROPPED = ("X-MS-Exchange-*", "X-MS-Has-Attach", "X-MS-TNEF-*", "X-Forefront-*", "X-OriginatorOrg", "X-Microsoft-Antispam*", "Thread-Index", "Thread-Topic", "X-Mozilla-*", "X-UIDL", "X-GM-*")
"""Headers that the receiving side wrote for itself: taken away unless said otherwise."""
_HOST = re.compile(r"(?<![\w.@-])(?:from|by|helo=|EHLO)\s*\(?\s*([A-Za-z0-9_][A-Za-z0-9_.-]{1,250})", re.IGNORECASE)

_UTF8 = email.charset.Charset("utf-8")
_UTF8.body_encoding = email.charset.QP


@dataclass(frozen=True, slots=True)
class Wish:
    """What is hidden. ``ours``: domains of our own (none said: those of the recipients that are not the sender's); ``words``: further names; ``drop``: headers by name with ``*``; ``keep``: SHA-256 of attachments that stay; ``kinds``: of ``NUMBERS``."""

    ours: frozenset[str] = frozenset()
    words: tuple[str, ...] = ()
    drop: tuple[str, ...] = DROPPED
    keep: frozenset[str] = frozenset()
    kinds: tuple[str, ...] = tuple(NUMBERS)


@dataclass(frozen=True, slots=True)
class Attached:
    """An attachment: its name as it goes, size and digests, and whether its content goes."""

    name: str
    kind: str
    size: int
    sha256: str
    md5: str
    kept: bool


@dataclass(slots=True)
class Copy:
    """The copy as bytes; each change as (where, before, after), ``after`` empty for what was taken away; attachments; the domains taken for our own."""

    content: bytes = b""
    changes: list[tuple[str, str, str]] = field(default_factory=list)
    attachments: list[Attached] = field(default_factory=list)
    ours: tuple[str, ...] = ()


def desensitised(content: bytes, wish: Wish, secret: Secret) -> Copy:
    """A copy without what tells who was attacked. Raises ``Invalid`` for what is no mail.

    >>> done = desensitised(b"From: a@bad.example\\r\\nTo: Li Na <li.na@corp.example>\\r\\nSubject: for Li Na\\r\\n\\r\\nhttp://bad.example/?u=li.na%40corp.example", Wish(), lambda domain: bytes(32))
    >>> b"li.na" in done.content, b"corp.example" in done.content, b"http://bad.example/?u=" in done.content, done.ours
    (False, False, True, ('corp.example',))
    """
    if content.lower().count(b"boundary=") > DEEP:
        raise Invalid("This mail cannot be taken apart", why=f"It has more than {DEEP} containers of parts.", todo="Check that the file is one complete message.")
    message = email.message_from_bytes(content)
    if not any(name in message for name in ("From", "To", "Subject", "Message-ID", "Received", "Date")):
        raise Invalid("This is no mail", why="No header of a mail stands at its beginning.", todo="Save the message as .eml or .msg and choose that file.")
    try:
        return _Work(message, wish, secret).done()
    except RecursionError as error:
        raise Invalid("This mail cannot be taken apart", why="Its parts lie too deep in each other.", todo="Check that the file is one complete message.") from error


class _Work:
    """One mail in hand."""

    def __init__(self, message: Message, wish: Wish, secret: Secret):
        self.message, self.wish, self.copy, self.parts = message, wish, Copy(), 0
        self.ours = Ours(wish.ours or _recipients_domains(message), secret, words=wish.words, kinds=wish.kinds)
        self.people = self.ours.people
        self.ours.cover(self._known())
        self.copy.ours = tuple(sorted(self.ours.domains))

    def done(self) -> Copy:
        made = self._message(self.message, "")
        sink = BytesIO()
        BytesGenerator(sink, mangle_from_=False, maxheaderlen=998).flatten(made)
        self.copy.content = sink.getvalue()
        return self.copy

    # ---- what is ours ------------------------------------------------------------------------------------------

    def _known(self) -> dict[str, str]:
        """What this mail says of people and hosts of ours → stand-ins: covered wherever it stands."""
        told: dict[str, str] = {}
        for name, address in [*_pairs(self.message, RECIPIENTS), *((name, address) for name, address in _pairs(self.message, SENDERS) if self.ours.holds(_domain(address)))]:
            hidden = self.people.mail(address) if "@" in address else self.people.word(address)
            told[address] = hidden
            for spelt in {address, address.lower()}:
                told[b64encode(spelt.encode()).decode().rstrip("=")] = b64encode(hidden.encode()).decode().rstrip("=")
            own = address.partition("@")[0]
            if len(own) >= SHORTEST:
                told.setdefault(own, hidden.partition("@")[0])
            if len(name.strip()) >= 2 and "@" not in name:
                told.setdefault(name.strip(), self.people.word(name.strip(), prefix="p"))
        for host in self._hosts():
            told.setdefault(host, self.ours.host(host))
        return told

    def _hosts(self) -> Iterator[str]:
        """Hosts of our own that servers named: below our domains, or with no domain at all."""
        for line in (self.message.get_all("Received") or [])[:100]:
            for host in _HOST.findall(_unfolded(str(line))):
                name = host.strip(".")
                if self.ours.holds(name) or ("." not in name and not name.isdigit() and name.lower() not in ("unknown", "localhost", "local", "smtp", "esmtp", "mail", "http", "https")):
                    yield name
                short = name.partition(".")[0]
                if len(short) >= SHORTEST and not short.isalpha():
                    yield short  # as people write it in the text

    # ---- the message -------------------------------------------------------------------------------------------

    def _message(self, message: Message, where: str) -> Message:
        """A message of the mail itself, or one inside it, with its parts."""
        made = copy.copy(message)
        made._headers = []  # type: ignore[attr-defined]
        for name, value in message.items():
            said = _said(value)
            if any(fnmatch.fnmatchcase(name.lower(), pattern.lower().strip()) for pattern in self.wish.drop if pattern.strip()):
                self._changed(f"{where}{name}", said, "")
                continue
            new = self._header(name, said)
            self._changed(f"{where}{name}", said, new)
            if new == said:
                made[name] = value  # as it was written
            else:
                made[name] = new if new.isascii() else email.header.Header(new, "utf-8", maxlinelen=76).encode()
        self._content(message, made, where)
        return made

    def _header(self, name: str, said: str) -> str:
        if name.lower() in {one.lower() for one in RECIPIENTS}:
            told = [self.people.mail(address) if "@" in address else self.people.word(address) for _shown, address in email.utils.getaddresses([said]) if address]
            return ", ".join(told) or self.ours.text(said)
        if name.lower() in ("content-type", "content-transfer-encoding", "mime-version", "content-disposition"):
            return said
        return self.ours.text(said)

    def _content(self, message: Message, made: Message, where: str) -> None:
        self.parts += 1
        if self.parts > MOST_PARTS:
            raise Invalid("This mail cannot be taken apart", why=f"It has more than {MOST_PARTS} parts.", todo="Check that the file is one complete message.")
        kind = message.get_content_type()
        payload = message.get_payload()
        if kind == "message/rfc822" and isinstance(payload, list) and payload and isinstance(payload[0], Message):
            made.set_payload([self._message(payload[0], f"{where}↳ ")])
        elif message.is_multipart() and isinstance(payload, list):
            made.set_payload([self._part(one, where) for one in payload if isinstance(one, Message)])
        elif kind in ("text/plain", "text/html") and not _attached(message):
            self._readable(message, made, kind, where)
        else:
            self._file(message, made)

    def _part(self, part: Message, where: str) -> Message:
        if not part.is_multipart() and (_attached(part) or part.get_content_type() not in ("text/plain", "text/html")):
            made = Message()
            self.parts += 1
            self._file(part, made)
            return made
        return self._message(part, where)

    def _readable(self, message: Message, made: Message, kind: str, where: str) -> None:
        raw = message.get_payload(decode=True)
        text = _decoded(raw if isinstance(raw, bytes) else b"", message.get_content_charset())[:LONGEST_TEXT]
        new = self.ours.text(text, markup=kind == "text/html")
        self._changed(f"{where}{kind}", text, new)
        if new != text:
            del made["Content-Transfer-Encoding"], made["Content-Type"]
            fresh = MIMEText(new, kind.partition("/")[2], _UTF8)  # type: ignore[arg-type]  # a Charset is what it wants in truth
            for name in ("Content-Type", "Content-Transfer-Encoding"):
                made[name] = fresh[name]
            made.set_payload(fresh.get_payload())

    def _file(self, part: Message, made: Message) -> None:
        """An attachment: its content where it is kept by choice, otherwise a note of what it was."""
        raw = part.get_payload(decode=True)
        content = raw if isinstance(raw, bytes) else b""
        name = self.ours.text(_said(part.get_filename() or ""), links=False) or "(no name)"
        told = Attached(name, part.get_content_type(), len(content), hashlib.sha256(content).hexdigest(), hashlib.md5(content, usedforsecurity=False).hexdigest(), hashlib.sha256(content).hexdigest() in self.wish.keep)
        self.copy.attachments.append(told)
        if told.kept:
            made["Content-Type"] = told.kind
            made["Content-Transfer-Encoding"] = "base64"
            made.add_header("Content-Disposition", "attachment", filename=name if name.isascii() else ("utf-8", "", name))
            made.set_payload(email.message_from_bytes(b"Content-Transfer-Encoding: base64\r\n\r\n" + _base64(content)).get_payload())
            return
        note = f"Attachment taken out: {name}\nType: {told.kind}\nSize: {told.size} bytes\nSHA-256: {told.sha256}\nMD5: {told.md5}\n"
        fresh = MIMEText(note, "plain", _UTF8)  # type: ignore[arg-type]
        for header in ("Content-Type", "Content-Transfer-Encoding"):
            del made[header]
            made[header] = fresh[header]
        made.set_payload(fresh.get_payload())

    def _changed(self, where: str, before: str, after: str) -> None:
        if before != after:
            self.copy.changes.append((where, before, after))


def _recipients_domains(message: Message) -> frozenset[str]:
    """Domains of the recipients that are not the sender's."""
    theirs = {domain for _name, address in _pairs(message, SENDERS) if (domain := _domain(address))}
    return frozenset(domain for _name, address in _pairs(message, RECIPIENTS) if (domain := _domain(address)) and domain not in theirs)


def _pairs(message: Message, names: Iterable[str]) -> list[tuple[str, str]]:
    """Names and addresses of some headers."""
    found = email.utils.getaddresses([_said(value) for name in names for value in (message.get_all(name) or [])[:50]])
    return [(shown, address.strip()) for shown, address in found[:2000] if address.strip()]


def _domain(address: str) -> str:
    return address.rpartition("@")[2].lower().strip(".>") if "@" in address else ""


def _said(value: object) -> str:
    """A header as people read it, on one line."""
    text = _unfolded(str(value))[:65536]
    try:
        return str(email.header.make_header(email.header.decode_header(text))) if "=?" in text else text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    except (ValueError, LookupError, UnicodeError, email.errors.MessageError):
        return text.encode("utf-8", "replace").decode()


def _unfolded(text: str) -> str:
    return re.sub(r"\r?\n[ \t]*", " ", text)


def _decoded(raw: bytes, charset: str | None) -> str:
    for name in (charset, "utf-8", "gb18030"):
        try:
            return raw.decode(name or "utf-8")
        except (LookupError, UnicodeDecodeError):
            continue
    return raw.decode("utf-8", "replace")


def _attached(part: Message) -> bool:
    return bool(part.get_filename()) or part.get_content_disposition() == "attachment"


def _base64(content: bytes) -> bytes:
    told = b64encode(content)
    return b"\r\n".join(told[at : at + 76] for at in range(0, len(told), 76)) + b"\r\n"
