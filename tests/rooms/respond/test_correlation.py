"""From single logs to what they mean together: a script sends logs over HTTP, one alert stands and its page tells the chain."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import timedelta
from html import unescape

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse

from lianfang.commons.jobs import actions as jobs
from lianfang.commons.ledger import queries as ledger
from lianfang.commons.people import actions as people
from lianfang.commons.people.queries import viewer_of
from lianfang.kernel import clock
from lianfang.kernel.ids import new_id
from lianfang.kernel.viewer import SYSTEM
from lianfang.rooms.detect import actions as detect
from lianfang.rooms.detect import models as detect_models
from lianfang.rooms.detect.actions import correlating
from lianfang.rooms.lake import actions as lake
from lianfang.rooms.respond import models

pytestmark = pytest.mark.django_db(transaction=True)

RULES = """
title: Wrong password over SSH
id: 6b7a1c1e-7b2e-4a58-9d0e-0000000000a1
name: ssh_failed
status: stable
author: Test author
logsource: {product: linux, service: sshd}
detection: {words: ['Failed password'], condition: words}
level: low
lianfang: {title_zh: SSH 口令错误}
---
title: Password accepted over SSH
id: 6b7a1c1e-7b2e-4a58-9d0e-0000000000a2
name: ssh_accepted
status: stable
author: Test author
logsource: {product: linux, service: sshd}
detection: {words: ['Accepted password'], condition: words}
level: informational
---
title: SSH passwords are being guessed
id: 6b7a1c1e-7b2e-4a58-9d0e-0000000000a3
name: ssh_guessing
correlation: {type: event_count, rules: [ssh_failed], group-by: [src_ip, host], timespan: 5m, condition: {gte: 5}}
level: medium
---
title: SSH password guessed
id: 6b7a1c1e-7b2e-4a58-9d0e-0000000000a4
status: stable
author: Test author
tags: [attack.credential-access, attack.t1110.001, lianfang.alarm.weak-password]
correlation: {type: temporal_ordered, rules: [ssh_guessing, ssh_accepted], group-by: [src_ip, host], timespan: 5m}
level: critical
lianfang: {title_zh: SSH 口令被猜中}
---
title: A session was opened and never closed
id: 6b7a1c1e-7b2e-4a58-9d0e-0000000000a6
name: ssh_silent
status: stable
author: Test author
correlation: {type: absence, rules: [ssh_accepted, ssh_closed], group-by: [host], timespan: 10m}
level: high
---
title: Session closed
id: 6b7a1c1e-7b2e-4a58-9d0e-0000000000a5
name: ssh_closed
logsource: {product: linux, service: sshd}
detection: {words: ['session closed for user'], condition: words}
level: informational
"""
GUESSED = "6b7a1c1e-7b2e-4a58-9d0e-0000000000a4"
SILENT = "6b7a1c1e-7b2e-4a58-9d0e-0000000000a6"


@pytest.fixture
def node(tmp_path):
    folder = tmp_path / "pack"
    folder.mkdir()
    (folder / "ssh.yml").write_text(RULES, "utf-8")
    line = detect.install_pack(folder, actor=SYSTEM)
    assert (line.rules, line.usable, line.problems) == (6, 6, ())
    correlating._mine.clear()
    return folder


@pytest.fixture
def script(node, three, organisations):
    """Scripts of the harbour's: each sends the lines of one server's log with the source's key."""
    keeper = three.person("keeper", organisations.harbour, "administrator")
    viewer = viewer_of(keeper)
    key = people.make_key("log reader", permissions=("lake.event.add",), actor=viewer, user=keeper.pk)
    known = set()

    def send(*said, source="edge", drained=True):
        """``said``: (seconds ago, what sshd says), in the order of sending."""
        if source not in known:
            lake.ensure_source(source, kind="http", codec="syslog", actor=viewer)
            known.add(source)
        now = clock.now()
        lines = [f"<86>1 {clock.text(now - timedelta(seconds=ago))} app-01 sshd {n} - - {text}" for n, (ago, text) in enumerate(said)]
        answer = Client().post(f"/api/lake/ingest/{source}", data="\n".join(lines).encode(), content_type="text/plain", headers={"Authorization": key.header})
        assert answer.status_code == 202, answer.content
        lake.drain()
        if drained:
            jobs.work(once=True)

    return send


def failed(ago, user="root", ip="10.0.0.5"):
    return ago, f"Failed password for {user} from {ip} port 41822 ssh2"


