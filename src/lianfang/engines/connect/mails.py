"""The ``mail`` codec: a message file (.eml, RFC 5322 and MIME; .msg of Outlook) → who, to whom, what, links, attachments.

The text itself and the attachments are not kept, only links and hashes: mail is personal data, and evidence needs no more.
Parts, links and sizes are bounded; what a parser chokes on is a reject.
"""

from __future__ import annotations

import email
import email.header
import hashlib
import html
import io
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from email.message import EmailMessage, Message
from email.utils import getaddresses
from typing import Any

from lianfang.engines.connect.flatten import NUL, flat
from lianfang.engines.connect.inside import Finding, mail_inside, names_a_mail
from lianfang.engines.connect.inside import inside as look_inside
from lianfang.engines.connect.limits import Limits, Unreadable, too_large
from lianfang.engines.schema import observables

OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
PARTS, LINKS, NESTED, TEXT = 500, 500, 60, 2 << 20
_URL = re.compile(r"https?://[^\s<>\"'()\[\]{}|\\^`\u0000-\u0020]{1,2000}+", re.IGNORECASE)
_ADDRESS = re.compile(r"[\[(](?:IPv6:)?([0-9A-Fa-f:.]{3,45})[\])]")
_TODO = "Check that the file is one complete message: save it again as .eml or .msg."
_HEADERS = (
    ("from", "From"), ("to", "To"), ("cc", "Cc"), ("reply_to", "Reply-To"), ("return_path", "Return-Path"), ("sender", "Sender"),
)  # fmt: skip
_TEXTS = (
    ("subject", "Subject"), ("date", "Date"), ("message_id", "Message-ID"), ("user_agent", "X-Mailer"), ("originating_ip", "X-Originating-IP"), ("authentication_results", "Authentication-Results"),
)  # fmt: skip
_BEGINNINGS = re.compile(rb"(?:From |(?:Return-Path|Received|Delivered-To|From|To|Subject|Date|Message-ID|MIME-Version|DKIM-Signature|ARC-[A-Za-z-]+|X-[A-Za-z0-9-]+|Authentication-Results|Content-Type|Reply-To|Sender):)", re.IGNORECASE)


def looks_like(head: bytes) -> bool:
    """Whether a file with this beginning is a message: Outlook's container, or header fields of which three are a mail's.

    >>> looks_like(b"From: a@b.cn\\r\\nTo: c@d.cn\\r\\nSubject: x\\r\\n"), looks_like(b"Received: 5 packets")
    (True, False)
    """
    return head.startswith(OLE) or (_BEGINNINGS.match(head) is not None and names_a_mail(head))


def row_of(frame: bytes, *, limits: Limits, encoding: str = "utf-8") -> dict[str, str]:
    """One message → a flat row under ``mail.…``; raises ``Unreadable``.

    >>> row = row_of(b"From: Lin <lin@corp.example>\\r\\nTo: a@corp.example\\r\\nSubject: =?utf-8?b?5L2g5aW9?=\\r\\n\\r\\nsee http://bad.example/x", limits=Limits())
    >>> row["mail.from"], row["mail.subject"], row["mail.urls"]
    ('lin@corp.example', '你好', 'http://bad.example/x')
    """
    return flat(record_of(frame, limits=limits, encoding=encoding), limits=limits)


def record_of(frame: bytes, *, limits: Limits, encoding: str = "utf-8") -> dict[str, Any]:
    """One message → ``{"mail": {…}}``; raises ``Unreadable``."""
    if len(frame) > limits.mail_bytes:
        raise too_large(len(frame), limits)
    if not frame.strip():
        raise Unreadable("An empty record", _TODO)
    try:
        found = _outlook(frame) if frame.startswith(OLE) else _internet(frame, encoding)
    except Unreadable:
        raise
    except RecursionError as error:
        raise Unreadable("Parts inside parts too deep", _TODO) from error
    except Exception as error:  # two foreign parsers on hostile bytes: whatever they raise, the file cannot be read
        raise Unreadable(f"Not a readable message: {type(error).__name__}: {str(error)[:160]}", _TODO) from error
    return {"mail": {name: value for name, value in found.items() if value}}


