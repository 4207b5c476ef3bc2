"""Verifying the whole record: every row against its leaf, every leaf against the tree, the tree against what was signed.

Three chains, each checked on its own so that a finding names its place:
rows ↔ leaf hashes (an edited, moved, removed or inserted row); leaf hashes ↔ upper tiles (a damaged tree); tree ↔ signed
checkpoints in the database and the one kept outside it (a log that was rewritten or rolled back as a whole).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from lianfang.commons.ledger.models import Checkpoint, Head, Record, Tile, identity
from lianfang.commons.ledger.models.leaves import commitment, document, leaf
from lianfang.commons.ledger.models.tables import load_tile
from lianfang.commons.ledger.types import FORGOTTEN, Kind, Problem, Verdict
from lianfang.engines import envelope, merkle
from lianfang.kernel.errors import Fault
from lianfang.kernel.ref import Ref

WINDOW = 4_096
MOST = 1_000

Row = dict[str, Any]
COLUMNS = ("seq", "id", "organisation", "territory", "industry", "time", "verb", "ref", "label", "actor", "actor_name", "actor_kind", "detail", "salt", "commitment")


@dataclass(slots=True)
class Findings:
    """What was found so far; more than ``MOST`` of them say nothing new."""

    problems: list[Problem] = field(default_factory=list)
    strange: dict[int, Row] = field(default_factory=dict)
    forgotten: int = 0
    rows: int = 0

    def add(self, kind: Kind, seq: int | None, what: str) -> None:
        if len(self.problems) < MOST:
            self.problems.append(Problem(kind, seq, what))


def verify(progress: Callable[[int, int], None] | None = None) -> Verdict:
    """Read everything and compare. ``progress(done, total)`` is called once per window of records."""
    findings = Findings()
    marks = _checkpoints(findings)  # before the head: what is signed meanwhile must not look like a missing tail
    name, size = Head.objects.filter(pk=1).values_list("node", "size").first() or ("", 0)
    total = max([size, *marks])
    frontier = merkle.Frontier()
    for start in range(0, total, WINDOW):
        hashes = _leaf_hashes(start, min(WINDOW, total - start))
        _compare_rows(name, start, hashes, min(size, start + len(hashes)), findings)
        _climb(frontier, hashes, marks, findings)
        if progress:
            progress(min(start + WINDOW, total), total)
    _compare_upper_tiles(frontier.size, findings)
    _compare_ends(name, size, frontier.size, marks, findings)
    _name_the_moved(name, findings)
    return _verdict(findings, len(marks), frontier)


def _verdict(findings: Findings, checkpoints: int, frontier: merkle.Frontier) -> Verdict:
    ordered = tuple(sorted(findings.problems, key=lambda problem: (problem.seq is None, problem.seq or 0)))
    return Verdict(not ordered, findings.rows, checkpoints, ordered, Record.objects.filter(seq=None).count(), findings.forgotten, frontier.root().hex())


def _checkpoints(findings: Findings) -> dict[int, str]:
    """Signed sizes and roots. A note that does not hold, or does not say what its row says, is a finding."""
    notes = [(row.size, row.root, row.note) for row in Checkpoint.objects.order_by("size").iterator(WINDOW)]
    outside = identity.last_checkpoint()
    if not notes and not outside:
        return {}
    marks: dict[int, str] = {}
    trusted = identity.trusted()
    for size, root, note in [*notes, (None, None, outside)] if outside else notes:
        try:
            signed = envelope.Checkpoint.open(note, trusted, origin=trusted[0].name if trusted else "")
        except Fault as fault:
            findings.add(Kind.CHECKPOINT, size, str(fault))
            continue
        if size is not None and (signed.size, signed.root.hex()) != (size, root):
            findings.add(Kind.CHECKPOINT, size, "The signed checkpoint says something else than its row.")
        if marks.setdefault(signed.size, signed.root.hex()) != signed.root.hex():
            findings.add(Kind.REWRITTEN, signed.size, "Two roots were signed for one size.")
    return marks


def _leaf_hashes(start: int, count: int) -> list[bytes]:
    """The stored hashes of a window, as far as there are any. ``start`` is a multiple of the tile width."""
    first, last = start // merkle.TILE_WIDTH, (start + count - 1) // merkle.TILE_WIDTH
    tiles = dict(Tile.objects.filter(pk__range=(first, last)).values_list("pk", "hashes"))
    hashes: list[bytes] = []
    for index in range(first, last + 1):
        blob = bytes(tiles.get(index, b""))
        hashes += [blob[i : i + merkle.HASH_SIZE] for i in range(0, len(blob), merkle.HASH_SIZE)]
        if len(blob) < merkle.TILE_WIDTH * merkle.HASH_SIZE:
            break
    return hashes[:count]


def _compare_rows(name: str, start: int, hashes: list[bytes], end: int, findings: Findings) -> None:
    expected = start
    for row in _window(start, start + max(len(hashes), end - start)):
        for seq in range(expected, row["seq"]):
            findings.add(Kind.REMOVED, seq, "There is no row at this place.")
        expected = row["seq"] + 1
        findings.rows += 1
        _compare_row(name, row, hashes[row["seq"] - start] if row["seq"] - start < len(hashes) else b"", findings)
    for seq in range(expected, end):
        findings.add(Kind.REMOVED, seq, "There is no row at this place.")


def _window(start: int, end: int) -> Iterator[Row]:
    return iter(Record.objects.filter(seq__gte=start, seq__lt=end).order_by("seq").values(*COLUMNS))


def _compare_row(name: str, row: Row, stored: bytes, findings: Findings) -> None:
    seq, committed = row["seq"], bytes(row["commitment"])
    if row["salt"] is None or row["detail"] is None:
        findings.forgotten += 1
        if not _forgotten_on_record(row):
            findings.add(Kind.EDITED, seq, "Its content is gone, and no record tells who erased it.")
    elif commitment(bytes(row["salt"]), _document(row)) != committed:
        findings.add(Kind.EDITED, seq, f"{row['verb']} on {row['ref']}: what the row says is not what was committed to.")
    if _hash(name, row, seq) != stored and len(findings.strange) < MOST:
        findings.strange[seq] = row


def _document(row: Row) -> bytes:
    return document(row["id"].hex, row["actor"], row["actor_name"], row["label"], row["organisation"], row["territory"], row["industry"], row["detail"])


def _hash(name: str, row: Row, seq: int) -> bytes:
    return merkle.leaf_hash(leaf(name, seq, row["verb"], row["time"], row["actor_kind"], row["ref"], bytes(row["commitment"])))


def _forgotten_on_record(row: Row) -> bool:
    empty = not any(row[column] for column in ("salt", "detail", "label", "actor", "actor_name", "organisation"))
    return empty and Record.objects.filter(ref=str(Ref("ledger", "record", str(row["id"]))), verb=FORGOTTEN).exists()


def _climb(frontier: merkle.Frontier, hashes: list[bytes], marks: dict[int, str], findings: Findings) -> None:
    """Grow the tree from the stored leaf hashes and compare its root wherever one was signed."""
    for hashed in hashes:
        frontier.append(hashed)
        if frontier.size in marks and frontier.root().hex() != marks[frontier.size]:
            before = max((size for size in marks if size < frontier.size), default=0)
            findings.add(Kind.REWRITTEN, frontier.size, f"The first {frontier.size} records no longer give the root that was signed; something before {frontier.size} was changed together with the tree (the checkpoint at {before} tells whether before or after it).")


def _compare_upper_tiles(size: int, findings: Findings) -> None:
    """Every tile above the leaves is what the tiles below it give."""
    level, count, below = 1, size // merkle.TILE_WIDTH, merkle.Tiles(load_tile)
    while count:
        for index in range(-(-count // merkle.TILE_WIDTH)):
            first = index * merkle.TILE_WIDTH
            wanted = b"".join(_above(below, level, n) for n in range(first, min(first + merkle.TILE_WIDTH, count)))
            if load_tile(level, index)[: len(wanted)] != wanted:
                findings.add(Kind.TREE, None, f"Tile {level}/{index} of the tree is not what lies below it.")
        level, count = level + 1, count // merkle.TILE_WIDTH


def _above(below: merkle.Tiles, level: int, index: int) -> bytes:
    """A node at the foot of tile level ``level``, computed from the tiles one level down; empty where those have a hole."""
    try:
        return merkle.node_hash(*(below.node(8 * level - 1, 2 * index + side) for side in (0, 1)))
    except IndexError:
        return b""


def _compare_ends(name: str, size: int, hashed: int, marks: dict[int, str], findings: Findings) -> None:
    """Nothing stands beyond the head, and nothing that was signed is missing at the end."""
    signed = max(marks, default=0)
    if signed > min(size, hashed):
        findings.add(Kind.TRUNCATED, min(size, hashed), f"{signed} records were signed for, {min(size, hashed)} are there.")
    if hashed < size:
        findings.add(Kind.TREE, hashed, f"The tree ends at {hashed}, the log at {size}.")
    beyond = list(Record.objects.filter(seq__gte=max(size, hashed)).order_by("seq").values_list("seq", flat=True)[:MOST])
    grown = Head.objects.filter(pk=1).values_list("size", flat=True).first() or 0  # after the rows: the log may have grown meanwhile
    for seq in beyond:
        if seq >= grown:
            findings.add(Kind.INSERTED, seq, "This row stands beyond the end of the log.")


def _name_the_moved(name: str, findings: Findings) -> None:
    """A row that is not what its place says, but is what another strange place says, was moved from there."""
    few = dict(islice(findings.strange.items(), 200))  # compared pairwise
    places = {seq: _leaf_hashes(seq - seq % merkle.TILE_WIDTH, seq % merkle.TILE_WIDTH + 1)[-1:] for seq in few}
    edited = {problem.seq for problem in findings.problems if problem.kind == Kind.EDITED}
    for seq, row in findings.strange.items():
        origin = next((place for place, stored in places.items() if place != seq and [_hash(name, row, place)] == stored), None)
        if origin is not None:
            findings.add(Kind.MOVED, seq, f"{row['verb']} on {row['ref']} stood at {origin}.")
        elif seq not in edited:
            findings.add(Kind.EDITED, seq, f"{row['verb']} on {row['ref']}: the row is not the one that was sealed here.")