def accepted(ago, user="root", ip="10.0.0.5"):
    return ago, f"Accepted password for {user} from {ip} port 41822 ssh2"


def browser(user, language="en"):
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    client.cookies["django_language"] = language
    return client


def words(answer):
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", answer.content.decode())))


def alerts(rule=GUESSED):
    return list(models.Alert.objects.filter(rule_uid=rule))


def test_seventeen_wrong_passwords_and_one_that_was_accepted_are_one_alert_with_its_chain(script, three, organisations):
    """The analyst sees one alert in the list, opens it, and reads what happened one after the other."""
    analyst = three.person("analyst-2", organisations.harbour, "analyst")
    script(*[failed(60 - n) for n in range(17)])
    assert not alerts()
    script(accepted(5))
    (row,) = browser(analyst).get("/api/respond/alerts/").json()["items"]
    assert (row["title"], row["host"], row["severity"], row["count"]) == ("SSH password guessed", "app-01", 5, 18)
    alert = models.Alert.objects.get()
    assert (alert.kind, alert.techniques, alert.alarm) == ("correlation", ["T1110.001"], "weak-password")
    assert "10.0.0.5" in alert.entities["ips"]

    url = reverse("respond:alert", kwargs={"pk": alert.pk})
    assert "(10.0.●●●, app-01)" in words(browser(analyst).get(url)), "what may not be read in the logs may not be read here"
    page = browser(three.person("leader-2", organisations.harbour, "duty_leader")).get(url)
    told = words(page)
    assert "17 × “Wrong password over SSH”, then 1 × “Password accepted over SSH” within 5 minutes (10.0.0.5, app-01)" in told
    steps = told[told.index("within 5 minutes") :]
    assert steps.index("SSH passwords are being guessed") < steps.index("Password accepted over SSH")
    for event in alert.events:
        assert event in page.content.decode()
    assert "Failed password for root" in told, "the original of the first log is shown"
    chinese = words(browser(analyst, "zh-hans").get(reverse("respond:alert", kwargs={"pk": alert.pk})))
    assert "SSH 口令被猜中" in chinese
    assert "5 分钟" in chinese
    outsider = browser(three.users.outsider)
    assert outsider.get(reverse("respond:alert", kwargs={"pk": alert.pk})).status_code == 404
    assert outsider.get("/api/respond/alerts/").json()["items"] == []


def test_rules_that_only_serve_make_no_alert_and_still_stand_in_the_log(script, three, organisations):
    analyst = three.person("analyst-2", organisations.harbour, "analyst")
    script(failed(9), failed(8), failed(7))
    assert not models.Alert.objects.exists()
    assert not detect_models.Finding.objects.exists()
    events = browser(analyst).get("/api/lake/events/?filter=source:is:edge").json()["events"]
    assert [event["rules"] for event in events] == [["6b7a1c1e-7b2e-4a58-9d0e-0000000000a1"]] * 3
    rule = detect_models.Rule.objects.get(uid="6b7a1c1e-7b2e-4a58-9d0e-0000000000a1")
    assert (rule.fired, rule.last_fired is not None) == (3, True)


def test_what_several_sources_and_processes_bring_is_counted_together(script):
    """Each source brings too few; who brings them, in which order and how often does not matter."""
    script(accepted(1), source="three")
    script(*[failed(30 - n) for n in range(3)], source="one")
    assert not alerts()
    script(*[failed(20 - n) for n in range(3)], source="two")
    (alert,) = alerts()
    assert alert.count == 7
    assert set(alert.source_name.split(", ")) == {"one", "two", "three"}
    detect.correlate()
    jobs.work(once=True)
    assert len(alerts()) == 1


def test_another_address_is_another_story_and_the_reverse_order_is_none(script):
    script(*[failed(60 - n) for n in range(6)], accepted(10, ip="10.0.0.6"))
    assert not alerts()
    script(accepted(200, ip="10.0.0.7"), *[failed(60 - n, ip="10.0.0.7") for n in range(6)])
    assert not alerts()


def test_two_organisations_are_never_one_story(script, node, three, organisations):
    """The same private address at another member: what each tells stays theirs."""
    script(*[failed(60 - n) for n in range(6)])
    other = viewer_of(three.person("other-keeper", organisations.mill, "administrator"))
    lake.ensure_source("mill", kind="http", codec="syslog", actor=other)
    lake.receive("mill", [f"<86>1 {clock.text(clock.now())} app-01 sshd 1 - - {accepted(0)[1]}".encode()], actor=other)
    lake.drain()
    jobs.work(once=True)
    assert not alerts()