def _internet(frame: bytes, encoding: str) -> dict[str, Any]:
    if frame.lower().count(b"boundary=") > NESTED:
        raise Unreadable(f"More than {NESTED} containers of parts", _TODO)
    message = email.message_from_bytes(frame)
    if not any(name in message for name in ("From", "To", "Subject", "Message-ID", "Received", "Date")):
        raise Unreadable("No header of a mail", _TODO)
    found: dict[str, Any] = {"format": "eml"}
    for name, header in _HEADERS:
        pairs = getaddresses([_header(value, encoding) for value in (message.get_all(header) or [])[:20]])
        found[name] = [_clean(address) for _, address in pairs[:1000] if address]
        if name == "from":
            found["from_name"] = [_clean(shown) for shown, _ in pairs[:20] if shown]
    for name, header in _TEXTS:
        found[name] = _clean(_header(message.get(header, ""), encoding))
    found["received_ips"] = _unique(_ADDRESS.findall(" ".join(str(value) for value in (message.get_all("Received") or [])[:50])[:65536]))
    return {**found, **_parts(_walked(message), encoding)}


def _walked(message: Message) -> Iterator[tuple[str, str, bytes, bool]]:
    """Name, type, content of each part, and whether it is text to be read."""
    for number, part in enumerate(message.walk()):
        if number >= PARTS:
            return
        if part.is_multipart():
            continue
        content = part.get_payload(decode=True)
        kind = part.get_content_type()
        name = part.get_filename() or ""
        attached = bool(name) or part.get_content_disposition() == "attachment" or not kind.startswith("text/")
        yield name, kind, content if isinstance(content, bytes) else b"", not attached


def _parts(parts: Iterable[tuple[str, str, bytes, bool]], encoding: str) -> dict[str, Any]:
    names, kinds, sizes, sha256, md5, urls = [], [], [], [], [], []
    for name, kind, content, is_text in parts:
        if is_text or kind in ("text/html", "text/plain"):
            text = content[:TEXT].decode("gb18030" if encoding in ("gbk", "gb18030") else "utf-8", "replace")
            urls += _URL.findall(html.unescape(text) if "html" in kind else text)[:LINKS]
        if not is_text:
            names.append(_clean(_header(name, encoding)) or "(no name)")
            kinds.append(_clean(kind))
            sizes.append(str(len(content)))
            sha256.append(hashlib.sha256(content).hexdigest())
            md5.append(hashlib.md5(content, usedforsecurity=False).hexdigest())
    links = [link.rstrip(".,;:!?。，；") for link in urls]
    domains = [host for link in links if (host := observables.host_of(link))]
    return {"urls": _unique(links)[:LINKS], "domains": _unique(domains)[:LINKS], "attachment_names": names, "attachment_types": kinds, "attachment_sizes": sizes, "attachment_sha256": sha256, "attachment_md5": md5}


def _header(value: Any, encoding: str) -> str:
    """Encoded words → text; bytes that name no charset are read as the source says."""
    text = str(value)[:65536]
    if "=?" not in text and text.isascii():
        return text
    raw = text.encode("utf-8", "surrogateescape") if "=?" not in text else b""
    if raw:
        return raw.decode(encoding if encoding != "auto" else "utf-8", "replace")
    try:
        return str(email.header.make_header(email.header.decode_header(text)))
    except (ValueError, LookupError, UnicodeError, email.errors.MessageError):
        return text


