"""Generations of a sealing key, kept as files side by side: what is new is sealed under the newest, what is old is opened by the one that sealed it.

Generation 1 is the file ``sealing.key``, those after it ``sealing-2.key``, ``sealing-3.key`` … A number is given once. What is sealed says
which key it wants: texts by the key's hash (``sealed1.hash.…``), bytes by the same sixteen signs before them, steady texts by the
generation's number (``steady2.…``). Bytes without such a beginning are older than the second generation and belong to the first.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from lianfang.engines.envelope.ciphers import Steady
from lianfang.engines.envelope.sealing import SEALED, SealingKey, identity_of
from lianfang.kernel.errors import Conflict, Fault, Missing

_FILE = re.compile(r"sealing(?:-([2-9]|[1-9]\d{1,5}))?\.key")
_HEAD = len(SEALED) + 8


@dataclass(frozen=True, slots=True)
class Keyring:
    """The keys that are here, by generation; never empty.

    >>> ring = Keyring({1: SealingKey(bytes(32)), 2: SealingKey(bytes(31) + b"!")})
    >>> old = ring.keys[1].seal("li", purpose="doctest")
    >>> ring.open(old, purpose="doctest"), ring.generation(old), ring.generation(ring.seal("li", purpose="doctest"))
    ('li', 1, 2)
    """

    keys: Mapping[int, SealingKey]

    @classmethod
    def load(cls, folder: Path) -> Keyring:
        """The key files of a folder. Raises ``Missing`` when there is none, ``Invalid`` when the newest is not a key file; an older one that is none counts as missing."""
        found = generations(folder)
        if not found:
            raise Missing("There is no key file sealing.key", why=str(folder), todo="Restore it from a backup.")
        keys = {}
        for number, path in found.items():
            try:
                keys[number] = _loaded(path, path.stat().st_mtime_ns, path.stat().st_ino)
            except (Fault, OSError):
                if number == max(found):
                    raise
        return cls(keys)

    @property
    def newest(self) -> int:
        """The generation under which is sealed."""
        return max(self.keys)

    def generation(self, sealed: str | bytes) -> int | None:
        """Which generation sealed a text or bytes; ``None``: a key that is not here."""
        return mark_of(sealed).generation(self.ids)

    @property
    def ids(self) -> dict[str, int]:
        """Key → generation."""
        return {key.id: number for number, key in self.keys.items()}

    def seal(self, text: str, *, purpose: str) -> str:
        """As ``SealingKey.seal``, under the newest."""
        return self.keys[self.newest].seal(text, purpose=purpose)

    def open(self, sealed: str, *, purpose: str) -> str:
        """As ``SealingKey.open``, by the key that sealed it."""
        return self.keys.get(self.generation(sealed) or 0, self.keys[self.newest]).open(sealed, purpose=purpose)

    def seal_bytes(self, data: bytes, *, purpose: str) -> bytes:
        """As ``SealingKey.seal_bytes``, under the newest, which stands before it."""
        key = self.keys[self.newest]
        return f"{SEALED}{key.id}".encode() + key.seal_bytes(data, purpose=purpose)

    def open_bytes(self, sealed: bytes, *, purpose: str) -> bytes:
        """What ``seal_bytes`` sealed, or a key of the first generation before there were others. Raises ``Conflict`` when its key is not here, ``Invalid`` when it was changed."""
        mark = mark_of(sealed)
        key = self.keys.get(mark.generation(self.ids) or 0)
        if key is None:
            raise Conflict("This was sealed under another key", why=f"It wants the key {mark.key or 'of generation 1'}; here are {', '.join(sorted(self.ids))}.", todo="Restore the key file from a backup.")
        return key.open_bytes(sealed[_HEAD:] if mark.key else sealed, purpose=purpose)

    def steady(self, purpose: str, generation: int | None = None) -> Steady:
        """Steady sealing for one purpose under a generation (the newest when left out). Raises ``Missing`` when it is not here."""
        number = self.newest if generation is None else generation
        if number not in self.keys:
            raise Missing(f"Generation {number} of the sealing key is not here", todo="Restore its file from a backup.")
        return Steady.of(self.keys[number].secret, purpose, generation=number)


@dataclass(frozen=True, slots=True)
class Mark:
    """What a sealed thing says of its key: the key's hash, or ``""`` for what was sealed before there were generations."""

    key: str

    def generation(self, ids: Mapping[str, int]) -> int | None:
        """The generation of that key among those known (key → generation)."""
        return ids.get(self.key) if self.key else 1 if 1 in ids.values() else None


def mark_of(sealed: str | bytes) -> Mark:
    """The mark that a sealed text or bytes carry.

    >>> mark_of("sealed1.0123abcd.AAAA"), mark_of(b"sealed1.0123abcd...."), mark_of(bytes(40))
    (Mark(key='0123abcd'), Mark(key='0123abcd'), Mark(key=''))
    """
    if isinstance(sealed, str):
        return Mark(identity_of(sealed))
    head = sealed[:_HEAD]
    return Mark(head[len(SEALED) :].decode("ascii", "replace") if head.startswith(SEALED.encode()) else "")


def key_file(folder: Path, generation: int) -> Path:
    """Where the key of a generation lies.

    >>> [key_file(Path("keys"), number).name for number in (1, 2)]
    ['sealing.key', 'sealing-2.key']
    """
    return folder / ("sealing.key" if generation == 1 else f"sealing-{generation}.key")


def generations(folder: Path) -> dict[int, Path]:
    """The key files that lie in a folder, by generation."""
    found = ((_FILE.fullmatch(path.name), path) for path in folder.glob("sealing*.key"))
    return {int(hit[1] or 1): path for hit, path in found if hit}


@lru_cache(maxsize=64)
def _loaded(path: Path, _changed: int, _inode: int) -> SealingKey:
    """A key file is never written twice: read once."""
    return SealingKey.load(path)
