"""The node's sealing key is turned while logs come in: everything can be read before, during and after; the old key is retired when nothing hangs on it."""

import json
import subprocess
import sys
from datetime import timedelta

import pyarrow as pa
import pytest
from django.test import Client
from tests.rooms.kept import everything
from tests.rooms.lake.conftest import cleared, sysmon
from tests.rooms.lake.test_protection import SECRET, measure

from lianfang.commons.jobs import actions as jobs
from lianfang.commons.ledger.models import Record
from lianfang.commons.people import actions as people_actions
from lianfang.commons.people import queries as people
from lianfang.engines.columns.query import Bounds, Query
from lianfang.engines.columns.shape import REJECTS, table
from lianfang.engines.columns.store import EventStore
from lianfang.kernel import clock
from lianfang.kernel.viewer import SYSTEM
from lianfang.rooms.lake import actions, models
from lianfang.rooms.lake.actions import keeping, receiving
from lianfang.rooms.lake.queries import places, scope
from lianfang.rooms.lake.types import EVENT_TABLES, REJECT_TABLE

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def node_admin(make_person, tree):
    """An administrator of the whole node."""
    client = Client()
    client.cookies["django_language"] = "en"
    client.force_login(make_person("keeper", tree.root, "administrator"), backend="django.contrib.auth.backends.ModelBackend")
    return client


@pytest.fixture
def sealing(source, browser, users):
    """Level 4 lies sealed; who looks is cleared for it; one pseudonym and one secret are kept."""
    cleared(users.member)
    measure(browser("member"), 4, seal="on")
    actions.create_source("api", kind="poll", address="https://api.example/x", user="u", secret="opensesame", actor=SYSTEM)
    return browser("member")


def commands(client):
    events = client.get("/api/lake/events/?filter=process_cmd:contains:hunter").json()["events"]
    return sorted(event["process_cmd"] for event in events)


def secret(n):
    return sysmon(n, CommandLine=f"{SECRET} {n}")


def hang():
    return {one.number: {thing.kind: thing.count for thing in one.things} for one in people.key_generations()}


def later(client, path, data, minutes=5):
    with clock.frozen(clock.now() + timedelta(minutes=minutes)):
        return client.post(path, data)


@pytest.mark.covers("XA8")
def test_the_key_is_turned_while_logs_come_in(sealing, put, node_admin, home):
    put(secret(1), secret(2), sysmon(3))
    waiting = receiving.receive("edr", [json.dumps(secret(4)).encode()], actor=SYSTEM)
    assert waiting
    before = hang()
    assert before == {1: {"lake.source_secret": 1, "lake.spooled": 1, "lake.event": 2}}
    answer = node_admin.post("/people/sealing/", {"do": "rotate"})
    assert answer.url.startswith("/jobs/work/")
    actions.drain()
    put(secret(5))
    assert commands(sealing) == [f"{SECRET} {n}" for n in (1, 2, 4, 5)], "during: both generations are read"
    assert hang()[2] == {"lake.event": 2}, "what was stored since lies under the newest"
    page = node_admin.get("/people/sealing/").content.decode()
    assert "Generation 2" in page
    assert "events with sealed content" in page
    node_admin.post("/people/sealing/", {"do": "retire", "generation": "1"})
    refused = node_admin.post("/people/sealing/", {"do": "retire", "generation": "1"})
    assert (refused.status_code, "events with sealed content (2)" in refused.content.decode()) == (409, True)
    jobs.work(once=True)
    keeping.do_chores(places.store())
    assert hang() == {2: {"lake.source_secret": 1, "lake.event": 4}, 1: {}}
    assert commands(sealing) == [f"{SECRET} {n}" for n in (1, 2, 4, 5)], "after"
    assert b"hunter-22" not in everything(home)
    top = sealing.post("/lake/sql/", {"sql": "SELECT process_cmd, count(*) FROM events GROUP BY 1"}).content.decode()
    assert f"{SECRET} 1" in top
    assert node_admin.post("/people/sealing/", {"do": "retire", "generation": "1"}).status_code == 409, "something may still be on its way"
    assert later(node_admin, "/people/sealing/", {"do": "retire", "generation": "1"}).status_code == 302
    assert sorted(path.name for path in (home / "keys").glob("sealing*")) == ["sealing-2.key"]
    assert commands(sealing) == [f"{SECRET} {n}" for n in (1, 2, 4, 5)]
    verbs = list(Record.objects.filter(verb__in=["people.sealing_rotated", "people.sealing_retired"]).order_by("time").values_list("verb", flat=True))
    assert verbs == ["people.sealing_rotated", "people.sealing_retired"]
    assert Record.objects.filter(verb="people.sealing_moved").exists()


