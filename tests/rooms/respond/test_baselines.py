"""From three weeks of ordinary log-ins to the one that is not: a server sends its logs over HTTP, and the alert says in numbers why it stands."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from django.test import Client
from django.urls import reverse

from lianfang.commons.jobs import actions as jobs
from lianfang.commons.ledger import queries as ledger
from lianfang.commons.people import actions as people
from lianfang.commons.people.queries import viewer_of
from lianfang.engines.series import DAY, Baseline, Kind, Spec
from lianfang.kernel import clock
from lianfang.kernel.errors import Invalid
from lianfang.kernel.viewer import SYSTEM
from lianfang.rooms.detect import actions as detect
from lianfang.rooms.detect import models as detect_models
from lianfang.rooms.detect.actions import baselining
from lianfang.rooms.lake import actions as lake
from lianfang.rooms.lake import queries as lake_queries
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


def test_what_was_told_of_the_events_is_told_anew_when_it_learns_anew(script, node, three, organisations, monkeypatch):
    """Also where a look is under way: what that counted is not kept over what was asked for since."""
    boss = viewer_of(three.person("boss", organisations.root, "administrator"))
    script(*weeks(1))
    row, real = detect_models.Baseline.objects.get(rule=node), baselining.judge

    def meanwhile(base, *, now):
        detect.relearn_baseline(row, actor=boss)
        return real(base, now=now)

    monkeypatch.setattr(baselining, "judge", meanwhile)
    script((timedelta(minutes=6), "app-01", accepted("li")))
    row.refresh_from_db()
    assert (row.basis, row.told) == ("", {})
    monkeypatch.setattr(baselining, "judge", real)
    detect.judge_baselines()
    row.refresh_from_db()
    assert row.told["events"] == 4 * 6 + 1
    detect.change_baseline(row, {"days": 60}, actor=boss)
    detect.judge_baselines()
    row.refresh_from_db()
    assert row.told["events"] == 4 * 6 + 1, "other days are other counts, not more of them"


def test_numbers_that_no_longer_go_with_the_rule_stop_nothing_and_are_said(script, node, three, organisations):
    boss = three.person("boss", organisations.root, "administrator")
    script(*weeks(1))
    row = detect_models.Baseline.objects.get(rule=node)
    detect.change_baseline(row, {"learning": 25}, actor=viewer_of(boss))
    assert "days: 30" in node.text or "days: 60" in node.text
    detect_models.Rule.objects.filter(pk=node.pk).update(text=re.sub(r"days: \d+", "days: 20", node.text))
    before = dict(detect_models.Baseline.objects.values_list("rule__path", "ran"))
    detect.judge_baselines()
    after = dict(detect_models.Baseline.objects.values_list("rule__path", "ran"))
    assert all(after[path] > before[path] for path in after)
    admin = browser(boss)
    assert "trouble" in words(admin.get(reverse("detect:baseline_list")))
    page = words(admin.get(reverse("detect:baseline", kwargs={"pk": row.pk})))
    assert "no longer goes with the numbers of the rule" in page
    assert admin.get(reverse("detect:baseline_change", kwargs={"pk": row.pk})).status_code == 200
    detect.change_baseline(row, {"learning": None}, actor=viewer_of(boss))
    assert "no longer goes" not in words(admin.get(reverse("detect:baseline", kwargs={"pk": row.pk})))


def test_one_that_cannot_be_judged_holds_up_no_other(script, node, monkeypatch):
    script(*weeks(1))
    real = lake_queries.Arrivals.count

    def count(arrivals, tally):
        if tally.value == ("host",):
            raise Invalid("The lake cannot be read", why="A file is gone.", todo="Look at the lake.")
        return real(arrivals, tally)

    monkeypatch.setattr(lake_queries.Arrivals, "count", count)
    script((timedelta(minutes=6), "app-01", accepted("li")))
    troubles = dict(detect_models.Baseline.objects.values_list("rule__path", "trouble"))
    assert "cannot be read" in troubles["logon/account_new_server.yml"]
    assert troubles["logon/account_new_address.yml"] == ""
    row = detect_models.Baseline.objects.get(rule__path="logon/account_never_seen.yml")
    assert row.told["events"] == 4 * 6 + 1


def test_what_is_no_set_of_numbers_is_refused(script, node, three, organisations):
    script(*weeks(1))
    row = detect_models.Baseline.objects.get(rule=node)
    admin = browser(three.person("boss", organisations.root, "administrator"))
    for given in ([1], "x", {"days": "many"}, {"days": [3]}, {"learning": 400}):
        answer = admin.patch(f"/api/detect/baselines/{row.pk}/", {"given": given}, content_type="application/json")
        assert answer.status_code == 422, (given, answer.content)


def test_nobody_fell_silent_whose_logs_are_not_read_yet(script, node, organisations, monkeypatch):
    """The worker was away for an hour: it reads what came piece by piece."""
    monkeypatch.setattr(baselining, "PIECE", 20)
    then = clock.now().replace(minute=30, second=0, microsecond=0) - timedelta(hours=3)

    def hour(*hosts, ago=timedelta()):
        return [(ago + timedelta(seconds=n), host, f"did {n}") for host in hosts for n in range(30)]

    with clock.frozen(then):
        script(*[line for week in (3, 2, 1) for line in hour("app-01", "db-01", ago=timedelta(weeks=week))])
    with clock.frozen(then + timedelta(minutes=2)), monkeypatch.context() as away:
        away.setattr(detect, "judge_baselines", lambda: 0)
        script(*hour("app-01"))
        script(*hour("db-01"))
    rule = detect_models.Rule.objects.get(path="host/fell_silent.yml")
    with clock.frozen(then + timedelta(hours=1)):
        detect.judge_baselines()
        assert detect_models.Baseline.objects.get(rule=rule).told["events"] == 2 * 4 * 30
        assert not detect_models.Finding.objects.filter(rule_uid=rule.uid).exists()


def test_what_a_baseline_knows_stands_in_rows_that_stay_small(script, node):
    """Databases that spread take no row of several megabytes."""
    script(*weeks(1))
    row = detect_models.Baseline.objects.get(rule=node)
    numbers, base = np.random.default_rng(7), Baseline(Spec(Kind.NEW_PAIR))
    names = pa.array([f"{one:x}" for one in numbers.integers(1 << 60, 1 << 62, 300_000)])
    now = int(clock.now().timestamp() * 1000)
    whole = {"place": pa.array(["01"] * len(names)), "group": pa.array([""] * len(names)), "entity": names, "value": names.take(pa.array(numbers.permutation(len(names)))), "first": pa.array(now - numbers.integers(0, 20 * DAY, len(names)))}
    base.take(pa.table(whole | {"n": pa.array(numbers.integers(1, 1 << 40, len(names))), "level": pa.array(np.full(len(names), 2))}), now=now)
    state = base.snapshot()
    assert len(state) > 6 << 20
    for content in (state, state[: 3 << 20], b""):
        detect_models.BaselinePart.put(row, content)
        assert detect_models.BaselinePart.whole(row) == content
        assert max((len(one) for one in detect_models.BaselinePart.objects.values_list("content", flat=True)), default=0) <= 1 << 20
    detect_models.BaselinePart.put(row, state)
    script((timedelta(minutes=6), "app-01", accepted("li")))
    row.refresh_from_db()
    assert row.told["entities"] > 100_000, "it went on from the parts"


def test_what_it_learned_from_a_source_goes_with_the_source(script, node):
    script(*weeks(1))
    assert detect_models.BaselinePart.objects.exists()
    detect.forget_source("edge")
    assert not detect_models.BaselinePart.objects.exists()
    assert not any(bytes(content) for content in detect_models.Matches.objects.values_list("content", flat=True))
    detect.judge_baselines()
    row = detect_models.Baseline.objects.get(rule=node)
    assert row.told["events"] == 4 * 6, "what is stored is counted again"


def test_the_coverage_of_rules_tells_which_baselines_have_what_they_count(script, node):
    script(*weeks(1))
    detect.survey()
    reach = dict(detect_models.Rule.objects.values_list("path", "reach"))
    assert (reach[node.path], reach["web/errors_rate.yml"]) == ("ready", "source")


def test_a_baseline_of_what_falls_says_nothing_of_what_rises(script, node):
    then = clock.now().replace(minute=30, second=0, microsecond=0) - timedelta(hours=2)
    usual = [(timedelta(weeks=week, seconds=n), "app-01", f"did {n}") for week in (3, 2, 1) for n in range(30)]
    with clock.frozen(then):
        script(*usual)
    with clock.frozen(then + timedelta(minutes=5)):
        script(*[(timedelta(seconds=n), "app-01", f"did {n}") for n in range(200)])
    rule = detect_models.Rule.objects.get(path="host/fell_silent.yml")
    with clock.frozen(then + timedelta(hours=1)):
        detect.judge_baselines()
    assert not detect_models.Finding.objects.filter(rule_uid=rule.uid).exists()


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
