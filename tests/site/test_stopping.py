"""A part that is asked to stop stops, whatever it is doing at that moment."""

import subprocess
import sys

INTERRUPTED = """
import os, signal
from lianfang.site.cli import _until_stopped

def work(stop):
    with stop._cond:  # as in the midst of a wait
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
    print(stop.wait(20))

_until_stopped(work)
"""


def test_a_signal_that_interrupts_a_wait_is_heard():
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "True\n", done.stderr[-500:]
