"""Keyword alarms over the logs of systems that were never made for us, from a script that reads a log to an alert and back."""

import re
from datetime import UTC, timedelta
from html import unescape
from zoneinfo import ZoneInfo

import pytest
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
from lianfang.rooms.detect.queries import monitors
from lianfang.rooms.lake import actions as lake
from lianfang.rooms.lake import models as lake_models
from lianfang.rooms.lake.actions import preparing
from lianfang.rooms.respond import models

pytestmark = pytest.mark.django_db(transaction=True)
HERE = ZoneInfo("Asia/Shanghai")
DOWN, UP, BEAT = "报盘到交易所连接断开 code=10061", "报盘到交易所连接恢复", "heartbeat ok"


@pytest.fixture
def role():
    return "operator"


@pytest.fixture
def script(three, organisations):
    """A script of the harbour's: reads lines of the order gateway's own log and sends them with its key."""
    keeper = three.users.member
    viewer = viewer_of(keeper)
    lake.ensure_source("order-gateway", kind="http", codec="lines", zone="Asia/Shanghai", actor=viewer)
    key = people.make_key("log reader", permissions=("lake.event.add",), actor=viewer, user=keeper.pk)

    def send(*said, ago=0.0):
        moment = clock.text((clock.now() - timedelta(seconds=ago)).astimezone(HERE).replace(tzinfo=UTC)).rstrip("Z").replace("T", " ")
        lines = [f"{moment} ERROR [offer-{n}] {text} seq={n}" for n, text in enumerate(said)]
        answer = Client().post("/api/lake/ingest/order-gateway", data="\n".join(lines).encode(), content_type="text/plain", headers={"Authorization": key.header})
        assert answer.status_code == 202, answer.content
        lake.drain()
        work()

    return send


def work():
    jobs.work(once=True)
    jobs.work(once=True)


def browser(user):
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    client.cookies["django_language"] = "en"
    return client


@pytest.fixture
def desk(three, organisations):
    """The browser of whoever is on duty and looks after alerts."""
    return browser(three.person("leader", organisations.harbour, "duty_leader"))


def words(answer):
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", answer.content.decode())))


def given(**more):
    return {"name": "Order channel to the exchange", "source": "order-gateway", "keywords": "报盘到交易所连接断开", "times": "1", "within": "60", "severity": "5", "enabled": "on", "note": "Call the trading floor."} | more


def make(user, **more):
    answer = browser(user).post(reverse("detect:monitor_add"), given(**more))
    assert answer.status_code == 302, words(answer)
    return detect_models.Monitor.objects.get(name=more.get("name", given()["name"]))


@pytest.mark.covers("XC4")
def test_the_order_channel_disconnects_and_an_alarm_stands_at_once_until_it_recovers(script, three, desk):
    """A script reads the log of a system nobody here knows; a keyword becomes an alarm, the recovery marks it; colleagues see both."""
    operator = three.users.member
    page = browser(operator)
    script("报盘网关启动", DOWN)
    assert not models.Alert.objects.exists()

    (event,) = page.get("/api/lake/events/?q=连接断开&filter=source:is:order-gateway").json()["events"]
    shown = page.get(reverse("lake:event", kwargs={"event_id": event["event_id"]}))
    link = unescape(re.search(r'href="([^"]*monitors/add/[^"]*)"', shown.content.decode())[1])
    form = page.get(link)
    assert "报盘到交易所连接断开" in form.content.decode(), "the constant part of the log is proposed"
    assert "offer-1" not in form.context["form"].initial["keywords"]
    tried = page.post(reverse("detect:monitor_try"), given(recovery=UP))
    assert "2 logs were looked at" in words(tried)
    assert "an alarm begins" in words(tried)
    assert not detect_models.Monitor.objects.exists(), "a trial keeps nothing"

    monitor = make(operator, recovery=UP)
    listed = words(page.get(reverse("detect:monitor_list")))
    assert "all is well" in listed
    script("委托 88213 已报", DOWN)
    alert = models.Alert.objects.get()
    assert (str(alert.title), alert.severity, alert.state, alert.count) == ("Order channel to the exchange", 5, "new", 1)
    assert "alarm" in words(page.get(reverse("detect:monitor", kwargs={"pk": monitor.pk})))
    told = words(desk.get(reverse("respond:alert", kwargs={"pk": alert.pk})))
    assert DOWN in told, "the raw log stands behind the alarm"
    assert "Call the trading floor." in told

    script(UP)
    alert.refresh_from_db()
    assert (alert.state, alert.recovered is not None) == ("new", True), "a person still decides what it was"
    assert "Recovered" in words(desk.get(reverse("respond:alert", kwargs={"pk": alert.pk})))
    story = words(page.get(reverse("detect:monitor", kwargs={"pk": monitor.pk})))
    assert "recovered" in story and "all is well" in story
    outsider = browser(three.users.outsider)
    assert outsider.get(reverse("detect:monitor", kwargs={"pk": monitor.pk})).status_code == 404
    assert "Order channel" not in words(outsider.get(reverse("detect:monitor_list")))
    assert "Order channel" not in words(outsider.get(reverse("detect:rule_list")))
    verbs = set(ledger.seen(SYSTEM).values_list("verb", flat=True))
    assert {"detect.monitor_added", "detect.monitor_recovered", "respond.recovered"} <= verbs


