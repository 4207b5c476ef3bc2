"""Hunts on pages and over the API: each person within what they may see; followed, ended, gone on with, kept once."""

import json
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest
from django.urls import reverse
from tests.rooms.detect.conftest import NOON, UID, WHOAMI

from lianfang.commons.jobs import actions as jobs
from lianfang.commons.jobs import models as job_models
from lianfang.commons.ledger.models import Record
from lianfang.kernel import clock
from lianfang.kernel.errors import Fault, Invalid, Missing, Refused
from lianfang.kernel.viewer import SYSTEM
from lianfang.rooms.detect import actions, models
from lianfang.rooms.detect.actions import hunting
from lianfang.rooms.detect.queries import hunts
from lianfang.rooms.lake import actions as lake
from lianfang.rooms.lake.actions import receiving

BASELINE = """
title: An account that was never seen
id: 6b7a1c1e-7b2e-4a58-9d0e-0000000000b1
baseline: {kind: first_seen, value: user}
"""
LATELY = clock.now().replace(minute=0, second=0, microsecond=0) - timedelta(hours=6)


@pytest.fixture
def viewers(users, make_person, organisations):
    """Operators of a part see their part; the keeper sees the node."""
    from types import SimpleNamespace

    from lianfang.commons.people.queries import viewer_of

    users.keeper = make_person("keeper", organisations.root, "administrator")
    return SimpleNamespace(**{name: viewer_of(user) for name, user in vars(users).items()})


@pytest.fixture
def stored(pack, viewers, organisations):
    """Logs of two organisations over three hours, stored before the rules came."""
    for name, owner in (("harbour-edge", organisations.harbour), ("mill-edge", organisations.mill)):
        lake.create_source(name, kind="http", codec="json", actor=of(owner))
        frames = [log(image, hour, name) for hour in range(3) for image in (r"C:\x\whoami.exe", r"C:\x\notepad.exe")]
        lake.receive(name, frames, actor=SYSTEM)
    receiving.seal()
    lake.drain()
    actions.install_pack(pack.folder, actor=SYSTEM)


def of(organisation):
    """The node, at work for an organisation."""
    return replace(SYSTEM, organisation=organisation.id, path=organisation.territory)


def log(image, hour, host):
    moment = LATELY + timedelta(hours=hour, minutes=5)
    return json.dumps({"Channel": "Microsoft-Windows-Sysmon/Operational", "EventID": 1, "UtcTime": moment.isoformat(), "TimeCreated": moment.isoformat(), "Image": image, "CommandLine": image, "Computer": host, "User": "li"}).encode()


def ask(viewer, *what, keep=False, **more):
    return actions.ask_hunt(list(what) or [UID["whoami"]], LATELY, keep=keep, actor=viewer, **more)


def found(row):
    row.refresh_from_db()
    return row.result.get("events", 0), sorted(row.result.get("hosts", {}))


def test_each_finds_what_lies_in_their_scope(stored, viewers):
    asked = {name: ask(getattr(viewers, name)) for name in ("member", "colleague", "outsider", "keeper")}
    jobs.work(once=True)
    assert {name: found(row) for name, row in asked.items()} == {
        "member": (3, ["harbour-edge"]), "colleague": (3, ["harbour-edge"]), "outsider": (3, ["mill-edge"]), "keeper": (6, ["harbour-edge", "mill-edge"]),
    }  # fmt: skip
    assert not models.Finding.objects.exists()
    assert set(hunts.hunt_rows(viewers.member)) == {asked["member"]}
    assert set(hunts.hunt_rows(viewers.keeper)) == set(asked.values())
    with pytest.raises(Missing):
        hunts.hunt_of(asked["outsider"].pk, viewers.member)


def test_only_who_sees_the_node_keeps_findings_and_nobody_without_the_permission_hunts(stored, viewers):
    with pytest.raises(Refused):
        ask(viewers.member, keep=True)
    with pytest.raises(Refused):
        ask(replace(viewers.member, permissions=frozenset({"lake.event.view", "detect.rule.view"})))
    with pytest.raises(Refused):
        ask(replace(viewers.member, permissions=frozenset({"detect.rule.hunt"})))


def test_what_is_masked_for_the_asker_is_not_searched(stored, viewers):
    """A rule that fires on a value tells that the value is there: who may not read the original may not ask it either."""
    from lianfang.kernel.labels import DataLevel

    row = ask(replace(viewers.member, clearance=DataLevel.L1))
    jobs.work(once=True)
    assert found(row) == (0, [])


