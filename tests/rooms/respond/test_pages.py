"""Pages and API of alerts through the doors: what each of three people sees and may do."""

import html
import re

import pytest
from django.test import Client
from django.urls import reverse

from lianfang.commons.frame.sheets import many
from lianfang.commons.people import models as people_models
from lianfang.kernel import clock
from lianfang.kernel.ref import Ref
from lianfang.rooms.respond import actions, models

pytestmark = pytest.mark.django_db


@pytest.fixture
def alert(raised):
    more = {"severity": 5, "techniques": ["T1505.003"], "tactics": ["persistence"], "alarm": "webshell", "title": "Webshell written", "title_zh": "写入 Webshell", "licence": "DRL 1.1", "entities": {"ips": ["203.0.113.9"]}}
    return raised((0, "r", "web-1", more))[0]


@pytest.fixture
def client_of(three):
    def make(name, language="en"):
        client = Client(headers={"accept-language": language})
        client.force_login(getattr(three.users, name, None) or name, backend="django.contrib.auth.backends.ModelBackend")
        client.cookies["django_language"] = language
        return client

    return make


PAGES = ("overview", "alerts", "matrix")


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("language", ["en", "zh-hans"])
@pytest.mark.parametrize("who", ["member", "colleague", "outsider"])
def test_every_page_opens_for_who_may_see_alerts(alert, client_of, page, language, who):
    answer = client_of(who, language).get(reverse(f"respond:{page}"))
    assert answer.status_code == 200
    assert (b"web-1" in answer.content) is (who != "outsider" and page != "matrix")


def test_strangers_are_sent_to_the_door(alert):
    for page in PAGES:
        assert Client().get(reverse(f"respond:{page}")).status_code == 302
    assert Client().get("/api/respond/alerts/").status_code == 401


@pytest.mark.parametrize(("who", "status"), [("member", 200), ("colleague", 200), ("outsider", 404)])
def test_one_alert_is_shown_whole_or_not_at_all(alert, client_of, who, status):
    answer = client_of(who).get(reverse("respond:alert", kwargs={"pk": alert.pk}))
    assert answer.status_code == status
    if status == 200:
        page = answer.content.decode()
        for words in ("Webshell written", "Author of r", "DRL 1.1", "T1505.003", "203.0.113.9", "The rule calls this critical.", "Acknowledge"):
            assert words in page


def test_the_language_is_the_reader_s(alert, client_of):
    assert "写入 Webshell" in client_of("member", "zh-hans").get(reverse("respond:alerts")).content.decode()


@pytest.mark.covers("O20")
def test_the_overview_is_in_the_language_of_its_reader_whoever_looked_before(alert, client_of):
    models.Alert.objects.update(last=clock.now())
    chinese = client_of("member", "zh-hans").get(reverse("respond:overview")).content.decode()
    assert "写入 Webshell" in chinese
    english = client_of("member").get(reverse("respond:overview")).content.decode()
    assert "Webshell written" in english and "写入 Webshell" not in english


def test_alarm_types_are_named_by_rules_and_the_queue_is_asked_by_them(raised, client_of):
    kinds = {"exploit": "漏洞利用", "weak-password": "弱密码", "webshell": "Webshell 写入", "abnormal-login": "异常登录", "callback": "木马回连"}
    raised(*((n * 60, f"rule-{key}", f"host-{key}", {"alarm": key}) for n, key in enumerate(kinds)))
    client = client_of("member", "zh-hans")
    whole = client.get(reverse("respond:alerts")).content.decode()
    for key, name in kinds.items():
        assert name in whole
        page = client.get(reverse("respond:alerts"), {"alarm": key}).content.decode()
        assert f"host-{key}" in page
        assert sum(f"host-{other}" in page for other in kinds) == 1


def test_the_queue_is_ranked_and_asks_for_open_ones_by_itself(raised, three, client_of):
    quiet, loud = sorted(raised((0, "r", "quiet", {"severity": 1}), (0, "r", "loud", {"severity": 5})), key=lambda alert: alert.score)
    actions.close(quiet.pk, "benign", actor=three.viewers.member)
    page = client_of("member").get(reverse("respond:alerts")).content.decode()
    assert "loud" in page
    assert f"data-pk=\"{quiet.pk}\"" not in page
    page = client_of("member").get(reverse("respond:alerts"), {"state": "any"}).content.decode()
    assert page.index(f'data-pk="{loud.pk}"') < page.index(f'data-pk="{quiet.pk}"')


