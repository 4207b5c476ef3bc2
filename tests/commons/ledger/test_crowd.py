"""Places stay gapless while many processes write and number at once."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tools.real_parts import fresh_database

SERVERS = [
    "sqlite:///",
    pytest.param("LIANFANG_POSTGRESQL", marks=pytest.mark.realparts),
    pytest.param("LIANFANG_MARIADB", marks=pytest.mark.realparts),
]


@pytest.mark.parametrize("server", SERVERS)
def test_writers_and_sequencers_at_once_leave_no_gap_and_lose_nothing(server, tmp_path):
    address = server if ":" in server else os.environ.get(server) or pytest.skip(f"{server} names no server")
    with fresh_database(address) as database:
        environment = {**os.environ, "LIANFANG_HOME": str(tmp_path), "LIANFANG_ROOMS": "ledger", "LIANFANG_DATABASE": database, "PYTHONPATH": os.pathsep.join(sys.path)}
        ran = subprocess.run([sys.executable, str(Path(__file__).with_name("crowd.py")), "4", "120"], env=environment, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr[-3000:]
    outcome = json.loads(ran.stdout)
    assert (outcome["failed"], outcome["problems"]) == (0, []), ran.stderr[-3000:]
    assert outcome["ok"]
    assert outcome["gapless"]
    assert outcome["ordered"], "what one writer told in order stands in order"
    assert outcome["records"] == 4 * 108 + 500
