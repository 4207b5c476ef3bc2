"""The history of collecting: what an operator sees of each run of a database table or a folder, and that a kill in the middle loses and doubles nothing."""

import json
import signal
import sqlite3
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from tests.patience import wait_for
from tests.rooms.lake.conftest import doors
from tests.rooms.lake.test_crashing import mortal
from tests.rooms.lake.test_tables import SERVERS, Server, Sqlite

from lianfang.kernel import clock
from lianfang.rooms.lake import actions, models
from lianfang.rooms.lake.actions import listening, pulling, receiving
from lianfang.rooms.lake.models.runs import MOST, OTHER, REASONS, together

AUDIT = "CREATE TABLE audit (id INTEGER PRIMARY KEY, at VARCHAR(30), account VARCHAR(60), ip VARCHAR(60), message VARCHAR(200))"
MAPPING = """template: erp.audit
title: {zh: 业务审计, en: Business audit}
detect: {account: "*"}
class: authentication
activity: Logon
map:
  - {from: at, to: time, parse: local_time}
  - {from: account, to: user, parse: lower}
  - {from: ip, to: src_ip}
  - {from: message, to: status_id, enum: {登录成功: 1, 登录失败: 2, "*": 99}}
tests:
  - name: failed
    codec: json
    raw: '{"id": 7, "at": "2026-11-20 08:00:00", "account": "Li", "ip": "192.0.2.7", "message": "登录失败"}'
    expect: {user: li, src_ip: 192.0.2.7, status_id: 2}
"""
STACK = "{at} ERROR 支付服务 订单 17 失败\njava.lang.IllegalStateException: 余额不足\n\tat com.pay.Order.close(Order.java:17)\n{at} INFO 支付服务 已重试\n"


@pytest.fixture
def operator(browser):
    return browser("member")


def moment(second):
    return f"{datetime.now(UTC) - timedelta(hours=1) + timedelta(seconds=second):%Y-%m-%d %H:%M:%S}"


def fill(other, numbers, *, at=None, ip="192.0.2.7"):
    for number in numbers:
        other.run("INSERT INTO audit (id, at, account, ip, message) VALUES (%s, %s, %s, %s, %s)", number, at or moment(number), f"  LI-{number}", ip, "登录失败")


@contextmanager
def collecting(operator):
    """The ingest process at work; gives ``runs()``: what the API tells of them, oldest first, once everything received is stored."""

    def runs(**more):
        receiving.seal()
        actions.drain()
        found = operator.get("/api/lake/runs/", {"sort": "began", **more})
        assert found.status_code == 200, found.content
        return found.json()["items"]

    with doors():
        yield runs


