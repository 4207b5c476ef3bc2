"""The doors of the ingest process: syslog ports, watched folders, and what is asked; opened and closed as sources change.

In: the sources of these kinds. Out: calls of ``receive``. A port that cannot be opened is said on the source's page.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from time import time
from typing import Any, Protocol

from django.conf import settings
from django.db import close_old_connections, connections, transaction
from django.db.models import F

from lianfang.engines.connect import files as containers
from lianfang.engines.connect import joining
from lianfang.engines.connect.captures import NoReader
from lianfang.kernel import clock
from lianfang.kernel.errors import Conflict, Fault
from lianfang.kernel.viewer import SYSTEM
from lianfang.rooms.lake import models
from lianfang.rooms.lake.actions import asking, files, pulling, receiving, sources
from lianfang.rooms.lake.actions.runs import Runs
from lianfang.rooms.lake.adapters import folder
from lianfang.rooms.lake.adapters.syslog import certificates
from lianfang.rooms.lake.adapters.syslog.listeners import Tcp, Tls, Udp
from lianfang.rooms.lake.types import Busy, Kind, Stage, lines_of

log = logging.getLogger(__name__)

LISTENING = (Kind.SYSLOG_UDP, Kind.SYSLOG_TCP, Kind.SYSLOG_TLS, Kind.FOLDER, Kind.KAFKA, Kind.DATABASE, Kind.POLL)
SHARED = (Kind.KAFKA,)
BESIDE = ("note", "layer", "template", "zone", "silent_after", "hold")
"""What of a source its door does not depend on."""
READ = ("codec", "encoding", "header", "start")
"""How a source is read: a folder takes its files apart by it, the other doors leave that to preparing."""
LOOK = 1.0
SETTLED = 3.0
"""Seconds without change after which a packed file is read, and a last line without its end is taken as it is."""
IDLE = 30.0
LONGEST_RUN = 60.0
"""Seconds after which a run of a folder that never rests ends, and the next one goes on."""


class Door(Protocol):
    """Something that is open until it is closed; ``dropped`` counts what it lost."""

    dropped: int

    def close(self) -> None: ...


@dataclass(slots=True)
class _Standing:
    wanted: tuple[Any, ...]
    door: Door
    told: int = 0
    hurried: datetime | None = None


@contextmanager
def open_doors(stop: threading.Event, *, first: bool = True) -> Iterator[None]:
    """Keep the doors that the sources want, for the length of a ``with`` block. Of several processes only the ``first`` has ports,
    folders and what is asked; the members of a Kafka group share its partitions by themselves."""
    thread = threading.Thread(target=_keep, args=(stop, LISTENING if first else SHARED), name="lake-doors")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        receiving.seal()


def _keep(stop: threading.Event, kinds: Sequence[Kind]) -> None:
    standing: dict[str, _Standing] = {}
    while not stop.is_set():
        try:
            close_old_connections()
            _arrange(standing, kinds)
        except Exception:
            log.exception("arranging the doors failed; it is tried again")
        stop.wait(LOOK)
    for one in standing.values():
        one.door.close()
    connections.close_all()


def _arrange(standing: dict[str, _Standing], kinds: Sequence[Kind] = LISTENING) -> None:
    """Close what is no longer wanted, open what is newly wanted, tell what was dropped."""
    rows = {row.name: row for row in models.Source.objects.filter(kind__in=kinds, stage=Stage.ACTIVE)}
    for name, one in list(standing.items()):
        _tell_dropped(name, one)
        if name not in rows or _wanted(rows[name]) != one.wanted:
            standing.pop(name).door.close()
    for name, row in rows.items():
        if name in standing:
            _hurry(standing[name], row)
        elif (door := _open(row)) is not None:
            standing[name] = _Standing(_wanted(row), door, hurried=row.hurried)


def _hurry(one: _Standing, row: models.Source) -> None:
    """Have a source read now for which somebody asked."""
    if row.hurried != one.hurried:
        one.hurried = row.hurried
        if isinstance(one.door, pulling.Worker):
            one.door.hurry()


def _wanted(row: models.Source) -> tuple[Any, ...]:
    """What a door is made of: when any of it changes the door is made anew. A renewed certificate is another one."""
    beside = BESIDE if row.kind == Kind.FOLDER else (*BESIDE, *READ)
    return (row.kind, row.sealed, *(getattr(row, name) for name in sources.FIELDS if name not in beside), _certificate(row))


def _certificate(row: models.Source) -> tuple[float, ...]:
    if row.kind == Kind.SYSLOG_TLS:
        with suppress(Fault, OSError):  # said when the port is opened
            return tuple(path.stat().st_mtime for path in certificates.files(_keys()))
    return ()


def _keys() -> Path:
    return Path(settings.HOME) / "keys"


def _tell_dropped(name: str, one: _Standing) -> None:
    fresh = one.door.dropped - one.told
    if fresh:
        models.Source.objects.filter(name=name).update(dropped=F("dropped") + fresh)
        one.told += fresh


def _open(row: models.Source) -> Door | None:
    """The door of a source; its trouble, if it has any, is kept on the source."""
    try:
        door = _OPENERS[row.kind](row)
    except (OSError, Fault, ValueError, TypeError) as error:
        models.Source.objects.filter(pk=row.pk).update(trouble=lines_of(error)[:300])
        return None
    if row.trouble and row.kind not in asking.KINDS:  # who asks tells by itself when it is well again
        models.Source.objects.filter(pk=row.pk).update(trouble="")
    return door


def _put(name: str) -> Callable[[Sequence[bytes], Sequence[tuple[bytes, str, str]]], object]:
    def put(frames: Sequence[bytes], faults: Sequence[tuple[bytes, str, str]]) -> None:
        receiving.receive(name, frames, actor=SYSTEM, faults=faults)

    return put


class Watch:
    """Watches one folder. While the node is busy it waits; the files keep."""

    def __init__(self, row: models.Source):
        self.path = sources.allowed_folder(row.path)
        self.source, self.pattern, self.dropped, self.manner = row, row.pattern or "*", 0, files.manner_of(row)
        self._missing = ""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name=f"folder-{row.name}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop after the part in hand."""
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.is_set():
            try:
                close_old_connections()
                self.look()
            except Busy:
                pass
            except Exception as error:
                log.exception("watching %s failed; it is tried again", self.path)
                self.runs.failed(error)
            self._stop.wait(LOOK)
        try:
            self.runs.stopped()
        finally:
            connections.close_all()

    @cached_property
    def runs(self) -> Runs:
        """The history of this folder: a run goes on as long as each look finds something."""
        return Runs(self.source)

    def look(self) -> None:
        """Read what is new, file after file."""
        missing, self._found = "", False
        if self.runs.began and clock.now() - self.runs.began > timedelta(seconds=LONGEST_RUN):
            self.runs.done()
        self.runs.look()
        for seen in folder.files(self.path, pattern=self.pattern):
            if self._stop.is_set():
                return
            try:
                self._file(seen)
            except FileNotFoundError:
                continue  # rotated away this very moment; it is found under its new name
            except OSError as error:
                models.WatchedFile.objects.filter(source=self.source, identity=seen.identity).update(error=str(error)[:300])
                self.runs.failed(Conflict(f"{seen.path.name} cannot be read: {error.strerror or error}", todo="Check the file and who may read it; it is tried again."))
            except NoReader as fault:
                missing = lines_of(fault)[:300]
                self.runs.failed(fault)
        self._tell(missing)
        if not self._found:
            self.runs.done(quiet=False)

    def _tell(self, missing: str) -> None:
        """Say on the source that a program is missing for which files wait, and when it no longer is."""
        if missing:
            models.Source.objects.filter(pk=self.source.pk).exclude(trouble=missing).update(trouble=missing)
        elif self._missing:
            models.Source.objects.filter(pk=self.source.pk, trouble=self._missing).update(trouble="")
        self._missing = missing

    def _file(self, seen: folder.Seen) -> None:
        row, _ = models.WatchedFile.objects.get_or_create(source=self.source, identity=seen.identity, defaults={"path": str(seen.path)[:400]})
        if _is_another(row, seen):
            row.delete()
            row = models.WatchedFile.objects.create(source=self.source, identity=seen.identity, path=str(seen.path)[:400])
        if row.offset >= seen.size and row.pending <= row.offset:
            return
        read = self._whole if seen.is_whole else self._lines
        while not self._stop.is_set() and read(row, seen):
            pass

    def _lines(self, row: models.WatchedFile, seen: folder.Seen) -> bool:
        """The next lines of a growing file; returns whether there may be more at once."""
        again = row.pending if row.pending > row.offset else None
        idle = time() - seen.changed > IDLE
        lines, end = folder.lines(seen.path, row.offset, again, idle=idle, whole=self._whole_events)
        if end <= row.offset:
            return False
        frames, faults = self._records(seen, row.offset, lines)
        self._begin(row, seen, (frames, faults), size=end - row.offset, before=row.offset, after=end, pending=end)
        if frames or faults:
            receiving.receive(self.source.name, frames, actor=SYSTEM, key=f"{row.pk}:{row.offset}", faults=faults)
        self._note(row, seen, offset=end, mark=row.mark or folder.mark(seen.path))
        return end < seen.size

    def _whole_events(self, lines: Sequence[bytes]) -> int:
        """How many of these lines belong to events that are whole: the last one may go on."""
        return joining.open_from(self.manner.codec, lines, start=self.manner.start)

    def _records(self, seen: folder.Seen, offset: int, lines: list[bytes]) -> files.Part:
        """Lines → records that stand alone; the names of columns stand at the beginning of the file, unless the source says them."""
        header = self.manner.header or ("\n".join(folder.head(seen.path, self.manner.codec, self.manner.encoding)) if offset else "")
        found = list(containers.records(lines, manner=replace(self.manner, header=header)))
        return [one for one in found if isinstance(one, bytes)], [(one.raw, one.reason, one.todo) for one in found if not isinstance(one, bytes)]

    def _whole(self, row: models.WatchedFile, seen: folder.Seen) -> bool:
        """A packed file, once it has stopped growing; ``pending`` counts the parts that are safe."""
        if time() - seen.changed < SETTLED:
            return False
        for number, (frames, faults) in enumerate(files.parts(seen.path, self.manner)):
            if number >= row.pending:
                self._begin(row, seen, (frames, faults), size=sum(map(len, frames)), before=number, after=number + 1)
                receiving.receive(self.source.name, frames, actor=SYSTEM, key=f"{row.pk}:{number}", faults=faults)
                self._note(row, seen, pending=number + 1)
        self._note(row, seen, offset=seen.size, pending=0, mark=folder.mark(seen.path))
        return False

    @transaction.atomic
    def _begin(self, row: models.WatchedFile, seen: folder.Seen, part: files.Part, *, size: int, before: int, after: int, **noted: Any) -> None:
        """Write down what is about to be received, for the history and for whoever comes after a crash."""
        self._found = True
        self._note(row, seen, **noted)
        self.runs.took(read=sum(map(len, part)), size=size, before=f"{seen.path.name} · {before:,}", after=f"{seen.path.name} · {after:,}")

    def _note(self, row: models.WatchedFile, seen: folder.Seen, **values: Any) -> None:
        for name, value in {"path": str(seen.path)[:400], "size": seen.size, **values}.items():
            setattr(row, name, value)
        row.save()


def _is_another(row: models.WatchedFile, seen: folder.Seen) -> bool:
    """Whether a known inode now holds another file: it shrank, or it begins otherwise."""
    done = row.offset if not seen.is_whole else 0
    return seen.size < done or bool(row.mark and seen.size >= folder.HEAD and folder.mark(seen.path) != row.mark)


def _port(row: models.Source) -> tuple[str, int]:
    return row.host or "0.0.0.0", row.port or 0  # noqa: S104  (a log port is open by its purpose)


_OPENERS: dict[str, Callable[[models.Source], Door]] = {
    Kind.SYSLOG_UDP: lambda row: Udp(*_port(row), _put(row.name)),
    Kind.SYSLOG_TCP: lambda row: Tcp(*_port(row), _put(row.name)),
    Kind.SYSLOG_TLS: lambda row: Tls(*_port(row), _put(row.name), certificates.context(_keys(), authority=row.authority)),
    Kind.FOLDER: Watch,
    **asking.KINDS,
}