@pytest.mark.parametrize(("asked", "there"), [({"technique": "T1505"}, True), ({"technique": "T1003"}, False), ({"tactic": "persistence"}, True), ({"tactic": "impact"}, False), ({"assignee": "nobody"}, True), ({"assignee": "me"}, False), ({"host": "WEB"}, True), ({"rule": "r"}, True)])
def test_links_narrow_the_queue(alert, client_of, asked, there):
    assert (b'data-pk="' in client_of("member").get(reverse("respond:alerts"), asked).content) is there


def test_the_steps_of_an_alert_through_its_page(alert, client_of):
    client = client_of("member")

    def step(verb, **given):
        answer = client.post(reverse("respond:decide", kwargs={"pk": alert.pk, "verb": verb}), given, follow=True)
        assert answer.status_code == 200
        return answer.content.decode()

    assert "Acknowledged. It is yours." in step("acknowledge")
    assert "You are examining it now." in step("start")
    assert "Say what the alert turned out to be" in step("close")
    assert "true positive" in step("close", verdict="true_positive", comment="Isolated the host.")
    assert "Isolated the host." in client.get(reverse("respond:alert", kwargs={"pk": alert.pk})).content.decode()
    assert "Open again." in step("reopen")
    assert client_of("outsider").post(reverse("respond:decide", kwargs={"pk": alert.pk, "verb": "start"})).status_code == 404


def test_bulk_verbs_do_what_they_may(raised, client_of):
    alerts = raised((0, "r", "a"), (0, "r", "b"), (0, "r", "c"))
    client = client_of("member")
    client.post(reverse("respond:alerts"), {"do": "acknowledge", "row": [alerts[0].pk, alerts[1].pk]})
    assert sorted(models.Alert.objects.values_list("host", "state")) == [("a", "acknowledged"), ("b", "acknowledged"), ("c", "new")]
    client.post(reverse("respond:alerts"), {"do": "close", "all": "1", "verdict": "benign"})
    assert set(models.Alert.objects.values_list("verdict", flat=True)) == {"benign"}
    client_of("outsider").post(reverse("respond:alerts"), {"do": "acknowledge", "row": [alerts[2].pk]})
    assert models.Alert.objects.get(host="c").state == "closed"


