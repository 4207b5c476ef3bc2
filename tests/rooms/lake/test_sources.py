"""The page of a source: what its form asks, what its last hour was, what a try says, and that silence is told."""

import socket
from datetime import timedelta

import pytest
from tests.rooms.lake.conftest import sysmon

from lianfang.commons.ledger.models import Record
from lianfang.kernel import clock
from lianfang.rooms.lake import actions, models, queries
from lianfang.rooms.lake.types import Kind

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def page(client, users):
    """``page(row)``: the page of a source in English, as the member sees it."""
    client.force_login(users.member, backend="django.contrib.auth.backends.ModelBackend")
    client.cookies["django_language"] = "en"
    return lambda row: client.get(f"/lake/source/{row.pk}/").content.decode()


def attempt(client, row) -> str:
    assert client.post("/lake/source/", {"do": f"try:{row.pk}"}).status_code == 302
    row.refresh_from_db()
    return row.tried_said


def test_each_kind_is_asked_for_what_it_needs_and_for_nothing_else(page, client):
    wanted = {
        "http": set(), "syslog_tls": {"host", "port", "authority"}, "folder": {"path", "pattern"}, "kafka": {"address", "table", "consumer_group", "secret", "tls"},
        "database": {"address", "table", "column", "secret", "every"}, "poll": {"address", "paging", "items", "next", "secret", "every"},
    }  # fmt: skip
    every = set().union(*wanted.values())
    for kind, names in wanted.items():
        form = client.get(f"/lake/source/add/?kind={kind}&name=x-1").content.decode()
        shown = {name for name in every if f'id="id_{name}"' in form}
        assert names <= shown, kind
        assert not shown & (every - names - ({"authority", "tls"} if kind in ("kafka", "database", "poll") else set())), kind
        assert 'value="x-1"' in form
    assert client.post("/lake/source/add/", {"name": "k", "kind": "kafka", "codec": "auto", "encoding": "utf-8"}).status_code == 422


def test_the_last_hour_stands_on_the_page_minute_by_minute(put, source, page):
    now = clock.now().replace(second=30)
    with clock.frozen(now - timedelta(minutes=2)):
        actions.watch_sources()
    put(sysmon(1), sysmon(2), sysmon(3))
    with clock.frozen(now - timedelta(minutes=1)):
        actions.watch_sources()
    put(sysmon(4))
    with clock.frozen(now):
        row = models.Source.objects.get(name="edr")
        counts = [one.count for one in queries.last_hour(row)]
        assert len(counts) == 60
        assert counts[-3:] == [3, 1, 0]
        assert "data-chart" in page(row)
    with clock.frozen(now + timedelta(hours=2)):
        actions.watch_sources()
        assert models.Reading.objects.count() == 1
        assert "Nothing came in the last hour." in page(row)


def test_what_came_before_the_first_reading_counts_too(put, source, page):
    put(sysmon(1), sysmon(2))
    row = models.Source.objects.get(name="edr")
    assert sum(one.count for one in queries.last_hour(row)) == 2


def test_the_page_shows_the_settings_of_its_kind_and_no_secret(viewers, page):
    actions.create_source("erp", kind=Kind.DATABASE, address="postgresql://db.example/erp", table="audit.log", column="id", user="reader", secret="s3cret-word", actor=viewers.member)
    text = page(models.Source.objects.get(name="erp"))
    for word in ("postgresql://db.example/erp", "audit.log", "Watermark column", "kept sealed"):
        assert word.lower() in text.lower()
    assert "s3cret-word" not in text
    assert "consumer group" not in text.lower()


def test_silence_is_told_once_and_so_is_its_end(put, source, viewers, page, client, monkeypatch):
    from lianfang.commons.jobs import actions as jobs

    told = []
    monkeypatch.setattr(jobs, "publish", lambda fact: told.append(fact))
    row = models.Source.objects.get(name="edr")
    assert client.post(f"/lake/source/{row.pk}/change/", {"name": "edr", "kind": "http", "codec": "json", "encoding": "utf-8", "silent_after": "10"}).status_code == 302
    actions.watch_sources()
    assert told == []
    with clock.frozen(clock.now() + timedelta(minutes=11)):
        for _ in range(2):
            actions.watch_sources()
        assert [(fact.name(), fact.source, fact.minutes) for fact in told] == [("lake.SourceSilent", "edr", 10)]
        assert "nothing came for more than 10 minutes" in page(row)
        assert "lianfang_lake_silent_sources 1.0" in client.get("/metrics").content.decode()
    put(sysmon(1))
    actions.watch_sources()
    assert [fact.name() for fact in told if "Source" in fact.name()] == ["lake.SourceSilent", "lake.SourceSpoke"]
    assert "lianfang_lake_silent_sources 0.0" in client.get("/metrics").content.decode()
    assert [record.verb for record in Record.objects.filter(verb__in=["lake.source_silent", "lake.source_spoke"]).order_by("pk")] == ["lake.source_silent", "lake.source_spoke"]


def test_a_try_says_what_happened(viewers, page, client, home, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        actions.create_source("tcp", kind=Kind.SYSLOG_TCP, host="127.0.0.1", port=port, actor=viewers.member)
        row = models.Source.objects.get(name="tcp")
        assert attempt(client, row) == f"The port {port} answers."
        assert row.tried_well
        assert "The try went well" in page(row)
    attempt(client, row)
    assert not row.tried_well
    assert "The try failed" in page(row)
    actions.create_source("bus", kind=Kind.KAFKA, address="127.0.0.1:1", table="logs", actor=viewers.member)
    from lianfang.rooms.lake.adapters import kafka

    monkeypatch.setattr(kafka, "PATIENCE", 0.5)
    assert "No Kafka broker answers" in attempt(client, models.Source.objects.get(name="bus"))
    (home / "inbox").mkdir()
    (home / "inbox/a.log").write_text("x")
    actions.create_source("files", kind=Kind.FOLDER, path=str(home / "inbox"), actor=viewers.member)
    assert attempt(client, models.Source.objects.get(name="files")) == "The folder can be read: 1 files fit."
    actions.create_source("db", kind=Kind.DATABASE, address="postgresql://127.0.0.1:1/x", table="t", column="c", actor=viewers.member)
    assert "The database cannot be reached" in attempt(client, models.Source.objects.get(name="db"))
    assert Record.objects.filter(verb="lake.source_tried").count() == 5


def test_only_who_may_change_a_source_tries_it(viewers, users, client, source):
    row = models.Source.objects.get(name="edr")
    client.force_login(users.outsider, backend="django.contrib.auth.backends.ModelBackend")
    client.post("/lake/source/", {"do": f"try:{row.pk}"})
    row.refresh_from_db()
    assert row.tried is None
