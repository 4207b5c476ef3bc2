"""The supervisor keeps the parts alive, and lets none of them outlive it."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

SCRIPT = textwrap.dedent("""
    import sys
    from lianfang.site.supervisor import Supervisor
    part = "import os,sys,time; print('pid', os.getpid(), flush=True); time.sleep(60)"
    sys.exit(Supervisor({"web": [sys.executable, "-c", part], "worker": [sys.executable, "-c", part]}).run())
""")


@pytest.fixture
def node():
    process = subprocess.Popen([sys.executable, "-u", "-c", SCRIPT], stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": "src"})
    yield process
    process.kill()
    process.wait()


def pids_of(node, *parts):
    """The process of each part, as soon as all have spoken; they speak in any order."""
    found = {}
    for line in node.stdout:
        if (name := line.split("│")[0].strip()) in parts and "pid" in line:
            found[name] = int(line.split()[-1])
        if len(found) == len(parts):
            return [found[part] for part in parts]
    raise AssertionError(f"only {sorted(found)} ever spoke")


def gone(pid, seconds=5.0):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        state = Path(f"/proc/{pid}/stat")
        if not state.exists() or state.read_text().rsplit(")", 1)[1].split()[0] == "Z":
            return True
        time.sleep(0.05)
    return False


def test_a_dead_part_is_started_again(node):
    [first] = pids_of(node, "worker")
    os.kill(first, signal.SIGKILL)
    assert pids_of(node, "worker") != [first]


def test_ctrl_c_stops_everything_cleanly(node):
    pids = pids_of(node, "web", "worker")
    node.send_signal(signal.SIGINT)
    assert node.wait(10) == 0
    assert all(gone(pid) for pid in pids)
