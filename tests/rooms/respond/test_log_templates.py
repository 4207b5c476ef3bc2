"""Logs of a system nobody wrote a parser for: a sample becomes a source, its templates a tree, one of them an alarm, the next such line an alert."""

import re
from datetime import timedelta
from html import unescape
from zoneinfo import ZoneInfo

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from lianfang.commons.jobs import actions as jobs
from lianfang.commons.people import actions as people
from lianfang.commons.people.queries import viewer_of
from lianfang.kernel import clock
from lianfang.rooms.detect import actions as detect
from lianfang.rooms.detect import models as detect_models
from lianfang.rooms.lake import actions as lake
from lianfang.rooms.lake import models as lake_models
from lianfang.rooms.lake.actions import keeping
from lianfang.rooms.lake.queries import places
from lianfang.rooms.respond import models

pytestmark = pytest.mark.django_db(transaction=True)
HERE = ZoneInfo("Asia/Shanghai")
LOST = "报盘通道 {} 到交易所中断，代码 {}"


@pytest.fixture
def role():
    return "operator"


@pytest.fixture
def page(three, organisations):
    """The browser of an operator who writes no code."""
    return browser(three.users.member)


def browser(user):
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    client.cookies["django_language"] = "en"
    return client


def words(answer):
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", answer.content.decode())))


def told(*texts, ago=0.0):
    """Lines as the gateway writes them."""
    moment = clock.now() - timedelta(seconds=ago)
    stamp = f"{moment.astimezone(HERE):%Y-%m-%d %H:%M:%S}"
    return "\n".join(f"{stamp} INFO [gw-{n % 4}] {text}" for n, text in enumerate(texts))


def work():
    jobs.work(once=True)
    jobs.work(once=True)


def look(page):
    """The button “Look at new events now”."""
    lake.drain()
    assert page.post(reverse("lake:log_templates")).status_code == 302
    work()
    return page.get(reverse("lake:log_templates"))


def rows_of(answer):
    """The templates of the tree, each as its piece of the page."""
    return re.findall(r'<li class="template-row">(.*?)</li>', answer.content.decode(), re.DOTALL)


def door(answer, text):
    """The address behind “Alarm on this template” in the row that holds a text."""
    (row,) = [row for row in rows_of(answer) if text in row]
    return re.search(r'href="([^"]*on-template[^"]*)"', row)[1]


def filled(form):
    """What the browser would send of a form as it was given."""
    return {name: "\n".join(value) if isinstance(value, list) else value for name, value in ((field.name, field.value()) for field in form) if value not in (None, "", False, [])}


@pytest.fixture
def gateway(page):
    """A source made of a pasted sample, as the wizard makes it."""
    sample = told(*(f"委托 {88000 + n} 已报" for n in range(12)), *(f"行情心跳 {n} 正常" for n in range(30)), LOST.format("A1", 10061), LOST.format("B2", 10054), "user li logged in from 10.0.0.7", ago=60)
    answer = page.post(reverse("lake:sample"), {"text": sample})
    address = answer["Location"]
    assert "行情心跳" in words(page.get(address))
    assert page.post(address, {"do": "next", "way": "found"}).status_code == 302
    made = page.post(f"{address}source/", {"name": "gateway", "kind": "http", "feed": "1"})
    assert made["Location"] == f"/lake/source/{lake_models.Source.objects.get(name='gateway').pk}/"
    return "gateway"


def send(page, three, gateway, text):
    key = people.make_key(f"gateway {clock.now()}", permissions=("lake.event.add",), actor=viewer_of(three.users.member), user=three.users.member.pk)
    answer = Client().post(f"/api/lake/ingest/{gateway}", data=text.encode(), content_type="text/plain", headers={"Authorization": key.header})
    assert answer.status_code == 202, answer.content
    lake.drain()
    work()


