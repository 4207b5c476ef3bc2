"""Captures of packets (pcap, pcapng) → records, read by a program beside ours: tshark, Zeek or Suricata.

In: a stream of the capture's bytes, from anybody. Out: JSON, one frame per flow, name asked, request, hello; a ``str`` says
what is wrong at this place, and what came before stands. The program is fed through a pipe and never sees a file of ours;
``capture_child`` takes away what it could do harm with. It resolves no names and captures nothing.
"""

from __future__ import annotations

import os
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import orjson

from lianfang.engines.connect import flows
from lianfang.engines.connect.limits import Limits, Readable, Unreadable
from lianfang.kernel.errors import Missing

MEMORY = 3 << 30
"""Bytes of address space of the program."""
SECONDS = 4 * 3600
"""Of the processor's time, for one capture."""
FILE = 8 << 30
"""Bytes of one file that it may write (Zeek and Suricata write logs)."""
PATIENCE = 300.0
"""Seconds in which the program must take or give something."""
SESSION = 250_000
"""Packets after which tshark forgets what it knows of connections, so that its memory stays bounded."""
_CHUNK = 1 << 18
_TOLD = 4096
_MAGIC = (b"\xd4\xc3\xb2\xa1", b"\xa1\xb2\xc3\xd4", b"\x4d\x3c\xb2\xa1", b"\xa1\xb2\x3c\x4d", b"\x0a\x0d\x0d\x0a")
_CHILD = Path(__file__).with_name("capture_child.py")
_LOGS = ("conn", "dns", "http", "ssl", "files", "notice")
PROGRAMS = ("tshark", "zeek", "suricata")
"""In the order in which the first that is installed is taken."""
INSTALL = "apt-get install tshark"


class NoReader(Missing):
    """No program that reads captures is installed; nothing was read."""


def looks_like(head: bytes) -> bool:
    """Whether a file with this beginning is a capture.

    >>> looks_like(bytes.fromhex("d4c3b2a1")), looks_like(bytes.fromhex("0a0d0d0a")), looks_like(b"#fields")
    (True, True, False)
    """
    return head.startswith(_MAGIC)


