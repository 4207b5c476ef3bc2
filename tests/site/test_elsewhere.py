"""The same question to the same tables: the embedded engine, Spark and Sail give the same answer, at the operator's command line."""

import os
import subprocess
import sys

import pytest
from tests.site.test_cli import ROOT, Console

pytestmark = [pytest.mark.realparts, pytest.mark.xdist_group("elsewhere")]

QUESTIONS = [
    "SELECT count(*) AS n, count(DISTINCT event_id) AS ids FROM events",
    "SELECT source, class_uid, count(*) AS n FROM events GROUP BY source, class_uid ORDER BY source, class_uid",
    "SELECT host, min(time) AS first, max(time) AS last FROM events WHERE src_ip IS NOT NULL GROUP BY host ORDER BY host",
    "SELECT event_id, time, host, raw FROM events WHERE raw LIKE '%vssadmin%' ORDER BY event_id",
    "WITH busy AS (SELECT src_ip, count(*) AS n FROM events WHERE src_ip IS NOT NULL GROUP BY src_ip) SELECT src_ip, n FROM busy ORDER BY n DESC, src_ip LIMIT 20",
]


@pytest.fixture(scope="module")
def console(tmp_path_factory):
    console = Console(tmp_path_factory.mktemp("elsewhere") / "home")
    console.json("init")
    for log in ("linux.log", "web.jsonl", "windows.jsonl"):
        console("ingest", str(ROOT / "content" / "samples" / log), "--source", log.partition(".")[0])
    return console


@pytest.fixture(scope="module", params=["sail", "spark"])
def address(request):
    """A server of the real engine, on this machine."""
    server = subprocess.Popen([sys.executable, "-m", "tests.site.cluster", request.param], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
    try:
        yield next(line.split()[1] for line in server.stdout if line.startswith("ready "))
    finally:
        server.kill()
        server.wait(30)


@pytest.mark.parametrize("question", QUESTIONS)
def test_the_answer_is_the_same_as_here(console, address, question):
    here, there = (console.json("query", question, "--limit", "2000", *options) for options in ((), ("--on", address)))
    assert here
    assert here == there


def test_an_old_table_without_a_new_column_answers_with_nothing_in_it(console, address):
    assert console.json("query", "SELECT count(script) AS n FROM events WHERE class_uid = 4002", "--on", address) == [{"n": 0}]


def test_a_question_that_is_none_is_answered_with_words(console, address):
    assert "could not answer" in console("query", "SELECT nothing FROM nowhere", "--on", address, code=4).stderr


def test_a_server_that_is_not_there(console):
    assert "sc://" in console("query", "SELECT 1", "--on", "localhost:1", code=4).stderr
    assert "does not answer" in console("query", "SELECT 1", "--on", "sc://127.0.0.1:1", code=4).stderr
