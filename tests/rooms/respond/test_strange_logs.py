"""The logs of operating systems, judged without a rule: a line nobody wrote before, one written far more often than usual, one that is missing."""

import re
from datetime import timedelta
from html import unescape

import pytest
from django.test import Client
from django.urls import reverse

from lianfang.commons.jobs import actions as jobs
from lianfang.commons.people import actions as people
from lianfang.commons.people.queries import viewer_of
from lianfang.kernel import clock
from lianfang.kernel.errors import Invalid
from lianfang.kernel.viewer import SYSTEM
from lianfang.rooms.detect import actions as detect
from lianfang.rooms.detect import models as detect_models
from lianfang.rooms.lake import actions as lake
from lianfang.rooms.lake import models as lake_models
from lianfang.rooms.respond import models

pytestmark = pytest.mark.django_db(transaction=True)
HOUR = timedelta(hours=1)


@pytest.fixture
def role():
    return "operator"


@pytest.fixture
def page(three, organisations):
    return browser(three.users.member)


def browser(user, language="en"):
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    client.cookies["django_language"] = language
    return client


def words(answer):
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", answer.content.decode())))


@pytest.fixture
def hosts(page, three):
    """``hosts(*said)``: what the system logs of the harbour's Linux hosts say, sent with the key of their source: (how long ago, which program, text)."""
    keeper = viewer_of(three.users.member)
    key = people.make_key("system logs", permissions=("lake.event.add",), actor=keeper, user=three.users.member.pk)
    lake.ensure_source("linux", kind="http", codec="syslog", actor=keeper)
    lake_models.Source.objects.filter(name="linux").update(layer="system")

    def send(*said):
        now = clock.now()
        lines = [f"<86>1 {clock.text(now - ago)} db-01 {program} {n} - - {text}" for n, (ago, program, text) in enumerate(said)]
        answer = Client().post("/api/lake/ingest/linux", data="\n".join(lines).encode(), content_type="text/plain", headers={"Authorization": key.header})
        assert answer.status_code == 202, answer.content
        lake.drain()
        lake.find_templates()
        detect.look_at_logs()
        jobs.work(once=True)
        jobs.work(once=True)

    return send


