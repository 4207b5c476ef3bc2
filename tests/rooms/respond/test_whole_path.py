"""From a log received to an alert on a page, through the real lake: nothing between the doors is replaced."""

import json
import shutil
from datetime import timedelta
from importlib import import_module

import pytest
from django.apps import apps
from django.conf import settings as live
from django.test import Client
from django.urls import reverse

from lianfang.commons.jobs import actions as jobs
from lianfang.commons.ledger import queries as ledger
from lianfang.commons.people import actions as people
from lianfang.commons.people.queries import viewer_of
from lianfang.kernel import clock
from lianfang.kernel.viewer import SYSTEM
from lianfang.rooms.detect import actions as detect
from lianfang.rooms.detect import models as detect_models
from lianfang.rooms.lake import actions as lake
from lianfang.rooms.respond import models

pytestmark = pytest.mark.django_db(transaction=True)

RULE = "windows/lsass_dump_comsvcs.yml"


@pytest.fixture
def node(three, organisations, tmp_path):
    """A rule of the starter pack, and a source of the harbour."""
    (tmp_path / "pack").mkdir()
    shutil.copy(live.CONTENT / "rules" / "starter" / RULE, tmp_path / "pack")
    detect.install_pack(tmp_path / "pack", actor=SYSTEM)
    keeper = viewer_of(three.person("keeper", organisations.harbour, "administrator"))
    lake.ensure_source("harbour-windows", kind="http", actor=keeper)
    return keeper


def feed(keeper, source="harbour-windows", **more):
    event = {
        "Channel": "Microsoft-Windows-Sysmon/Operational", "EventID": 1, "Provider_Name": "Microsoft-Windows-Sysmon", "Computer": "web-02.harbour.example", "UtcTime": f"{clock.now() - timedelta(hours=1):%Y-%m-%d %H:%M:%S}.000",
        "Image": r"C:\Windows\System32\rundll32.exe", "CommandLine": r"rundll32.exe C:\windows\System32\comsvcs.dll, MiniDump 640 C:\ProgramData\d.bin full", "User": "NT AUTHORITY\\SYSTEM", "备注": "全量日志也要原样保留",
    } | more  # fmt: skip
    frame = json.dumps(event, ensure_ascii=False).encode()
    lake.receive(source, [frame], actor=keeper)
    lake.drain()
    jobs.work(once=True)
    return frame


def page_of(user, url, **headers):
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    client.cookies["django_language"] = "en"
    return client.get(url, headers=headers)


@pytest.mark.covers("XD8", "O16")
def test_behind_every_alarm_stands_its_full_raw_log(node, three):
    frame = feed(node)
    alert = models.Alert.objects.get(title="Memory of LSASS dumped with comsvcs.dll")
    url = reverse("respond:alert", kwargs={"pk": alert.pk})
    page = page_of(three.person("leader", three.users.member.organisation, "duty_leader"), url)
    from html import unescape

    assert frame.decode() in unescape(page.content.decode())
    assert "<mark>comsvcs</mark>" in page.content.decode()
    assert "Lianfang" in page.content.decode()
    assert page_of(three.users.outsider, url).status_code == 404


def test_what_an_analyst_may_not_read_is_masked_on_the_page_too(node, three):
    """The raw log of an event above the reader's clearance does not reach the page by the way of the alert."""
    feed(node)
    alert = models.Alert.objects.get(title="Memory of LSASS dumped with comsvcs.dll")
    contact = three.person("contact", three.users.member.organisation, "unit_contact")
    page = page_of(contact, reverse("respond:alert", kwargs={"pk": alert.pk}))
    assert page.status_code == 200
    assert b"MiniDump 640" not in page.content


def test_a_replay_of_the_same_logs_changes_nothing(node):
    feed(node)
    alerts, findings = models.Alert.objects.count(), detect_models.Finding.objects.count()
    lake.drain()
    jobs.work(once=True)
    assert (models.Alert.objects.count(), detect_models.Finding.objects.count()) == (alerts, findings)
    verbs = set(ledger.seen(SYSTEM).values_list("verb", flat=True))
    assert {"detect.pack_installed", "detect.found", "respond.alerted"} <= verbs


