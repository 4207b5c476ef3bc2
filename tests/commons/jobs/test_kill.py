"""Workers are killed at moments nobody chooses; every effect happens exactly once, and every listener hears in order."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tools.real_parts import fresh_database

FACTS, JOBS, KILLS = 400, 150, 35
ECHO = 1_000_000  # as in mortal.py

SERVERS = [
    "sqlite:///",
    pytest.param("LIANFANG_POSTGRESQL", marks=pytest.mark.realparts),
    pytest.param("LIANFANG_MARIADB", marks=pytest.mark.realparts),
]


@pytest.fixture(params=SERVERS)
def outcome(request, tmp_path):
    address = request.param if ":" in request.param else os.environ.get(request.param) or pytest.skip(f"{request.param} names no server")
    script = Path(__file__).with_name("mortal.py")
    with fresh_database(address) as database:
        environment = {**os.environ, "LIANFANG_HOME": str(tmp_path), "LIANFANG_ROOMS": "jobs", "LIANFANG_DATABASE": database, "PYTHONPATH": os.pathsep.join(sys.path)}
        ran = subprocess.run([sys.executable, str(script), str(FACTS), str(JOBS), str(KILLS)], env=environment, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stderr[-3000:]
    return json.loads(ran.stdout)


@pytest.mark.xdist_group("kill")
def test_every_effect_happens_exactly_once_whatever_dies(outcome):
    facts, jobs = outcome["facts"], outcome["jobs"]
    assert outcome["kills"] >= 30
    assert outcome["left"] == 0
    for kind in ("heard", "overheard"):
        assert outcome[kind] == list(range(facts)), f"{kind}: once each, in the order of telling"
    assert sorted(outcome["echoed"]) == list(range(facts))
    assert sorted(outcome["written"]) == [*range(jobs), *range(ECHO, ECHO + facts, 5)]
    assert set(outcome["kept"]) == set(range(jobs)), "jobs that are not atomic run at least once"
