"""From one event to what came before and after: an analyst follows an intruder over accounts and addresses, and only as far as they may see."""

import json
from datetime import timedelta
from html import unescape
from itertools import count

import pytest
from django.urls import reverse

from lianfang.engines.columns.shape import table
from lianfang.engines.schema.events import table_of
from lianfang.kernel import clock
from lianfang.rooms.lake.queries import places

pytestmark = pytest.mark.django_db


@pytest.fixture
def stored(organisations):
    """``stored((minute, host, more), …)``: events of harbour, an hour ago and on, as the lake keeps them; gives their identifiers."""
    numbers = count(1)
    begin = clock.now().replace(microsecond=0) - timedelta(hours=2)

    def store(*events, territory=None, **same):
        names = []
        for at, (minute, host, more) in enumerate(events):
            moment = begin + timedelta(minutes=minute)
            name = f"{int(moment.timestamp() * 1000):011x}-w000-{at:05x}"
            row = {"event_id": name, "time": moment, "received": moment, "source": "edge", "territory": territory or organisations.harbour.territory, "level": 1, "class_uid": 3002, "activity_id": 1, "host": host} | same | more
            places.store().append(table_of(row["class_uid"]), table({key: [value] for key, value in row.items()}), transactions={"w000": next(numbers)})
            names.append(name)
        return names

    return store


def linked(client, name, **asked):
    answer = client.get(f"/api/respond/linked/{name}/", asked)
    assert answer.status_code == 200, answer.content
    return answer.json()


@pytest.mark.covers("XD9")
def test_an_analyst_follows_an_intruder_from_one_event_to_earlier_and_later_ones(stored, raised, browser):
    """A log-in at the web server, the same account at the database, and an address that only those who broke in used."""
    scan, login, move, copy, _other = stored(
        (0, "web-1", {"ips": ["203.0.113.9"], "class_uid": 4001}),
        (10, "web-1", {"user": "svc-backup", "ips": ["203.0.113.9"], "rules": ["shell"]}),
        (30, "db-1", {"user": "svc-backup", "event_code": "4624"}),
        (45, "db-1", {"class_uid": 4001, "domains": ["drop.example"]}),
        (20, "pc-9", {"user": "li"}),
    )
    client = browser("member")
    found = linked(client, login)
    by = {one["event_id"]: one for one in found["linked"]}
    assert set(by) == {scan, move, copy}, "who shares nothing is not there"
    assert [one["event_id"] for one in found["linked"]] == [scan, move, copy], "in the order of time"
    assert by[scan]["by"] == {"kind": "ips", "value": "203.0.113.9"}
    assert (by[move]["from"], by[move]["by"], by[move]["links"]) == (login, {"kind": "users", "value": "svc-backup"}, 1)
    assert (by[copy]["from"], by[copy]["links"]) == (move, 2), "over the database host"
    assert by[move]["weight"] > by[copy]["weight"] > 0
    assert {one["event_id"] for one in linked(client, login, depth=1)["linked"]} == {scan, move}
    page = unescape(client.get(reverse("respond:linked", kwargs={"event_id": login})).content.decode())
    for words in ("Earlier", "Later", "Over Users svc-backup → Hosts db-1", "203.0.113.9", reverse("lake:event", kwargs={"event_id": copy})):
        assert words in page
    assert reverse("respond:linked", kwargs={"event_id": login}) in client.get(reverse("lake:event", kwargs={"event_id": login})).content.decode(), "it is reached from the event"


def test_what_a_rule_fired_on_leads_to_its_alert_and_stands_before_its_like(stored, raised, browser):
    first, quiet, loud = stored((0, "a", {"user": "wu"}), (10, "b", {"user": "wu"}), (11, "c", {"user": "wu", "rules": ["dump"]}))
    at = linked(browser("member"), first)
    by = {one["event_id"]: one for one in at["linked"]}
    assert by[loud]["weight"] > by[quiet]["weight"]


def test_what_very_many_hosts_share_leads_nowhere_and_is_named(stored, browser):
    names = stored(*((n, f"pc-{n}", {"ips": ["10.0.0.53"]}) for n in range(30)))
    found = linked(browser("member"), names[0])
    assert found["linked"] == []
    assert found["crowded"] == [{"kind": "ips", "value": "10.0.0.53", "hosts": 30}]
    page = unescape(browser("member").get(reverse("respond:linked", kwargs={"event_id": names[0]})).content.decode())
    assert "10.0.0.53" in page and "30 hosts" in page


def test_many_of_a_kind_are_one_line_that_counts_them(stored, browser):
    first, *_rest, last = stored((0, "a", {"user": "wu"}), *((n, "b", {"user": "wu", "event_code": "4625"}) for n in range(5, 25)))
    (one,) = linked(browser("member"), first)["linked"]
    assert (one["events"], one["event_id"] != last) == (20, True)


def test_nobody_is_led_out_of_their_scope(stored, organisations, browser):
    (ours,) = stored((0, "a", {"user": "wu"}))
    stored((5, "hmi-1", {"user": "wu"}), territory=organisations.mill.territory)
    assert linked(browser("member"), ours)["linked"] == []
    assert browser("outsider").get(f"/api/respond/linked/{ours}/").status_code == 404
    assert browser("outsider").get(reverse("respond:linked", kwargs={"event_id": ours})).status_code == 404


def test_what_one_may_not_read_links_nothing_and_is_not_told(stored, browser):
    """Above an analyst's clearance: the account is masked, and joins nothing."""
    first, hidden = stored((0, "a", {"user": "wu"}), (5, "b", {"user": "wu", "level": 4, "ips": ["203.0.113.9"]}))
    client = browser("member")
    assert linked(client, first)["linked"] == []
    assert "203.0.113.9" not in json.dumps(linked(client, hidden))
