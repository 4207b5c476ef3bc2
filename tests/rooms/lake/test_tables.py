"""Tables of other databases by a watermark: each row once, whatever shares a watermark, whenever we die."""

import os
import sqlite3
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.patience import wait_for
from tests.rooms.lake.conftest import doors, dying

from lianfang.kernel.errors import Invalid
from lianfang.rooms.lake import actions, models
from lianfang.rooms.lake.actions import asking, pulling, receiving, secrets
from lianfang.rooms.lake.adapters import database

SERVERS = {name: os.environ.get(f"LIANFANG_{name.upper()}", "") for name in ("postgresql", "mariadb", "mysql")}
TIMES = {"sqlite": "TEXT", "postgresql": "TIMESTAMP(6)", "mariadb": "DATETIME(6)", "mysql": "DATETIME(6)"}


class Sqlite:
    """A database file of another application."""

    def __init__(self, folder):
        self.path = folder / "app.db"
        self.address, self.user, self.secret = f"sqlite://{self.path}", "", ""
        self._connection = sqlite3.connect(self.path, isolation_level=None)

    def run(self, sql, *values):
        self._connection.execute(sql.replace("%s", "?"), values)


class Server:
    """An empty database on a real server."""

    def __init__(self, address):
        from urllib.parse import urlsplit

        parts = urlsplit(address)
        self.address, self.user, self.secret = f"{parts.scheme}://{parts.hostname}:{parts.port}{parts.path}", parts.username or "", parts.password or ""
        wrapped = database.connect(database.Settings(self.address, "t", "c", self.user, self.secret))
        with wrapped.cursor() as cursor:
            cursor.execute("SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE" if parts.scheme == "postgresql" else "SET SESSION TRANSACTION READ WRITE")
        self._wrapped = wrapped

    def run(self, sql, *values):
        with self._wrapped.cursor() as cursor:
            cursor.execute(sql, values)


@pytest.fixture(params=["sqlite", *(pytest.param(name, marks=pytest.mark.realparts) for name in SERVERS)])
def other(request, tmp_path, monkeypatch):
    """Another database with a table ``log``."""
    monkeypatch.setenv("LIANFANG_FOLDERS", str(tmp_path))
    if request.param == "sqlite":
        made = Sqlite(tmp_path)
        made.run("CREATE TABLE log (id INTEGER PRIMARY KEY, at TEXT, message TEXT)")
        yield made
        return
    if not SERVERS[request.param]:
        pytest.skip("no server")
    from tools.real_parts import fresh_database

    with fresh_database(SERVERS[request.param]) as address:
        made = Server(address)
        made.run(f"CREATE TABLE log (id INTEGER PRIMARY KEY, at {TIMES[request.param]}, message VARCHAR(200))")
        yield made
        made._wrapped.close()


@contextmanager
def reading(row):
    """``look()``: one page after another until there is nothing more, as the ingest process does every minute."""
    place = SimpleNamespace(source=row)
    pull = pulling.Pull.__new__(pulling.Pull)
    pull.source, pull.dropped, pull.place = row, 0, "x" * 32
    pull._stop = __import__("threading").Event()
    reader = asking.table(row)
    reader.size = 3
    place.reader = reader

    def look():
        while pull.step(reader):
            pass

    place.look, place.pull = look, pull
    yield place
    reader.close()


def made(other, viewers, column="at", **more):
    actions.create_source("app", kind="database", codec="json", address=other.address, table="log", column=column, user=other.user, secret=other.secret, actor=viewers.member, **more)
    return models.Source.objects.get(name="app")


def add(other, *rows):
    for number, at, message in rows:
        other.run("INSERT INTO log (id, at, message) VALUES (%s, %s, %s)", number, at, message)


def stored() -> int:
    receiving.seal()
    actions.drain()
    return models.Source.objects.get(name="app").events


@pytest.mark.django_db(transaction=True)
def test_rows_that_share_the_watermark_are_taken_once_also_when_they_come_late(other, viewers, client, users):
    add(other, *((n, "2026-11-21 08:00:00", f"row {n}") for n in range(1, 8)))
    row = made(other, viewers)
    with reading(row) as place:
        place.look()
        assert stored() == 7
        add(other, (20, "2026-11-21 08:00:00", "late, at the same moment"), (3 + 20, "2026-11-21 08:00:00", "and another"), (30, "2026-11-21 08:00:01", "later"))
        place.look()
        place.look()
    assert stored() == 10
    assert models.Source.objects.get(name="app").rejects == 0
    client.force_login(users.member, backend="django.contrib.auth.backends.ModelBackend")
    client.cookies["django_language"] = "en"
    assert client.post("/lake/source/", {"do": f"try:{row.pk}"}).status_code == 302
    assert "The table can be read: at least 10 rows." in client.get(f"/lake/source/{row.pk}/").content.decode()