@pytest.fixture
def week(hosts, page):
    """Five ordinary days of which the counts by hour are known; the alarm over the layer of systems is on."""
    now = clock.now().replace(minute=0, second=0, microsecond=0)
    hosts(*((timedelta(days=5) - n * HOUR, "CRON", f"session opened for user root by uid {n}") for n in range(100)), *((HOUR, "systemd", f"Started Daily job {n}.") for n in range(3)))
    assert page.post(reverse("detect:anomalyalarm_add"), {"name": "操作系统日志", "layer": "system", "fresh": "on", "more": "on", "fewer": "on", "learning": "3", "severity": "4", "note": "先看主机", "enabled": "on"}).status_code == 302
    lake_models.LogTemplate.objects.update(found=clock.now() - timedelta(days=5))
    at = int(now.timestamp() // 3600)
    lake_models.LogTemplate.objects.filter(text__contains="session opened").update(hours={str(hour): 40 + hour % 3 for hour in range(at - 120, at)}, first=clock.now() - timedelta(days=5))
    detect.look_at_logs()
    assert not models.Alert.objects.exists(), "what is usual is no alert"
    return hosts


@pytest.mark.covers("XD3")
def test_a_line_that_no_host_ever_wrote_is_an_alert_that_shows_it(week, page, three, organisations):
    """The person on duty reads what is new, since when the logs are known, and the line itself; and says when it is of no interest."""
    week((timedelta(seconds=5), "kernel", "EXT4-fs error (device sda1): unable to read itable block"))
    (alert,) = models.Alert.objects.all()
    assert (alert.kind, alert.severity, alert.host, alert.count, alert.alarm) == ("anomaly", 4, "db-01", 1, "outage")
    url = reverse("respond:alert", kwargs={"pk": alert.pk})
    leader = browser(three.person("leader", organisations.harbour, "duty_leader"))
    told = words(leader.get(url))
    assert "操作系统日志: a line never seen before (linux)" in told
    assert "linux wrote a line that was never seen before" in told and "EXT4-fs error (device" in told
    assert "2 kinds of lines are known" in told
    assert "先看主机" in told, "what to do stands on the alert"
    assert "No rule fired" in told
    own = leader.get(reverse("detect:anomalyalarm", kwargs={"pk": detect_models.AnomalyAlarm.objects.get().pk})).content.decode()
    assert url in own, "the alarm leads to its alerts"
    chinese = words(browser(three.person("leader-2", organisations.harbour, "duty_leader"), "zh-hans").get(url))
    assert "操作系统日志：linux 出现从未见过的日志" in chinese and "从未写过的日志" in chinese
    assert browser(three.person("stranger", organisations.mill, "analyst")).get(url).status_code == 404
    (card,) = re.findall(r'data-layer="system">(.*?)</section>', leader.get("/respond/layers/").content.decode(), re.DOTALL)
    assert "1 open alarm high 1" in " ".join(re.sub(r"<[^>]+>", " ", card).split())

    week((timedelta(seconds=3), "kernel", "EXT4-fs error (device sda1): unable to read itable block"))
    assert models.Alert.objects.count() == 1 and detect_models.Finding.objects.count() == 1, "it is new once"


def test_far_more_of_one_line_than_at_this_time_of_day_is_told_with_its_numbers(week, three, organisations):
    week(*((timedelta(seconds=1), "CRON", f"session opened for user root by uid {n}") for n in range(400)))
    (alert,) = models.Alert.objects.all()
    told = words(browser(three.person("leader", organisations.harbour, "duty_leader")).get(reverse("respond:alert", kwargs={"pk": alert.pk})))
    assert re.search(r"4\d\d lines in an hour from linux|400 lines in an hour from linux", told)
    assert re.search(r"usually 4[01] ± \d+\.\d at this time of day", told) and "deviations above" in told
    detect.look_at_logs()
    assert detect_models.Finding.objects.count() == 1, "an hour is told once"


def test_a_line_that_is_missing_is_told_once_the_hour_has_settled_while_the_host_goes_on(week, monkeypatch):
    begin = clock.now().replace(minute=0, second=0, microsecond=0) + HOUR
    lake_models.LogTemplate.objects.filter(text__contains="Started Daily").update(last=begin + timedelta(minutes=1))
    for minute, expected in ((5, 0), (11, 1), (12, 1)):
        monkeypatch.setattr(clock, "now", lambda minute=minute: begin + timedelta(minutes=minute))
        detect.look_at_logs()
        assert detect_models.Finding.objects.count() == expected, minute
    assert detect_models.Finding.objects.get().title == "操作系统日志: one line is missing (linux)"


def test_a_source_that_is_silent_altogether_misses_no_single_line(week, monkeypatch):
    """That is the alarm of the source."""
    begin = clock.now().replace(minute=0, second=0, microsecond=0) + HOUR
    monkeypatch.setattr(clock, "now", lambda: begin + timedelta(minutes=11))
    detect.look_at_logs()
    assert not detect_models.Finding.objects.exists()


def test_of_a_source_that_is_hardly_known_nothing_is_new(hosts, page):
    assert page.post(reverse("detect:anomalyalarm_add"), {"name": "all", "fresh": "on", "learning": "3", "severity": "3", "enabled": "on"}).status_code == 302
    hosts((timedelta(days=1), "CRON", "session opened for user root"), (timedelta(seconds=5), "kernel", "Out of memory: killed process 7"))
    hosts((timedelta(seconds=5), "kernel", "EXT4-fs error (device sda1): unable to read itable block"))
    assert not detect_models.Finding.objects.exists()
    assert "learning" in words(page.get(reverse("detect:anomalyalarm", kwargs={"pk": detect_models.AnomalyAlarm.objects.get().pk})))


def test_a_new_release_is_one_alert_and_not_a_hundred(week, monkeypatch):
    names = ["alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel", "india", "juliett", "kilo", "lima", "mike", "november", "oscar", "papa", "quebec", "romeo", "sierra", "tango", "uniform", "victor", "whiskey", "xray", "yankee", "zulu"]
    week(*((timedelta(seconds=5), f"{name}d", " ".join([f"{name} module", *["loaded"] * (at % 4 + 1), *[f"{name}{name}"] * (at // 4 + 1), "ready"])) for at, name in enumerate(names)))
    (finding,) = detect_models.Finding.objects.all()
    number = int(re.search(r": (\d+) kinds of lines never seen before", finding.title)[1])
    assert number > 20
    assert models.Alert.objects.count() == 1
    begun = clock.now()
    lake_models.LogTemplate.objects.filter(text__contains="alpha").update(count=7)
    monkeypatch.setattr(clock, "now", lambda: begun + timedelta(minutes=8))
    lake_models.LogTemplate.objects.filter(found__gte=begun - HOUR).exclude(text__contains="zulu").update(found=begun - timedelta(days=1))
    detect.look_at_logs()
    assert detect_models.Finding.objects.count() == 1, "those that were told together are not told one by one afterwards"


def test_whoever_may_not_read_the_line_in_the_log_does_not_read_it_on_the_alert(week, three, organisations):
    week((timedelta(seconds=5), "kernel", "EXT4-fs error (device sda1): unable to read itable block"))
    finding = detect_models.Finding.objects.get()
    detect_models.Finding.objects.filter(pk=finding.pk).update(level=4)
    models.Alert.objects.update(level=4)
    analyst = browser(three.person("analyst", organisations.harbour, "analyst"))
    shown = analyst.get(reverse("respond:alert", kwargs={"pk": models.Alert.objects.get().pk})).content.decode()
    card = re.search(r'class="card chain-card".*?</section>', shown, re.DOTALL)[0]
    assert "linux wrote a line that was never seen before" in card and "EXT4-fs" not in card


def test_what_nobody_wants_to_hear_of_is_heard_no_more_until_it_is_asked_for_again(week, page, three, organisations):
    week((timedelta(seconds=5), "kernel", "EXT4-fs error (device sda1): unable to read itable block"))
    alert = models.Alert.objects.get()
    people.grant(three.users.member.pk, role="analyst", over=organisations.harbour.id, actor=SYSTEM)
    shown = browser(three.users.member).get(reverse("respond:alert", kwargs={"pk": alert.pk})).content.decode()
    address = re.search(r'action="([^"]*/spare/[^"]*)"', shown)[1]
    assert page.post(address).status_code == 302
    row = detect_models.AnomalyAlarm.objects.get()
    assert row.spared == [str(lake_models.LogTemplate.objects.get(text__contains="unable to read").pk)]
    at = int(clock.now().timestamp() // 3600)
    lake_models.LogTemplate.objects.filter(text__contains="unable to read").update(hours={str(hour): 40 for hour in range(at - 120, at)} | {str(at): 4000}, first=clock.now() - timedelta(days=5))
    detect.look_at_logs()
    assert detect_models.Finding.objects.count() == 1
    page.post(reverse("detect:anomalyalarm_list"), {"do": f"hear:{row.pk}"})
    detect.look_at_logs()
    assert detect_models.Finding.objects.count() == 2


def test_outside_its_hours_nothing_becomes_an_alarm(week, three):
    calendar = detect.create_calendar({"name": "never", "zone": "Asia/Shanghai", "days": [], "sessions": "", "off": "", "extra": ""}, actor=viewer_of(three.users.member))
    detect_models.AnomalyAlarm.objects.update(calendar=calendar)
    week((timedelta(seconds=5), "kernel", "EXT4-fs error (device sda1): unable to read itable block"))
    assert not detect_models.Finding.objects.exists()


def test_the_tree_of_templates_leads_to_the_alarm_and_nonsense_is_refused(hosts, page, three):
    hosts((timedelta(seconds=9), "CRON", "session opened for user root"), (timedelta(seconds=9), "CRON", "session opened for user li"))
    shown = page.get(reverse("lake:log_templates")).content.decode()
    door = unescape(re.search(r'href="([^"]*/detect/anomalies/add/[^"]*)"', shown)[1])
    form = page.get(door).context["form"]
    assert form.initial["source"] == "linux"
    assert page.post(reverse("detect:anomalyalarm_add"), {"name": "linux logs", "source": "linux", "fresh": "on", "learning": "3", "severity": "3", "enabled": "on"}).status_code == 302
    assert "Is judged" in words(page.get(reverse("lake:log_templates")))
    assert browser(three.users.outsider).get(reverse("detect:anomalyalarm", kwargs={"pk": detect_models.AnomalyAlarm.objects.get().pk})).status_code == 404
    actor = viewer_of(three.users.member)
    with pytest.raises(Invalid, match="not complete"):
        detect.create_anomaly({"name": "nothing", "fresh": False, "more": False, "fewer": False}, actor=actor)
    with pytest.raises(Invalid, match="not complete"):
        detect.create_anomaly({"name": "both", "source": "linux", "layer": "system"}, actor=actor)


def test_a_source_that_has_an_alarm_of_its_own_is_left_to_it(week, page, three):
    assert page.post(reverse("detect:anomalyalarm_add"), {"name": "linux alone", "source": "linux", "fresh": "on", "learning": "3", "severity": "2", "enabled": "on"}).status_code == 302
    detect_models.AnomalyAlarm.objects.update(created=clock.now() - HOUR)
    week((timedelta(seconds=5), "kernel", "EXT4-fs error (device sda1): unable to read itable block"))
    assert detect_models.Finding.objects.get().title == "linux alone: a line never seen before (linux)"


def test_an_erased_source_takes_its_alarm_with_it(hosts, page, three):
    hosts((timedelta(seconds=9), "CRON", "session opened for user root"))
    detect.create_anomaly({"name": "linux logs", "source": "linux"}, actor=viewer_of(three.users.member))
    detect.forget_source("linux")
    assert not detect_models.AnomalyAlarm.objects.exists()
