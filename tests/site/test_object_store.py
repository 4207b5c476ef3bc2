"""The operator keeps the event tables in an object store: a setting, keys in a file, and everything else as before."""

import json
import os
import subprocess
import sys
import uuid

import pytest
from pyarrow.fs import FileSelector, S3FileSystem
from tests.site.test_cli import ROOT, Console

pytestmark = [pytest.mark.xdist_group("object-store")]
SECRET = "w9-never-shown-anywhere"
QUESTIONS = [
    "SELECT count(*) AS n, count(DISTINCT event_id) AS ids FROM events",
    "SELECT source, class_uid, count(*) AS n FROM events GROUP BY source, class_uid ORDER BY source, class_uid",
    "SELECT host, min(time) AS first, max(time) AS last FROM events WHERE src_ip IS NOT NULL GROUP BY host ORDER BY host",
]


@pytest.fixture
def consoles(tmp_path):
    """Two nodes with the same logs: one with its tables in a folder, one in a bucket; and the bucket's name."""
    endpoint = os.environ.get("LIANFANG_S3", "")
    if not endpoint:
        pytest.skip("LIANFANG_S3 names no server (tools/real_parts.py starts one where moto_server is installed)")
    name = f"node-{uuid.uuid4().hex[:12]}"
    S3FileSystem(access_key="operator", secret_key=SECRET, endpoint_override=endpoint, region="us-east-1", allow_bucket_creation=True).create_dir(name)
    keys = tmp_path / "keys"
    keys.touch(mode=0o600)
    keys.write_text(f"key=operator\nsecret={SECRET}\n")
    here, there = Console(tmp_path / "here"), Console(tmp_path / "there")
    there.environment |= {"LIANFANG_LAKE": f"s3://{name}/lake", "LIANFANG_LAKE_ENDPOINT": endpoint, "LIANFANG_LAKE_KEYS": str(keys)}
    return here, there, name


@pytest.mark.realparts
def test_the_tables_lie_in_a_bucket_and_answer_as_those_in_a_folder(consoles, tmp_path):
    here, there, name = consoles
    for console in (here, there):
        console.json("init")
        for log in ("linux.log", "web.jsonl"):
            console("ingest", str(ROOT / "content" / "samples" / log), "--source", log.partition(".")[0])
    for question in QUESTIONS:
        assert there.json("query", question) == here.json("query", question) != []
    said = subprocess.run([sys.executable, "-m", "lianfang.site", "doctor", "--json"], env=there.environment, capture_output=True, text=True, check=False)  # what else it finds is another test's matter
    (tables,) = (finding for finding in json.loads(said.stdout) if finding["name"] == "Tables")
    assert tables["state"] == "ok"
    assert f"s3://{name}/lake" in tables["what"]
    assert "none lost" in tables["what"]
    assert SECRET not in said.stdout + said.stderr
    stored = S3FileSystem(access_key="operator", secret_key=SECRET, endpoint_override=there.environment["LIANFANG_LAKE_ENDPOINT"], region="us-east-1").get_file_info(FileSelector(name, recursive=True))
    assert any("_delta_log" in info.path for info in stored)
    assert not list((tmp_path / "there").rglob("_delta_log")), "on the machine lie copies only"
    assert not any(SECRET in path.read_bytes().decode("utf-8", "replace") for path in (tmp_path / "there").rglob("*") if path.is_file())


def test_keys_that_others_can_read_are_refused_before_anything_is_asked(tmp_path):
    keys = tmp_path / "keys"
    keys.write_text(f"key=operator\nsecret={SECRET}\n")
    keys.chmod(0o644)
    console = Console(tmp_path / "home")
    console.environment |= {"LIANFANG_LAKE": "s3://bucket/lake", "LIANFANG_LAKE_KEYS": str(keys)}
    console.json("init")
    answer = console("query", "SELECT 1 FROM events", code=4)
    assert "open to others" in answer.stderr
    assert "chmod 600" in answer.stderr
    assert SECRET not in answer.stdout + answer.stderr


def test_the_tables_may_lie_in_another_folder(tmp_path):
    console = Console(tmp_path / "home")
    console.environment["LIANFANG_LAKE"] = str(tmp_path / "large disk" / "lake")
    console.json("init")
    console("ingest", str(ROOT / "content" / "samples" / "linux.log"), "--source", "linux")
    assert console.json("query", "SELECT count(*) AS n FROM events")[0]["n"] > 0
    assert list((tmp_path / "large disk" / "lake").glob("*/_delta_log"))
    assert not (tmp_path / "home" / "lake").exists()
