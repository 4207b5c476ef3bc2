"""One parent over the parts of a node: starts them, labels their logs, restarts a dead one, stops them cleanly.

In: named command lines. Out: their lines on one stream, and an exit code. It imports no room, so it stays small and
outlives whatever its children do.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TextIO

GRACE = 15.0
"""Seconds a part has to stop by itself before it is killed."""
STEADY = 30.0
"""Seconds after which a part counts as healthy again and its back-off is forgotten."""
SLOWEST = 15.0
"""Longest pause between two restarts, in seconds."""
COLOURS = (36, 33, 35, 32, 34)


@dataclass
class Part:
    """One child process: its name, its command, and how its last starts went."""

    name: str
    command: Sequence[str]
    process: subprocess.Popen[str] | None = None
    started: float = 0.0
    due: float = 0.0
    pause: float = 0.5
    restarts: int = field(default=0)


def follow_parent() -> None:
    """Called in a part: ask the kernel to end it when its supervisor dies, so that nothing is left behind (Linux)."""
    if sys.platform == "linux" and os.environ.get("LIANFANG_SUPERVISED"):
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG, see prctl(2); kept over execve
        if os.getppid() == 1:
            sys.exit(0)


class Supervisor:
    """Run ``parts`` until told to stop.

    >>> Supervisor({"one": [sys.executable, "-c", "print('up')"]}).names
    ['one']
    """

    def __init__(self, parts: Mapping[str, Sequence[str]], *, out: TextIO | None = None):
        self.parts = [Part(name, command) for name, command in parts.items()]
        self.out = out or sys.stdout
        self.stopping = threading.Event()
        self._colour = self.out.isatty()
        self._write = threading.Lock()

    @property
    def names(self) -> list[str]:
        return [part.name for part in self.parts]

    def stop(self, *_: object) -> None:
        """Ask for a clean stop; safe to call from a signal handler, twice as well."""
        self.stopping.set()

    def run(self) -> int:
        """Block until stopped. Returns 0 after a clean stop, 1 when a part had to be killed."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self.stop)
        try:
            while not self.stopping.wait(0.2):
                for part in self.parts:
                    self._tend(part)
        finally:
            killed = self._end()
        return 1 if killed else 0

    def say(self, name: str, line: str) -> None:
        """One line of a part (or of the supervisor itself), labelled."""
        label = f"{name:<7}│"
        if self._colour and name in self.names:
            label = f"\x1b[{COLOURS[self.names.index(name) % len(COLOURS)]}m{label}\x1b[0m"
        with self._write:
            self.out.write(f"{label} {line.rstrip()}\n")
            self.out.flush()

    def _tend(self, part: Part) -> None:
        moment = time.monotonic()
        if part.process is None:
            if moment >= part.due:
                self._start(part, moment)
        elif (code := part.process.poll()) is not None:
            part.pause = 0.5 if moment - part.started > STEADY else min(part.pause * 2, SLOWEST)
            part.process, part.due, part.restarts = None, moment + part.pause, part.restarts + 1
            self.say("node", f"{part.name} ended ({_why(code)}); starting it again in {part.pause:.0f} s")

    def _start(self, part: Part, moment: float) -> None:
        environment = {**os.environ, "LIANFANG_SUPERVISED": "1", "PYTHONUNBUFFERED": "1"}
        # A session of its own: Ctrl-C in the terminal reaches the supervisor only, which then stops the parts in order.
        part.process = subprocess.Popen(part.command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", env=environment, start_new_session=True)
        part.started = moment
        threading.Thread(target=self._relay, args=(part.name, part.process), daemon=True).start()

    def _relay(self, name: str, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None  # noqa: S101  (opened as a pipe one line above)
        for line in process.stdout:
            self.say(name, line)

    def _end(self) -> int:
        """Stop all parts, last one first; returns how many had to be killed."""
        alive = [part for part in reversed(self.parts) if part.process and part.process.poll() is None]
        for part in alive:
            part.process.terminate()  # type: ignore[union-attr]
        deadline, killed = time.monotonic() + GRACE, 0
        for part in alive:
            process = part.process
            try:
                process.wait(max(0.1, deadline - time.monotonic()))  # type: ignore[union-attr]
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)  # type: ignore[union-attr]
                killed += 1
                self.say("node", f"{part.name} did not stop within {GRACE:.0f} s and was killed")
        self.say("node", "stopped")
        return killed


def _why(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def become(parts: Mapping[str, Sequence[str]]) -> None:
    """Replace this process by a supervisor over ``parts``: what preparing the node took of memory is given back."""
    os.execv(sys.executable, [sys.executable, "-m", "lianfang.site.supervisor", json.dumps({name: list(command) for name, command in parts.items()})])


if __name__ == "__main__":
    sys.exit(Supervisor(json.loads(sys.argv[1])).run())
