"""The watch list: what is active, its version, and that detect would see a change at once."""

from datetime import UTC, datetime, timedelta

import pytest

from lianfang.commons.jobs import models as jobs
from lianfang.engines.rules.compiler import compile_rules
from lianfang.engines.rules.examiner import Examiner
from lianfang.engines.rules.types import WatchSets
from lianfang.kernel import clock
from lianfang.kernel.errors import Conflict, Invalid, Missing, Refused
from lianfang.rooms.intel import actions, models, queries
from lianfang.rooms.intel.types import Standing

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def one(viewers):
    with clock.frozen(NOON):
        return actions.add({"value": "hxxp://Bad[.]example", "source": "own work", "valid_from": NOON, "valid_until": NOON + timedelta(days=1)}, actor=viewers.member)


def test_only_what_is_active_is_watched_for(one, viewers):
    with clock.frozen(NOON + timedelta(hours=1)):
        assert one.standing == Standing.ACTIVE
        assert queries.watchlist().urls == {"http://bad.example/"}
    with clock.frozen(NOON - timedelta(hours=1)):
        assert one.standing == Standing.PENDING
        assert not queries.watchlist().urls
    with clock.frozen(NOON + timedelta(days=1)):
        assert one.standing == Standing.EXPIRED
        assert len(queries.watchlist()) == 0


def test_the_version_changes_with_deeds_and_with_time_and_only_then(one, viewers):
    with clock.frozen(NOON + timedelta(hours=1)):
        first = queries.watchlist_version()
        assert queries.watchlist().version == first
        actions.change(one, {"note": "seen at night"}, actor=viewers.member)
        second = queries.watchlist_version()
        assert second != first
        actions.change(one, {"note": "seen at night"}, actor=viewers.member)
        assert queries.watchlist_version() == second
    with clock.frozen(NOON + timedelta(hours=5)):
        assert queries.watchlist_version() == second
    with clock.frozen(NOON + timedelta(days=2)):
        assert queries.watchlist_version() != second


def test_a_change_is_told_once(one, viewers):
    told = jobs.OutboxFact.objects.filter(name="intel.WatchlistChanged")
    assert told.count() == 1
    with clock.frozen(NOON + timedelta(days=2)):
        assert actions.tell()
        assert not actions.tell()
    assert told.count() == 2
    assert told.order_by("-created").first().body["entries"] == 0


def test_revoke_and_restore(one, viewers):
    with clock.frozen(NOON + timedelta(hours=1)):
        actions.revoke(one, actor=viewers.member)
        assert not queries.watchlist().urls
        actions.restore(one, actor=viewers.member)
        assert queries.watchlist().urls


def test_the_list_fits_the_examiner(viewers):
    actions.import_list(b"203.0.113.9\n198.51.100.0/24\nbad.example\nhttp://bad.example/x\n44d88612fea8a8f36de82e1278abb02f\na@bad.example\n", source="feed", actor=viewers.member)
    found = queries.watchlist()
    assert len(found) == 5
    sets = WatchSets(ips=found.ips, cidrs=found.cidrs, domains=found.domains, hashes=found.hashes, urls=found.urls)
    hits = Examiner(compile_rules([]), watch=sets).rows([{"QueryName": "www.bad.example", "DestinationIp": "198.51.100.77"}], None)
    assert {uid for _, uids in hits for uid in uids} == {"ioc:domain:bad.example", "ioc:cidr:198.51.100.0/24"}


def test_by_hand_the_same_value_of_a_source_stands_once(one, viewers):
    with pytest.raises(Conflict):
        actions.add({"value": "http://bad.example/", "source": "own work"}, actor=viewers.member)
    with pytest.raises(Invalid):
        actions.add({"value": "127.0.0.1", "source": "own work"}, actor=viewers.member)
    with pytest.raises(Invalid):
        actions.change(one, {"valid_until": NOON - timedelta(days=1)}, actor=viewers.member)
    assert models.Indicator.objects.count() == 1


def test_who_sees_what(one, viewers):
    assert models.Indicator.objects.seen_by(viewers.member).count() == 1
    assert models.Indicator.objects.seen_by(viewers.colleague).count() == 1
    assert models.Indicator.objects.seen_by(viewers.outsider).count() == 0
    with pytest.raises(Missing):
        models.Indicator.objects.all().fetch(one.pk, viewers.outsider)
    with pytest.raises(Refused):
        actions.revoke(one, actor=viewers.reader)


def test_looking_up_goes_through_networks_domains_and_hosts(viewers):
    actions.import_list(b"198.51.100.0/24\nbad.example\n2001:db8:5::/48\n", source="feed", actor=viewers.member)
    asked = ["198.51.100.7", "http://www.bad[.]example/x", "2001:db8:5::9", "203.0.113.1", "hello"]
    answers = queries.look_up(asked, viewers.member)
    assert [[(one.value, one.through) for one in answer.known] for answer in answers] == [[("198.51.100.0/24", "198.51.100.0/24")], [("bad.example", "bad.example")], [("2001:db8:5::/48", "2001:db8:5::/48")], [], []]
    assert [answer.active for answer in answers] == [True, True, True, False, False]
    assert answers[4].kind == ""
    assert not any(answer.known for answer in queries.look_up(asked, viewers.outsider))