def _outlook(frame: bytes) -> dict[str, Any]:
    import oxmsg  # only nodes that read Outlook's files pay for it

    message = oxmsg.Message.load(io.BytesIO(frame))
    headers = {str(name).lower(): str(value) for name, value in dict(message.message_headers or {}).items()}
    sender = getaddresses([message.sender or headers.get("from", "")])
    found: dict[str, Any] = {
        "format": "msg",
        "from": [_clean(address) for _, address in sender if address],
        "from_name": [_clean(name) for name, _ in sender if name],
        **{name: [_clean(address) for _, address in getaddresses([headers.get(header.lower(), "")]) if address] for name, header in _HEADERS if name in ("cc", "reply_to", "return_path")},
        "originating_ip": _clean(headers.get("x-originating-ip", "")),
        "to": [_clean(each.email_address or "") for each in list(message.recipients)[:1000]],
        "subject": _clean(message.subject or ""),
        "date": message.sent_date.isoformat() if message.sent_date else _clean(headers.get("date", "")),
        "message_id": _clean(headers.get("message-id", "")),
        "received_ips": _unique(_ADDRESS.findall(headers.get("received", "")[:65536])),
    }
    texts = [("", kind, text[:TEXT].encode("utf-8", "replace"), True) for kind, text in (("text/plain", message.body), ("text/html", message.html_body)) if text]
    files = [(each.file_name or "", each.mime_type or "application/octet-stream", each.file_bytes or b"", False) for each in list(message.attachments)[:PARTS]]
    return {**found, **_parts([*texts, *files], "utf-8")}


def inside(frame: bytes, *, limits: Limits) -> list[Finding]:
    """What stands inside the attachments of a message. Raises ``Unreadable`` as ``record_of`` does."""
    message = email.message_from_bytes(internet(frame, limits=limits))
    if frame.lower().count(b"boundary=") > NESTED:
        raise Unreadable(f"More than {NESTED} containers of parts", _TODO)
    found: list[Finding] = []
    for number, part in enumerate(message.walk()):
        if number >= PARTS or len(found) >= LINKS:
            break
        name = _clean(_header(part.get_filename() or "", "utf-8")) or part.get_content_type()
        if part.get_content_type() == "message/rfc822" and part.is_multipart():
            found += mail_inside(name, part.get_payload(0))  # type: ignore[arg-type]
        elif not part.is_multipart() and (part.get_filename() or not part.get_content_type().startswith("text/")):
            content = part.get_payload(decode=True)
            found += look_inside(name, content) if isinstance(content, bytes) else []
    return found[:LINKS]


def internet(frame: bytes, *, limits: Limits) -> bytes:
    """A message file as Internet mail: an ``.eml`` as it is, Outlook's ``.msg`` with its headers, texts and attachments. Raises ``Unreadable``."""
    if len(frame) > limits.mail_bytes:
        raise too_large(len(frame), limits)
    if not frame.startswith(OLE):
        return frame
    try:
        return _rebuilt(frame)
    except Exception as error:  # a foreign parser on hostile bytes
        raise Unreadable(f"Not a readable message: {type(error).__name__}: {str(error)[:160]}", _TODO) from error


def _rebuilt(frame: bytes) -> bytes:
    import oxmsg  # only nodes that read Outlook's files pay for it

    message, made = oxmsg.Message.load(io.BytesIO(frame)), EmailMessage()
    headers = [(str(name), _clean(str(value))) for name, value in dict(message.message_headers or {}).items()]
    for name, value in headers:
        if name.lower().startswith(("content-", "mime-version")):
            continue
        with suppress(ValueError):  # a second From, or a value that no mail may have
            made[name] = value
    said = {"From": _clean(message.sender or ""), "To": ", ".join(_clean(each.email_address or "") for each in list(message.recipients)[:1000]), "Subject": _clean(message.subject or "")}
    for name, value in said.items():
        if value and name not in made:
            made[name] = value
    made.set_content(message.body or "")
    if message.html_body:
        made.add_alternative(message.html_body, subtype="html")
    for each in list(message.attachments)[:PARTS]:
        kind, _, sub = (each.mime_type or "application/octet-stream").partition("/")
        made.add_attachment(each.file_bytes or b"", maintype=kind or "application", subtype=sub or "octet-stream", filename=each.file_name or "attachment")
    return made.as_bytes()


def _clean(text: str) -> str:
    """Visible, on one line, without lone surrogates."""
    return " ".join(str(text).encode("utf-8", "replace").decode().replace("\0", NUL).split())[:4096]


def _unique(items: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(_clean(item) for item in items if item))
