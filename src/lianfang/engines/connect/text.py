"""One frame as text, and the syslog header that devices put before formats of their own (CEF, LEEF, key=value, JSON)."""

from __future__ import annotations

from collections.abc import Sequence

from lianfang.engines.connect.flatten import NUL, put
from lianfang.engines.connect.limits import Limits, Unreadable, too_large

EMPTY = Unreadable("An empty record", "Nothing to do; if many come, check the sender.")


def text_of(frame: bytes, *, limits: Limits, encoding: str = "utf-8") -> str:
    """Bytes → text without its end of line; raises ``Unreadable`` when it is empty or too large.

    ``auto`` is UTF-8, or GB 18030 (which holds GBK) where the bytes are not UTF-8. What is broken becomes U+FFFD.

    >>> text_of("登录失败".encode("gbk"), limits=Limits(), encoding="auto")
    '登录失败'
    """
    if len(frame) > limits.frame_bytes:
        raise too_large(len(frame), limits)
    text = decoded(frame, encoding).rstrip("\0\r\n").replace("\0", NUL).removeprefix("\ufeff")
    if not text.strip():
        raise EMPTY
    return text


def decoded(frame: bytes, encoding: str) -> str:
    """Bytes → text, whatever they are."""
    if encoding != "auto":
        return frame.decode(encoding, "replace")
    for strict in ("utf-8", "gb18030"):
        try:
            return frame.decode(strict)
        except UnicodeDecodeError:
            continue
    return frame.decode("utf-8", "replace")


def readable(frame: bytes, encoding: str) -> str:
    """A record as people read it, in its source's encoding; JSON that was made of a row of a file is UTF-8 whatever the file was.

    >>> readable("登录失败".encode("gbk"), "gb18030"), readable('{"a": "登录"}'.encode(), "gb18030")
    ('登录失败', '{"a": "登录"}')
    """
    return decoded(frame, "auto" if frame.startswith(b'{"') and encoding != "utf-8" else encoding)


def readables(frames: Sequence[bytes], encoding: str) -> list[str]:
    """``readable`` of many."""
    if encoding == "utf-8":
        return [frame.decode("utf-8", "replace") for frame in frames]
    return [readable(frame, encoding) for frame in frames]


def under(row: dict[str, str], header: dict[str, str]) -> dict[str, str]:
    """A row with the syslog header it came under; the device's own fields keep their names.

    >>> under({"severity": "high"}, {"severity": "info", "hostname": "fw1"})
    {'severity': 'high', 'syslog.severity': 'info', 'hostname': 'fw1'}
    """
    for name, value in header.items():
        put(row, name if name not in row else f"syslog.{name}", value)
    return row