def test_events_in_files_of_several_shapes_and_days_keep_every_row(sealing, put, node_admin, all_events):
    for days in (0, 1, 2):
        put(*(secret(n) if n % 2 else sysmon(n, at=clock.now() - timedelta(days=days, seconds=n)) for n in range(20)))
    rows = scope.query().rows("SELECT event_id, raw, rules, level FROM stored ORDER BY 1", bounds=_all())
    node_admin.post("/people/sealing/", {"do": "rotate"})
    jobs.work(once=True)
    keeping.do_chores(places.store())
    assert scope.query().rows("SELECT event_id, raw, rules, level FROM stored ORDER BY 1", bounds=_all()) == rows
    assert hang()[2]["lake.event"] == 30
    keeping.tidy(places.store())
    assert hang()[2]["lake.event"] == 30, "joined files are counted anew"
    assert scope.query().rows("SELECT event_id, raw, rules, level FROM stored ORDER BY 1", bounds=_all()) == rows


def _all():
    return Bounds(EVENT_TABLES)


def test_a_writer_that_dies_in_the_middle_goes_on_where_it_was(sealing, put, node_admin, monkeypatch):
    put(secret(1), secret(2))
    node_admin.post("/people/sealing/", {"do": "rotate"})
    jobs.work(once=True)
    real, calls = EventStore._rewritten, []

    def dies(self, name, day, change):
        calls.append(day)
        real(self, name, day, lambda rows: (_ for _ in ()).throw(SystemExit))

    with monkeypatch.context() as patch:
        patch.setattr(EventStore, "_rewritten", dies)
        with pytest.raises(BaseException):
            keeping.do_chores(places.store())
    assert calls
    assert models.Chore.objects.filter(verb="reseal", done=None).exists()
    assert commands(sealing) == [f"{SECRET} {n}" for n in (1, 2)]
    put(secret(3))
    assert hang()[1] == {}, "the next look at the tables goes on with it"
    assert commands(sealing) == [f"{SECRET} {n}" for n in (1, 2, 3)]


@pytest.mark.covers("XA8")
def test_while_a_key_is_lost_the_pages_say_so_and_no_new_one_is_made(sealing, put, node_admin, home, browser):
    put(secret(1))
    kept = (home / "keys/sealing.key").read_text()
    (home / "keys/sealing.key").unlink()
    answer = node_admin.post("/lake/source/add/", {"name": "late", "kind": "poll", "codec": "json", "encoding": "utf-8", "address": "https://api.example/y", "user": "u", "login": "password", "secret": "x1", "begin": "first", "paging": "none"})
    assert (answer.status_code, "The node&#x27;s sealing key is lost" in answer.content.decode()) == (409, True), answer.content.decode()[:3000]
    page = node_admin.get("/people/sealing/").content.decode()
    assert "lianfang keys forget 1" in page
    assert 'value="rotate"' not in page
    assert node_admin.post("/people/sealing/", {"do": "rotate"}).status_code == 409
    assert "Hunter-22" not in sealing.get("/lake/search/").content.decode()
    assert not list((home / "keys").glob("sealing*"))
    (home / "keys/sealing.key").write_text(kept)
    assert commands(sealing) == [f"{SECRET} 1"]


