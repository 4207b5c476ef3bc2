"""From an alert that is normal here to an exception that takes it, through the pages and the real lake; nothing is lost on the way."""

from datetime import timedelta
from html import unescape
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client
from django.urls import reverse
from tests.rooms.respond.test_whole_path import feed, node

from lianfang.commons.ledger import queries as ledger
from lianfang.kernel import clock
from lianfang.kernel.viewer import SYSTEM
from lianfang.rooms.detect import actions as detect
from lianfang.rooms.detect import models as detect_models
from lianfang.rooms.lake import queries as lake
from lianfang.rooms.respond import models

pytestmark = pytest.mark.django_db(transaction=True)
__all__ = ["node"]

BACKUP = "rundll32.exe C:\\windows\\System32\\comsvcs.dll, MiniDump 640 C:\\ProgramData\\d.bin full"


@pytest.fixture
def analyst(three):
    client = Client()
    client.force_login(three.users.member, backend="django.contrib.auth.backends.ModelBackend")
    client.cookies["django_language"] = "en"
    return client


def proposal(analyst, alert, **more):
    """Through the button on the alert's page and the form it opens; gives the exception."""
    page = analyst.get(reverse("respond:alert", kwargs={"pk": alert.pk})).content.decode()
    assert "Normal here" in page
    begin = analyst.get(reverse("detect:exemption_from", kwargs={"uid": alert.rule_uid}), {"event": alert.events[0]})
    given = {name: values[0] for name, values in parse_qs(urlsplit(begin["Location"]).query).items()}
    form = unescape(analyst.get(begin["Location"]).content.decode())
    assert "web-02.harbour.example" in form, "the form is filled in by the alert's own log"
    assert "condition: not selection" in form
    filled = {**given, "reason": "The backup agent dumps its own helper every night.", "owner": "", "expires": f"{clock.now() + timedelta(days=30):%Y-%m-%dT%H:%M}"} | more
    answer = analyst.post(reverse("detect:exemption_add"), filled)
    assert answer.status_code == 302, unescape(answer.content.decode())[-3000:]
    return detect_models.Exemption.objects.get(name=filled["name"])


def do(client, verb, row):
    return client.post(reverse("detect:exemption_list"), {"do": f"{verb}:{row.pk}", "next": reverse("detect:exemption", kwargs={"pk": row.pk})}, follow=True).content.decode()


def impact(client, row, days=7):
    return unescape(client.get(reverse("detect:exemption_impact", kwargs={"pk": row.pk}), {"days": days}).content.decode())


@pytest.mark.covers("O15")
def test_an_analyst_calls_an_alert_normal_and_it_is_silent_until_somebody_looks_again(node, analyst, three):
    feed(node)
    (alert,) = models.Alert.objects.all()
    row = proposal(analyst, alert)
    feed(node, CommandLine=BACKUP)
    assert detect_models.Finding.objects.filter(exemption=None).count() == 2, "a proposal takes nothing"

    seen = impact(analyst, row)
    assert "Its rules fired on 2 logs within its reach. It would have taken 2 of them, and 2 of 2 findings whole." in seen
    assert "1 alert would not have been raised" in seen
    assert "web-02.harbour.example" in seen
    assert "real attack" not in seen
    assert "in force" in do(analyst, "enforce", row)

    feed(node)
    assert models.Alert.objects.count() == 1
    taken = detect_models.Finding.objects.get(exemption=row.pk)
    (event,) = lake.events(taken.events, viewer=SYSTEM)
    assert alert.rule_uid in event["rules"], "the log keeps what fired on it"
    row.refresh_from_db()
    assert (row.findings, row.events) == (1, 1)
    page = analyst.get(reverse("detect:exemption", kwargs={"pk": row.pk})).content.decode()
    assert reverse("lake:event", kwargs={"event_id": taken.events[0]}) in page, "what it took is reached from its page"
    listed = analyst.get(reverse("detect:finding_list"), {"exemption": row.pk}).content.decode()
    assert listed.count(reverse("detect:finding_list") + f"{taken.pk}/") == 1

    feed(node, Computer="hmi-1.harbour.example")
    assert models.Alert.objects.filter(host="hmi-1.harbour.example").exists(), "elsewhere it is not normal"
    do(analyst, "withdraw", row)
    feed(node)
    assert detect_models.Finding.objects.filter(exemption=None, host=taken.host).count() == 3, "withdrawn: the rule speaks again"
    steps = set(ledger.seen(SYSTEM).filter(ref=str(row.ref)).values_list("verb", flat=True))
    assert {"detect.exemption_added", "detect.exemption_in_force", "detect.exemption_withdrawn"} <= steps


