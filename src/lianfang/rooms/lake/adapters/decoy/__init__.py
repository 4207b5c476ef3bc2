"""What the script on a page of ours says of the device that looks at it → one record. Everything in it is a stranger's word.

In: the bytes of a request, and what the node saw itself of the sender. Out: a JSON object with known names, each text cut
and each list bounded; anything else is left out, so that nobody writes attributes of their own into the lake.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from lianfang.kernel.errors import Invalid

MOST_BYTES = 16 << 10
_TEXT, _LIST = 400, 80
_HEX = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[0-9a-f]{32}")
_DIGESTS = ("canvas", "audio", "math")
_TEXTS = ("platform", "zone", "network", "media")
_NUMBERS = ("cores", "memory", "touch", "offset")
_FLAGS = ("webdriver", "storage", "cookies")
_LISTS = ("languages", "fonts", "plugins", "addresses")
_INSIDE = {"screen": ("width", "height", "available_width", "available_height", "depth", "ratio"), "webgl": ("vendor", "renderer", "version", "digest"), "details": ("platform", "version", "architecture", "bitness", "model")}
_STEADY = ("canvas", "audio", "math", "webgl", "fonts", "platform", "cores", "memory", "touch", "zone", "media")
"""What stays when the address, the window or the browser's release changes: of these a device's digest is made."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What the node saw itself of a visit: moment (RFC 3339), address, and headers."""

    at: str
    address: str
    agent: str
    languages: str


@cache
def script() -> bytes:
    """The collector as it is served."""
    return Path(__file__).with_name("collect.js").read_bytes()


def record(body: bytes, seen: Seen, *, source: str) -> bytes:
    """The visit as one JSON frame. Raises ``Invalid`` for what the script never sends."""
    try:
        told = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Invalid("This is no visit", why=str(error)[:200]) from error
    device = told.get("device") if isinstance(told, dict) else None
    if not isinstance(device, dict):
        raise Invalid("This is no visit", why="It tells nothing of a device.")
    kept = _kept(device)
    steady = {name: kept[name] for name in _STEADY if name in kept} | {"screen": sorted(str(kept.get("screen", {}).get(name)) for name in ("width", "height", "depth"))}
    digest = sha256(json.dumps(steady, sort_keys=True).encode()).hexdigest()
    visitor = told.get("visitor")
    decoy = {"seen": seen.at, "source": source, "device": digest[:16], "digest": digest, "summary": _summary(kept), **({"visitor": visitor} if isinstance(visitor, str) and _NAME.fullmatch(visitor) else {})}
    row = {"decoy": decoy, "src_ip": seen.address, "page": _text(told.get("page")), "referrer": _text(told.get("referrer")), "user_agent": seen.agent[:_TEXT], "accept_language": seen.languages[:_TEXT], "device": kept}
    return json.dumps({name: value for name, value in row.items() if value}, ensure_ascii=False).encode("utf-8", "replace")


def _kept(device: dict[str, Any]) -> dict[str, Any]:
    """The known names whose values are of their kind."""
    found: dict[str, Any] = {name: device[name] for name in _DIGESTS if isinstance(device.get(name), str) and _HEX.fullmatch(device[name])}
    found |= {name: text for name in _TEXTS if (text := _text(device.get(name)))}
    found |= {name: device[name] for name in _NUMBERS if _is_number(device.get(name))}
    found |= {name: device[name] for name in _FLAGS if isinstance(device.get(name), bool)}
    found |= {name: [_text(one) for one in device[name][:_LIST] if _text(one)] for name in _LISTS if isinstance(device.get(name), list)}
    for name, inside in _INSIDE.items():
        said = device[name] if isinstance(device.get(name), dict) else {}
        if part := {key: value if _is_number(value) else _text(value) for key in inside if _is_number(value := said.get(key)) or _text(value)}:
            found[name] = part
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e9


def _text(value: Any) -> str:
    return value[:_TEXT].encode("utf-8", "replace").decode() if isinstance(value, str) else ""


def _summary(kept: dict[str, Any]) -> str:
    """A line by which a person knows a device again."""
    screen = kept.get("screen", {})
    size = f"{screen['width']}×{screen['height']}" if screen.get("width") and screen.get("height") else ""
    return " · ".join(filter(None, (kept.get("platform", ""), kept.get("webgl", {}).get("renderer", ""), size, kept.get("zone", ""), ", ".join(kept.get("languages", [])[:3]))))[:_TEXT]
