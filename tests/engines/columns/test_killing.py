"""Writer, compactor and reader are killed at random; ``benchmarks/killing.py`` does it for as long as one likes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

KILLING = Path(__file__).parents[3] / "benchmarks" / "killing.py"


@pytest.mark.slow
def test_killed_at_random_nothing_is_lost_nothing_doubled_and_the_table_is_always_readable():
    done = subprocess.run([sys.executable, str(KILLING), "30"], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    found = json.loads(done.stdout)
    assert sum(found["kills"].values()) > 5