def press(client, address, **given):
    """Press a verb on all, then what the page presses by itself, until it has ended. Gives the pages."""
    shown, given = [], {"all": "1"} | given
    while given and len(shown) < 9:
        shown.append(client.post(address, given, headers={"HX-Request": "true", "HX-Target": "run"} if shown else {}).content.decode())
        given = {name: html.unescape(value) for name, value in re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', shown[-1])} if "upto" in shown[-1] else {}
    return shown


def test_a_verb_on_all_takes_every_open_alert_in_steps_and_says_why_some_stay(raised, three, client_of, monkeypatch):
    monkeypatch.setattr(many, "STEP", 3)
    alerts = raised(*((0, "r", f"h{n}") for n in range(8)))
    actions.close(alerts[0].pk, "duplicate", actor=three.viewers.member)
    actions.acknowledge(alerts[1].pk, actor=three.viewers.member)
    client = client_of("member")
    shown = press(client, reverse("respond:alerts"), do="acknowledge")
    assert ["0 / 7" in shown[0], "3 / 7" in shown[1], len(shown)] == [True, True, 4]
    assert "Acknowledge: done for 6 entries" in shown[-1]
    assert "This alert is acknowledged (by Member)" in shown[-1]
    assert not models.Alert.objects.filter(state="new").exists()

    shown = press(client, reverse("respond:alerts"), do="close", verdict="benign", comment="Drill of <today>.")
    assert "Close: done for 7 entries" in shown[-1]
    assert models.Alert.objects.filter(verdict="benign").count() == 7
    assert set(models.Comment.objects.values_list("text", flat=True)) == {"Drill of <today>."}
    assert models.Alert.objects.get(host="h0").verdict == "duplicate"


def test_a_verb_on_all_is_refused_before_it_begins_when_it_cannot_be_done(raised, three, client_of):
    raised((0, "r", "a"))
    assert "Say what the alert turned out to be" in client_of("member").post(reverse("respond:alerts"), {"do": "close", "all": "1"}).content.decode()
    three.users.reader = three.person("reader", people_models.Organisation.objects.get(name="harbour"), role="auditor")
    assert client_of("reader").post(reverse("respond:alerts"), {"do": "acknowledge", "all": "1"}).status_code == 403
    client_of("outsider").post(reverse("respond:alerts"), {"do": "acknowledge", "all": "1"})
    assert models.Alert.objects.get().state == "new"


@pytest.mark.covers("O16")
def test_a_serious_alert_is_told_at_once_to_who_watches_and_to_nobody_else(found, client_of):
    """Finding → alert by itself → a notice on the open page and a count in the top bar, within one look of five seconds."""
    page = client_of("member").get(reverse("respond:overview")).content.decode()
    bell = page.split('hx-get="')[-1].split('"')[0] if "bell/?after=" in page.split('hx-get="')[-1] else next(part.split('"')[0] for part in page.split('hx-get="') if part.startswith(reverse("respond:bell")))
    assert client_of("member").get(bell).status_code == 204
    ref = found((0, "r", "web-1", {"severity": 5, "title": "Webshell written"}))
    from lianfang.commons.jobs import actions as jobs
    from lianfang.rooms.detect.types import FindingsStored

    jobs.publish(FindingsStored(batch=ref, count=1))
    jobs.work(once=True)
    told = client_of("member").get(bell).content.decode()
    assert "Webshell written" in told
    assert reverse("respond:alert", kwargs={"pk": models.Alert.objects.get().pk}) in told
    assert client_of("outsider").get(bell).status_code == 204
    assert '<span class="count">1</span>' in client_of("member").get(reverse("respond:overview")).content.decode()


def test_nothing_is_sent_again_while_nothing_changed(alert, three, client_of):
    client = client_of("member")
    headers = {"HX-Request": "true", "HX-Target": "rows"}
    first = client.get(reverse("respond:alerts"), headers=headers)
    assert first.status_code == 200
    again = client.get(reverse("respond:alerts"), headers=headers | {"If-None-Match": first["ETag"]})
    assert again.status_code == 304
    actions.acknowledge(alert.pk, actor=three.viewers.member)
    assert client.get(reverse("respond:alerts"), headers=headers | {"If-None-Match": first["ETag"]}).status_code == 200


def test_the_matrix_counts_alerts_and_leads_to_them(alert, client_of):
    alert.last = alert.raised  # the matrix shows the last weeks
    alert.save()
    page = client_of("member").get(reverse("respond:matrix")).content.decode()
    assert "Server Software Component" in page
    assert f"{reverse('respond:alerts')}?technique=T1505.003" in page
    assert "Server Software Component" in client_of("outsider").get(reverse("respond:matrix")).content.decode()


# -- the API ---------------------------------------------------------------------------------------------------


def test_the_api_lists_shows_and_decides(alert, client_of):
    client = client_of("member")
    (item,) = client.get("/api/respond/alerts/").json()["items"]
    assert (item["id"], item["host"], item["score"]) == (str(alert.pk), "web-1", alert.score)
    done = client.post(f"/api/respond/alerts/{alert.pk}/acknowledge/", {}, content_type="application/json")
    assert (done.status_code, done.json()["state"], done.json()["assignee_name"]) == (200, "acknowledged", "Member")
    again = client.post(f"/api/respond/alerts/{alert.pk}/acknowledge/", {}, content_type="application/json")
    assert (again.status_code, again.json()["error"]) == (409, "conflict")
    closed = client.post(f"/api/respond/alerts/{alert.pk}/close/", {"verdict": "false_positive", "comment": "Backup."}, content_type="application/json")
    assert closed.json()["verdict"] == "false_positive"
    whole = client.get(f"/api/respond/alerts/{alert.pk}/whole/").json()
    assert [step["verb"] for step in whole["timeline"]] == ["respond.closed", "respond.acknowledged"]
    assert all(reason["words"] for reason in whole["reasons"])


def test_the_api_shows_an_outsider_nothing(alert, client_of):
    client = client_of("outsider")
    assert client.get("/api/respond/alerts/").json()["items"] == []
    for path in (f"/api/respond/alerts/{alert.pk}/", f"/api/respond/alerts/{alert.pk}/whole/"):
        assert client.get(path).status_code == 404
    assert client.post(f"/api/respond/alerts/{alert.pk}/start/", {}, content_type="application/json").status_code == 404
    assert client.get("/api/respond/situation/").json()["open"] == 0


def test_the_situation_in_numbers(raised, three, client_of):
    alerts = raised((0, "r", "a", {"severity": 5}), (0, "s", "b"))
    for alert in alerts:
        alert.first = alert.last = alert.raised
        alert.save()
    actions.acknowledge(alerts[0].pk, actor=three.viewers.member)
    found = client_of("member").get("/api/respond/situation/").json()
    assert (found["open"], found["new"], found["mine"], found["open_by_severity"]["5"]) == (2, 1, 1, 1)
    assert {row["key"] for row in found["hosts"]} == {"a", "b"}
    assert sum(sum(point["by_severity"].values()) for point in found["series"]) == 2


def test_a_ref_leads_back_to_the_alert(alert):
    assert Ref.parse(str(alert.ref)) == alert.ref
