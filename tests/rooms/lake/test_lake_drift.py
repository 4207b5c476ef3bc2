"""A feed changes its form overnight: it is noticed, told, not half imported, mended by its owner and replayed, each event once."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from tests.rooms.lake.test_lake_wizard import me, picked, stored  # noqa: F401 - the fixture

from lianfang.commons.ledger.models import Record
from lianfang.kernel import clock
from lianfang.rooms.lake import actions, models
from lianfang.rooms.lake.actions import ingesting, storing
from lianfang.rooms.lake.models import Course

pytestmark = pytest.mark.django_db(transaction=True)

MAPPING = """template: harbour.gate
title: {zh: 闸机, en: Gate}
detect: {}
class: network_activity
map:
  - {from: src, to: src_ip}
  - {from: gate, to: host}
  - {from: n, to: event_code}
tests:
  - {name: one, codec: json, raw: '{"src": "192.0.2.1", "gate": "g1", "n": "1"}', expect: {src_ip: 192.0.2.1, host: g1}}
"""


def line(n: int, *, src: str = "src", **more) -> bytes:
    return json.dumps({src: f"192.0.2.{n % 250}", "gate": "g1", "n": str(n), **more}).encode()


@pytest.fixture
def feed(me, viewers):  # noqa: F811
    """``feed(lines)`` into a source with its own mapping and a past of 150 records."""
    actions.save_mapping(MAPPING, actor=viewers.member)
    actions.create_source("gate", codec="json", template="harbour.gate", silent_after=10, actor=viewers.member)

    def feed(lines):
        actions.receive("gate", lines, actor=viewers.member)
        actions.drain()

    for part in range(5):
        feed([line(30 * part + n) for n in range(30)])
    return feed


def held(client) -> dict[str, int]:
    return {one["kind"]: one["count"] for one in client.get("/api/lake/rejects/?source=gate").json() if one["stage"] == "drift"}


def codes(client) -> list[int]:
    """The numbers of all stored events, which are each sent once."""
    rows = client.post("/api/lake/query", json.dumps({"sql": "SELECT event_code FROM events WHERE source = 'gate'", "limit": 5000}), content_type="application/json").json()["rows"]
    return sorted(int(row[0]) for row in rows)


@pytest.mark.covers("Q09")
def test_a_drifted_feed_is_noticed_told_held_back_mended_and_replayed_each_event_once(me, feed):  # noqa: F811
    me.get("/lake/bell/")  # told of all that was before
    feed([*(line(n) for n in range(150, 160)), *(line(n, src="client_address") for n in range(160, 200))])
    row = models.Source.objects.get(name="gate")
    assert codes(me) == list(range(160)), "what fits is stored, what no longer fits is not, not even in part"
    assert held(me) == {"It no longer fits: it gives no src_ip": 40}
    page = me.get(f"/lake/source/{row.pk}/").content.decode()
    for words in ("It writes otherwise than usual.", "“Source address” is filled in 20 % of the records, usually in 100 %.", "<code>src</code>", "<code>client_address</code>", "40 records are held back", "192.0.2.160"):
        assert words in page
    assert "gate</a> writes otherwise than usual" in me.get("/lake/bell/").content.decode()
    assert me.get("/lake/bell/").status_code == 204, "told once"
    assert Record.objects.filter(verb="lake.source_drifted", label="gate").count() == 1
    assert "lianfang_lake_drifting_sources 1.0" in me.get("/metrics").content.decode()
    feed([line(n, src="client_address") for n in range(200, 205)])
    assert held(me) == {"It no longer fits: it gives no src_ip": 45}, "from now on also a handful is held back at once"
    address = me.post(f"/lake/source/{row.pk}/mend/", {"do": "mend"})["Location"]
    assert "client_address" in me.get(address).content.decode()
    wrong = picked(address, me, {"src": "src_ip", "gate": "host", "n": "event_code"}, name="harbour.gate", klass="network_activity")
    me.post(address, wrong | {"do": "mend"})
    actions.drain()
    assert len(codes(me)) == 160 and sum(held(me).values()) == 45, "a mapping that does not mend it lets nothing in half"
    address = me.post(f"/lake/source/{row.pk}/mend/", {"do": "mend"})["Location"]
    right = picked(address, me, {"src": "src_ip", "client_address": "src_ip", "gate": "host", "n": "event_code"}, name="harbour.gate", klass="network_activity")
    answer = me.post(address, right | {"do": "mend"}, follow=True)
    assert "45 records go through again" in answer.content.decode()
    actions.drain()
    assert codes(me) == list(range(205)), "nothing lost, nothing doubled"
    assert held(me) == {}
    row.refresh_from_db()
    assert row.drifting_since is None and row.drifts.get().course == Course.MENDED
    assert "gate</a> fits again" in me.get("/lake/bell/").content.decode()
    feed([line(n, src="client_address") for n in range(205, 260)])
    assert codes(me) == list(range(260)) and held(me) == {}


def test_the_owner_may_accept_the_new_form_and_what_was_held_back_comes_in(me, feed):  # noqa: F811
    feed([line(n, src="client_address") for n in range(150, 190)])
    row = models.Source.objects.get(name="gate")
    assert me.post(f"/lake/source/{row.pk}/mend/", {"do": "accept"}).status_code == 302
    actions.drain()
    assert codes(me) == list(range(190)) and held(me) == {}
    feed([line(n, src="client_address") for n in range(190, 230)])
    assert codes(me) == list(range(230))
    assert row.drifts.get().course == Course.ACCEPTED


def test_a_source_that_may_store_what_it_can_is_told_all_the_same(me, feed):  # noqa: F811
    row = models.Source.objects.get(name="gate")
    assert me.post(f"/lake/source/{row.pk}/change/", {"name": "gate", "kind": "http", "codec": "json", "encoding": "utf-8", "template": "harbour.gate", "zone": "Asia/Shanghai"}).status_code == 302
    feed([line(n, src="client_address") for n in range(150, 190)])
    assert codes(me) == list(range(190)) and held(me) == {}
    row.refresh_from_db()
    assert row.drifting_since and not row.hold


def test_texts_of_another_kind_and_lines_that_cannot_be_read_are_drifts_too(me, feed):  # noqa: F811
    feed([json.dumps({"src": "gate seven", "gate": "g1", "n": str(n)}).encode() for n in range(150, 180)])
    assert held(me) == {"It no longer fits: it gives no src_ip": 30}
    feed([b"<broken>"] * 40)
    page = me.get(f"/lake/source/{models.Source.objects.get(name='gate').pk}/").content.decode()
    assert "100 % of the records cannot be read, usually 0 %." in page
    assert codes(me) == list(range(150))


def test_a_crash_between_the_tables_and_the_end_neither_loses_nor_doubles_what_is_held_back(me, feed, viewers, monkeypatch):  # noqa: F811
    """The first time the drift was certain; after the crash the process has forgotten half of what made it so."""
    actions.receive("gate", [*(line(n) for n in range(150, 160)), *(line(n, src="client_address") for n in range(160, 200))], actor=viewers.member)
    with monkeypatch.context() as broken:
        broken.setattr(storing.Storer, "_tell", lambda *_: (_ for _ in ()).throw(RuntimeError("power")))
        with pytest.raises(RuntimeError):
            actions.drain()
    with monkeypatch.context() as forgetful:
        forgetful.setattr(ingesting._Sources, "origin", lambda self, name, fresh, origin=ingesting._Sources.origin: replace(origin(self, name, fresh), hold=False))
        actions.drain()
    assert codes(me) == list(range(160)) and sum(held(me).values()) == 40


def test_silence_is_told_by_the_same_bell_to_who_looks_after_the_source_and_to_nobody_else(me, feed, users, client):  # noqa: F811
    me.get("/lake/bell/")
    with clock.frozen(clock.now() + timedelta(minutes=11)):
        actions.watch_sources()
        assert "gate</a> has fallen silent" in me.get("/lake/bell/").content.decode()
        client.force_login(users.outsider, backend="django.contrib.auth.backends.ModelBackend")
        assert client.get("/lake/bell/").status_code == 204


def test_machines_learn_of_drifts_and_decide_on_them_within_their_scope(me, feed, users, client):  # noqa: F811
    feed([line(n, src="client_address") for n in range(150, 190)])
    (one,) = me.get("/api/lake/drifts/?source=gate").json()
    assert (one["course"], one["held"], one["changes"][0]["name"], one["changes"][0]["lost"], one["changes"][0]["fresh"]) == ("open", 40, "src_ip", ["src"], ["client_address"])
    client.force_login(users.outsider, backend="django.contrib.auth.backends.ModelBackend")
    assert client.get("/api/lake/drifts/").json() == []
    assert client.post("/api/lake/drifts/gate", json.dumps({"do": "accept"}), content_type="application/json").status_code == 404
    client.force_login(users.member, backend="django.contrib.auth.backends.ModelBackend")
    assert me.post("/api/lake/drifts/gate", json.dumps({"do": "accept"}), content_type="application/json").json() == {"frames": 40}
    actions.drain()
    assert codes(me) == list(range(190))
    assert me.get("/api/lake/drifts/").json()[0]["course"] == "accepted"