def collect(other, operator, last_hour_events):
    """What an operator does and sees, whatever the database: shared by the walks below."""
    fill(other, range(1, 1301))
    fill(other, [1301], at="1995-01-01 00:00:00", ip="no address")
    kept = operator.post("/api/lake/mappings/", json.dumps({"yaml": MAPPING}), content_type="application/json")
    assert kept.status_code in (200, 201), kept.content.decode()
    said = {"name": "erp", "kind": "database", "codec": "json", "encoding": "utf-8", "zone": "UTC", "template": "erp.audit", "address": other.address, "table": "audit", "column": "id", "user": other.user, "secret": other.secret, "every": "3600", "hold": "on"}
    made = operator.post("/lake/source/add/", said)
    assert made.status_code == 302, made.content.decode()[-3000:]
    source = models.Source.objects.get(name="erp")
    with collecting(operator) as runs:
        wait_for(lambda: (found := runs()) and found[0]["stored"] == 1301 and found[0]["state"] == "done", 60)
        (first,) = runs()
        assert (first["read"], first["rejected"], first["known"], first["last"]) == (1302, 0, 1, "1301")  # the second page meets the last row of the first again
        assert first["corrected"] == {"value:ip": 1, "clock": 1}
        assert first["took"] >= 0
        assert first["bytes"] > 1301 * 50
        fill(other, range(2001, 2004))
        assert operator.post("/lake/source/", {"do": f"read:{source.pk}"}).status_code == 302
        wait_for(lambda: len(runs()) == 2 and runs()[1]["stored"] == 3, 60)
        second = runs()[1]
        assert (second["first"], second["last"], second["resumed"]) == ("1301", "2003", False)
        other.run("DROP TABLE audit")
        assert operator.post(f"/api/lake/source/{source.pk}/read/").status_code in (200, 204)
        wait_for(lambda: runs()[-1]["state"] == "failed", 60)
        assert "The database refuses" in runs()[-1]["error"]
        other.run(AUDIT)
        fill(other, [3000])
        wait_for(lambda: runs()[-1]["stored"] == 1, 60)  # tried again by itself
        assert runs()[-1]["resumed"] is True
    assert models.Source.objects.get(name="erp").events == 1305
    assert last_hour_events(), "what was collected is found"
    page = operator.get(f"/lake/source/{source.pk}/").content.decode()
    for words in ("Read every 3600 seconds.", "Read now", "Collection runs", "What is cleansed", "code list of 3 entries", "small letters", "“ip” held no such value", "time that cannot be right", "The database refuses", "resumed", "data-chart"):
        assert words in page, f"the page does not show {words}"
    listed = operator.get(f"/lake/runs/?source={source.pk}").content.decode()
    assert "erp" in listed
    one = operator.get(f"/lake/runs/{models.Run.objects.get(state='failed').pk}/").content.decode()
    assert "Check table, column and rights" in one
    operator.cookies["django_language"] = "zh-hans"
    page = operator.get(f"/lake/source/{source.pk}/").content.decode()
    for words in ("采集运行记录", "立即采集", "清洗", "数据库拒绝", "码表"):
        assert words in page, f"the page does not show {words}"


@pytest.mark.django_db(transaction=True)
@pytest.mark.covers("XA2")
def test_an_operator_collects_from_a_database_and_sees_every_run(tmp_path, monkeypatch, operator, all_events):
    monkeypatch.setenv("LIANFANG_FOLDERS", str(tmp_path))
    other = Sqlite(tmp_path)
    other.run(AUDIT)
    collect(other, operator, all_events)


@pytest.mark.realparts
@pytest.mark.django_db(transaction=True)
@pytest.mark.covers("XA2")
@pytest.mark.parametrize("server", ["mysql", "mariadb"])
def test_an_operator_collects_from_mysql_and_mariadb(server, operator, all_events):
    if not SERVERS[server]:
        pytest.skip(f"no {server}")
    from tools.real_parts import fresh_database

    with fresh_database(SERVERS[server]) as address:
        other = Server(address)
        with other._wrapped.cursor() as cursor:
            cursor.execute("SELECT VERSION()")
            assert ("MariaDB" in cursor.fetchone()[0]) == (server == "mariadb"), "another server than it is said to be"
        other.run(AUDIT + " CHARACTER SET utf8mb4")
        collect(other, operator, all_events)
        other._wrapped.close()


