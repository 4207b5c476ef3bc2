"""A pack on disk: which files are rules, what the pack says of itself, and what each rule says beyond Sigma's own fields.

A pack is a folder or an archive of Sigma rules. ``pack.yaml`` at its top may name it (name, version, licence); otherwise
its folder does, its digest is its version, and the first line of its licence file its licence. What lies in ``samples``
are events, not rules.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from lianfang.engines.rules import sources
from lianfang.engines.rules.sources import RuleText
from lianfang.kernel.errors import Invalid

PACK_FILE = ("pack.yaml", "pack.yml")
SAMPLES = "samples"
_ARCHIVE = re.compile(r"\.(zip|tar|tgz|tzst|tar\.gz|tar\.zst)$", re.IGNORECASE)
_LICENCES = (("Detection Rule License", "DRL 1.1"), ("Apache License", "Apache-2.0"), ("MIT License", "MIT"))


@dataclass(frozen=True, slots=True)
class PackText:
    """A pack as read: its name and licence, and its rule files with paths inside the pack."""

    name: str
    version: str
    licence: str
    digest: str
    origin: str
    texts: tuple[RuleText, ...]


def read(path: str | Path) -> PackText:
    """Read a pack. Raises ``Missing`` when there is nothing, ``Invalid`` when there is no rule in it."""
    place = Path(path)
    inside = [RuleText(_inside(text.path, place), text.text) for text in sources.load(place)]
    inside = _below_common_folder(inside) if place.is_file() and _ARCHIVE.search(place.name) else inside
    said = next((_mapping(text.text) for text in inside if text.path in PACK_FILE), {})
    rules = tuple(text for text in inside if text.path not in PACK_FILE and SAMPLES not in PurePosixPath(text.path).parts)
    if not rules:
        raise Invalid(f"There is no rule in {place.name}", why="No .yml or .yaml file was found outside the folder “samples”.", todo="Give a folder or an archive of Sigma rules.")
    digest = digest_of(rules)
    name = str(said.get("name") or _ARCHIVE.sub("", place.resolve().name))[:120]
    return PackText(name, str(said.get("version") or digest[:12])[:60], str(said.get("licence") or _licence(place))[:120], digest, str(place.resolve())[:400], rules)


def digest_of(texts: Iterable[RuleText]) -> str:
    """SHA-256 over paths and texts, whatever their order."""
    whole = hashlib.sha256()
    for text in sorted(texts, key=lambda one: one.path):
        whole.update(f"{len(text.path)}:{text.path}{len(text.text)}:{text.text}".encode("utf-8", "replace"))
    return whole.hexdigest()


def _inside(path: str, place: Path) -> str:
    """``/packs/a/windows/x.yml`` → ``windows/x.yml``; ``a.zip!windows/x.yml`` → ``windows/x.yml``."""
    if place.is_dir():
        return Path(path).relative_to(place).as_posix()
    return path.partition("!")[2] or Path(path).name


def _below_common_folder(texts: list[RuleText]) -> list[RuleText]:
    """Archives often hold one folder that holds everything: it is not part of the paths."""
    tops = {text.path.split("/", 1)[0] for text in texts}
    if len(tops) != 1 or any("/" not in text.path for text in texts):
        return texts
    return [RuleText(text.path.split("/", 1)[1], text.text) for text in texts]


def _mapping(text: str) -> dict[str, Any]:
    try:
        said = yaml.safe_load(text)
    except yaml.YAMLError:
        return {}
    return said if isinstance(said, dict) else {}


def _licence(place: Path) -> str:
    """What the licence file of a folder calls itself, by its first lines."""
    for name in ("LICENSE", "LICENSE.md", "LICENSE.txt", "LICENCE"):
        file = place / name
        if place.is_dir() and file.is_file():
            head = file.read_text("utf-8", "replace")[:4000]
            return next((short for words, short in _LICENCES if words in head), head.strip().splitlines()[0].strip("# ")[:120] if head.strip() else "")
    return ""


def beyond_sigma(text: str, uid: str = "") -> dict[str, Any]:
    """The section ``lianfang`` of a rule: Chinese title, description and false positives. ``uid``: of which, where a file holds several."""
    if "\nlianfang:" not in text:
        return {}
    try:
        documents = [one for one in yaml.safe_load_all(text) if isinstance(one, dict)]
    except yaml.YAMLError:
        return {}
    said = next((one.get("lianfang") for one in documents if len(documents) == 1 or str(one.get("id")) == uid), None)
    return said if isinstance(said, dict) else {}