def test_what_would_hide_a_real_attack_is_said_loudly(node, analyst, three):
    feed(node)
    (alert,) = models.Alert.objects.all()
    row = proposal(analyst, alert)
    analyst.post(reverse("respond:decide", kwargs={"pk": alert.pk, "verb": "close"}), {"verdict": "true_positive"})
    assert "It would have hidden a real attack: 1 alert that somebody closed as a true positive." in impact(analyst, row, days=30)


def test_others_neither_see_nor_touch_it(node, analyst, three):
    feed(node)
    row = proposal(analyst, models.Alert.objects.get())
    outsider = Client()
    outsider.force_login(three.users.outsider, backend="django.contrib.auth.backends.ModelBackend")
    for name in ("exemption", "exemption_impact"):
        assert outsider.get(reverse(f"detect:{name}", kwargs={"pk": row.pk})).status_code == 404
    do(outsider, "enforce", row)
    row.refresh_from_db()
    assert row.state == "proposed"


def test_it_ends_by_its_time_and_its_owner_is_told_before(node, analyst, three, monkeypatch):
    feed(node)
    row = proposal(analyst, models.Alert.objects.get(), expires=f"{clock.now() + timedelta(days=3):%Y-%m-%dT%H:%M}")
    assert analyst.get(reverse("detect:bell")).status_code == 204
    do(analyst, "enforce", row)
    assert "Your exception ends" in analyst.get(reverse("detect:bell")).content.decode()
    assert analyst.get(reverse("detect:bell")).status_code == 204, "told once"
    detect_models.Exemption.objects.filter(pk=row.pk).update(expires=clock.now() - timedelta(seconds=1))
    feed(node)
    assert not detect_models.Finding.objects.filter(exemption=row.pk).exists()
    assert detect.end_exemptions() == 1
    row.refresh_from_db()
    assert row.state == "expired"
    assert "expired" in analyst.get(reverse("detect:exemption", kwargs={"pk": row.pk})).content.decode()


def test_what_changes_what_it_takes_makes_it_a_proposal_again(node, analyst):
    feed(node)
    row = proposal(analyst, models.Alert.objects.get())
    do(analyst, "enforce", row)
    row.refresh_from_db()
    given = {"name": row.name, "source": row.source, "owner": "", "expires": f"{row.expires:%Y-%m-%dT%H:%M}"}
    change = reverse("detect:exemption_change", kwargs={"pk": row.pk})
    assert analyst.post(change, given | {"text": row.text, "reason": "Better said."}).status_code == 302
    row.refresh_from_db()
    assert (row.state, row.reason) == ("in_force", "Better said.")
    assert analyst.post(change, given | {"text": row.text.replace("web-02.harbour.example", "'*.harbour.example'"), "reason": "Wider."}).status_code == 302
    row.refresh_from_db()
    assert row.state == "proposed"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("title: x", "no section"),
        ("title: x\nlogsource: {product: windows}\nfilter: {rules: any, selection: {User: x}, condition: not selection}", "every rule"),
        ("title: x\nlogsource: {product: windows}\nfilter: {rules: [6b7a1c1e-0000-4a58-9d0e-000000000001], selection: {User: x}, condition: not selection}", "no rule with the id"),
        ("title: x\nlogsource: {product: linux}\nfilter: {rules: [RULE], selection: {User: x}, condition: not selection}", "looks at other logs"),
        ("title: x\nlogsource: {product: windows}\nfilter: {rules: [RULE], selection: {User: x}, condition: not other}", "other"),
        ("title: x\nlogsource: {product: windows}\nfilter: {rules: [RULE], selection: {User|nonsense: x}, condition: not selection}", "nonsense"),
    ],
)
def test_a_filter_that_cannot_be_used_is_refused_with_what_to_do(node, analyst, text, said):
    rule = detect_models.Rule.objects.get()
    given = {"name": "x", "text": text.replace("RULE", rule.uid), "reason": "y", "source": "", "owner": "", "expires": f"{clock.now() + timedelta(days=3):%Y-%m-%dT%H:%M}"}
    answer = analyst.post(reverse("detect:exemption_add"), given)
    assert answer.status_code == 422
    assert said in unescape(answer.content.decode())
    assert not detect_models.Exemption.objects.exists()
