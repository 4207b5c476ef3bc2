"""Somebody at the node's machine hunts with rules through what is stored: with progress, killed and gone on with, kept as findings that wake nobody."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from tests.patience import wait_for
from tests.site.test_cli import ROOT, Console

pytestmark = pytest.mark.xdist_group("hunt")
HOURS = 60
BEGIN = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=HOURS + 1)
RULE = """
title: {title}
id: 6b7a1c1e-7b2e-4a58-9d0e-00000000010{n}
status: stable
author: Test author
tags: [attack.credential-access, attack.t1110]
logsource: {{product: windows, service: security}}
detection:
  selection: {{Channel: Security, EventID: 4625, LogonType: '{n}'}}
  condition: selection
level: low
"""
UIDS = [f"6b7a1c1e-7b2e-4a58-9d0e-00000000010{n}" for n in (2, 3)]


def logs(path):
    """One failed logon of each kind in every hour, and two that succeed."""
    with path.open("w") as file:
        for hour in range(HOURS):
            for n, (event, kind) in enumerate(((4625, 2), (4625, 3), (4624, 2), (4624, 3))):
                moment = BEGIN + timedelta(hours=hour, minutes=7 * n + 1)
                file.write(json.dumps({"Channel": "Security", "EventID": event, "LogonType": kind, "TimeCreated": moment.isoformat(), "Computer": f"ws-{hour % 5}", "TargetUserName": "li", "n": f"{hour}/{n}"}) + "\n")


@pytest.fixture(scope="module")
def console(tmp_path_factory):
    """A node that stored the logs before it had the rules."""
    folder = tmp_path_factory.mktemp("hunt")
    console = Console(folder / "home")
    console.json("init")
    logs(folder / "windows.jsonl")
    assert console.json("ingest", str(folder / "windows.jsonl"), "--source", "domain")["events"] == 4 * HOURS
    (folder / "late").mkdir()
    (folder / "late" / "pack.yaml").write_text("name: late\nversion: '1'\nlicence: Apache-2.0\n")
    for n, title in ((2, "Console logon failed"), (3, "Network logon failed")):
        (folder / "late" / f"{n}.yml").write_text(RULE.format(n=n, title=title))
    console.json("rules", "install", str(folder / "late"))
    return console


def since(hours=HOURS + 5):  # the suite may have begun hours ago
    return f"{hours}h"


def rows(console, sql):
    with sqlite3.connect(f"file:{console.environment['LIANFANG_HOME']}/node.sqlite3?mode=ro", uri=True, timeout=10) as there:
        return there.execute(sql).fetchall()


def test_a_rule_finds_in_the_past_what_it_would_have_found_and_changes_nothing(console):
    found = console.json("hunt", "--rule", UIDS[0], "--since", since())
    (rule,) = found["rules"]
    assert (found["state"], found["looked"], found["events"], found["hours"]) == ("done", 4 * HOURS, HOURS, HOURS)
    assert (rule["uid"], rule["title"], rule["events"], rule["known"], len(set(rule["event_ids"]))) == (UIDS[0], "Console logon failed", HOURS, 0, HOURS)
    assert found["hosts"] == {f"ws-{n}": HOURS // 5 for n in range(5)}
    stored = console.json("query", "SELECT event_id FROM events WHERE event_code = '4625' AND logon_type = 2", "--limit", "1000")
    assert {row["event_id"] for row in stored} == set(rule["event_ids"])
    assert rows(console, "SELECT count(*) FROM detect_finding WHERE backfilled") == [(0,)]


def test_its_time_and_its_rules_are_chosen(console):
    until = (BEGIN + timedelta(hours=10)).isoformat()
    found = console.json("hunt", "--pack", "late", "--since", (BEGIN + timedelta(hours=5)).isoformat(), "--until", until)
    assert found["looked"] == 4 * 5
    assert {rule["title"]: rule["events"] for rule in found["rules"]} == {"Console logon failed": 5, "Network logon failed": 5}
    assert "no such rule" in console("hunt", "--rule", "nobody", code=5).stderr


def test_killed_anywhere_it_goes_on_where_it_stopped(console):
    whole = console.json("hunt", "--pack", "late", "--since", since())
    asked = [sys.executable, "-m", "lianfang.site", "hunt", "--pack", "late", "--since", since(), "--keep"]
    running = subprocess.Popen(asked, env=console.environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    said = running.stderr.readline()
    hunt = said.split()[1].rstrip(";")
    assert f"lianfang hunt --resume {hunt}" in said
    done = "SELECT done FROM detect_hunt WHERE id = '" + hunt.replace("-", "") + "'"
    wait_for(lambda: rows(console, done)[0][0] >= 3, 60)
    running.send_signal(signal.SIGKILL)
    running.wait(30)
    before = rows(console, done)[0][0]
    assert 3 <= before < HOURS
    kept = rows(console, "SELECT count(*) FROM detect_huntsplit WHERE hunt_id = '" + hunt.replace("-", "") + "'")
    assert kept == [(before,)]
    after = console.json("hunt", "--resume", hunt)
    assert {rule["uid"]: sorted(rule["event_ids"]) for rule in after["rules"]} == {rule["uid"]: sorted(rule["event_ids"]) for rule in whole["rules"]}
    assert (after["state"], after["hours_done"], after["looked"]) == ("done", HOURS, 4 * HOURS)
    findings = rows(console, f"SELECT rule_uid, sum(count), count(*), min(backfilled) FROM detect_finding WHERE rule_uid IN ('{UIDS[0]}', '{UIDS[1]}') GROUP BY 1 ORDER BY 1")
    assert findings == [(uid, HOURS, HOURS, 1) for uid in UIDS], "what was kept before it was killed is not kept twice"


def test_what_was_kept_is_not_kept_again_whatever_is_asked_together(console):
    console.json("hunt", "--pack", "late", "--since", since(), "--keep")
    again = console.json("hunt", "--rule", UIDS[1], "--since", since(20), "--keep")
    assert (again["events"] > 0, again["findings"]) == (True, 0)
    assert rows(console, f"SELECT sum(count) FROM detect_finding WHERE rule_uid = '{UIDS[1]}'") == [(HOURS,)]


@pytest.fixture
def spark():
    """A real Spark server whose executors have this package."""
    server = subprocess.Popen([sys.executable, "-m", "tests.site.cluster", "spark"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])))})
    try:
        yield next(line.split()[1] for line in server.stdout if line.startswith("ready "))
    finally:
        server.kill()
        server.wait(30)


@pytest.mark.realparts
def test_spark_finds_exactly_what_this_machine_finds_and_loads_the_rules_once_in_each_process(console, spark):
    pytest.importorskip("pyspark")
    here = console.json("hunt", "--pack", "late", "--pack", "lianfang-starter", "--since", since())
    there = console.json("hunt", "--pack", "late", "--pack", "lianfang-starter", "--since", since(), "--on", spark)
    hits = [{rule["uid"]: sorted(rule["event_ids"]) for rule in found["rules"]} for found in (here, there)]
    assert hits[0] == hits[1]
    assert len(hits[0]) >= 2
    assert (there["looked"], there["events"], there["hosts"], there["days"]) == (here["looked"], here["events"], here["hosts"], here["days"])
    assert set(there["executors"].values()) == {1}
    assert here["executors"] == {}
