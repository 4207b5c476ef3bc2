"""Three ways to the same hits: one ingest process on its own, several in one Kafka group of which one is killed, and a hunt over what was stored."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from tests.patience import wait_for
from tests.rooms.lake.test_kafka import Cluster
from tests.site.test_cli import ROOT, Console

pytest.importorskip("confluent_kafka")
pytestmark = [pytest.mark.realparts, pytest.mark.xdist_group("many")]
PARTITIONS, ROUNDS, GROUPS = 4, 24, 5
BEGIN = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(hours=3)
UIDS = [f"6b7a1c1e-7b2e-4a58-9d0e-0000000003a{n}" for n in (1, 2, 3)]
RULES = f"""
title: Logon failed
id: {UIDS[0]}
name: failed
status: stable
author: Test author
logsource: {{product: windows, service: security}}
detection: {{selection: {{Channel: Security, EventID: 4625}}, condition: selection}}
level: low
---
title: Logon
id: {UIDS[1]}
name: logon
status: stable
author: Test author
logsource: {{product: windows, service: security}}
detection: {{selection: {{Channel: Security, EventID: 4624, LogonType: '3'}}, condition: selection}}
level: low
---
title: Passwords are being guessed
id: {UIDS[2]}
status: stable
author: Test author
correlation:
  type: event_count
  generate: true
  rules: [failed]
  group-by: [TargetUserName]
  timespan: 10m
  condition: {{gte: 20}}
level: high
"""
MAKE = """
import django; django.setup()
from lianfang.kernel.viewer import SYSTEM
from lianfang.rooms.lake import actions
import sys
actions.create_source("bus", kind="kafka", codec="json", address=sys.argv[1], table=sys.argv[2], actor=SYSTEM)
"""


def event(number):
    """Users guess one after the other; no partition holds enough of one user to count to twenty."""
    kind = number % 6
    row = {"Channel": "Security", "EventID": 4624 if kind > 3 else 4625, "LogonType": "3" if kind == 4 else "2", "TargetUserName": f"user-{number % GROUPS}", "Computer": f"ws-{number % 3}", "n": number}
    return row | {"TimeCreated": (BEGIN + timedelta(milliseconds=250 * number)).isoformat()}


def node(folder):
    console = Console(folder / "home")
    console.environment |= {"PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(ROOT))), "DJANGO_SETTINGS_MODULE": "lianfang.site.settings"}
    console.json("init")
    pack = folder / "pack"
    pack.mkdir()
    (pack / "pack.yaml").write_text("name: many\nversion: '1'\nlicence: Apache-2.0\n")
    (pack / "rules.yml").write_text(RULES)
    console.json("rules", "install", str(pack))
    return console


def process(console, *arguments):
    return subprocess.Popen([sys.executable, "-m", "lianfang.site", *arguments], env=console.environment, stderr=subprocess.DEVNULL)


def rows(console, sql):
    with sqlite3.connect(f"file:{console.environment['LIANFANG_HOME']}/node.sqlite3?mode=ro", uri=True, timeout=30) as there:
        return there.execute(sql).fetchall()


def settled(console, total):
    """All logs are concluded, and the correlator has taken all marks."""
    return rows(console, "SELECT events FROM lake_source WHERE name = 'bus'")[0][0] >= total and rows(console, "SELECT count(*) FROM detect_matches WHERE step IS NULL") == [(0,)] and rows(console, "SELECT count(*) FROM detect_matches") != [(0,)]


def told(console):
    """Log → rules; rule → logs in findings; the groups of which a correlation spoke."""
    events = {json.loads(row["raw"])["n"]: sorted(set(row["rules"] or ()) & set(UIDS)) for row in console.json("query", "SELECT raw, rules FROM events WHERE source = 'bus'", "--limit", "100000")}
    counted = dict(rows(console, f"SELECT rule_uid, sum(count) FROM detect_finding WHERE rule_uid IN ('{UIDS[0]}', '{UIDS[1]}') GROUP BY 1"))
    groups = sorted({json.dumps(json.loads(chain)["group"]) for (chain,) in rows(console, f"SELECT chain FROM detect_finding WHERE rule_uid = '{UIDS[2]}'")})
    return events, counted, groups


def with_worker(console, total, *processes):
    worker = process(console, "worker")
    try:
        wait_for(lambda: settled(console, total), 120)
    finally:
        for one in (*processes, worker):
            one.terminate()
        for one in (*processes, worker):
            one.wait(60)


def test_several_ingest_processes_of_one_group_find_what_one_finds_alone_though_one_is_killed(tmp_path):
    brokers = os.environ.get("LIANFANG_KAFKA", "")
    if not brokers:
        pytest.skip("LIANFANG_KAFKA names no broker")
    total = PARTITIONS * ROUNDS * 5
    (tmp_path / "one").mkdir()
    (tmp_path / "many").mkdir()
    one, many = node(tmp_path / "one"), node(tmp_path / "many")
    (tmp_path / "logs.jsonl").write_text("".join(json.dumps(event(n)) + "\n" for n in range(total)))
    one.json("ingest", str(tmp_path / "logs.jsonl"), "--source", "bus")
    with_worker(one, total)

    cluster, topic = Cluster(brokers), f"many-{os.urandom(4).hex()}"
    cluster.make(topic, PARTITIONS)
    subprocess.run([sys.executable, "-c", MAKE, brokers, topic], env=many.environment, check=True, timeout=60)
    parts = {number: process(many, "ingest", "--part", f"{number}/3") for number in (1, 2, 3)}
    third = total // 3

    def send(numbers):
        for partition in range(PARTITIONS):
            cluster.send(topic, [n for n in numbers if n % PARTITIONS == partition], partition, make=event)

    send(range(third))
    wait_for(lambda: rows(many, "SELECT events FROM lake_source WHERE name = 'bus'")[0][0] >= third // 3, 120)
    parts[2].send_signal(signal.SIGKILL)  # while it reads: its partitions go to the others, what it had in hand is done again
    parts[2].wait(30)
    send(range(third, 2 * third))
    parts[2] = process(many, "ingest", "--part", "2/3")
    send(range(2 * third, total))
    with_worker(many, total, *parts.values())

    alone, together = told(one), told(many)
    assert len(together[0]) == total
    assert together == alone
    assert len(alone[2]) == GROUPS, "each user was found guessing, from matches of all processes"
    hunted = many.json("hunt", "--rule", UIDS[0], "--rule", UIDS[1], "--since", "24h")
    assert {rule["uid"]: rule["events"] for rule in hunted["rules"]} == alone[1]
    assert all(rule["known"] == rule["events"] for rule in hunted["rules"])
