"""Work on the tables in a process apart: what it needs of memory is given back when it ends, and all other work goes before it.

One JSON object goes in on its standard input, one comes out on its standard output: ``{"said": what the work says}``, or ``{"fault": text}``. Its
standard input stays open while whoever asked is alive; when that closes, the process ends.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lianfang.kernel.errors import Conflict

SOURCE = Path(__file__).parents[3]
STEP_ASIDE = 10


def ask(module: str, question: Mapping[str, Any], *, failed: str, todo: str) -> Any:
    """What ``module``, a program that calls ``answer``, says to a question. Raises ``Conflict`` (``failed``, with the reason) when it could not."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(SOURCE), *filter(None, [os.environ.get("PYTHONPATH")])])}
    with subprocess.Popen(command(module), env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as child:
        assert child.stdin and child.stdout  # noqa: S101  (they were opened with pipes)
        print(json.dumps(question), file=child.stdin, flush=True)
        heard = json.loads(child.stdout.readline() or '{"fault": "its process was ended"}')
    if "fault" in heard:
        raise Conflict(failed, why=heard["fault"], todo=todo, retry=True)
    return heard["said"]


def answer(work: Callable[..., Any]) -> None:
    """Be such a program: take the question as keyword arguments, and say what came of it."""
    os.nice(STEP_ASIDE)
    asked = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_the_other, daemon=True).start()
    try:
        said = {"said": work(**asked)}
    except Exception as error:
        said = {"fault": str(error)[:2000] or type(error).__name__}
    print(json.dumps(said), flush=True)


def command(module: str) -> list[str]:
    """How the program is started."""
    return [sys.executable, "-P", "-m", module]


def _end_with_the_other() -> None:
    sys.stdin.read()
    os._exit(1)
