"""The sample stream: labelled logs that show a fresh node at work, as if they had been written just now.

In: a folder of ``*.jsonl`` and ``*.log``. Out: one source per file, fed through the same spool as everything else. All
times in the text are moved by the same span, so that the last of all becomes now.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from lianfang.kernel import clock
from lianfang.kernel.errors import Missing
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.lake import models
from lianfang.rooms.lake.actions import receiving, sources
from lianfang.rooms.lake.types import BatchRef, Kind

PART = 2_000
ISO = re.compile(rb"(?<!\d)(\d{4}-\d\d-\d\d)([T ])(\d\d:\d\d:\d\d)(?!\d)")
BSD = re.compile(rb"(?<![A-Za-z])(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) ([ \d]\d) (\d\d:\d\d:\d\d)(?!\d)")
CLF = re.compile(rb"(?<!\d)(\d\d)/(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)/(\d{4}):(\d\d:\d\d:\d\d)(?!\d)")


def feed_sample(folder: Path, *, actor: Viewer) -> list[BatchRef]:
    """Feed every file of the sample stream; each becomes a source ``sample-<name>`` that one click removes."""
    found = sorted(path for path in folder.glob("*") if path.suffix in (".jsonl", ".log")) if folder.is_dir() else []
    if not found:
        raise Missing(f"There is no sample stream in {folder}", todo="Check the installation.")
    span = _span([path.read_bytes() for path in found])
    return [ref for path in found for ref in _feed(path, span, actor)]


def erase_sample(*, actor: Viewer) -> int:
    """Remove the sample stream and everything that came of it; returns how many sources went."""
    actor.must("lake.source.delete")
    rows = list(models.Source.objects.seen_by(actor).filter(kind=Kind.SAMPLE))
    for row in rows:
        sources.erase_source(row, actor=actor)
    return len(rows)


def _feed(path: Path, span: timedelta, actor: Viewer) -> list[BatchRef]:
    name = f"sample-{path.stem}"[:60]
    sources.ensure_source(name, kind=Kind.SAMPLE, zone="UTC", actor=actor)  # as its times are shifted
    lines = [shifted(line, span) for line in path.read_bytes().splitlines() if line.strip()]
    return [receiving.receive(name, lines[start : start + PART], actor=actor) for start in range(0, len(lines), PART)]


def _span(texts: list[bytes]) -> timedelta:
    """From the last time in the stream to now, in whole seconds."""
    moments = [_iso(match.group(1), match.group(3)) for text in texts for match in ISO.finditer(text)]
    return timedelta(seconds=int((clock.now() - max(moments)).total_seconds()) - 2) if moments else timedelta()


def shifted(line: bytes, span: timedelta) -> bytes:
    """A log line with its times moved, in the form they had.

    >>> shifted(b'{"UtcTime": "2026-01-01 23:59:59.500"} Jan  1 23:59:59 [01/Jan/2026:23:59:59 +0800]', timedelta(seconds=1))
    b'{"UtcTime": "2026-01-02 00:00:00.500"} Jan  2 00:00:00 [02/Jan/2026:00:00:00 +0800]'
    """
    line = ISO.sub(_safely(lambda m: f"{_iso(m[1], m[3]) + span:%Y-%m-%d{m[2].decode()}%H:%M:%S}"), line)
    line = BSD.sub(_safely(lambda m: _bsd(_parsed(f"{clock.now().year} {m[1].decode()} {m[2].decode().strip()} {m[3].decode()}", "%Y %b %d %H:%M:%S") + span)), line)
    return CLF.sub(_safely(lambda m: f"{_parsed(b'/'.join(m.groups()).decode(), '%d/%b/%Y/%H:%M:%S') + span:%d/%b/%Y:%H:%M:%S}"), line)


def _safely(change: Callable[[re.Match[bytes]], str]) -> Callable[[re.Match[bytes]], bytes]:
    """Something that only looks like a time stays as it is."""

    def replace(match: re.Match[bytes]) -> bytes:
        try:
            return change(match).encode()
        except (ValueError, OverflowError):
            return match[0]

    return replace


def _iso(day: bytes, moment: bytes) -> datetime:
    return _parsed(f"{day.decode()} {moment.decode()}", "%Y-%m-%d %H:%M:%S")


def _parsed(text: str, form: str) -> datetime:
    return datetime.strptime(text, form).replace(tzinfo=UTC)


def _bsd(moment: datetime) -> str:
    return f"{moment:%b} {moment.day:2d} {moment:%H:%M:%S}"