def test_what_did_not_follow_is_an_alert_when_its_time_is_over(script, three, organisations):
    analyst = three.person("analyst-2", organisations.harbour, "analyst")
    script(accepted(5))
    assert not alerts(SILENT)
    with clock.frozen(clock.now() + timedelta(minutes=11)):
        detect.correlate()
        jobs.work(once=True)
        (alert,) = alerts(SILENT)
        told = words(browser(analyst).get(reverse("respond:alert", kwargs={"pk": alert.pk})))
        assert "1 × “Password accepted over SSH”, and within 10 minutes no “Session closed” followed (app-01)" in told
        detect.correlate()
        jobs.work(once=True)
        assert len(alerts(SILENT)) == 1


@pytest.mark.parametrize("lost", ["memory", "state"])
def test_a_correlator_that_dies_goes_on_where_it_was(script, monkeypatch, lost):
    """Between any two batches another process takes over: from the state, or from an old state and the marks since."""
    if lost == "state":
        monkeypatch.setattr(correlating, "SMALL", 0)
        monkeypatch.setattr(correlating, "STEPS_APART", 4)
    for n in range(6):
        script(failed(60 - n))
        correlating._mine.clear()
    script(accepted(5))
    correlating._mine.clear()
    (alert,) = alerts()
    assert alert.count == 7
    script(failed(4))
    assert len(alerts()) == 1
    assert detect_models.Finding.objects.count() == 1


def test_killed_in_the_middle_of_storing_nothing_is_lost_or_doubled(script, monkeypatch):
    script(*[failed(60 - n) for n in range(6)])
    script(accepted(5), drained=False)
    with monkeypatch.context() as world:
        world.setattr(correlating.storing, "count", interrupted)
        with pytest.raises(KeyboardInterrupt):
            detect.correlate()
    assert not detect_models.Finding.objects.exists()
    assert detect.correlate() == 1
    assert detect.correlate() == 0
    jobs.work(once=True)
    assert len(alerts()) == 1


def interrupted(*given, **named):
    raise KeyboardInterrupt


def test_killed_between_two_transactions_of_one_step_the_rest_is_said_by_the_next_one(script, monkeypatch):
    """Three addresses are guessed in one step, each finding is a transaction of its own, and the process dies before the second."""
    monkeypatch.setattr(correlating, "WRITTEN", 1)
    stories = [line for ip in ("10.0.0.5", "10.0.0.6", "10.0.0.7") for line in (*[failed(60 - n, ip=ip) for n in range(6)], accepted(5, ip=ip))]
    script(*stories, drained=False)
    real, written = correlating.store, []

    def once(made, batch):
        if written:
            raise KeyboardInterrupt
        written.append(len(made))
        real(made, batch)

    with monkeypatch.context() as world:
        world.setattr(correlating, "store", once)
        with pytest.raises(KeyboardInterrupt):
            detect.correlate()
    assert (written, detect_models.Finding.objects.count()) == ([1], 1)
    script(failed(4, ip="10.0.0.6"), drained=False)
    assert detect.correlate() == 2
    assert detect.correlate() == 0
    assert sorted(detect_models.Finding.objects.values_list("count", flat=True)) == [7, 7, 7], "what came after the crash is told when its window is over, not instead"


def test_who_comes_second_takes_nothing_and_the_first_one_looks_again(script, monkeypatch):
    """Another process takes the turn while this one works: what this one worked out is thrown away, and found by the other."""
    script(*[failed(60 - n) for n in range(6)], accepted(5), drained=False)
    real = correlating._turn

    def outrun(seat, change):
        detect_models.Correlating.objects.update(token=new_id())
        monkeypatch.setattr(correlating, "_turn", real)
        real(seat, change)

    monkeypatch.setattr(correlating, "_turn", outrun)
    assert detect.correlate() == 1, "the second try begins from the state"
    assert detect_models.Finding.objects.count() == 1
    with jobs.leased(correlating.LEASE):
        script(*[failed(60 - n, ip="10.0.0.9") for n in range(6)], accepted(5, ip="10.0.0.9"))
        assert detect_models.Finding.objects.count() == 1, "somebody else is at it"
    assert detect.take_marks() == 1