@pytest.mark.covers("XD7")
def test_a_sample_becomes_a_source_a_tree_of_templates_and_an_alarm_without_code(page, three, organisations, gateway):
    shown = look(page)
    said = words(shown)
    assert "gateway" in said and "45 lines" in said
    assert "行情心跳 ⋯ 正常" in said and "委托 ⋯ 已报" in said
    assert "66.7 %" in said, "30 of 45 lines are signs of life"
    assert "中断" in words(page.get(reverse("lake:log_templates"), {"q": "中断"}))
    assert "行情心跳" not in words(page.get(reverse("lake:log_templates"), {"q": "中断"})).partition("templates")[2]

    (row,) = [row for row in rows_of(shown) if "中断" in row]
    found = page.get(unescape(re.search(r'href="(/lake/search/[^"]*)"', row)[1]))
    assert "2 events" in words(found), "the way to the events leads to these lines alone"
    story = page.get(re.search(r'href="(/lake/log-templates/[^"]*/)"', row)[1])
    assert "4.4 %" in words(story) and "代码 10054" in words(story), "a line stands as the example"

    form = page.get(page.get(door(shown, "中断"))["Location"])
    initial = form.context["form"].initial
    assert initial["source"] == "gateway" and "中断" in initial["keywords"]
    given = filled(form.context["form"])
    assert "an alarm begins" in words(page.post(reverse("detect:monitor_try"), given)), "the trial finds those of the sample"
    assert page.post(reverse("detect:monitor_add"), given).status_code == 302
    assert detect_models.Monitor.objects.get().source == "gateway"
    send(page, three, gateway, told("委托 99001 已报", "行情心跳 31 正常"))
    assert not models.Alert.objects.exists()
    send(page, three, gateway, told(LOST.format("C3", 10060)))
    alert = models.Alert.objects.get()
    assert alert.count == 1 and "中断" in alert.title
    desk = browser(three.person("leader", organisations.harbour, "duty_leader"))
    assert "报盘通道 C3 到交易所中断，代码 10060" in words(desk.get(reverse("respond:alert", kwargs={"pk": alert.pk})))
    look(page)
    assert "48 lines" in words(look(page)), "what came later is counted, once"


def test_an_alarm_on_a_template_is_not_about_its_longer_likes(page, three, gateway):
    lines = [*(f"session closed for user {name}" for name in ("ma", "li", "wu")), *(f"session closed for user {name} after timeout" for name in ("ma", "li", "wu"))]
    send(page, three, gateway, told(*lines))
    shown = look(page)
    rows = [row for row in rows_of(shown) if "session closed" in row]
    (short,) = [row for row in rows if "timeout" not in row]
    form = page.get(page.get(re.search(r'href="([^"]*on-template[^"]*)"', short)[1])["Location"]).context["form"]
    assert form.initial["unless"] == "after timeout"
    given = filled(form)
    assert page.post(reverse("detect:monitor_add"), given | {"times": "2", "within": "60"}).status_code == 302
    send(page, three, gateway, told("session closed for user he after timeout", "session closed for user he after timeout"))
    assert not models.Alert.objects.exists()
    send(page, three, gateway, told("session closed for user he", "session closed for user ba"))
    assert models.Alert.objects.get().count == 2


def test_a_template_that_should_come_again_and_again_is_an_alarm_when_it_is_missing(page, three, gateway):
    shown = look(page)
    story = page.get(re.search(r'href="(/lake/log-templates/[^"]*/)"', next(row for row in rows_of(shown) if "行情心跳" in row))[1])
    form = page.get(page.get(re.search(r'href="([^"]*missing=1)"', story.content.decode())[1])["Location"]).context["form"]
    assert (form.initial["beats"], form.initial["silence"]) == ("行情心跳", "60")
    assert page.post(reverse("detect:monitor_add"), filled(form)).status_code == 302
    send(page, three, gateway, told("行情心跳 32 正常"))
    row = detect_models.Monitor.objects.get()
    assert row.alive is not None
    detect_models.Monitor.objects.update(alive=clock.now() - timedelta(seconds=90), floor=clock.now() - timedelta(hours=1), looked=clock.now())
    detect.look_at_monitors()
    work()
    assert "no sign of life" in models.Alert.objects.get().title


