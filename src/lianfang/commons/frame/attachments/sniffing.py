"""What a file is, by its bytes; its name says nothing.

Sources: the magic numbers of each format's specification (PDF, PNG, GIF, JPEG, RIFF, ZIP, gzip, RFC 8878, 7z, MS-CFB, ELF, PE, pcap, pcapng, EVTX).
"""

from __future__ import annotations

import re

_MAGIC = (
    (b"%PDF-", "pdf"), (b"\x89PNG\r\n\x1a\n", "png"), (b"GIF87a", "gif"), (b"GIF89a", "gif"), (b"\xff\xd8\xff", "jpeg"), (b"\x1f\x8b", "gzip"), (b"\x28\xb5\x2f\xfd", "zstd"), (b"7z\xbc\xaf\x27\x1c", "7z"), (b"Rar!\x1a\x07", "rar"),
    (b"\x7fELF", "program"), (b"MZ", "program"), (b"\xca\xfe\xba\xbe", "program"), (b"\xfe\xed\xfa", "program"), (b"\xcf\xfa\xed\xfe", "program"), (b"#!", "script"), (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "office"),
    (b"\xd4\xc3\xb2\xa1", "pcap"), (b"\xa1\xb2\xc3\xd4", "pcap"), (b"\x4d\x3c\xb2\xa1", "pcap"), (b"\x0a\x0d\x0d\x0a", "pcap"), (b"ElfFile\x00", "evtx"),
)  # fmt: skip
_HTML = re.compile(rb"\s*(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|script|svg|head|body|iframe)\b", re.IGNORECASE | re.DOTALL)

MIME = {
    "pdf": "application/pdf", "png": "image/png", "gif": "image/gif", "jpeg": "image/jpeg", "webp": "image/webp", "zip": "application/zip", "gzip": "application/gzip", "text": "text/plain; charset=utf-8",
}  # fmt: skip
"""What a file of a kind is called when it is served; every other kind is ``application/octet-stream``."""


def sniff(head: bytes) -> str:
    """The kind of a file that begins with ``head``: pdf, png, text, office, zip, program, script, html … or ``unknown``.

    >>> sniff(b"<svg onload=x>"), sniff(b"PK\\x03\\x04"), sniff(b"\\x00\\x01\\x02")
    ('html', 'zip', 'unknown')
    """
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "webp"
    if head.startswith(b"PK\x03\x04"):
        return "office" if b"[Content_Types].xml" in head or b"word/" in head or b"xl/" in head or b"ppt/" in head else "zip"
    if _HTML.match(head):
        return "html"
    return "text" if head and _is_text(head) else "unknown"


def _is_text(head: bytes) -> bool:
    if b"\0" in head and not head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return False
    for encoding in ("utf-8", "gb18030", *(("utf-16",) if head[:2] in (b"\xff\xfe", b"\xfe\xff") else ())):
        for cut in range(4):  # the beginning may end within a character
            try:
                text = head[: len(head) - cut].decode(encoding)
            except UnicodeDecodeError:
                continue
            return sum(sign < " " and sign not in "\t\r\n\f\x1b" for sign in text) * 50 <= len(text)
    return False