def test_nothing_is_worked_out_while_the_database_waits(script, monkeypatch):
    """The ingest process writes into the same file: the correlator holds no transaction while it reads marks, judges and keeps its state."""
    open_ = []
    for owner, name in ((correlating.Correlator, "advance"), (correlating.Correlator, "snapshot"), (correlating, "findings_of"), (correlating, "_held")):
        real = getattr(owner, name)
        monkeypatch.setattr(owner, name, lambda *given, real=real, name=name: (open_.append((name, connection.in_atomic_block)), real(*given))[1])
    script(*[failed(60 - n) for n in range(6)], accepted(5))
    assert len(alerts()) == 1
    assert {name for name, _ in open_} == {"advance", "snapshot", "findings_of", "_held"}
    assert not any(within for _, within in open_)


def test_a_state_of_another_version_is_begun_anew(script, caplog):
    script(*[failed(60 - n) for n in range(3)])
    detect_models.CorrelatingPart.put(detect_models.Correlating.objects.get(), b"LFCORR1 of before")
    detect_models.Correlating.objects.update(token=new_id())
    script(*[failed(30 - n) for n in range(6)], accepted(5))
    assert "begins anew" in caplog.text
    assert [alert.count for alert in alerts()] == [7]


def test_a_batch_that_is_brought_twice_counts_once(script):
    script(*[failed(60 - n) for n in range(4)])
    lake_batch = detect_models.Matches.objects.get()
    from lianfang.rooms.detect.actions.marking import Marker
    from lianfang.rooms.detect.queries import loading
    from lianfang.rooms.lake.types import Batch

    marker = Marker(loading.correlations(), ())
    again = Batch(lake_batch.batch, "edge", {0: {"a": "b"}}, {0: b""}, {0: ("", "", "")}, {})
    assert marker.keep(again, {0: ["6b7a1c1e-7b2e-4a58-9d0e-0000000000a1"]}) == {}
    assert detect_models.Matches.objects.count() == 1


def test_marks_and_state_of_a_flood_stand_in_rows_that_stay_small(script, monkeypatch):
    """Databases that spread take no row of several megabytes, and all that happened in one source in a second may be a batch."""
    from lianfang.commons.frame.parted import PART
    from lianfang.rooms.detect.actions.marking import Marker
    from lianfang.rooms.detect.queries import loading
    from lianfang.rooms.lake.types import Batch

    monkeypatch.setattr(correlating, "STEPS_APART", 1)
    number, now = 20_000, clock.now()
    names = [hashlib.sha256(f"{n}".encode()).hexdigest() for n in range(number)]
    columns = {"time": [now] * number, "event_id": names, "host": names, "user": names, "src_ip": names, "process": [name * 2 for name in names], "territory": ["01"] * number, "level": [2] * number}
    uid = "6b7a1c1e-7b2e-4a58-9d0e-0000000000a1"
    Marker(loading.correlations(), ()).keep(Batch("flood:edge", "edge", [{"a": "b"}] * number, [b""] * number, [("", "", "")] * number, columns), dict.fromkeys(range(number), (uid,)))
    sizes = [len(content) for content in detect_models.Matches.objects.values_list("content", flat=True)]
    assert sum(sizes) > 6 << 20
    assert max(sizes) <= PART
    jobs.work(once=True)
    detect.correlate()
    seat = detect_models.Correlating.objects.get()
    assert seat.told["matches"] == number
    parts = [len(content) for content in detect_models.CorrelatingPart.objects.values_list("content", flat=True)]
    assert sum(parts) > PART >= max(parts)
    detect_models.Correlating.objects.update(token=new_id())
    correlating._mine.clear()
    script(*[failed(30 - n) for n in range(6)], accepted(5))
    assert [alert.count for alert in alerts()] == [7]
    assert detect_models.Correlating.objects.get().told["matches"] >= number + 7, "it went on from the parts"


def test_a_correlation_that_is_switched_off_is_silent_and_its_rules_stay_quiet(script):
    rule = detect_models.Rule.objects.get(uid=GUESSED)
    assert (rule.category, rule.fields) == ("correlation", ["host", "src_ip"])
    detect.switch(rule, False, actor=SYSTEM)
    script(*[failed(60 - n) for n in range(6)], accepted(5))
    assert not models.Alert.objects.exists()


def test_the_ledger_says_what_was_found(script):
    script(*[failed(60 - n) for n in range(6)], accepted(5))
    record = ledger.seen(SYSTEM).filter(verb="detect.found").latest("seq")
    assert json.loads(record.detail)["correlations"] == [GUESSED]


def test_a_state_of_another_version_holds_nothing_up(home):
    """After an update the correlator begins anew rather than never again."""
    detect_models.CorrelatingPart.put(detect_models.Correlating.objects.create(name=correlating.SEAT), b"what an earlier version wrote")
    assert correlating.correlate() == 0
