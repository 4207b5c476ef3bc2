"""Waiting for what another thread or process does, and ports nobody has: what tests need that open doors."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from contextlib import suppress

from django.db import OperationalError


def wait_for(condition: Callable[[], object], seconds: float = 10.0) -> None:
    """Until ``condition()`` holds; fails when it does not in that time. The bound is for what never comes, not for how fast it does.

    A table of SQLite's shared memory that another thread has locked at this moment says nothing yet.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with suppress(OperationalError):
            if condition():
                return
        time.sleep(0.02)
    assert condition()


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    """A port of this machine that nobody listens on at the moment."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
