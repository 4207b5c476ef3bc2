"""Correlations where people work with rules: what is normal for a group is excepted; the past is hunted with them; a person builds one on a page."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import timedelta
from html import unescape
from urllib.parse import parse_qs, urlsplit

import pytest
from django.urls import reverse
from tests.rooms.respond.test_correlation import GUESSED, SILENT, accepted, alerts, browser, failed, node, script, words

from lianfang.commons.jobs import actions as jobs
from lianfang.commons.ledger import queries as ledger
from lianfang.commons.people.queries import viewer_of
from lianfang.kernel import clock
from lianfang.kernel.viewer import SYSTEM
from lianfang.rooms.detect import actions as detect
from lianfang.rooms.detect import models as detect_models
from lianfang.rooms.detect.actions import correlating, examining, hunting
from lianfang.rooms.detect.queries import linking, loading
from lianfang.rooms.lake import queries as lake

pytestmark = pytest.mark.django_db(transaction=True)
__all__ = ["node", "script"]


def guess(script, ip="10.0.0.5", ago=60):
    script(*[failed(ago - n, ip=ip) for n in range(6)], accepted(ago - 20, ip=ip))


def do(client, verb, row):
    return client.post(reverse("detect:exemption_list"), {"do": f"{verb}:{row.pk}", "next": reverse("detect:exemption", kwargs={"pk": row.pk})}, follow=True).content.decode()


@pytest.fixture
def leader(three, organisations):
    """Sees the values of groups, and may except."""
    return browser(three.person("keeper-3", organisations.root, "administrator"))


def proposal(client, alert, **more):
    assert "Normal here" in client.get(reverse("respond:alert", kwargs={"pk": alert.pk})).content.decode()
    begin = client.get(reverse("detect:exemption_from", kwargs={"uid": alert.rule_uid}), {"event": alert.events[0]})
    given = {name: values[0] for name, values in parse_qs(urlsplit(begin["Location"]).query).items()}
    filled = {**given, "reason": "The scanner of the operators tries old passwords.", "owner": "", "expires": f"{clock.now() + timedelta(days=30):%Y-%m-%dT%H:%M}"} | more
    answer = client.post(reverse("detect:exemption_add"), filled)
    assert answer.status_code == 302, unescape(answer.content.decode())[-3000:]
    return detect_models.Exemption.objects.get(name=filled["name"])


def test_what_is_normal_for_a_group_raises_no_alert_and_stays_reachable(script, leader):
    guess(script, ago=1900)
    (alert,) = alerts()
    row = proposal(leader, alert)
    assert "src_ip: 10.0.0.5" in row.text
    assert "category: correlation" in row.text
    seen = unescape(leader.get(reverse("detect:exemption_impact", kwargs={"pk": row.pk})).content.decode())
    assert "Its rules fired on 7 logs within its reach. It would have taken 7 of them, and 1 of 1 findings whole." in seen
    assert "1 alert would not have been raised" in seen
    assert "in force" in do(leader, "enforce", row)

    guess(script, ago=1300)
    taken = detect_models.Finding.objects.get(exemption=row.pk)
    assert taken.rule_uid == GUESSED
    assert [one.count for one in alerts()] == [7], "the alert before stays as it was"
    assert all(GUESSED not in (event["rules"] or ()) and event["rules"] for event in lake.events(taken.events, viewer=SYSTEM)), "the logs keep the rules that fired on them"
    row.refresh_from_db()
    assert (row.findings, row.events) == (1, 7)
    page = leader.get(reverse("detect:exemption", kwargs={"pk": row.pk})).content.decode()
    assert reverse("lake:event", kwargs={"event_id": taken.events[0]}) in page, "what it took is reached from its page"
    assert leader.get(reverse("detect:finding_list"), {"exemption": row.pk}).content.decode().count(reverse("detect:finding_list") + f"{taken.pk}/") == 1

    guess(script, ip="10.0.0.9", ago=1300)
    assert detect_models.Finding.objects.filter(rule_uid=GUESSED, exemption=None).count() == 2, "from elsewhere it is not normal"
    do(leader, "withdraw", row)
    guess(script, ago=500)
    assert detect_models.Finding.objects.filter(rule_uid=GUESSED, exemption=None).count() == 3, "withdrawn: it speaks again"
    assert any(json.loads(one.detail).get("excepted") == 1 for one in ledger.seen(SYSTEM).filter(verb="detect.found"))


@pytest.mark.parametrize(
    ("selection", "said"),
    [("TargetUserName: root", "its exceptions cannot ask for “TargetUserName”"), ("'src_ip|re': '10\\..*'", "re|i in place of re"), ("'host|cased': App-01", "re|i in place of re")],
)  # fmt: skip
def test_a_filter_asks_for_what_groups_have(script, leader, selection, said):
    text = f"title: x\nlogsource: {{category: correlation}}\nfilter:\n  rules: [{GUESSED}]\n  selection: {{{selection}}}\n  condition: not selection\n"
    answer = leader.post(reverse("detect:exemption_add"), {"name": "x", "text": text, "source": "", "reason": "r", "owner": "", "expires": f"{clock.now() + timedelta(days=3):%Y-%m-%dT%H:%M}"})
    assert said in re.sub(r"\s+", " ", unescape(answer.content.decode()))
    assert not detect_models.Exemption.objects.exists()


def test_who_may_not_read_a_value_fills_in_their_own(script, three, organisations):
    guess(script)
    analyst = browser(three.person("analyst-3", organisations.harbour, "analyst"))
    begin = analyst.get(reverse("detect:exemption_from", kwargs={"uid": GUESSED}), {"event": alerts()[0].events[0]})
    (text,) = parse_qs(urlsplit(begin["Location"]).query)["text"]
    assert "10.0.0.5" not in text
    assert "src_ip: VALUE-FOR-WHICH-THIS-IS-NORMAL" in text


# ---- the past --------------------------------------------------------------------------------------------------

HOUR = clock.now().replace(minute=0, second=0, microsecond=0)


def ago(moment):
    return (clock.now() - moment).total_seconds()


@pytest.fixture
def past(script, node):
    """Two guesses, one of them around a full hour, stored before this node knew what they mean."""
    (pack,) = detect_models.Pack.objects.filter(rules=6)
    detect.remove_pack(pack, actor=SYSTEM)
    for hours in (30, 3):
        begin = ago(HOUR - timedelta(hours=hours, minutes=1))
        script(*[failed(begin - 10 * n) for n in range(6)], accepted(begin - 90))
    assert not detect_models.Finding.objects.exists()
    detect.install_pack(node, actor=SYSTEM)


def live():
    return [*detect_models.Correlating.objects.values_list("step", "token", "told"), detect_models.Matches.objects.count()]


def told(row):
    return sorted(detect_models.Finding.objects.filter(batch__contains=row.pk.hex).values_list("rule_uid", "count", "first", "last", "host", "backfilled"))


def test_the_past_is_hunted_with_a_correlation_on_the_page(past, leader):
    """A colleague who just installed the rules asks what they would have said of the last days."""
    detect.correlate()
    before = live()
    place = leader.post(reverse("detect:hunt"), {"what": [GUESSED], "span": "7d", "keep": "1"}).url
    jobs.work(once=True)
    page = words(leader.get(place))
    assert "6 × “Wrong password over SSH”, then 1 × “Password accepted over SSH” within 5 minutes (10.0.0.5, app-01)" in page
    assert "Correlations fired 2" in page
    row = detect_models.Hunt.objects.get()
    assert [one[:2] + one[4:] for one in told(row)] == [(GUESSED, 7, "app-01", True)] * 2
    assert not row.parts.exclude(marks=b"").exists(), "what was looked at is let go"
    assert live() == before, "the live correlator and its state take no part"
    assert sum(one.count for one in alerts()) == 14
    assert all(one.backfilled for one in alerts()), "they wake nobody"
    (alert, *_others) = alerts()
    assert "What led to it" in words(leader.get(reverse("respond:alert", kwargs={"pk": alert.pk})))

    again = leader.post("/api/detect/hunts/", {"rules": [GUESSED], "since": clock.text(clock.now() - timedelta(days=3)), "keep": True}, content_type="application/json").json()
    jobs.work(once=True)
    said = leader.get(f"/api/detect/hunts/{again['id']}/").json()
    assert (said["state"], said["findings"], len(said["fired"])) == ("done", 0, 2)
    (line,) = said["rules"]
    assert (line["uid"], line["events"], line["known"], line["fired"]) == (GUESSED, 14, 14, 2)


def test_all_of_a_pack_also_what_did_not_follow_and_what_others_build_upon(past, leader):
    row = detect.ask_hunt([], clock.now() - timedelta(days=3), packs=[detect_models.Pack.objects.get(rules=6).name], keep=True, apart=False, actor=SYSTEM)
    detect.hunt(row.pk)
    row.refresh_from_db()
    assert {uid[-1:]: one["fired"] for uid, one in row.result["rules"].items() if "fired" in one} == {"3": 2, "4": 2, "6": 2}
    assert {uid for uid, *_rest in told(row)} == {GUESSED, SILENT}, "what others build upon makes no finding"


def test_what_the_live_one_said_is_not_said_again(script, leader):
    guess(script, ago=900)
    row = detect.ask_hunt([GUESSED], clock.now() - timedelta(hours=4), keep=True, apart=False, actor=SYSTEM)
    detect.hunt(row.pk)
    row.refresh_from_db()
    assert (told(row), row.result["rules"][GUESSED]["known"]) == ([], 7)


@pytest.mark.parametrize("where", ["hours", "findings", "end"])
def test_killed_anywhere_it_goes_on_and_says_each_once(past, monkeypatch, where):
    def ask():
        return detect.ask_hunt([GUESSED, SILENT], clock.now() - timedelta(days=3), keep=True, apart=False, actor=SYSTEM)

    row, real, calls = ask(), {"hours": hunting.Taker.take, "findings": correlating.store, "end": hunting._correlated}[where], []

    def killed(*given, **named):
        calls.append(1)
        if len(calls) == 2 or where == "end":
            raise KeyboardInterrupt
        return real(*given, **named)

    with monkeypatch.context() as here:
        here.setattr(*{"hours": (hunting.Taker, "take"), "findings": (correlating, "store"), "end": (hunting, "_correlated")}[where], killed)
        with pytest.raises(KeyboardInterrupt):
            detect.hunt(row.pk)
    detect.hunt(row.pk)
    row.refresh_from_db()
    assert [(uid[-1:], count) for uid, count, *_rest in told(row)] == [("4", 7), ("4", 7), ("6", 1), ("6", 1)]
    assert (row.result["findings"], row.result["fired"]) == (4, 4)


def test_who_hunts_sees_no_more_than_in_the_logs(past, three, organisations):
    for person, fired in ((three.person("operator-3", organisations.harbour, "duty_leader"), 2), (three.users.outsider, 0)):
        viewer = replace(viewer_of(person), permissions=frozenset({"detect.rule.hunt", "lake.event.view"}))
        row = detect.ask_hunt([GUESSED], clock.now() - timedelta(days=3), apart=False, actor=viewer)
        detect.hunt(row.pk)
        row.refresh_from_db()
        assert row.result.get("fired", 0) == fired
    assert not detect_models.Finding.objects.exists()


def test_what_is_normal_for_a_group_is_taken_in_the_past_too(past, leader):
    text = f"title: x\nlogsource: {{category: correlation}}\nfilter:\n  rules: [{GUESSED}]\n  selection: {{src_ip: 10.0.0.5}}\n  condition: not selection\n"
    assert leader.post(reverse("detect:exemption_add"), {"name": "x", "text": text, "source": "", "reason": "r", "owner": "", "expires": f"{clock.now() + timedelta(days=3):%Y-%m-%dT%H:%M}"}).status_code == 302
    row = detect_models.Exemption.objects.get()
    do(leader, "enforce", row)
    hunt = detect.ask_hunt([GUESSED], clock.now() - timedelta(days=3), keep=True, apart=False, actor=SYSTEM)
    detect.hunt(hunt.pk)
    assert detect_models.Finding.objects.filter(exemption=row.pk).count() == 2
    jobs.work(once=True)
    assert not alerts()


# ---- built on a page -------------------------------------------------------------------------------------------

FAILED, ACCEPTED = "6b7a1c1e-7b2e-4a58-9d0e-0000000000a1", "6b7a1c1e-7b2e-4a58-9d0e-0000000000a2"
FORM = {
    "by": "correlation", "title": "Three wrong passwords for one server", "title_zh": "单台服务器三次口令错误", "kind": "event_count", "ref.0": FAILED, "number": "10", "unit": "m", "group_by": "host", "op_is": "gte", "bound": "3", "generate": "1",
    "level": "high", "techniques": "T1110", "alarm": "weak-password", "name": "", "percentile": "95", "description": "", "description_zh": "", "falsepositives": "", "uid": "", "author": "", "text": "",
}  # fmt: skip
BUILD, PREVIEW = "/detect/rule-build/", "/detect/rule-preview/"


@pytest.fixture
def pair(three, organisations, monkeypatch):
    """Who writes rules, and who approves them."""
    monkeypatch.setattr(examining, "LOOK_AT_RULES", 0.0)
    return [browser(three.person(name, organisations.root, "administrator")) for name in ("writer-3", "approver-3")]


def drafted(client, **changes):
    answer = client.post("/detect/ownrules/add/", FORM | changes)
    assert answer.status_code == 302, words(answer)
    return detect_models.OwnRule.objects.latest("changed")


def put_in_force(pair, row):
    for client, verb in zip(pair, ("propose", "approve"), strict=True):
        client.post("/detect/ownrules/", {"do": f"{verb}:{row.pk}"})
    row.refresh_from_db()
    assert row.stage == "in_force"
    return row


def within_a_cell(number):
    """How many seconds ago the first minute of the ``number``-th ten minutes before these was over: what follows lies in one cell of ten minutes."""
    now = clock.now().timestamp()
    return now - (now // 600 - number) * 600 - 60


def preview(client, **changes):
    place = client.post(PREVIEW, FORM | {"days": "1"} | changes).url
    jobs.work(once=True)
    answer = client.get(place)
    return words(answer), [int(number) for number in re.findall(r'<dd class="number">(\d+)</dd>', answer.content.decode())]


def test_a_correlation_is_built_previewed_approved_and_makes_alerts(script, pair):
    writer, approver = pair
    script(*[failed(within_a_cell(5) - n) for n in range(4)], *[failed(within_a_cell(3) - n, ip="10.0.0.9") for n in range(2)], failed(within_a_cell(3) - 100), *[failed(within_a_cell(1) - n) for n in range(2)])
    before = live()

    # rules are found by words, added, moved and taken away; the text follows
    found = words(writer.post(BUILD, FORM | {"op": "find", "find": "password over"}))
    assert "Password accepted over SSH" in found
    added = writer.post(BUILD, FORM | {"op": f"take:{ACCEPTED}", "kind": "temporal_ordered"}).content.decode()
    assert f'name="ref.1" value="{ACCEPTED}"' in added
    assert f'name="ref.0" value="{ACCEPTED}"' in writer.post(BUILD, FORM | {"op": "up:1", "ref.1": ACCEPTED}).content.decode()
    assert "name=\"ref.0\"" not in writer.post(BUILD, FORM | {"op": "drop:0"}).content.decode()
    sigma = writer.post(f"{BUILD}?part=text", FORM).content.decode()
    assert all(part in sigma for part in ("type: event_count", "timespan: 10m", "gte: 3", "generate: true", "- host"))

    # a preview says what it would have been: 4 together, 3 of two addresses together, 2 are too few
    said, (fired, logs, alerted, hosts, looked) = preview(writer)
    assert (fired, logs, alerted, hosts, looked) == (2, 7, 2, 1, 9)
    assert "4 × “Wrong password over SSH” within 10 minutes (app-01)" in said
    assert live() == before
    assert not detect_models.Finding.objects.filter(kind="correlation", title="Three wrong passwords for one server").exists()

    # four eyes, and then it works
    row = drafted(writer)
    assert (row.title, row.model, row.stage) == ("Three wrong passwords for one server", "correlation", "draft")
    assert "Three wrong passwords" in words(writer.get(f"/detect/ownrules/{row.pk}/"))
    writer.post("/detect/ownrules/", {"do": f"propose:{row.pk}"})
    writer.post("/detect/ownrules/", {"do": f"approve:{row.pk}"})
    row.refresh_from_db()
    assert row.stage == "proposed", "who wrote it cannot approve it"
    approver.post("/detect/ownrules/", {"do": f"approve:{row.pk}"})
    script(*[failed(8 - n) for n in range(3)])
    (alert,) = alerts(row.uid)
    assert (alert.title, alert.host, alert.count, alert.author, alert.alarm) == ("Three wrong passwords for one server", "app-01", 3, "Writer-3", "weak-password")
    assert "What led to it" in words(approver.get(reverse("respond:alert", kwargs={"pk": alert.pk})))
    assert alerts(FAILED), "generate: its rule speaks for itself too"

    # the form of the next version shows what was written
    approver.post("/detect/ownrules/", {"do": f"version:{row.pk}"})
    fresh = detect_models.OwnRule.objects.get(uid=row.uid, version=2)
    shown = writer.get(f"/detect/ownrules/{fresh.pk}/change/").content.decode()
    assert f'name="ref.0" value="{FAILED}"' in shown
    assert 'name="by" value="correlation"' in shown


TYPES = [
    ({"kind": "event_count"}, 1), ({"kind": "value_count", "name": "src_ip", "bound": "2"}, 1), ({"kind": "temporal", "ref.1": ACCEPTED}, 1), ({"kind": "temporal_ordered", "ref.1": ACCEPTED}, 1), ({"kind": "temporal_ordered", "ref.0": ACCEPTED, "ref.1": FAILED}, 0),
    ({"kind": "value_sum", "name": "src_port", "bound": "80000"}, 1), ({"kind": "value_avg", "name": "src_port", "bound": "41822", "op_is": "eq"}, 1), ({"kind": "value_median", "name": "src_port", "bound": "41823"}, 0), ({"kind": "value_percentile", "name": "src_port", "bound": "41822"}, 1),
    ({"kind": "absence", "ref.1": ACCEPTED, "group_by": "src_ip"}, 1),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "fires"), TYPES)
def test_every_type_is_built_and_previewed(script, pair, changes, fires):
    """Two addresses fail at one server; one of them gets in."""
    begin = within_a_cell(3)
    script(*[failed(begin - n) for n in range(2)], *[failed(begin - 10 - n, ip="10.0.0.9") for n in range(2)], accepted(begin - 50))
    script(failed(20, ip="10.0.0.77"))
    said, numbers = preview(pair[0], **changes)
    assert ("It would have found nothing" in said) if not fires else numbers[0] == fires, said
    row = drafted(pair[0], **changes)
    again = linking.read(row.text)
    assert linking.written(again) == row.text, "form and text say the same"
    put_in_force(pair, row)
    assert row.uid in {one.uid for one in loading.correlations()}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"ref.0": ""}, "Choose from 1 to 12 rules"), ({"kind": "temporal"}, "Choose from 2 to 12 rules"), ({"number": "soon"}, "The timespan is no whole number"), ({"bound": ""}, "The threshold is no whole number"), ({"kind": "value_sum"}, "No field is named"),
        ({"ref.0": "6b7a1c1e-7b2e-4a58-9d0e-0000000000ff"}, "There is no rule with the id"), ({"number": "40", "unit": "d"}, "at most 8 days"), ({"title": "", "title_zh": ""}, "The rule has no title"),
    ],
)  # fmt: skip
def test_what_is_not_complete_is_said(node, pair, changes, said):
    given = {name: value for name, value in (FORM | changes).items() if value or not name.startswith("ref.")}
    assert said in words(pair[0].post("/detect/ownrules/add/", given))
    assert not detect_models.OwnRule.objects.exists()


def test_no_circle_and_nothing_is_left_hanging(script, pair):
    """Of two correlations the second looks at the first: the first can neither look at the second nor go while it is looked at."""
    def withdraw(row):
        return pair[1].post("/detect/ownrules/", {"do": f"withdraw:{row.pk}", "confirm": "1"}, follow=True)

    first = put_in_force(pair, drafted(pair[0]))
    second = put_in_force(pair, drafted(pair[0], title="Twice", **{"ref.0": first.uid, "bound": "1"}))
    pair[0].post("/detect/ownrules/", {"do": f"version:{first.pk}"})
    fresh = detect_models.OwnRule.objects.get(uid=first.uid, version=2)
    answer = pair[0].post(f"/detect/ownrules/{fresh.pk}/change/", FORM | {"uid": first.uid, "ref.0": second.uid})
    assert "built upon itself" in words(answer)
    refused = withdraw(first)
    first.refresh_from_db()
    assert first.stage == "in_force"
    assert "is looked at by the correlation “Twice”" in words(refused)
    assert detect.survey(again=True)
    assert detect_models.Rule.objects.get(uid=second.uid).reach == "source", "coverage looks at what people of the node wrote: no such log came yet"
    withdraw(second)
    withdraw(first)
    first.refresh_from_db()
    assert first.stage == "withdrawn"


def test_what_a_form_cannot_show_is_said_and_kept_as_text(node, pair):
    text = f"title: x\nid: 6b7a1c1e-7b2e-4a58-9d0e-0000000000b1\ncorrelation:\n  type: temporal\n  rules: ['{FAILED}', '{ACCEPTED}']\n  group-by: [host]\n  timespan: 5m\n  condition: '{FAILED} and not {ACCEPTED}'\nlevel: low\n"
    shown = words(pair[0].post(BUILD, {"by": "text", "text": text}))
    assert "more than one comparison" in shown