def test_asked_on_the_page_followed_there_and_ended(stored, viewers, client_of, monkeypatch):
    client = client_of("keeper")
    client.cookies["django_language"] = "en"
    page = client.get(reverse("detect:hunt")).content.decode()
    assert "Nobody has looked back yet" in page
    assert "Keep what is found" in page
    sent = client.post(reverse("detect:hunt"), {"what": [UID["whoami"], UID["dump"]], "span": "24h"})
    row = models.Hunt.objects.get()
    assert sent.url == reverse("detect:one_hunt", kwargs={"pk": row.pk})
    assert row.rules == [UID["whoami"], UID["dump"]]
    waiting = client.get(sent.url).content.decode()
    polled = f'hx-get="{sent.url}"'
    assert polled in waiting
    assert "End the hunt" in waiting
    jobs.work(once=True)
    done = client.get(sent.url).content.decode()
    assert polled not in done
    assert "Who am I" in done
    assert "harbour-edge" in done
    assert reverse("detect:rule", kwargs={"pk": models.Rule.objects.get(uid=UID["whoami"]).pk}) in done
    assert "done" in client.get(reverse("detect:hunt")).content.decode()
    sent = client.post(reverse("detect:hunt"), {"what": UID["dump"], "span": "7d"})
    client.post(sent.url)
    assert "It was ended" in client.get(sent.url).content.decode()
    assert job_models.Job.objects.filter(state="cancelled").count() == 1
    assert client_of("member").get(sent.url).status_code == 404
    assert "Keep what is found" not in client_of("member").get(reverse("detect:hunt")).content.decode()


def test_rules_to_look_for_are_found_by_words_and_taken_and_left(stored, viewers, client_of):
    client = client_of("keeper")
    client.cookies["django_language"] = "en"
    place, hidden = reverse("detect:hunt"), '<input type="hidden" name="what" value="{}">'
    assert UID["whoami"] not in client.get(place).content.decode(), "thousands of rules are not put into the page"
    found = client.post(place, {"op": "find", "find": "WHO am"}, headers={"HX-Request": "true"}).content.decode()
    assert f"take:{UID['whoami']}" in found
    assert "<html" not in found
    taken = client.post(place, {"op": f"take:{UID['whoami']}", "what": [UID["dump"], actions.WATCHLIST], "find": "who am"}, headers={"HX-Request": "true"}).content.decode()
    assert hidden.format(UID["whoami"]) in taken
    assert hidden.format(UID["dump"]) in taken
    assert f'value="{actions.WATCHLIST}" checked' in taken
    assert f"take:{UID['whoami']}" not in taken, "what is chosen is not offered again"
    left = client.post(place, {"op": f"leave:{UID['dump']}", "what": [UID["whoami"], UID["dump"]]}).content.decode()
    assert "<html" in left, "without scripts the whole page comes"
    assert hidden.format(UID["whoami"]) in left
    assert hidden.format(UID["dump"]) not in left
    assert "No rule has these words" in client.post(place, {"op": "find", "find": "zzzz"}).content.decode()
    assert not models.Hunt.objects.exists()


def test_a_fault_is_told_on_the_page(stored, viewers, client_of):
    client = client_of("keeper")
    client.cookies["django_language"] = "en"
    assert "Nothing to look for was named" in client.post(reverse("detect:hunt"), {"span": "24h"}, follow=True).content.decode()


def test_over_the_api(stored, viewers, client_of):
    client = client_of("member")
    address = "/api/detect/hunts/"
    assert client.post(address, {"rules": ["nobody"], "since": clock.text(LATELY)}, content_type="application/json").status_code == 404
    assert client.post(address, {"rules": [UID["whoami"]], "since": clock.text(LATELY), "keep": True}, content_type="application/json").status_code == 403
    answer = client.post(address, {"packs": ["house rules"], "since": clock.text(LATELY)}, content_type="application/json")
    assert answer.status_code == 200
    jobs.work(once=True)
    told = client.get(f"{address}{answer.json()['id']}/?events=true").json()
    assert (told["state"], told["looked"], told["events"], len(told["found"])) == ("done", 6, 3, 3)
    assert [one["id"] for one in client.get(address).json()] == [told["id"]]
    again = client.post(address, {"rules": [UID["dump"]], "since": clock.text(LATELY)}, content_type="application/json").json()
    client.post(f"{address}{again['id']}/cancel/")
    assert client.get(f"{address}{again['id']}/").json()["state"] == "cancelled"
    assert client_of("outsider").get(f"{address}{told['id']}/").status_code == 404


def test_found_when_it_came_is_said_and_not_kept_again(pack, viewers, organisations):
    actions.install_pack(pack.folder, actor=SYSTEM)
    lake.create_source("harbour-edge", kind="http", codec="json", actor=of(organisations.harbour))
    lake.receive("harbour-edge", [log(r"C:\x\whoami.exe", 0, "ws-1")], actor=SYSTEM)
    receiving.seal()
    lake.drain()
    live = models.Finding.objects.get()
    row = ask(viewers.keeper, keep=True)
    jobs.work(once=True)
    row.refresh_from_db()
    assert row.result["rules"][UID["whoami"]] | {"first": "", "last": ""} == {"events": 1, "known": 1, "findings": 0, "first": "", "last": ""}
    assert models.Finding.objects.get() == live
    assert not live.backfilled


