"""The check for viruses that an operator has set: clamd over its socket, or a program. Without one files are kept unchecked, and say so.

In: a file on the disk. Out: clean, or what was found. ``LIANFANG_VIRUS_CHECK``: ``clamd:/run/clamav/clamd.ctl``,
``clamd:127.0.0.1:3310`` (protocol INSTREAM, clamd(8)), or ``command:/usr/bin/clamscan --no-summary`` (the file's path is
appended; exit 0 is clean, 1 infected, anything else trouble). A check that cannot be made is ``Conflict``: nothing is kept.
"""

from __future__ import annotations

import os
import shlex
import socket
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

from django.utils.translation import gettext

from lianfang.kernel.errors import Conflict

PATIENCE = 60.0
_PIECE = 1 << 16


@dataclass(frozen=True, slots=True)
class Verdict:
    """``by``: what checked it ("" for nothing); ``found``: the name of what is in it, "" when it is clean."""

    by: str = ""
    found: str = ""


def check(path: Path) -> Verdict:
    """Have the file checked. Raises ``Conflict`` when a check is set and cannot be made."""
    said = os.environ.get("LIANFANG_VIRUS_CHECK", "")
    way, _, where = said.partition(":")
    try:
        if not said:
            return Verdict()
        if way == "clamd":
            return _clamd(path, where)
        if way == "command":
            return _command(path, where)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise _trouble(str(error)) from error
    raise _trouble(gettext("The setting begins with neither clamd: nor command:."))


def _trouble(why: str) -> Conflict:
    return Conflict(gettext("The file could not be checked for viruses"), why=why[:300], todo=gettext("Try again; if it stays so, tell whoever runs the node (LIANFANG_VIRUS_CHECK)."), retry=True)


def _clamd(path: Path, where: str) -> Verdict:
    """``zINSTREAM``: pieces with their length in front, an empty one at the end; the answer is ``stream: OK`` or ``stream: NAME FOUND``."""
    host, _, port = where.rpartition(":")
    with socket.socket(socket.AF_UNIX) if where.startswith("/") else socket.create_connection((host, int(port)), PATIENCE) as line:
        line.settimeout(PATIENCE)
        if where.startswith("/"):
            line.connect(where)
        line.sendall(b"zINSTREAM\0")
        with path.open("rb") as file:
            while piece := file.read(_PIECE):
                line.sendall(struct.pack("!I", len(piece)) + piece)
        line.sendall(struct.pack("!I", 0))
        answer = b""
        while b"\0" not in answer and (part := line.recv(4096)):
            answer += part
    text = answer.rstrip(b"\0").decode("utf-8", "replace").strip()
    if text.endswith("OK"):
        return Verdict("clamd")
    if text.endswith("FOUND"):
        return Verdict("clamd", text.removesuffix("FOUND").partition(":")[2].strip()[:200] or "?")
    raise ValueError(f"clamd: {text or 'no answer'}")


def _command(path: Path, where: str) -> Verdict:
    words = shlex.split(where)
    done = subprocess.run([*words, str(path)], capture_output=True, text=True, timeout=PATIENCE, check=False, errors="replace")
    name = Path(words[0]).name
    if done.returncode == 0:
        return Verdict(name)
    if done.returncode == 1:
        return Verdict(name, " ".join(done.stdout.split())[-200:] or "?")
    raise ValueError(f"{name}: {(done.stderr or done.stdout)[-200:]}")