@pytest.mark.django_db(transaction=True)
@pytest.mark.covers("XA2")
def test_free_text_in_gbk_over_many_lines_comes_in_through_a_folder_with_its_runs(home, operator, monkeypatch, all_events):
    monkeypatch.setattr(listening, "IDLE", 0.0)
    monkeypatch.setattr(listening, "LOOK", 0.05)
    inbox = home / "inbox"
    inbox.mkdir()
    said = {"name": "pay", "kind": "folder", "codec": "lines", "encoding": "gb18030", "zone": "UTC", "path": str(inbox), "pattern": "*.log", "hold": "on"}
    assert operator.post("/lake/source/add/", said).status_code == 302
    (inbox / "pay.log").write_bytes(STACK.format(at=moment(600)).encode("gbk") + moment(600).encode() + b" WARN \xff\xff broken\n")
    with collecting(operator) as runs:
        wait_for(lambda: sum(one["stored"] for one in runs()) == 3 and runs()[-1]["state"] == "done", 30)
    found = runs_of("pay")
    assert sum(one.read for one in found) == 3
    assert sum(one.bytes for one in found) == (inbox / "pay.log").stat().st_size
    assert found[-1].last.startswith("pay.log · ")
    assert together(one.corrected for one in found) == {"characters": 1}
    source = models.Source.objects.get(name="pay")
    page = operator.get(f"/lake/source/{source.pk}/").content.decode()
    for words in ("Looked at every second.", "Lines of one event are joined", "GB 18030 (GBK)", "characters outside the character set"):
        assert words in page, f"the page does not show {words}"
    found = operator.get("/api/lake/events/", {"q": "余额不足"}).json()["events"]
    assert len(found) == 1, "the stack trace is one event, and its Chinese is found"


def runs_of(name):
    return list(models.Run.objects.filter(source__name=name).order_by("began", "id"))


@pytest.mark.covers("XA2")
def test_killed_in_the_middle_of_runs_nothing_is_lost_or_doubled_and_the_history_says_so(tmp_path):
    """Real processes, killed with SIGKILL while they read a table that grows."""
    home, other = tmp_path / "home", Sqlite(tmp_path)
    other.run("CREATE TABLE log (n INTEGER PRIMARY KEY, who TEXT)")
    with pytest.MonkeyPatch.context() as world:
        world.setenv("LIANFANG_FOLDERS", str(tmp_path))
        assert mortal(home, "init").wait(120) == 0
        assert mortal(home, "database", other.address).wait(120) == 0
        written = 0
        for _ in range(3):
            other.run("INSERT INTO log WITH RECURSIVE n(n) AS (SELECT %s UNION ALL SELECT n + 1 FROM n LIMIT 8000) SELECT n, 'app' FROM n", written + 1)
            written += 8000
            ingest = mortal(home, "ingest")
            assert ingest.stdout.readline() == "up\n"
            wait_for(lambda: asked(home, "SELECT count(*) FROM lake_run WHERE state = 'running'"), 60)
            ingest.send_signal(signal.SIGKILL)
            ingest.wait()
        ingest = mortal(home, "ingest")
        assert ingest.stdout.readline() == "up\n"
        wait_for(lambda: asked(home, "SELECT last FROM lake_run WHERE state = 'done' AND last != '' ORDER BY began DESC LIMIT 1") == str(written), 60)
        ingest.send_signal(signal.SIGTERM)
        ingest.wait(60)
        check = mortal(home, "verify", "app")
        held = json.loads(check.communicate(timeout=120)[0])
    assert sorted(n for _, n, _ in held["events"]) == list(range(1, written + 1))
    assert held["counted"] == written
    runs = held["runs"]
    assert sum(one["stored"] + one["rejected"] for one in runs) == written, "the history counts every record once"
    broken = [place for place, one in enumerate(runs) if one["state"] == "broken"]
    assert broken, "no kill met a run: nothing was shown"
    assert all(runs[place + 1]["resumed"] for place in broken)
    assert runs[-1]["state"] in ("done", "stopped")


def asked(home, sql):
    """What the node's own database says."""
    with sqlite3.connect(f"file:{next(home.glob('*.sqlite3'))}?mode=ro", uri=True, timeout=10) as known:
        found = known.execute(sql).fetchone()
    return found[0] if found else ""


# ---- times -----------------------------------------------------------------------------------------------------