def test_a_template_is_new_on_the_day_on_which_it_is_first_said(page, three, gateway):
    look(page)
    assert "new today" not in words(page.get(reverse("lake:log_templates"))).replace("only new today", ""), "of a source that was not known before nothing is news"
    lake_models.LogTemplate.objects.update(found=timezone.now() - timedelta(days=2))
    send(page, three, gateway, told("主机切换到备用，原因未知"))
    shown = look(page)
    (row,) = [row for row in rows_of(shown) if "new today" in row]
    assert "主机切换到备用" in row
    only = words(page.get(reverse("lake:log_templates"), {"fresh": "1"}))
    assert "主机切换到备用" in only and "行情心跳" not in only


def test_lines_that_differ_by_a_name_become_one_template_with_all_their_counts(page, three, gateway):
    for name in ("ma", "wu", "he", "ba", "gu"):
        send(page, three, gateway, told(f"limit of group-desk raised, {name} told"))
        look(page)
    rows = lake_models.LogTemplate.objects.filter(text__contains="raised")
    assert [(row.text.partition("limit")[2], row.count) for row in rows] == [(" of group-desk raised, <*> told", 5)]


def test_what_is_said_more_or_less_than_usual_is_marked_with_what_is_usual(page, three, gateway):
    """The last five days are as they were counted then; in the last whole hour one was said much more, one not at all."""
    look(page)
    now = int(clock.now().timestamp() // 3600)
    usual = {str(hour): 40 + hour % 3 for hour in range(now - 120, now - 1)}
    for words_of, last in (("行情心跳", 0), ("委托", 700), ("中断", 41)):
        lake_models.LogTemplate.objects.filter(text__contains=words_of).update(hours=usual | {str(now - 1): last}, first=clock.now() - timedelta(days=5))
    shown = page.get(reverse("lake:log_templates"))
    marks = {text: [mark for mark in ("more than usual", "less than usual") if mark in row] for row in rows_of(shown) for text in ("行情心跳", "委托", "中断") if text in row}
    assert marks == {"行情心跳": ["less than usual"], "委托": ["more than usual"], "中断": []}
    assert "700 lines in an hour, usually about 41" in shown.content.decode()
    only = words(page.get(reverse("lake:log_templates"), {"strange": "1"}))
    assert "行情心跳" in only and "委托" in only and "中断" not in only


def test_templates_are_protected_as_the_events_are(page, three, organisations, gateway):
    """Another organisation sees none; who is not cleared for a level sees how many there are, and no word."""
    look(page)
    row = lake_models.LogTemplate.objects.get(text__contains="中断")
    one = reverse("lake:log_template", kwargs={"pk": row.pk})
    assert page.get(one).status_code == 200
    outsider = browser(three.users.outsider)
    assert outsider.get(one).status_code == 404
    assert "gateway" not in words(outsider.get(reverse("lake:log_templates")))
    assert outsider.get(reverse("detect:monitor_on_template", kwargs={"pk": row.pk})).status_code == 404
    lake_models.LogTemplate.objects.filter(pk=row.pk).update(level=4)
    shown = words(page.get(reverse("lake:log_templates")))
    assert "中断" not in shown and "1 template is above your clearance" in shown
    assert "中断" not in words(page.get(reverse("lake:log_templates"), {"q": "中断"})).replace("Words of a template", "").partition("clearance")[2]
    assert page.get(one).status_code == 404
    assert page.get(reverse("detect:monitor_on_template", kwargs={"pk": row.pk})).status_code == 404


def test_an_erased_source_takes_its_templates_with_it(page, three, gateway):
    look(page)
    source = lake_models.Source.objects.get(name="gateway")
    lake.erase_source(source, actor=viewer_of(three.users.member))
    lake.drain()
    keeping.do_chores(places.store())
    assert not lake_models.LogTemplate.objects.exists() and not lake_models.Mined.objects.exists()
    assert "No log source yet" in words(page.get(reverse("lake:log_templates")))