def installed() -> dict[str, str]:
    """The programs that are here, and where."""
    return {name: found for name in PROGRAMS if (found := shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/local/zeek/bin:/opt/zeek/bin:/usr/local/bin"))}


def reader(wanted: str = "") -> tuple[str, str]:
    """Name and path of the program that reads captures; ``wanted`` names it where several are installed. Raises ``NoReader``, also for a name that is none of them."""
    if wanted and wanted not in PROGRAMS:
        raise NoReader(f"{wanted[:40]} reads no captures here", why=f"Captures are read by {', '.join(PROGRAMS)}.", todo="Mend LIANFANG_CAPTURES on the node.")
    here = installed()
    for name in (wanted,) if wanted else PROGRAMS:
        if name in here:
            return name, here[name]
    raise NoReader(
        "Captures of packets cannot be read on this node",
        why=f"They are read by {wanted or 'tshark, Zeek or Suricata'}, a program of its own, and it is not installed.",
        todo=f"Install it on the node ({INSTALL}), then send the capture again." if wanted in ("", "tshark") else f"Install {wanted} on the node, or let LIANFANG_CAPTURES name another program.",
    )


def records(stream: Readable, *, wanted: str = "", limits: Limits = Limits()) -> Iterator[bytes | str]:  # noqa: B008 - frozen
    """What a capture holds, as it is met; a ``str`` says what is wrong. Raises ``NoReader``, and what reading the stream raises, after all that could be read."""
    name, program = reader(wanted)
    with tempfile.TemporaryDirectory(prefix="lianfang-capture-") as folder:
        if os.geteuid() == 0:
            os.chown(folder, 65534, 65534)
        run = _Run(stream, limits)
        if name == "tshark":
            yield from _packets(run, program, folder)
        else:
            yield from _logs(run, name, program, folder)
        if fault := run.fault():
            yield fault
        if run.broken:
            raise run.broken


def _packets(run: _Run, program: str, folder: str) -> Iterator[bytes | str]:
    """Lines of tshark → records of flows."""
    names = [*flows.NEEDED, *(name for name in flows.WELCOME if name in _fields(program))]
    command = [program, "-r", "-", "-n", "-M", str(SESSION), "-T", "ek", *(part for name in names for part in ("-e", name))]
    found = flows.Flows()
    for line in run.lines(command, folder):
        if line.startswith(b'{"timestamp"'):
            yield from map(orjson.dumps, found.take(_layers(line)))
    yield from map(orjson.dumps, found.end())


def _layers(line: bytes) -> dict[str, list[str]]:
    """The fields of one packet; empty for what is no packet."""
    try:
        return orjson.loads(line).get("layers") or {}
    except ValueError:
        return {}


@cache
def _fields(program: str) -> frozenset[str]:
    """Which of the welcome fields this release knows: an unknown one would end it."""
    try:
        done = subprocess.run([program, "-G", "fields"], capture_output=True, timeout=60, env=_environment(tempfile.gettempdir()), check=False)
    except subprocess.TimeoutExpired:
        return frozenset()
    known = {parts[2] for line in done.stdout.splitlines() if (parts := line.split(b"\t")) and len(parts) > 2}
    return frozenset(name for name in flows.WELCOME if name.encode() in known)


def _logs(run: _Run, name: str, program: str, folder: str) -> Iterator[bytes | str]:
    """Zeek and Suricata write logs in their folder; they are read when the program has ended."""
    zeek = [program, "-C", "-D", "-r", "-", "LogAscii::use_json=T", "policy/frameworks/files/hash-all-files"]
    suricata = [program, "-r", "/dev/stdin", "-l", ".", "-k", "none"]
    for _ in run.lines(zeek if name == "zeek" else suricata, folder):
        pass
    for log in _LOGS if name == "zeek" else ("eve",):
        path = Path(folder, f"{log}.{'log' if name == 'zeek' else 'json'}")
        if path.exists():
            with path.open("rb") as file:
                yield from _written(file, log if name == "zeek" else "")


def _written(file: Any, log: str) -> Iterator[bytes]:
    """Lines of JSON; Zeek's do not say of which log they are. Suricata's figures of itself are no events."""
    for line in file:
        if line.startswith(b"{") and line.endswith(b"\n") and b'"event_type":"stats"' not in line:
            yield b'{"_path":"%s",%s' % (log.encode(), line[1:].rstrip()) if log else line.rstrip()


def _environment(folder: str) -> dict[str, str]:
    """Nothing of ours: no settings of a person, no plug-ins, no secrets."""
    return {"PATH": os.environ.get("PATH", os.defpath), "HOME": folder, "WIRESHARK_CONFIG_DIR": folder, "TMPDIR": folder, "LC_ALL": "C.UTF-8", "TZ": "UTC"}


@dataclass
class _Run:
    """One run of a program: it is fed, its lines are given, what it says about itself is kept."""

    stream: Readable
    limits: Limits
    broken: BaseException | None = None
    """What reading the stream raised; the program was then told that the capture ends there."""
    said: bytes = b""
    code: int = 0
    fed: int = 0
    given: int = 0
    stopped: str = ""
    waiting: memoryview = field(default_factory=lambda: memoryview(b""))

    def lines(self, command: list[str], folder: str) -> Iterator[bytes]:
        """The lines it prints. It is ended when nobody wants more."""
        limits = [str(MEMORY), str(SECONDS), str(FILE), folder]
        process = subprocess.Popen([sys.executable, "-I", str(_CHILD), *limits, *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=_environment(folder), start_new_session=True)
        try:
            held = b""
            for chunk in self._exchange(process):
                *whole, held = (held + chunk).split(b"\n")
                yield from whole
                if len(held) > 8 * self.limits.frame_bytes:
                    self.stopped = "One packet became a line that is too large"
                    return
            if not self.stopped:
                self.code = process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.stopped = "It did not end"
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            for pipe in (process.stdin, process.stdout, process.stderr):
                with suppress(OSError):  # what was still to be written has no reader any more
                    if pipe is not None:
                        pipe.close()

    def _exchange(self, process: subprocess.Popen[bytes]) -> Iterator[bytes]:
        """Write what it takes, give what it prints, keep the end of what it says; never wait longer than patience."""
        assert process.stdin and process.stdout and process.stderr  # noqa: S101 - opened with pipes
        with selectors.DefaultSelector() as pipes:
            for pipe in (process.stdin, process.stdout, process.stderr):
                os.set_blocking(pipe.fileno(), False)
                pipes.register(pipe, selectors.EVENT_WRITE if pipe is process.stdin else selectors.EVENT_READ)
            outputs = 2
            while outputs:
                ready = pipes.select(PATIENCE)
                if not ready:
                    self.stopped = f"It did nothing for {PATIENCE:g} seconds"
                    return
                for key, _ in ready:
                    if key.fileobj is process.stdin:
                        self._feed(process, pipes)
                        continue
                    part = os.read(key.fd, _CHUNK)
                    if not part:
                        pipes.unregister(key.fileobj)
                        outputs -= 1
                    elif key.fileobj is process.stderr:
                        self.said = (self.said + part)[-_TOLD:]
                    else:
                        yield self._counted(part)
                        if self.stopped:
                            return

    def _feed(self, process: subprocess.Popen[bytes], pipes: selectors.BaseSelector) -> None:
        """The next bytes of the capture; at its end, or when the program wants no more, its input is closed."""
        assert process.stdin  # noqa: S101 - opened with a pipe
        if not self.waiting:
            try:
                self.waiting = memoryview(self.stream.read(_CHUNK))
            except Exception as error:  # an archive that is damaged: said when what came before is read
                self.broken = error
        try:
            if self.waiting:
                count = os.write(process.stdin.fileno(), self.waiting)
                self.fed += count
                self.waiting = self.waiting[count:]
                return
        except BrokenPipeError:
            pass
        except BlockingIOError:
            return
        pipes.unregister(process.stdin)
        with suppress(OSError):
            process.stdin.close()

    def _counted(self, part: bytes) -> bytes:
        self.given += len(part)
        if self.given > self.limits.free and self.given > self.fed * self.limits.ratio:
            self.stopped = "It prints out of all proportion to what the capture holds"
        return part

    def fault(self) -> str:
        """What went wrong, in a sentence; empty when nothing did."""
        said = [line for line in self.said.decode("utf-8", "replace").splitlines() if line.strip() and "Running as user" not in line]
        if self.stopped:
            return self.stopped
        if any("cut short" in line or "truncated" in line for line in said) and self.code:
            return "It is cut off in the middle of a packet"
        if self.code < 0:
            return f"The program that reads it was ended (signal {-self.code}): it needed more than {MEMORY >> 20:,} MiB of memory or {SECONDS // 60} minutes, or it broke"
        return (said[-1].partition(": ")[2] or said[-1])[:200] if self.code and said else f"The program that reads it ended with {self.code}" if self.code else ""


def fault_of(said: str) -> Unreadable:
    """What is wrong with a capture, and what to do."""
    return Unreadable(f"Capture: {said}", "What came before was read. Make the capture again, or split it (editcap -c 1000000) and send the parts.")