def test_alerts_bear_the_name_of_the_organisation_whose_logs_they_came_of(node, three, organisations):
    """A member sees and filters their own by name, the unit above sees whose they are, another member neither sees nor guesses them."""
    other = viewer_of(three.person("other-keeper", organisations.mill, "administrator"))
    lake.ensure_source("mill-windows", kind="http", actor=other)
    feed(node)
    feed(other, source="mill-windows", Computer="hmi-7.mill.example")
    ours, theirs = organisations.harbour.id, organisations.mill.id
    assert set(detect_models.Finding.objects.values_list("source", "organisation")) == {("harbour-windows", ours), ("mill-windows", theirs)}
    assert set(models.Alert.objects.values_list("source", "organisation")) == {("harbour-windows", ours), ("mill-windows", theirs)}

    queue, findings = reverse("respond:alerts"), reverse("detect:finding_list")
    for user in (three.users.member, three.users.colleague):
        for url in (queue, f"{queue}?organisation={ours}", f"{findings}?organisation={ours}"):
            page = page_of(user, url).content.decode()
            assert "web-02.harbour.example" in page
            assert "harbour</" in page, "its name is shown"
            assert "hmi-7" not in page
            assert "mill</" not in page
        assert "web-02" not in page_of(user, f"{queue}?organisation={theirs}").content.decode()
    alert = models.Alert.objects.get(organisation=ours)
    assert "harbour</dd>" in page_of(three.users.member, reverse("respond:alert", kwargs={"pk": alert.pk})).content.decode()
    assert "web-02" not in page_of(three.users.outsider, f"{queue}?organisation={ours}").content.decode()
    assert page_of(three.users.outsider, f"/api/respond/alerts/?organisation={ours}").json()["items"] == []
    (row,) = page_of(three.users.member, f"/api/respond/alerts/?organisation={ours}").json()["items"]
    assert row["organisation"] == "harbour"


def test_what_was_stored_without_an_organisation_gets_that_of_its_source(node, organisations):
    feed(node)
    for room, model in (("detect", detect_models.Finding), ("respond", models.Alert)):
        model.objects.update(organisation="")
        import_module(f"lianfang.rooms.{room}.migrations.0002_owners").fill(apps, None)
        assert set(model.objects.values_list("organisation", flat=True)) == {organisations.harbour.id}


def test_alerts_follow_their_organisation_into_the_industry_tree(node, organisations):
    feed(node)
    people.move_organisation(organisations.harbour.id, under=organisations.root.pk, axis="industry", actor=SYSTEM)
    assert models.Alert.objects.get().industry == detect_models.Finding.objects.get().industry != ""


def test_a_rule_that_came_later_looks_back_and_says_so(node, three):
    rule = detect_models.Rule.objects.get()
    detect.switch(rule, False, actor=SYSTEM)
    feed(node)
    assert not models.Alert.objects.exists()
    detect.switch(rule, True, actor=SYSTEM)
    for _ in range(2):
        detect.look_back(rule.uid, clock.now() - timedelta(hours=5), actor=SYSTEM)
        jobs.work(once=True)
        alert = models.Alert.objects.get()
        assert (alert.backfilled, alert.count, detect_models.Finding.objects.count()) == (True, 1, 1)
        assert alert.organisation == node.organisation != ""
    page = page_of(three.users.member, reverse("respond:alert", kwargs={"pk": alert.pk})).content.decode()
    assert "found by looking back" in page


def test_the_watch_list_looks_back_too(node):
    from lianfang.rooms.intel import actions as intel

    feed(node, EventID=3, DestinationIp="198.51.100.66", DestinationPort="443")
    assert not models.Alert.objects.exists()
    intel.import_list("198.51.100.66", source="partner", actor=SYSTEM)
    detect.look_back(detect.WATCHLIST, clock.now() - timedelta(hours=5), actor=SYSTEM)
    jobs.work(once=True)
    alert = models.Alert.objects.get(kind="ioc")
    assert (alert.title, alert.alarm, alert.author, alert.backfilled) == ("Watch list hit: 198.51.100.66", "callback", "partner", True)
    feed(node, EventID=3, DestinationIp="198.51.100.66", DestinationPort="443")
    alert.refresh_from_db()
    assert (alert.count, alert.backfilled) == (2, False)


def test_the_sample_goes_with_one_click_and_all_that_came_of_it(node, three):
    lake.ensure_source("sample-windows", kind="sample", actor=node)
    feed(node, source="sample-windows")
    assert models.Alert.objects.filter(sample=True).exists()
    admin = three.users.member.__class__.objects.get(username="keeper")
    client = Client()
    client.force_login(admin, backend="django.contrib.auth.backends.ModelBackend")
    assert b"sample/erase" in client.get(reverse("respond:overview")).content
    client.post(reverse("respond:erase_sample"))
    lake.drain()
    jobs.work(once=True)
    assert not models.Alert.objects.filter(source="sample-windows").exists()
    assert not detect_models.Finding.objects.filter(source="sample-windows").exists()