def test_a_recovery_closes_what_nobody_has_taken_and_only_marks_what_somebody_has(script, three, desk):
    make(three.users.member, recovery=UP, closes="on")
    script(DOWN)
    script(UP)
    first = models.Alert.objects.get()
    assert (first.state, first.verdict) == ("closed", "recovered")
    script(DOWN)
    second = models.Alert.objects.exclude(pk=first.pk).get()
    desk.post(reverse("respond:decide", kwargs={"pk": second.pk, "verb": "acknowledge"}))
    script(UP)
    second.refresh_from_db()
    assert (second.state, second.recovered is not None) == ("acknowledged", True)
    script(DOWN)
    second.refresh_from_db()
    assert (second.count, second.recovered) == (2, None), "what is down again is not shown as recovered"


def test_both_within_one_breath_end_as_recovered(script, three):
    """The recovery may be told before the alert is raised: it waits for it."""
    make(three.users.member, recovery=UP, closes="on")
    script(DOWN, UP)
    with clock.frozen(clock.now() + timedelta(minutes=2)):
        work()
    assert models.Alert.objects.get().verdict == "recovered"


@pytest.mark.covers("XC4")
def test_so_many_times_within_a_window(script, three):
    make(three.users.member, keywords="委托超时", times="3", within="30", unless="测试")
    script("委托超时", ago=100)
    script("委托超时", "委托超时 测试环境", ago=20)
    assert not models.Alert.objects.exists()
    script("委托超时", "委托超时", ago=5)
    alert = models.Alert.objects.get()
    assert (alert.count, len(alert.events)) == (3, 3), "the logs of earlier batches that counted are behind it too"
    lake.drain()
    work()
    assert models.Alert.objects.get().count == 3


