"""An operator adds, changes, switches and removes rules and exceptions while logs come in: within two seconds, and nothing stops."""

import json
import subprocess
import sys

import pytest
from tests.site.test_cli import ROOT, Console

pytestmark = pytest.mark.xdist_group("changing")


@pytest.mark.slow
def test_every_change_of_a_rule_is_in_force_within_two_seconds_and_no_log_is_lost(tmp_path):
    """A real ingest process; whatever was sent two seconds after a change bears it."""
    console = Console(tmp_path / "home")
    console.json("init")
    environment = {**console.environment, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    ingest = subprocess.Popen([sys.executable, "-m", "lianfang.site", "ingest"], env=environment)
    try:
        done = subprocess.run([sys.executable, "-m", "tests.site.changing", str(tmp_path / "pack")], env=environment, cwd=ROOT, capture_output=True, text=True, timeout=400, check=False)
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout.splitlines()[-1])
        assert ingest.poll() is None, "the same process all the time"
    finally:
        ingest.terminate()
        ingest.wait(30)
    assert len(told["changes"]) == 12
    for one in told["changes"]:
        assert one["stored"] >= 3, one
        assert one["late"] == 0, one
        assert one["first"] is not None, one
        assert one["first"] <= 2.0, one
    assert told["stored"] == told["sent"]
