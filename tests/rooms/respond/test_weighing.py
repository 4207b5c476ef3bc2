"""What people judged, and how important what was attacked is, moves what stands first; bounded, and each with its reason."""

import json
from html import unescape

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from lianfang.rooms.respond import actions, models
from lianfang.rooms.respond.actions import weighing

pytestmark = pytest.mark.django_db

DAY = 24 * 60


def page_of(client, alert):
    return unescape(client.get(reverse("respond:alert", kwargs={"pk": alert.pk})).content.decode())


def decide(client, alert, verb, **given):
    return client.post(reverse("respond:decide", kwargs={"pk": alert.pk, "verb": verb}), given)


def terms(alert):
    return {reason.name: reason for reason in alert.why}


def by_rule(alerts, rule):
    return [alert for alert in alerts if alert.rule_uid == rule]


@pytest.mark.covers("S01", "O15")
def test_a_rule_that_people_judged_false_comes_after_its_like_and_says_so(raised, browser):
    """Twelve of fifteen were false: the next alert of it stands below one of a rule that nobody complained about."""
    old = raised(*((n * DAY, "noisy", "web-1", {"severity": 4}) for n in range(-15, 0)))
    for n, alert in enumerate(old):
        decide(browser("member" if n % 2 else "colleague"), alert, "close", verdict="false_positive" if n < 12 else "true_positive")
    noisy, quiet = by_rule(raised((0, "noisy", "web-1", {"severity": 4})), "noisy")[-1], by_rule(raised((0, "quiet", "web-2", {"severity": 4})), "quiet")[-1]
    listed = unescape(browser("member").get(reverse("respond:alerts")).content.decode())
    assert listed.index("Rule quiet") < listed.index("Rule noisy"), "it is below, and it is there"
    assert "Of the last 15 alerts of this rule on this host that people judged, 12 were false alarms, 0 harmless and 3 real." in page_of(browser("member"), noisy)
    assert "Nobody has judged an alert of this rule here yet." in page_of(browser("member"), quiet)


def test_one_person_alone_cannot_silence_a_rule(raised, browser):
    for alert in raised(*((n * DAY, "noisy", "web-1", {"severity": 5}) for n in range(-40, 0))):
        decide(browser("member"), alert, "close", verdict="false_positive")
    (alert,) = [one for one in raised((0, "noisy", "web-1", {"severity": 5}), (0, "other", "web-2", {"severity": 5})) if one.is_open and one.rule_uid == "noisy"]
    before = sum(reason.points for name, reason in terms(alert).items() if name not in ("asset", "judged"))
    assert before / (100 - before) * 0.49 < alert.score / (100 - alert.score) < before / (100 - before)
    assert "One person alone judged them, which counts for less." in page_of(browser("member"), alert)


def test_open_alerts_follow_what_is_judged_and_a_judgement_taken_back_is_forgotten(raised, browser):
    alerts = raised(*((n * DAY, "noisy", f"web-{n}") for n in range(6)))
    first = alerts[-1].score
    for alert in alerts[:4]:
        decide(browser("member"), alert, "close", verdict="false_positive")
    actions.rank_anew()
    alerts[-1].refresh_from_db()
    assert alerts[-1].score < first
    assert terms(alerts[-1])["judged"].facts["false"] == 4
    for alert in alerts[:4]:
        decide(browser("member"), alert, "reopen")
    actions.rank_anew()
    alerts[-1].refresh_from_db()
    assert alerts[-1].score == first
    assert not models.Unsettled.objects.exists()


def test_what_is_judged_elsewhere_changes_nothing_here(raised, organisations, browser):
    there = raised(*((n * DAY, "noisy", "hmi-1") for n in range(-6, 0)), territory=organisations.mill.territory)
    for alert in there:
        decide(browser("outsider"), alert, "close", verdict="false_positive")
    ours = next(alert for alert in raised((0, "noisy", "web-1")) if alert.host == "web-1")
    assert terms(ours)["judged"].points == 0


def test_what_is_closed_with_its_source_leaves_no_judgement(raised, browser):
    decide(browser("member"), raised((0, "noisy", "web-1"))[0], "close", verdict="benign")
    assert models.Judged.objects.get().said
    actions.forget_source("edge")
    assert not models.Judged.objects.exists()


def brought(client, name, content):
    """A table of importances through the import page, to its end."""
    run = client.post(reverse("respond:importance_import"), {"file": SimpleUploadedFile(name, content)})["Location"]
    client.post(run, {"do": "step"})
    client.post(run, {"do": "accept"})
    client.post(run, {"do": "step"})


@pytest.mark.covers("S03")
def test_the_same_threat_on_what_matters_more_is_handled_first(raised, browser):
    """Threat × importance × source × context: a table of importances is imported, and the order of handling follows, each factor with its reasons."""
    client = browser("member")
    brought(client, "importance.csv", b"Kind,Name,Importance,Reason\nhost,CORE-1,high,Core banking\naddress range,10.9.0.0/16,low,Test network\n")
    assert models.Importance.objects.count() == 2
    alerts = raised((0, "dump", "core-1", {"severity": 4}), (0, "dump", "web-1", {"severity": 4}), (0, "dump", "lab-1", {"severity": 4, "entities": {"ips": ["10.9.3.4"]}}))
    of = {alert.host: alert for alert in alerts}
    assert of["core-1"].score > of["web-1"].score > of["lab-1"].score
    page = page_of(client, of["core-1"])
    for words in ("This host is of high importance.", "Threat", "Attacked asset", "Where it comes from", "Context", "Threat level"):
        assert words in page
    assert "An address that took part lies in a range of low importance." in page_of(client, of["lab-1"])
    listed = unescape(client.get(reverse("respond:alerts")).content.decode())
    assert [listed.index(f">{host}<") for host in ("core-1", "web-1", "lab-1")] == sorted(listed.index(f">{host}<") for host in ("core-1", "web-1", "lab-1"))
    (item,) = [one for one in client.get("/api/respond/alerts/").json()["items"] if one["host"] == "core-1"]
    assert item["threat"] in {"very_high", "high", "medium", "low"}


