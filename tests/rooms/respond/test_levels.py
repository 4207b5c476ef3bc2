"""What a reader may not read in the events they do not read in what was copied out of them either: findings, alerts, lists, exports, searches."""

import csv
import io
import json
from datetime import timedelta

import pytest
from django.urls import reverse
from tests.rooms.respond.test_whole_path import feed

from lianfang.commons.jobs import actions as jobs
from lianfang.commons.people import actions as people
from lianfang.commons.people.queries import viewer_of
from lianfang.kernel import clock
from lianfang.kernel.viewer import SYSTEM
from lianfang.rooms.detect import actions as detect
from lianfang.rooms.lake import actions as lake
from lianfang.rooms.lake import models as lake_models
from lianfang.rooms.respond import models

pytestmark = pytest.mark.django_db(transaction=True)

SIGN_IN = """
title: Somebody signs in as a guest
id: 6b7a1c1e-7b2e-4a58-9d0e-000000000099
status: stable
logsource: {product: windows, service: security}
detection:
  selection: {EventID: 4624}
  condition: selection
level: low
"""


@pytest.fixture
def node(make_person, organisations, tmp_path):
    """A rule about processes and one about sign-ins, and a source of the harbour; gives its keeper, who may read everything."""
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "signin.yml").write_text(SIGN_IN)
    (tmp_path / "pack" / "process.yml").write_text(SIGN_IN.replace("099", "098").replace("signs in as a guest", "dumps memory").replace("service: security", "category: process_creation").replace("{EventID: 4624}", "{CommandLine|contains: comsvcs}"))
    detect.install_pack(tmp_path / "pack", actor=SYSTEM)
    keeper = make_person("keeper", organisations.harbour, "administrator")
    lake.ensure_source("harbour-windows", kind="http", actor=viewer_of(keeper))
    return keeper


@pytest.fixture
def reads(node, users, client_of, tree):
    """``reads("member", url)``: the text that this person gets there; the member works alerts, and exports findings as an operator does."""
    users.keeper = node
    people.grant(users.member.pk, role="operator", over=tree.harbour, actor=SYSTEM)

    def read(name, url):
        client = client_of(name)
        client.cookies["django_language"] = "en"
        answer = client.get(url)
        assert answer.status_code == 200, (url, answer.status_code)
        return b"".join(answer).decode() if answer.streaming else answer.content.decode()

    return read


def fed(node, **more):
    """One log of the harbour, with what rules make of it."""
    return feed(viewer_of(node), **more)


def everywhere(reads, name):
    """All that the doors say to this person of findings and alerts."""
    found = {url: reads(name, url) for url in ("/detect/findings/", "/api/detect/findings/", "/detect/findings/export/?format=csv", "/respond/alerts/", "/api/respond/alerts/", "/respond/alerts/export/?format=csv", "/respond/", "/frame/search/?q=memory")}
    for alert in models.Alert.objects.all():
        page = reverse("respond:alert", kwargs={"pk": alert.pk})
        found[page] = reads(name, page)
        found["whole"] = reads(name, f"/api/respond/alerts/{alert.pk}/whole/")
    return found


def graded(client_of, column):
    """The keeper's review puts a column on level 3."""
    client = client_of("keeper")
    client.post("/lake/grading-start/", {"what": "events"})
    jobs.work(once=True)
    row = lake_models.Grade.objects.get(dataset="events", column=column)
    assert client.post(f"/lake/grading/{row.pk}/change/", {"item": row.item, "level": 3, "reason": "It tells who it was"}).status_code == 302


def test_names_in_a_graded_column_are_masked_wherever_they_were_copied(node, reads, client_of):
    fed(node, User=r"HARBOUR\zhangwei")
    before = everywhere(reads, "member")
    assert "zhangwei" in before["/detect/findings/"]
    assert "zhangwei" in before["whole"]
    graded(client_of, "user")
    low, high = everywhere(reads, "member"), everywhere(reads, "keeper")
    assert {where: "zhangwei" in text for where, text in low.items() if "zhangwei" in text} == {}
    assert "z●●●" in low["/detect/findings/"]
    assert json.loads(low["/api/detect/findings/"])["items"][0]["user"] == "z●●●"
    assert [row["User"] for row in csv.DictReader(io.StringIO(low["/detect/findings/export/?format=csv"].lstrip("﻿")))] == ["z●●●"]
    assert json.loads(low["whole"])["entities"]["users"] == ["z●●●"]
    assert json.loads(low["whole"])["entities"]["processes"] == [r"C:\Windows\System32\rundll32.exe"], "only what was graded is hidden"
    for where in ("/detect/findings/", "/api/detect/findings/", "whole"):
        assert "zhangwei" in high[where]


def test_a_name_cannot_be_learned_by_searching_or_sorting(node, reads, client_of):
    fed(node, User=r"HARBOUR\zhangwei")
    graded(client_of, "user")
    for name, found in (("keeper", 1), ("member", 0)):
        assert len(json.loads(reads(name, "/api/detect/findings/?q=zhangwei"))["items"]) == found
    assert len(json.loads(reads("member", "/api/detect/findings/?sort=named"))["items"]) == 1


def test_the_level_of_the_event_itself_is_followed_too(node, reads):
    """A sign-in is on level 3 by the rules that ship: an analyst reads in the lake that it was, not who it was."""
    fed(node, Channel="Security", Provider_Name="Microsoft-Windows-Security-Auditing", EventID=4624, TargetUserName="zhangwei", TargetDomainName="HARBOUR", LogonType="3", IpAddress="198.51.100.7", CommandLine="", Image="", TimeCreated=f"{clock.now() - timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}")
    low, high = everywhere(reads, "member"), everywhere(reads, "keeper")
    assert models.Alert.objects.get().level == 3
    assert {where for where, text in low.items() if "zhangwei" in text or "198.51.100.7" in text} == set()
    assert "zhangwei" in high["whole"]
    assert json.loads(low["whole"])["entities"] == json.loads(high["whole"])["entities"] | {"users": ["z●●●"], "ips": ["198.51.●●●"]}
    assert json.loads(low["whole"])["entities"]["hosts"] == ["web-02.harbour.example"]
