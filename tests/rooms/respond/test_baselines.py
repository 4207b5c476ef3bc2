"""From three weeks of ordinary log-ins to the one that is not: a server sends its logs over HTTP, and the alert says in numbers why it stands."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from pathlib import Path

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
from lianfang.rooms.lake import actions as lake
from lianfang.rooms.respond import models

pytestmark = pytest.mark.django_db(transaction=True)
PACK = Path(__file__).parents[3] / "content" / "rules" / "baselines"


@pytest.fixture
def role():
    return "analyst"


@pytest.fixture
def node(organisations):
    line = detect.install_pack(PACK, actor=SYSTEM)
    assert line.problems == ()
    return detect_models.Rule.objects.get(path="logon/account_new_server.yml")


@pytest.fixture
def script(node, three, organisations):
    """The harbour's servers: each line of sshd with its time, sent with the key of the source."""
    keeper = three.person("keeper", organisations.harbour, "administrator")
    viewer = viewer_of(keeper)
    key = people.make_key("log reader", permissions=("lake.event.add",), actor=viewer, user=keeper.pk)
    lake.ensure_source("edge", kind="http", codec="syslog", actor=viewer)

    def send(*said):
        """``said``: (how long ago, host, what sshd says)."""
        now = clock.now()
        lines = [f"<86>1 {clock.text(now - ago)} {host} sshd {n} - - {text}" for n, (ago, host, text) in enumerate(said)]
        answer = Client().post("/api/lake/ingest/edge", data="\n".join(lines).encode(), content_type="text/plain", headers={"Authorization": key.header})
        assert answer.status_code == 202, answer.content
        lake.drain()
        detect.judge_baselines()
        jobs.work(once=True)

    return send


def accepted(user):
    return f"Accepted password for {user} from 10.0.0.5 port 41822 ssh2"


def weeks(number=3):
    """Every day each account logs in to its own servers."""
    return [(timedelta(days=day, minutes=30 + n), host, accepted(user)) for day in range(1, number * 7) for n, (user, host) in enumerate((("li", "app-01"), ("li", "app-02"), ("wang", "db-01"), ("zhao", "db-01")))]


def browser(user, language="en"):
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    client.cookies["django_language"] = language
    return client


def words(answer):
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", answer.content.decode())))


def alerts(rule):
    return list(models.Alert.objects.filter(rule_uid=rule.uid))


@pytest.mark.covers("D04", "XD5")
def test_an_account_logs_in_to_a_server_where_it_never_logged_in_before_in_the_third_week(script, node, three, organisations):
    """The analyst opens the alert and reads what was expected, from how many log-ins on which days, and what was seen."""
    script(*weeks())
    assert not alerts(node), "what an account does every day is no alert"
    script((timedelta(minutes=9), "app-01", accepted("li")))
    assert not alerts(node)
    script((timedelta(minutes=6), "db-01", accepted("li")))
    (alert,) = alerts(node)
    assert (alert.kind, alert.host, alert.count, alert.techniques) == ("baseline", "db-01", 1, ["T1078", "T1021"])
    url = reverse("respond:alert", kwargs={"pk": alert.pk})
    leader = browser(three.person("leader", organisations.harbour, "duty_leader"))
    page = leader.get(url)
    told = words(page)
    assert "li was never seen with db-01 before" in told
    (samples, days), *_ = re.findall(r"(\d+) events on (\d+) days", told)
    assert int(samples) in (2 * int(days), 2 * int(days) + 1) and 18 <= int(days) <= 21, "what was expected, from how much"
    assert re.search(r"app-01 \((19|20|21)\) · app-02 \((19|20)\)", told)
    assert "Two values are known" in told or "2 values are known" in told
    for event in alert.events:
        assert event in page.content.decode()
    assert "Accepted password for li" in told, "the original log is shown"
    masked = words(browser(three.users.member).get(url))
    assert "li was never" not in masked, "what may not be read in the logs may not be read here"
    chinese = words(browser(three.person("leader-2", organisations.harbour, "duty_leader"), "zh-hans").get(url))
    assert "账户首次登录该服务器" in chinese
    assert browser(three.users.outsider).get(url).status_code == 404


def test_each_log_counts_once_and_the_same_departure_is_told_once(script, node):
    detect.judge_baselines()
    script(*weeks(), (timedelta(minutes=6), "db-01", accepted("li")))
    assert len(alerts(node)) == 1
    detect.judge_baselines()
    script((timedelta(minutes=3), "db-01", accepted("li")), (timedelta(minutes=40), "db-01", accepted("li")))
    jobs.work(once=True)
    (alert,) = alerts(node)
    assert alert.count == 1
    row = detect_models.Baseline.objects.get(rule=node)
    assert row.told["events"] == 4 * 20 + 3
    assert detect_models.Finding.objects.filter(rule_uid=node.uid).count() == 1


def test_what_was_stored_before_the_baseline_came_is_its_history(script, node):
    detect_models.Rule.objects.filter(pk=node.pk).update(enabled=False)
    script(*weeks())
    detect_models.Rule.objects.filter(pk=node.pk).update(enabled=True)
    detect.judge_baselines()
    script((timedelta(minutes=6), "db-01", accepted("li")))
    assert len(alerts(node)) == 1


def test_an_exception_takes_what_is_normal_here(script, node, three, organisations):
    leader = viewer_of(three.person("boss", organisations.root, "administrator"))
    text = f"title: Deploy account\nlogsource: {{category: baseline}}\nfilter:\n  rules: [{node.uid}]\n  selection: {{user: li}}\n  condition: not selection\n"
    row = detect.create_exemption({"name": "li deploys", "text": text, "reason": "Deploys everywhere.", "expires": clock.now() + timedelta(days=9)}, actor=leader)
    detect.enforce_exemption(row, actor=leader)
    detect.judge_baselines()
    script(*weeks(), (timedelta(minutes=6), "db-01", accepted("li")))
    assert not alerts(node)
    finding = detect_models.Finding.objects.get(rule_uid=node.uid)
    assert finding.exemption == row.pk


def test_the_page_says_how_each_baseline_stands_and_its_numbers_can_be_changed(script, node, three, organisations):
    script(*weeks(1))
    reader = browser(three.users.member)
    page = words(reader.get(reverse("detect:baseline_list")))
    assert "Account on a server where it never logged in" in page
    assert "learning" in page
    row = detect_models.Baseline.objects.get(rule=node)
    assert reader.get(reverse("detect:baseline_change", kwargs={"pk": row.pk})).status_code == 403
    admin = browser(three.person("boss", organisations.root, "administrator"))
    form = admin.get(reverse("detect:baseline_change", kwargs={"pk": row.pk}))
    assert form.status_code == 200
    answer = admin.post(reverse("detect:baseline_change", kwargs={"pk": row.pk}), {"days": "30", "learning": "40", "least": "3", "most": "200"})
    assert "at most those it looks back" in words(answer)
    assert admin.post(reverse("detect:baseline_change", kwargs={"pk": row.pk}), {"days": "30", "learning": "5", "least": "3", "most": "200"}).status_code == 302
    row.refresh_from_db()
    assert row.given == {"learning": 5}
    assert any(one.verb == "detect.baseline_changed" for one in ledger.timeline(row.ref, SYSTEM))
    script((timedelta(minutes=6), "db-01", accepted("li")))
    assert len(alerts(node)) == 1, "six days are enough now"
