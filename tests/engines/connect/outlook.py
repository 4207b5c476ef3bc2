"""A message file as Outlook saves it ([MS-OXMSG] in a compound file, [MS-CFB]), as small as it can be: for tests."""

from __future__ import annotations

import struct
from itertools import pairwise

SECTOR, MINI, SMALL, END, FREE, FAT = 512, 64, 4096, 0xFFFFFFFE, 0xFFFFFFFF, 0xFFFFFFFD
SUBJECT, HEADERS, BODY, SENDER, ADDRESS, SENT_BY = "0037", "007D", "1000", "0C1A", "39FE", "5D01"
FILE_NAME, MIME, CONTENT = "3707", "370E", "3701"


def message(texts: dict[str, str], *, to: tuple[str, ...] = (), files: tuple[tuple[str, str, bytes], ...] = ()) -> bytes:
    """``texts``: property number → text; ``files``: name, type, content of each attachment."""
    tree: dict[str, object] = {"__properties_version1.0": _properties(32, texts, len(to), len(files)), **_streams(texts)}
    for number, address in enumerate(to):
        said = {"3001": address, ADDRESS: address, "3003": address}
        tree[f"__recip_version1.0_#{number:08X}"] = {"__properties_version1.0": _properties(8, said), **_streams(said)}
    for number, (name, kind, content) in enumerate(files):
        said = {FILE_NAME: name, MIME: kind}
        extra = struct.pack("<HHIII", 0x0102, 0x3701, 6, len(content), 0) + struct.pack("<HHIII", 0x0003, 0x3705, 6, 1, 0)
        tree[f"__attach_version1.0_#{number:08X}"] = {"__properties_version1.0": _properties(8, said) + extra, **_streams(said), "__substg1.0_37010102": content}
    tree["__nameid_version1.0"] = {"__substg1.0_00020102": b"", "__substg1.0_00030102": b"", "__substg1.0_00040102": b""}
    return _compound(tree)


def _properties(head: int, texts: dict[str, str], recipients: int = 0, attachments: int = 0) -> bytes:
    top = struct.pack("<8xIIII8x", recipients, attachments, recipients, attachments) if head == 32 else bytes(head)
    return top + b"".join(struct.pack("<HHIII", 0x001F, int(name, 16), 6, len(text.encode("utf-16-le")) + 2, 0) for name, text in texts.items())


def _streams(texts: dict[str, str]) -> dict[str, bytes]:
    return {f"__substg1.0_{name}001F": text.encode("utf-16-le") for name, text in texts.items()}


def _compound(tree: dict[str, object]) -> bytes:
    """A compound file: streams below 4,096 bytes lie in the mini stream, the others in sectors of their own."""
    entries: list[list[object]] = [["Root Entry", 5, FREE, FREE, FREE, END, 0]]
    fat: list[int] = []
    body, small, minifat = b"", b"", list[int]()

    def put(content: bytes) -> int:
        nonlocal body, small
        if 0 < len(content) < SMALL:
            first, count = len(minifat), -(-len(content) // MINI)
            minifat.extend([*range(first + 1, first + count), END])
            small += content.ljust(count * MINI, b"\0")
            return first
        return whole(content)

    def whole(content: bytes) -> int:
        nonlocal body
        if not content:
            return END
        first, count = len(fat), -(-len(content) // SECTOR)
        fat.extend([*range(first + 1, first + count), END])
        body += content.ljust(count * SECTOR, b"\0")
        return first

    def add(parent: int, children: dict[str, object]) -> None:
        places, ordered = [], sorted(children.items(), key=lambda item: (len(item[0]), item[0].upper()))
        for name, what in ordered:
            places.append(len(entries))
            entries.append([name, 2 if isinstance(what, bytes) else 1, FREE, FREE, FREE, END, 0])
        for place, (_name, what) in zip(places, ordered):
            if isinstance(what, bytes):
                entries[place][5:] = put(what), len(what)
            else:
                add(place, what)  # type: ignore[arg-type]
        for place, after in pairwise(places):
            entries[place][3] = after
        entries[parent][4] = places[0] if places else FREE

    add(0, tree)
    entries[0][5:] = whole(small), len(small)
    minis = whole(struct.pack(f"<{len(minifat)}I", *minifat))
    start = whole(b"".join(_entry(*one) for one in entries))  # type: ignore[arg-type]
    sectors = -(-(len(fat) + 20) * 4 // SECTOR)
    where = list(range(len(fat), len(fat) + sectors))
    fat.extend([FAT] * sectors)
    table = struct.pack(f"<{len(fat)}I", *fat).ljust(sectors * SECTOR, b"\xff")
    header = struct.pack("<8s16xHHHHH6xIIIIIIIII", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", 0x3E, 3, 0xFFFE, 9, 6, 0, sectors, start, 0, SMALL, minis, -(-len(minifat) * 4 // SECTOR), END, 0)
    return header + struct.pack("<109I", *(where + [FREE] * (109 - sectors))) + body + table


def _entry(name: str, kind: int, left: int, right: int, child: int, start: int, size: int) -> bytes:
    written = name.encode("utf-16-le") + b"\0\0"
    return written.ljust(64, b"\0") + struct.pack("<HBBIII16xI8x8xIQ", len(written), kind, 1, left, right, child, 0, start, size)
