"""A worker is killed while it correlates, at moments nobody chooses: every story is told, once, with all that belongs to it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.rooms.respond.test_correlation import RULES

KILLS, MATCHES = int(os.environ.get("LIANFANG_KILLS", "0")), 7


@pytest.mark.slow
@pytest.mark.skipif(not KILLS, reason="takes many minutes: LIANFANG_KILLS says how many deaths, 15 for instance")
@pytest.mark.xdist_group("kill")
def test_findings_of_correlations_are_neither_lost_nor_doubled_whatever_dies(tmp_path):
    script = Path(__file__).with_name("mortal.py")
    environment = {**os.environ, "LIANFANG_HOME": str(tmp_path), "LIANFANG_DATABASE": "sqlite:///", "LIANFANG_ROOMS": "all", "PYTHONPATH": os.pathsep.join(sys.path)}
    ran = subprocess.run([sys.executable, str(script), str(KILLS)], env=environment, input=RULES, capture_output=True, text=True, timeout=900)
    assert ran.returncode == 0, ran.stderr[-3000:]
    found = json.loads(ran.stdout)
    assert (found["kills"], found["done"]) == (KILLS, True)
    assert found["stories"] >= KILLS
    assert [count for _, count in found["findings"]] == [MATCHES] * found["stories"], "each with all of its matches"
    assert len({ip for ip, _ in found["findings"]}) == found["stories"], "each once"
    assert found["recorded"] == found["stories"], "and each stands in the ledger once"
    assert found["fired"] == found["alerted"] == MATCHES * found["stories"], "counted once, and alerted once"
