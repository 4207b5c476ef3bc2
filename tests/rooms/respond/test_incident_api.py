"""What a program does with an incident: the same verbs as on its page, with the same permissions, within the same scope."""

import json
from html import unescape

import pytest
from django.urls import reverse
from tests.rooms.respond.test_incidents import ATTACK

from lianfang.commons.ledger import queries as ledger
from lianfang.kernel.viewer import SYSTEM
from lianfang.rooms.respond import actions, models

pytestmark = pytest.mark.django_db


@pytest.fixture
def attack(raised):
    raised(*ATTACK, (10, "noise", "pc-7", {"severity": 1}))
    actions.group_alerts()
    return models.Incident.objects.get(alerts=4)


def do(client, row, verb, **given):
    return client.post(f"/api/respond/incidents/{row.pk}/{verb}/", json.dumps(given), content_type="application/json")


@pytest.mark.covers("O15")
def test_a_program_takes_an_incident_from_new_to_closed(attack, browser, users):
    client = browser("member")
    (listed,) = [one for one in client.get("/api/respond/incidents/").json()["items"] if one["alerts"] == 4]
    assert listed["id"] == str(attack.pk)
    seen = do(client, attack, "acknowledge").json()
    assert {one["state"] for one in seen["members"]} == {"acknowledged"}
    assert seen["assignee_name"] == "Member"
    assert do(client, attack, "acknowledge").status_code == 409, "there is nothing new left"
    assert do(client, attack, "assign", to=str(users.colleague.pk)).json()["assignee_name"] == "Colleague"
    assert do(client, attack, "comment", comment="Isolated web-1.").json()["comments"][0]["text"] == "Isolated web-1."
    assert do(client, attack, "rename", title="Web shop broken into").json()["title"] == "Web shop broken into"
    assert do(client, attack, "close").status_code == 422
    closed = do(client, attack, "close", verdict="true_positive", comment="Cleaned.").json()
    assert (closed["waiting"], closed["verdict"]) == (0, "true_positive")
    assert do(client, attack, "close", verdict="benign").status_code == 409
    whole = client.get(f"/api/respond/incidents/{attack.pk}/whole/").json()
    assert [one["verb"] for one in reversed(whole["timeline"])] == [f"respond.incident_{verb}" for verb in ("acknowledged", "assigned", "commented", "renamed", "closed")]
    assert whole["members"][1]["shares"] and whole["members"][1]["on"]
    page = unescape(client.get(reverse("respond:incident", kwargs={"pk": attack.pk})).content.decode())
    assert "Isolated web-1." in page and "to Colleague" in page


def test_a_program_joins_and_parts(attack, browser):
    client = browser("member")
    dump = models.Alert.objects.get(rule_uid="dump")
    answer = do(client, attack, "split", alerts=[str(dump.pk)]).json()
    own = models.Incident.objects.get(pk=answer["parted"])
    assert models.Member.objects.get(alert=dump).incident_id == own.pk
    do(client, own, "comment", comment="Only the dump.")
    assert do(client, attack, "split", alerts=[]).status_code == 422
    joined = do(client, attack, "merge", other=str(own.pk)).json()
    assert joined["alerts"] == 4
    assert [one["text"] for one in joined["comments"]] == ["Only the dump."], "what was written goes with it"
    assert do(client, attack, "merge", other=str(attack.pk)).status_code == 422
    assert do(client, attack, "explode").status_code in (404, 422)


def test_what_a_colleague_decided_meanwhile_stays(attack, browser, viewers):
    shell = models.Alert.objects.get(rule_uid="shell")
    actions.close(shell.pk, "true_positive", actor=viewers.colleague)
    assert do(browser("member"), attack, "close", verdict="false_positive").status_code == 200
    assert set(models.Alert.objects.filter(member__incident=attack).values_list("rule_uid", "verdict")) == {("shell", "true_positive"), ("scan", "false_positive"), ("dump", "false_positive"), ("copy", "false_positive")}


@pytest.mark.parametrize("verb", ["acknowledge", "assign", "close", "comment", "rename", "merge", "split"])
def test_who_may_not_see_it_or_may_not_decide_is_refused(attack, browser, make_person, tree, client, verb):
    given = {"to": "", "verdict": "benign", "comment": "x", "title": "x", "other": str(models.Incident.objects.exclude(pk=attack.pk).get().pk), "alerts": [str(models.Member.objects.filter(incident=attack).first().pk)]}
    before = (models.Incident.objects.count(), set(models.Alert.objects.values_list("state", "assignee")))
    assert do(browser("outsider"), attack, verb, **given).status_code == 404
    client.force_login(make_person("reader", tree.harbour, "auditor"), backend="django.contrib.auth.backends.ModelBackend")
    assert do(client, attack, verb, **given).status_code in (403, 404)
    assert (models.Incident.objects.count(), set(models.Alert.objects.values_list("state", "assignee"))) == before
    assert not list(ledger.timeline(attack.ref, SYSTEM))


def test_every_verb_stands_in_the_description_of_the_api(browser):
    description = browser("member").get("/api/openapi.json").json()
    verbs = description["paths"]["/api/respond/incidents/{pk}/{verb}/"]["post"]
    assert verbs["operationId"] == "respond_incident_decide"
    (said,) = [one for one in verbs["parameters"] if one["name"] == "verb"]
    assert set(said["schema"]["enum"]) == {"acknowledge", "assign", "close", "comment", "rename", "merge", "split"}