@pytest.mark.django_db(transaction=True)
def test_a_number_is_a_watermark_and_the_beginning_may_be_now(other, viewers):
    row = made(other, viewers, column="id", begin="last")
    with reading(row) as place:
        place.look()
        add(other, (1, "2026-11-21 08:00:00", "the first after an empty table"))
        place.look()
        assert stored() == 1
    models.Position.objects.all().delete()
    with reading(row) as place:
        place.look()
        add(other, (2, "2026-11-21 08:00:00", "new"), (3, None, "no watermark is needed here"))
        place.look()
    assert stored() == 3


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("moment", ["before", "after", "noted"])
def test_a_crash_while_a_page_is_received_loses_and_doubles_nothing(other, viewers, monkeypatch, moment):
    add(other, *((n, "2026-11-21 08:00:00", f"row {n}") for n in range(1, 3)))
    row = made(other, viewers)

    with reading(row) as place:
        with monkeypatch.context() as world:
            world.setattr(receiving, "receive", dying(moment))
            with pytest.raises(SystemExit):
                place.look()
        add(other, *((n, "2026-11-21 08:00:00", f"row {n}") for n in range(10, 15)))  # the page is another one now
        place.look()
        place.look()
    assert stored() == 7


@pytest.mark.django_db(transaction=True)
def test_the_ingest_process_reads_tells_trouble_and_stops(other, viewers):
    add(other, *((n, f"2026-11-21 08:00:{n:02d}", f"row {n}") for n in range(1, 30)))
    row = made(other, viewers, every=1)
    with doors():
        wait_for(lambda: models.Position.objects.filter(pending={}).exclude(value={}).exists(), 15)
        wait_for(lambda: stored() == 29, 15)
        other.run("DROP TABLE log")
        wait_for(lambda: "The database refuses" in models.Source.objects.get(pk=row.pk).trouble, 15)


@pytest.mark.django_db(transaction=True)
def test_nothing_is_ever_written(other, viewers):
    reader = database.Table(database.Settings(other.address, "log", "at", other.user, other.secret))
    with pytest.raises(Exception, match=r"(?i)read.?only"), reader._connection.cursor() as cursor:
        cursor.execute("INSERT INTO log (id) VALUES (99)")
    reader.close()


@pytest.mark.django_db
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.integers(0, 3), max_size=6), max_size=6), st.integers(1, 4))
def test_any_order_of_arrival_at_or_above_the_watermark_is_read_once(tmp_path_factory, rounds, size):
    """Rows arrive with watermarks that never fall below the greatest that was read."""
    other = Sqlite(tmp_path_factory.mktemp("rounds"))
    other.run("CREATE TABLE log (id INTEGER PRIMARY KEY, at INTEGER)")
    reader = database.Table(database.Settings(other.address, "log", "at"), page=size)
    position, got, number, floor = {}, [], 0, 0
    for steps in rounds:
        for step in steps:
            number += 1
            other.run("INSERT INTO log VALUES (%s, %s)", number, floor + step)
        more = True
        while more:
            page = reader.page(position)
            got += page.frames
            position, more = page.after, page.more
        floor += max(steps, default=0)
    assert len(got) == len(set(got)) == number
    reader.close()


@pytest.mark.django_db(transaction=True)
def test_passwords_are_sealed_and_go_nowhere_else_unseen(home, viewers, monkeypatch, client, users):
    monkeypatch.setenv("LIANFANG_FOLDERS", str(home))
    client.force_login(users.member, backend="django.contrib.auth.backends.ModelBackend")
    said = {"name": "erp", "kind": "database", "codec": "json", "encoding": "utf-8", "address": "postgresql://db.example/erp", "table": "audit.log", "column": "id", "user": "reader", "secret": "s3cret-word"}
    assert client.post("/lake/source/add/", said).status_code == 302
    row = models.Source.objects.get(name="erp")
    assert row.sealed.startswith("sealed1.")
    assert secrets.unseal(row) == "s3cret-word"
    assert (home / "keys/sealing.key").exists()
    for url in (f"/lake/source/{row.pk}/", f"/lake/source/{row.pk}/change/", f"/api/lake/source/{row.pk}/", "/lake/source/export/"):
        answer = client.get(url)
        text = b"".join(answer.streaming_content).decode() if answer.streaming else answer.content.decode()
        assert "s3cret-word" not in text, url
        assert row.sealed not in text, url
    assert client.post(f"/lake/source/{row.pk}/change/", said | {"note": "kept", "secret": ""}).status_code == 302
    row.refresh_from_db()
    assert (row.note, secrets.unseal(row)) == ("kept", "s3cret-word")
    answer = client.post(f"/lake/source/{row.pk}/change/", said | {"address": "postgresql://elsewhere.example/erp", "secret": ""})
    assert answer.status_code == 422
    row.refresh_from_db()
    assert row.address == "postgresql://db.example/erp"
    from lianfang.commons.ledger.models import Record

    assert not [record for record in Record.objects.all() if "s3cret-word" in str(record.__dict__)]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "wrong",
    [{"address": "postgresql://me:pw@db/erp"}, {"address": "http://db/erp"}, {"address": "postgresql:///erp"}, {"table": "log; DROP TABLE log"}, {"table": '"log"'}, {"column": "id --"}, {"column": ""}, {"address": "sqlite:///etc/passwd"}],
)
def test_what_can_be_no_table_is_refused(home, viewers, wrong):
    with pytest.raises(Invalid):
        actions.create_source("erp", kind="database", actor=viewers.member, **{"address": "postgresql://db.example/erp", "table": "log", "column": "id", **wrong})