def test_who_sees_a_part_of_the_node_neither_sees_nor_turns_its_keys(sealing, home):
    assert sealing.get("/people/sealing/").status_code == 403
    assert sealing.post("/people/sealing/", {"do": "rotate"}).status_code == 403
    assert [path.name for path in (home / "keys").glob("sealing*")] == ["sealing.key"]


def test_what_hangs_on_a_lost_key_is_given_up_and_the_line_moves_on(sealing, put, home):
    put(secret(1))
    receiving.receive("edr", [json.dumps(secret(2)).encode()], actor=SYSTEM)
    receiving.seal()
    (home / "keys/sealing.key").unlink()
    given = people_actions.forget_key(1, actor=SYSTEM)
    assert {one.kind: one.count for one in given} == {"lake.source_secret": 1, "lake.spooled": 1, "lake.event": 1}
    assert models.Source.objects.get(name="api").sealed == ""
    put(secret(3))
    assert commands(sealing) == [f"{SECRET} 3"]
    detail = json.loads(Record.objects.get(verb="people.sealing_forgotten").detail)
    assert detail["hung_on_it"] == ["lake.source_secret=1", "lake.spooled=1", "lake.event=1"]


def test_a_log_that_looks_sealed_neither_fakes_a_lost_key_nor_holds_an_old_one(sealing, put, node_admin, home):
    put(secret(1), sysmon(2, CommandLine="steady1.AAAA hunter"), sysmon(3, CommandLine="steady99.AAAA hunter"), b"\xc1lf1sealed1.0123abcd no log", b"\xc1lf1" + b"x" * 60)
    assert {one.number: str(one.state) for one in people.key_generations()} == {1: "newest"}
    assert node_admin.post("/people/sealing/", {"do": "rotate"}).status_code == 302
    jobs.work(once=True)
    keeping.do_chores(places.store())
    assert hang()[1] == {}, "what only looked sealed is a text like any other, sealed under the newest"
    assert later(node_admin, "/people/sealing/", {"do": "retire", "generation": "1"}).status_code == 302
    rejected = [row["raw"] for row in scope.query(REJECTS).rows("SELECT raw FROM stored", bounds=Bounds((REJECT_TABLE,)))]
    assert b"x" * 60 in {receiving.shown(raw).removeprefix(b"\xc1lf1") for raw in rejected if people.keyring().generation(raw[4:]) == 2}
    assert "steady1.AAAA hunter" in commands(sealing)


def test_a_writer_that_is_killed_leaves_the_day_as_it_was(tmp_path):
    """A real process and a real kill -9, while a day is written anew."""
    store = EventStore(tmp_path / "lake")
    now = clock.now()
    store.append("iam", table({"event_id": [f"{n:04d}" for n in range(2000)], "time": [now] * 2000, "host": ["old"] * 2000}), transactions={"w0": 1})
    day = f"{now:%Y-%m-%d}"
    code = f"""
import os, signal
from lianfang.engines.columns.query import Bounds, Query
from lianfang.engines.columns.shape import REJECTS, table
from lianfang.engines.columns.store import EventStore
def change(rows):
    os.kill(os.getpid(), signal.SIGKILL)
EventStore({str(tmp_path / "lake")!r}).rewrite("iam", {day!r}, change)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == -9
    count = "SELECT host, count(*) AS n FROM stored GROUP BY 1"
    assert Query(EventStore(tmp_path / "lake")).rows(count, bounds=Bounds(("iam",))) == [{"host": "old", "n": 2000}]
    EventStore(tmp_path / "lake").rewrite("iam", day, lambda rows: rows.set_column(rows.column_names.index("host"), "host", pa.array(["new"] * rows.num_rows)))
    assert Query(EventStore(tmp_path / "lake")).rows(count, bounds=Bounds(("iam",))) == [{"host": "new", "n": 2000}]