def test_stopped_in_the_middle_it_does_the_other_hours_and_counts_each_once(stored, viewers, monkeypatch):
    row, seen = ask(viewers.keeper, keep=True), []

    def stopping(self, start, end, swept, real=hunting.Taker.take):
        seen.append(start)
        if len(seen) == 2:
            raise SystemExit
        real(self, start, end, swept)

    monkeypatch.setattr(hunting.Taker, "take", stopping)
    with pytest.raises(SystemExit):
        actions.hunt(row.pk)
    assert models.HuntSplit.objects.count() == 1
    actions.hunt(row.pk)
    assert len(seen) == 4, "the hour that was done is not looked at again"
    assert (found(row), row.result["findings"], row.done, row.splits) == ((6, ["harbour-edge", "mill-edge"]), 6, 3, 3)
    assert models.Finding.objects.filter(backfilled=True).count() == 6


def test_killed_between_the_findings_and_the_note_of_them_it_keeps_them_once(stored, viewers, monkeypatch):
    row = ask(viewers.keeper, keep=True)
    monkeypatch.setattr(models.HuntSplit.objects, "create", lambda **_: (_ for _ in ()).throw(SystemExit))
    with pytest.raises(SystemExit):
        actions.hunt(row.pk)
    assert models.Finding.objects.count() == 2
    monkeypatch.undo()
    actions.hunt(row.pk)
    assert (models.Finding.objects.count(), found(row)[0], row.result["findings"]) == (6, 6, 6)


def test_many_logs_of_an_hour_come_in_pages_and_none_is_lost(stored, viewers, monkeypatch):
    monkeypatch.setattr(hunting.looking, "PAGE", 2)
    monkeypatch.setattr(hunting.looking, "SHORTEST", timedelta(minutes=1))
    row = ask(viewers.keeper)
    jobs.work(once=True)
    assert found(row) == (6, ["harbour-edge", "mill-edge"])


def test_an_hour_with_very_many_logs_is_done_in_parts_and_stopped_in_it_goes_on_with_the_others(stored, viewers, monkeypatch):
    """What an hour of a flood gave is neither held in memory nor written as one."""
    monkeypatch.setattr(hunting, "MANY", 1)
    row, seen = ask(viewers.keeper, keep=True), []

    def stopping(self, start, end, swept, real=hunting.Taker.take):
        seen.append((start, end))
        if len(seen) == 4:
            raise SystemExit
        real(self, start, end, swept)

    monkeypatch.setattr(hunting.Taker, "take", stopping)
    with pytest.raises(SystemExit):
        actions.hunt(row.pk)
    actions.hunt(row.pk)
    assert (found(row), row.result["findings"], row.result["looked"]) == ((6, ["harbour-edge", "mill-edge"]), 6, 12)
    done = sorted(models.HuntSplit.objects.values_list("start", "until"))
    assert row.done == row.splits == len(done) > 6
    assert all(before[1] <= after[0] for before, after in pairwise(done)), "no log twice"
    assert sum((until - start for start, until in done), timedelta()) == 3 * timedelta(hours=1)


def test_baselines_and_times_without_a_zone_are_no_hunt(stored, viewers, pack):
    pack.write("usual.yml", BASELINE)
    actions.install_pack(pack.folder, actor=SYSTEM)
    with pytest.raises(Invalid):
        ask(viewers.keeper, "An account that was never seen")
    with pytest.raises(Invalid):
        actions.ask_hunt([UID["whoami"]], LATELY.replace(tzinfo=None), actor=viewers.keeper)


def test_logs_are_read_again_as_their_source_reads_them(pack, viewers, organisations):
    """A line of a web server looks like one of syslog; its source knows."""
    lake.create_source("shop", kind="http", codec="web", actor=of(organisations.harbour))
    lake.receive("shop", [f'192.0.2.7 - - [{LATELY:%d/%b/%Y:%H:%M:%S} +0000] "GET /secret.php?x=1 HTTP/1.1" 200 12 "-" "curl/8"'.encode()], actor=SYSTEM)
    receiving.seal()
    lake.drain()
    uid = "6b7a1c1e-7b2e-4a58-9d0e-0000000000c1"
    pack.write("web.yml", WHOAMI.replace(UID["whoami"], uid).replace("{product: windows, category: process_creation}", "{category: webserver}").replace("{Image|endswith: '\\\\whoami.exe'}", "{cs-uri-stem: /secret.php}"))
    actions.install_pack(pack.folder, actor=SYSTEM)
    row = ask(viewers.keeper, uid)
    jobs.work(once=True)
    assert found(row)[0] == 1


def test_what_cannot_hunt_says_why(stored, viewers):
    for what, fault in ((UID["broken"], Missing), ("nobody", Missing)):
        with pytest.raises(fault) as refused:
            ask(viewers.keeper, what)
        assert refused.value.todo
    with pytest.raises(Fault):
        actions.ask_hunt([], LATELY, actor=viewers.keeper)
    with pytest.raises(Invalid):
        actions.ask_hunt([UID["whoami"]], NOON - timedelta(days=4000), actor=viewers.keeper)


def test_that_somebody_hunted_is_in_the_record_and_old_hunts_are_forgotten(stored, viewers):
    row = ask(viewers.member)
    jobs.work(once=True)
    assert Record.objects.get(verb="detect.hunt_asked").label == str(row)
    models.Hunt.objects.filter(pk=row.pk).update(created=clock.now() - timedelta(days=91))
    assert actions.forget_hunts() > 0
    assert not models.HuntSplit.objects.exists()