@pytest.mark.covers("S03")
def test_an_importance_that_is_said_later_moves_alerts_and_incidents_that_are_open(raised, browser):
    alerts = raised((0, "dump", "core-1"), (5, "copy", "core-1"))
    actions.group_alerts()
    before, incident = alerts[0].score, models.Incident.objects.get().score
    client = browser("member")
    made = client.post("/api/respond/importance/", json.dumps({"about": "host", "value": "Core-1", "importance": 3}), content_type="application/json")
    assert made.status_code == 201, made.content
    actions.rank_anew()
    actions.group_alerts()
    alerts[0].refresh_from_db()
    row = models.Incident.objects.get()
    assert alerts[0].score > before
    assert row.score > incident
    assert "What was attacked is of high importance." in unescape(client.get(reverse("respond:incident", kwargs={"pk": row.pk})).content.decode())
    assert client.delete(f"/api/respond/importance/{made.json()['id']}/").status_code in (200, 204)
    actions.rank_anew()
    alerts[0].refresh_from_db()
    assert alerts[0].score == before


def test_a_range_that_is_none_and_a_thing_said_twice_are_refused(browser):
    client = browser("member")

    def add(**given):
        return client.post("/api/respond/importance/", json.dumps(given), content_type="application/json")

    assert add(about="range", value="10.0.0.0/99", importance=3).status_code == 422
    assert add(about="range", value="10.0.0.7/8", importance=1).json()["value"] == "10.0.0.0/8"
    assert add(about="range", value="10.0.0.0/8", importance=2).status_code in (409, 422)


def test_what_another_organisation_says_of_a_host_of_the_same_name_does_not_count(raised, browser, organisations):
    browser("outsider").post("/api/respond/importance/", json.dumps({"about": "host", "value": "core-1", "importance": 3}), content_type="application/json")
    (ours,) = raised((0, "dump", "core-1"))
    assert terms(ours)["asset"].points == 0


def test_the_unit_above_says_it_for_all_below_until_one_says_otherwise(raised, browser):
    browser("colleague").post("/api/respond/importance/", json.dumps({"about": "user", "value": "li", "importance": 3}), content_type="application/json")
    (alert,) = raised((0, "dump", "pc-1", {"entities": {"users": ["LI"]}}))
    assert terms(alert)["asset"].facts == {"importance": 3, "about": "user"}
    browser("member").post("/api/respond/importance/", json.dumps({"about": "user", "value": "li", "importance": 1}), content_type="application/json")
    actions.rank_anew()
    alert.refresh_from_db()
    assert terms(alert)["asset"].facts == {"importance": 1, "about": "user"}


def test_ranges_are_read_once_and_again_when_one_changes(raised, browser, django_assert_num_queries):
    client = browser("member")

    def say(path, **given):
        answer = getattr(client, "patch" if given.pop("known", False) else "post")(path, json.dumps(given), content_type="application/json")
        assert answer.status_code in (200, 201), answer.content
        return answer.json()["id"]

    one = say("/api/respond/importance/", about="range", value="10.1.0.0/16", importance=3)
    say("/api/respond/importance/", about="range", value="10.2.0.0/16", importance=1)

    (alert,) = raised((0, "dump", "core-1", {"entities": {"ips": ["10.1.3.4"]}}))
    assert weighing.Weights([alert]).stake(alert).importance == 3
    with django_assert_num_queries(4):  # judgements; whether anything is said; how the ranges stand; the host
        weighing.Weights([alert])
    say(f"/api/respond/importance/{one}/", known=True, importance=1)
    assert weighing.Weights([alert]).stake(alert).importance == 1
    assert client.delete(f"/api/respond/importance/{one}/").status_code in (200, 204)
    assert weighing.Weights([alert]).stake(alert).importance == 0


def test_an_alert_that_was_ranked_meanwhile_keeps_what_it_has(raised, browser, monkeypatch):
    first, second = raised((0, "noisy", "web-1"), (DAY, "noisy", "web-2"))
    decide(browser("member"), first, "close", verdict="false_positive")
    real = weighing.Weights.weighed

    def meanwhile(self, alert, reasons):
        models.Alert.objects.filter(pk=second.pk).update(reasons=second.reasons[:1])
        return real(self, alert, reasons)

    monkeypatch.setattr(weighing.Weights, "weighed", meanwhile)
    actions.rank_anew()
    second.refresh_from_db()
    assert len(second.reasons) == 1


def test_a_verdict_is_weighed_outside_what_writes_it(raised, viewers, django_assert_max_num_queries):
    """Closing writes one row of judgements, however many alerts of the rule are open."""
    alerts = raised(*((n * DAY, "noisy", f"web-{n}") for n in range(30)))
    with django_assert_max_num_queries(40):
        actions.close(alerts[0].pk, "false_positive", actor=viewers.member)
    assert {alert.score for alert in models.Alert.objects.filter(state="new")} == {alert.score for alert in alerts}