@pytest.mark.covers("XC4")
def test_a_missing_sign_of_life_is_an_alarm_within_the_calendar_alone(script, three, desk):
    """The heart of the system is heard; when it stops there is an alarm, but not on a day on which nobody trades."""
    page = browser(three.users.member)
    today = clock.now().astimezone(HERE)
    calendar = {"name": "Trading days", "zone": "Asia/Shanghai", "days": [str(day) for day in range(7)], "sessions": "00:00-24:00", "off": f"{today - timedelta(days=400):%Y-%m-%d} – {today - timedelta(days=399):%Y-%m-%d}", "extra": ""}
    assert page.post(reverse("detect:calendar_add"), calendar).status_code == 302
    trading = detect_models.Calendar.objects.get()
    monitor = make(three.users.member, name="Heart of the order gateway", keywords="", beats=BEAT, silence="60", calendar=str(trading.pk))
    script(BEAT)
    monitor.refresh_from_db()
    assert monitor.alive is not None
    event = page.get("/api/lake/events/?q=heartbeat").json()["events"][0]
    assert not event["rules"], "what is said all day marks no event"

    def later(seconds):
        """As if the last sign of life had come so many seconds ago."""
        now = clock.now()
        detect_models.Monitor.objects.update(alive=now - timedelta(seconds=seconds), floor=now - timedelta(hours=1), looked=now)
        detect.look_at_monitors()
        work()
        return monitors.standing(detect_models.Monitor.objects.get())

    for seconds in (10, 30, 50):
        assert later(seconds) == "ok"
    assert page.post(reverse("detect:calendar_change", kwargs={"pk": trading.pk}), calendar | {"off": f"{today - timedelta(days=1):%Y-%m-%d} – {today + timedelta(days=2):%Y-%m-%d}"}).status_code == 302
    assert later(75) == "outside"
    assert not models.Alert.objects.exists()
    assert page.post(reverse("detect:calendar_change", kwargs={"pk": trading.pk}), calendar).status_code == 302
    assert later(80) == "absent"
    alert = models.Alert.objects.get()
    assert alert.title == "Heart of the order gateway: no sign of life for 60 s"
    assert "no sign of life" in words(desk.get(reverse("respond:alert", kwargs={"pk": alert.pk})))
    script(BEAT)
    alert.refresh_from_db()
    assert alert.recovered is not None
    assert "all is well" in words(page.get(reverse("detect:monitor_list")))


def test_signs_of_life_of_two_systems_in_one_large_batch_both_count(script, three, monkeypatch):
    """A large batch is worked on in slices: what one of them heard is not forgotten over the next."""
    monkeypatch.setattr(preparing, "SLICE", 1)
    lake_models.Source.objects.update(codec="syslog")
    gateway = make(three.users.member, name="Heart of the order gateway", keywords="", beats=BEAT, silence="60")
    market = make(three.users.member, name="Heart of the market data", keywords="", beats="pulse ok", silence="60")
    script(BEAT, "pulse ok", "nothing of both")
    for monitor in (gateway, market):
        monitor.refresh_from_db()
        assert monitor.alive is not None, monitor.name


def test_what_makes_no_sense_is_said_beside_its_field(script, three):
    page = browser(three.users.member)
    for wrong, said in (({"keywords": ""}, "Say what is an alarm"), ({"beats": BEAT}, "after how many seconds"), ({"silence": "60"}, "what is a sign of life"), ({"keywords": "x"}, "2 to 200 characters"), ({"source": "mill-gateway"}, "Select a valid choice")):
        answer = page.post(reverse("detect:monitor_add"), given(**wrong))
        assert answer.status_code == 422
        assert said in words(answer)
    assert "is in use" not in words(page.get(reverse("detect:calendar_list")))
    answer = page.post(reverse("detect:calendar_add"), {"name": "x", "zone": "Asia/Shanghai", "days": ["0"], "sessions": "nine to five", "off": "", "extra": ""})
    assert (answer.status_code, "These hours cannot be read" in words(answer)) == (422, True)


def test_words_with_signs_are_looked_for_as_they_stand(script, three):
    make(three.users.member, keywords=r"50% of C:\logs* lost?")
    script(r"50% of C:\logsABC lost!")
    assert not models.Alert.objects.exists()
    script(r"over 50% OF c:\LOGS* Lost? indeed")
    assert models.Alert.objects.count() == 1


def test_an_alarm_that_is_changed_or_goes_leaves_its_alerts_and_says_nothing_more(script, three, desk):
    page, monitor = browser(three.users.member), make(three.users.member)
    script(DOWN)
    assert page.post(reverse("detect:monitor_list"), {"do": f"disable:{monitor.pk}"}).status_code in (200, 302)
    script(DOWN)
    assert models.Alert.objects.get().count == 1
    assert page.post(reverse("detect:monitor_change", kwargs={"pk": monitor.pk}), given(keywords="通道故障")).status_code == 302
    script(DOWN, "通道故障")
    assert models.Alert.objects.get().count == 2
    assert page.post(reverse("detect:monitor_remove", kwargs={"pk": monitor.pk})).status_code == 302
    script("通道故障")
    assert models.Alert.objects.get().count == 2
    assert desk.get(reverse("respond:alert", kwargs={"pk": models.Alert.objects.get().pk})).status_code == 200