def test_times_of_day_are_kept_and_a_missed_one_is_made_up_once(settings):
    settings.TIME_ZONE = "UTC"
    row = models.Source(name="erp", times="02:00, 14:30", created=datetime(2026, 11, 20, 8, 0, tzinfo=UTC))
    assert pulling.due(row, None) == datetime(2026, 11, 20, 14, 30, tzinfo=UTC)
    last = models.Run(began=datetime(2026, 11, 20, 14, 30, tzinfo=UTC), ended=datetime(2026, 11, 20, 14, 31, tzinfo=UTC), state="done")
    assert pulling.due(row, last) == datetime(2026, 11, 21, 2, 0, tzinfo=UTC)
    last.state = "broken"
    with clock.frozen(datetime(2026, 11, 20, 15, 0, tzinfo=UTC)):
        assert pulling.due(row, last) == clock.now()
        row.times, row.every, last.state = "", 600, "done"
        assert pulling.due(row, last) == datetime(2026, 11, 20, 14, 41, tzinfo=UTC)


@pytest.mark.django_db
@pytest.mark.parametrize("times", ["25:00", "2 o'clock", "02:00;14:00"])
def test_what_names_no_time_is_refused(operator, times):
    said = {"name": "erp", "kind": "database", "codec": "json", "encoding": "utf-8", "address": "postgresql://db.example/erp", "table": "log", "column": "id", "times": times}
    answer = operator.post("/lake/source/add/", said)
    assert answer.status_code == 422
    assert "Write times of day such as 02:00, 14:30." in answer.content.decode()


# ---- bounds, and who sees it -----------------------------------------------------------------------------------


def made_runs(source, began, count=1, **more):
    return models.Run.objects.bulk_create([models.Run(source=source, organisation=source.organisation, territory=source.territory, industry=source.industry, began=began + timedelta(seconds=n), state="done", **more) for n in range(count)])


@pytest.mark.django_db
def test_the_history_is_bounded_in_time_and_number(viewers, monkeypatch):
    monkeypatch.setattr("lianfang.rooms.lake.actions.runs.MOST", 20)
    actions.create_source("app", kind="folder", path="/var/log", actor=viewers.member)
    source = models.Source.objects.get(name="app")
    made_runs(source, clock.now() - timedelta(days=100), 5)
    made_runs(source, clock.now() - timedelta(days=1), 30)
    actions.forget_runs()
    assert models.Run.objects.count() == 20
    assert MOST > 20


def test_rare_reasons_are_counted_together():
    found = together([{f"r{n}": n + 1 for n in range(REASONS + 5)}, {OTHER: 2}])
    assert len(found) == REASONS + 1
    assert found[OTHER] == 1 + 2 + 3 + 4 + 5 + 2
    assert together([found, {"r24": 1}])["r24"] == 26


@pytest.mark.django_db(transaction=True)
def test_an_outsider_sees_no_run(viewers, browser):
    actions.create_source("app", kind="folder", path="/var/log", actor=viewers.member)
    (run,) = made_runs(models.Source.objects.get(name="app"), clock.now(), stored=3)
    for who, sees in (("member", True), ("colleague", True), ("outsider", False)):
        client = browser(who)
        assert (client.get(f"/lake/runs/{run.pk}/").status_code == 200) == sees
        assert bool(client.get("/api/lake/runs/").json()["items"]) == sees


@pytest.mark.django_db(transaction=True)
def test_what_others_send_to_the_source_is_in_no_run(viewers, monkeypatch, tmp_path):
    """A test line, and records that go through again, are not what the source's reader read."""
    monkeypatch.setenv("LIANFANG_FOLDERS", str(tmp_path))
    actions.create_source("app", kind="folder", path=str(tmp_path), codec="json", actor=viewers.member)
    row = models.Source.objects.get(name="app")
    actions.send_test(row, actor=viewers.member)
    models.Run.objects.create(source=row, began=clock.now() - timedelta(seconds=5), state="running")
    actions.send_test(row, actor=viewers.member)
    receiving.seal()
    actions.drain()
    assert models.Source.objects.get(name="app").events == 2
    assert models.Run.objects.get().stored == 0
