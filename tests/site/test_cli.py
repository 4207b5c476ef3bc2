"""The command line does what it says, speaks JSON to scripts, and ends with a meaningful code."""

import json
import os
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
from tests.engines.connect import packets

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.xdist_group("console")  # one home, asked again and again


class Console:
    """Somebody typing on the node's machine."""

    def __init__(self, home: Path):
        self.environment = {**os.environ, "LIANFANG_HOME": str(home), "PYTHONPATH": str(ROOT / "src"), "PORT": "1", "COLUMNS": "200"}
        self.environment.pop("LIANFANG_ROOMS", None)

    def __call__(self, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run([sys.executable, "-m", "lianfang.site", *arguments], env=self.environment, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == code, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done

    def json(self, *arguments: str, code: int = 0):
        return json.loads(self(*arguments, "--json", code=code).stdout)


@pytest.fixture(scope="module")
def console(tmp_path_factory):
    return Console(tmp_path_factory.mktemp("cli") / "home")


@pytest.fixture(scope="module")
def node(console):
    first = console.json("init")
    assert first["fresh"]
    assert first["user"] == "admin"
    return first


def test_help_names_every_verb(console):
    words = console("--help").stdout
    assert all(verb in words for verb in ("up", "init", "web", "worker", "ingest", "query", "doctor", "rules", "ledger", "people", "source", "sample"))


def test_a_node_that_is_not_there_says_what_to_do(tmp_path):
    answer = Console(tmp_path / "nowhere")("query", "SELECT 1", code=6)
    assert "lianfang init" in answer.stderr


def test_init_again_changes_nothing_and_gives_no_password(console, node):
    again = console.json("init")
    assert not again["fresh"]
    assert again["password"] is None


def test_doctor_looks_at_everything(console, node):
    findings = console.json("doctor")
    assert {finding["name"] for finding in findings} >= {"Python", "Home", "Disk", "Matcher", "Front end", "Database", "Port", "Keys", "Second factors"}
    assert all(finding["todo"] for finding in findings if finding["state"] != "ok")


def test_doctor_sees_keys_that_others_may_read(console, node):
    key = Path(console.environment["LIANFANG_HOME"]) / "keys" / "django.secret"
    key.chmod(0o644)
    found = {finding["name"]: finding for finding in console.json("doctor")}["Keys"]
    key.chmod(0o600)
    assert found["state"] == "warn"
    assert str(key) in found["what"]
    assert {finding["name"]: finding for finding in console.json("doctor")}["Keys"]["state"] == "ok"


@pytest.fixture(scope="module")
def report(console, node, tmp_path_factory):
    """What the node said of two files: a log, and a zip with a good and a broken line."""
    tmp_path = tmp_path_factory.mktemp("files")
    log = tmp_path / "auth.log"
    log.write_text("".join(f"Nov 20 08:00:{second:02d} gate-1 sshd[77]: Failed password for root from 203.0.113.9 port 4{second:02d}22 ssh2\n" for second in range(30)), "utf-8")
    with zipfile.ZipFile(tmp_path / "web.zip", "w") as archive:
        archive.writestr("access.json", '{"time":"2026-11-20T08:00:00Z","remote_addr":"203.0.113.9","request_method":"GET","request_uri":"/index.html","status":200}\n{broken\n')
    return console.json("ingest", str(log), str(tmp_path / "web.zip"), "--source", "desk", code=1)


@pytest.mark.covers("D05")
def test_files_are_read_stored_and_can_be_asked(console, report):
    assert (report["files"], report["rejects"]) == (2, 1)
    rows = console.json("query", "SELECT src_ip, count(*) AS n FROM events GROUP BY 1 ORDER BY 2 DESC")
    assert rows[0] == {"src_ip": "203.0.113.9", "n": 31}


def test_a_question_that_is_none_is_answered_with_words(console, node):
    assert "one SELECT" in console("query", "DROP TABLE events", code=4).stderr
    assert console("query", "SELECT * FROM '/etc/passwd'", code=3).stderr


def test_a_path_that_is_not_there(console, node):
    assert "no" in console("ingest", "/nowhere/at/all.log", code=5).stderr


@pytest.mark.realparts
def test_a_capture_is_read_like_any_file(console, node, tmp_path):
    if not shutil.which("tshark"):
        pytest.skip("tshark is not installed (python tools/real_parts.py install)")
    (tmp_path / "case.pcap").write_bytes(packets.pcap(packets.office(time.time() - 600)))
    assert "tshark" in {finding["name"]: finding for finding in console.json("doctor")}["Captures"]["what"]
    report = console.json("ingest", str(tmp_path / "case.pcap"), "--source", "capture")
    assert (report["files"], report["events"], report["rejects"]) == (1, 8, 0)
    rows = console.json("query", "SELECT log_name, count(*) AS n FROM events WHERE source = 'capture' GROUP BY 1 ORDER BY 1")
    assert rows == [{"log_name": "dns", "n": 2}, {"log_name": "flow", "n": 4}, {"log_name": "http", "n": 1}, {"log_name": "tls", "n": 1}]


def test_a_capture_that_nothing_here_reads_is_not_begun(console, node, tmp_path, monkeypatch):
    (tmp_path / "case.pcap").write_bytes(packets.pcap([]))
    monkeypatch.setitem(console.environment, "LIANFANG_CAPTURES", "tcpdump")
    assert "tshark, zeek, suricata" in console("ingest", str(tmp_path / "case.pcap"), code=5).stderr
    found = {finding["name"]: finding for finding in console.json("doctor")}["Captures"]
    assert (found["state"], bool(found["todo"])) == ("warn", True)


def test_the_starter_pack_is_installed_listed_and_proves_itself(console, node):
    rules = console.json("rules", "list")
    assert len(rules) >= 60
    assert {"windows", "linux"} <= {str(rule.get("logsource")) and rule["logsource"].split("/")[0] for rule in rules if rule.get("logsource")} or len(rules) >= 60
    report = console.json("rules", "test")
    assert report["rules"] == len(rules)
    assert report["samples"] >= 2 * len(rules)
    assert report["failures"] == []


def test_a_pack_with_a_broken_rule_installs_the_others_and_names_it(console, node, tmp_path):
    (tmp_path / "good.yml").write_text("title: Good\nid: 0b52b4f0-6f5e-4c1f-9d11-0d3c36a5e001\nlogsource: {product: windows, category: process_creation}\ndetection: {a: {Image|endswith: '\\x.exe'}, condition: a}\nlevel: low\n", "utf-8")
    (tmp_path / "bad.yml").write_text("title: Bad\nid: 0b52b4f0-6f5e-4c1f-9d11-0d3c36a5e002\nlogsource: {product: windows}\ndetection: {a: {Image|endswith: x}, condition: b}\n", "utf-8")
    pack = console.json("rules", "install", str(tmp_path))
    assert pack["rules"] == 1
    assert [Path(problem["path"]).name for problem in pack["problems"]] == ["bad.yml"]


def test_every_rule_of_every_installed_pack_is_proven_on_events_made_from_it(console, node, tmp_path):
    """An operator asks whether the rules on this node do what they say: each is tried on an event that satisfies it, and on near misses."""
    report = console.json("rules", "test", "--proof")
    assert "lianfang-starter" in report["packs"]
    assert (report["rules"], report["differing"], report["unbuilt"]) == (report["proven"], 0, 0)
    assert report["near_misses"] > 5 * report["rules"]
    assert all(one["event"] and one["silent"] for one in report["proofs"])
    assert f"{report['rules']} proven, 0 differ" in console("rules", "test", "--proof").stdout


def test_a_rule_that_no_event_can_satisfy_is_named_with_the_reason(console, node, tmp_path):
    (tmp_path / "never.yml").write_text("title: Never\nid: 0b52b4f0-6f5e-4c1f-9d11-0d3c36a5e009\nlogsource: {product: windows, category: process_creation}\ndetection: {a: {Image: a.exe}, b: {Image|endswith: b.exe}, condition: a and b}\nlevel: low\n", "utf-8")
    said = console("rules", "test", str(tmp_path), "--proof").stdout
    assert "CONTRADICTION never.yml (Never)" in said
    assert "“eq a.exe” and “endswith b.exe” cannot both hold" in said


def test_which_rules_can_fire_on_what_came_in_and_what_the_others_wait_for(console, node, report):
    found = console.json("rules", "coverage")
    starter = next(pack for pack in found["packs"] if pack["pack"] == "lianfang-starter")
    assert sum(starter["states"].values()) == starter["rules"]
    missing = {(gap["product"], gap["service"]) for gap in found["sources"]}
    assert ("linux", "sshd") not in missing  # its log was read above
    assert ("windows", "security") in missing
    assert {one["state"] for one in found["by_rule"]} >= {"source", "fired"}
    assert all(one["rules"] >= one["alone"] for one in found["fields"])
    said = console("rules", "coverage").stdout
    assert "lianfang-starter" in said
    assert f"log {' / '.join(part for part in (found['sources'][0][name] for name in ('product', 'category', 'service')) if part)}: {found['sources'][0]['rules']} rules wait for it." in said


def test_a_pack_that_is_not_there_says_which_are(console, node):
    answer = console("rules", "test", "no-such-pack", "--proof", code=5)
    assert "lianfang-starter" in answer.stderr
    assert console.json("rules", "test", "lianfang-starter")["failures"] == []


def test_the_record_of_all_this_is_intact(console, report):
    verdict = console.json("ledger", "verify")
    assert verdict["ok"]
    assert verdict["records"] > 3


def test_a_source_and_its_key_are_made_together(console, node):
    key = console.json("source", "add", "firewall-1")
    assert key["url"].endswith("/api/lake/ingest/firewall-1")
    assert len(key["secret"]) >= 32


def test_a_source_is_told_the_zone_of_its_times(console, node, tmp_path):
    assert "--zone" in console("source", "add", "--help").stdout
    assert "--zone" in console("ingest", "--help").stdout
    log = tmp_path / "auth.log"
    log.write_text("Nov 20 08:00:00 far-1 sshd[77]: Failed password for root from 203.0.113.77 port 4022 ssh2\n", "utf-8")
    console.json("ingest", str(log), "--source", "abroad", "--zone", "America/New_York")
    assert [row["t"] for row in console.json("query", "SELECT strftime(time, '%H:%M') AS t FROM events WHERE source = 'abroad'")] == ["13:00"]
    console.json("ingest", str(log), "--source", "abroad", "--zone", "America/New_York")

    assert "Mars/Olympus" in console("ingest", str(log), "--source", "other", "--zone", "Mars/Olympus", code=4).stderr
    assert "America/New_York" in console("ingest", str(log), "--source", "abroad", "--zone", "UTC", code=6).stderr
    console.json("source", "add", "branch", "--zone", "Asia/Shanghai")
    assert "Asia/Shanghai" in console("source", "add", "branch", "--zone", "UTC", code=6).stderr
    assert console("source", "add", "nowhere", "--zone", "Mars", code=4).stderr


def test_an_account_gets_a_new_password(console, node):
    assert "One-time password for admin" in console("people", "reset-password", "admin").stdout
    console("people", "reset-password", "nobody-here", code=5)


def test_a_node_runs_as_many_ingest_processes_as_it_is_told(monkeypatch):
    from lianfang.kernel.errors import Invalid
    from lianfang.site import node

    assert node.parts() == ["web", "ingest", "worker"]
    monkeypatch.setenv("LIANFANG_INGEST", "3")
    assert node.parts() == ["web", "ingest", "ingest2", "ingest3", "worker"]
    assert node.ingest_parts() == {"ingest": "1/3", "ingest2": "2/3", "ingest3": "3/3"}
    for wrong in ("0", "many", "65", ""):
        monkeypatch.setenv("LIANFANG_INGEST", wrong)
        with pytest.raises(Invalid, match="LIANFANG_INGEST"):
            node.parts()


def test_a_part_of_the_work_that_is_none_is_refused(console, node):
    assert "1/4 to 4/4" in console("ingest", "--part", "5/4", code=4).stderr
