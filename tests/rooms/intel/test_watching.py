"""The watch list: what is active, its version, and that detect would see a change at once."""

from datetime import UTC, datetime, timedelta
from time import perf_counter
from types import SimpleNamespace

import pytest

from lianfang.commons.jobs import models as jobs
from lianfang.engines.rules.compiler import compile_rules
from lianfang.engines.rules.examiner import Examiner
from lianfang.engines.rules.types import WatchSets
from lianfang.kernel import clock
from lianfang.kernel.errors import Conflict, Invalid, Missing, Refused
from lianfang.rooms.intel import actions, models, queries
from lianfang.rooms.intel.queries import watching
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


# ---- kept in the process, and brought up to date ------------------------------------------------------------------


@pytest.fixture
def anew(monkeypatch):
    """How often the whole list was read, while both the list kept and one read anew are asked for."""
    read, whole = [], watching._whole
    watching._kept.clear()
    monkeypatch.setattr(watching, "_whole", lambda now: read.append(now) or whole(now))

    def both():
        found = queries.watchlist()
        kept, before = watching._kept[:], len(read)
        watching._kept.clear()
        assert found == queries.watchlist()
        watching._kept[:] = kept
        del read[before:]
        return sorted(found.domains)

    return SimpleNamespace(both=both, read=read)


def test_the_list_kept_is_the_list_read_anew(viewers, anew):
    """By hand, by import, of two sources, revoked, restored, with time: after each step both say the same."""
    feed = {"source": "feed", "actor": viewers.member, "days": 0}
    with clock.frozen(NOON):
        actions.import_list(b"one.example\ntwo.example\n203.0.113.9", **feed)
        assert anew.both() == ["one.example", "two.example"]
        actions.add({"value": "two.example", "source": "own work", "valid_from": NOON, "valid_until": NOON + timedelta(hours=2)}, actor=viewers.member)
        actions.add({"value": "late.example", "source": "own work", "valid_from": NOON + timedelta(hours=1)}, actor=viewers.member)
        assert anew.both() == ["one.example", "two.example"]
        actions.import_list(b"three.example\none.example", **feed)
        assert anew.both() == ["one.example", "three.example", "two.example"]
    with clock.frozen(NOON + timedelta(hours=1)):
        assert anew.both() == ["late.example", "one.example", "three.example", "two.example"]
        one, two = (models.Indicator.objects.get(value=value, source="feed") for value in ("one.example", "two.example"))
        actions.revoke(one, actor=viewers.member)
        actions.revoke(two, actor=viewers.member)
        assert anew.both() == ["late.example", "three.example", "two.example"]
    with clock.frozen(NOON + timedelta(hours=3)):
        assert anew.both() == ["late.example", "three.example"]
        actions.restore(two, actor=viewers.member)
        assert anew.both() == ["late.example", "three.example", "two.example"]
    assert len(anew.read) == 1


def test_what_leaves_no_trace_has_the_list_read_anew(viewers, anew):
    with clock.frozen(NOON):
        actions.import_list(b"one.example\ntwo.example", source="feed", actor=viewers.member)
        anew.both()
        actions.change(models.Indicator.objects.get(value="one.example"), {"value": "other.example"}, actor=viewers.member)
        assert anew.both() == ["other.example", "two.example"]
        actions.remove(models.Indicator.objects.get(value="two.example"), actor=viewers.member)
        assert anew.both() == ["other.example"]
        actions.add({"value": "new.example", "source": "own work", "valid_from": NOON}, actor=viewers.member)
        assert anew.both() == ["new.example", "other.example"]
    assert len(anew.read) == 3


def test_tables_that_stand_at_the_same_number_are_told_apart(viewers, anew):
    with clock.frozen(NOON):
        actions.import_list(b"one.example", source="feed", actor=viewers.member)
        anew.both()
        models.Indicator.objects.all().delete()
        models.Edition.objects.all().delete()
        actions.import_list(b"two.example", source="feed", actor=viewers.member)
        assert anew.both() == ["two.example"]


@pytest.mark.slow
def test_one_more_among_a_hundred_thousand_is_live_at_once(viewers, anew, record_property):
    """From the asking for the version to the hit: read, indexed, examined; the watch list's share of the five seconds."""
    actions.import_list("\n".join(f"host-{n}.bad.example" for n in range(100_000)), source="feed", actor=viewers.member)

    def sets(found):
        return WatchSets(ips=found.ips, cidrs=found.cidrs, domains=found.domains, hashes=found.hashes, urls=found.urls)

    examiner, row = Examiner(compile_rules([]), watch=sets(queries.watchlist())), [{"QueryName": "www.new.example"}]
    assert not examiner.rows(row, None)
    version = queries.watchlist_version()
    actions.add({"value": "new.example", "source": "own work"}, actor=viewers.member)
    began = perf_counter()
    assert queries.watchlist_version() != version
    examiner.rewatch(sets(queries.watchlist()))
    assert [uids for _, uids in examiner.rows(row, None)] == [("ioc:domain:new.example",)]
    took = perf_counter() - began
    record_property("milliseconds", round(took * 1000))
    assert took < 0.5
    assert len(anew.read) == 1
