"""The web part: becomes granian, which serves the WSGI application and the static files."""

from __future__ import annotations

import os
import sys
from pathlib import Path

CONNECTIONS = 1024
"""Open connections of a process. Granian counts those that only stay open as well, and a browser keeps six: with a bound near the number of
threads three browsers kept everybody out. What is asked at once beyond the threads waits for one, its body unread."""


def command(*, host: str, port: int, workers: int, threads: int, static: Path) -> list[str]:
    """The granian command line."""
    return [
        *(sys.executable, "-m", "granian", "lianfang.site.wsgi:application", "--interface", "wsgi"),
        *("--host", host, "--port", str(port), "--workers", str(workers), "--blocking-threads", str(threads)),
        *("--backpressure", str(CONNECTIONS), "--no-ws", "--http", "1", "--respawn-failed-workers", "--workers-kill-timeout", "10"),
        *("--static-path-route", "/static", "--static-path-mount", str(static), "--static-path-expires", "3600"),
        *("--log-level", "error"),  # its warning about threads does not know that they wait for the disk
    ]


def become(*, host: str, port: int, workers: int, threads: int, static: Path) -> None:
    """Replace this process by granian: one process less, and signals reach it directly."""
    line = command(host=host, port=port, workers=workers, threads=threads, static=static)
    os.execv(line[0], line)
