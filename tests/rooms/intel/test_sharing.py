"""Indicators shared with others, as an intelligence officer does it: chosen fields hidden, what is ours kept back, by file and by one click to a destination."""

import csv
import io
import json

import pytest

from lianfang.commons.jobs import actions as jobs
from lianfang.commons.ledger.models import Record
from lianfang.commons.people import actions as people
from lianfang.kernel.viewer import SYSTEM
from lianfang.rooms.intel import actions, models
from lianfang.rooms.lake import models as lake

pytestmark = pytest.mark.django_db(transaction=True)
TABLE = """value,type,source,tlp,confidence,valid_until,tags,note
198.51.100.7,ipv4,CERT east,green,80,2099-01-01,"apt,harbour","seen on pc-7.harbour.example (10.1.2.3) of li.na@harbour.example"
bad.example,domain,CERT east,green,70,2099-01-01,c2,plain words
10.1.2.3,ipv4,own,clear,50,2099-01-01,,the victim
vpn.harbour.example,domain,own,clear,50,2099-01-01,,ours
http://bad.example/?u=1,url,partner,amber,60,2099-01-01,,close
closed.example,domain,partner,red,60,2099-01-01,,named only
"""


@pytest.fixture
def known(viewers):
    actions.import_csv(TABLE, source="officer", internal=True, actor=viewers.member)
    assert models.Indicator.objects.count() == 6


@pytest.fixture
def client(browser):
    return browser("member")


def table(answer):
    assert answer.status_code == 200, answer.content.decode()[:2000]
    return {row["value"]: row for row in csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig")))}


@pytest.mark.covers("Q11")
def test_indicators_are_shared_with_chosen_fields_hidden_and_ours_kept_back(known, client):
    assert '/intel/share/?' in client.get("/intel/indicator/").content.decode()
    page = client.get("/intel/share/").content.decode()
    assert "Before and after" in page
    assert "2 stay: your own" not in page, "nothing says yet that harbour.example is ours"
    form = {"ours": "harbour.example", "words": "harbour", "source": "hide", "note": "hide", "tags": "hide", "own": "remove", "tlp": "green"}
    seen = client.post("/intel/share/", {**form, "do": "look"}, headers={"HX-Request": "true"}).content.decode()
    for words in ("2 indicators go", "2 stay: marked more closely", "2 stay: your own", "seen on pc-7.harbour.example (10.1.2.3) of li.na@harbour.example", "CERT east"):
        assert words in seen, words
    assert not Record.objects.filter(verb="intel.indicators_shared").exists(), "a look is no sharing"
    rows = table(client.post("/intel/share/", {**form, "do": "take"}))
    assert set(rows) == {"198.51.100.7", "bad.example"}
    one = rows["198.51.100.7"]
    assert not any(word in json.dumps(one) for word in ("harbour", "li.na", "10.1.2.3", "pc-7", "CERT east"))
    assert one["note"].startswith("seen on h-") and "apt" in one["tags"]
    assert one["source"] == rows["bad.example"]["source"].strip() != "", "one source is still one"
    assert (rows["bad.example"]["note"], rows["bad.example"]["confidence"]) == ("plain words", "70")
    told = json.loads(Record.objects.get(verb="intel.indicators_shared").detail)
    assert (told["rows"], told["changed"], told["kept_back"], told["fields"]["source"]) == (2, 2, 4, "hide")


@pytest.mark.covers("Q11")
def test_a_program_shares_the_same_and_chooses_otherwise(known, viewers, client):
    key = people.make_key("sharer", permissions=["intel.indicator.export", "intel.indicator.view"], user=viewers.member.id, actor=SYSTEM)
    head = {"Authorization": f"Lianfang {key.id}:{key.secret}"}
    client.logout()

    def shared(**said):
        return client.post("/api/intel/share", json.dumps({"asked": "", "ours": ["harbour.example"], **said}), content_type="application/json", headers=head)

    rows = table(shared(tlp="amber", note="remove", own="hide", source="keep"))
    assert "http://bad.example/?u=1" in rows and "closed.example" not in rows, "TLP:RED never goes"
    assert not any(row["note"] for row in rows.values())
    assert "10.1.2.3" not in rows and "vpn.harbour.example" not in rows
    assert sum(value.startswith("10.") or value.endswith(".invalid") for value in rows) == 2, "ours go under stand-ins where that is wished"
    assert table(shared(asked="kind=domain", own="keep")).keys() == {"bad.example", "vpn.harbour.example"}
    assert shared(note="paint").status_code == 422
    assert client.post("/api/intel/share", "{}", content_type="application/json").status_code == 401


@pytest.mark.covers("Q10")
def test_one_click_reports_the_watch_list_to_a_destination(known, viewers, users, client, live_server, monkeypatch, make_person, tree):
    """The other side is this node's own import door, under a key of another organisation."""
    monkeypatch.setenv("LIANFANG_POLL_NETWORKS", "127.0.0.0/8,::1/128")
    key = people.make_key("harbour reports", permissions=["intel.indicator.add"], user=viewers.outsider.id, actor=SYSTEM)
    keeper = make_person("keeper", tree.harbour, "administrator")
    client.force_login(keeper, backend="django.contrib.auth.backends.ModelBackend")
    fields = {"name": "Centre", "address": live_server.url, "key_id": key.id, "secret": key.secret, "indicators": "on", "source": "", "level": "2", "tlp": "green", "authority": ""}
    assert client.post("/lake/destinations/add/", fields).status_code == 302
    goal = lake.Destination.objects.get()
    client.post("/lake/destinations/", {"do": f"try:{goal.pk}"})
    goal.refresh_from_db()
    assert goal.tried_well, goal.tried_said
    client.force_login(users.member, backend="django.contrib.auth.backends.ModelBackend")
    assert "Report to Centre" in client.get("/intel/share/").content.decode()
    answer = client.post("/intel/share/", {"asked": "standing=active", "ours": "harbour.example", "tlp": "amber", "to": str(goal.pk)})
    row = lake.Report.objects.get()
    assert (answer.status_code, answer["Location"], row.rows, row.kept_back) == (302, f"/lake/reports/{row.pk}/", 2, 4), "the destination's own mark bounds what goes"
    jobs.work(once=True)
    row.refresh_from_db()
    assert (row.state, row.accepted, row.refused) == ("done", 2, 0), row.trouble
    there = models.Indicator.objects.filter(organisation=tree.mill)
    assert {one.value: (one.source, one.tlp, one.confidence) for one in there} == {"198.51.100.7": ("CERT east", "green", 80), "bad.example": ("CERT east", "green", 70)}
    assert "harbour" not in there.get(value="198.51.100.7").note
    assert {"lake.report_done", "intel.indicators_reported", "intel.imported"} <= set(Record.objects.values_list("verb", flat=True)), "on both ledgers"
    client.post("/intel/share/", {"asked": "standing=active", "ours": "harbour.example", "to": str(goal.pk)})
    jobs.work(once=True)
    assert there.count() == 2, "what is there already stays as it is"
