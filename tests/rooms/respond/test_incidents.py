"""Alerts that belong together become incidents: whatever order they come in, with reasons, and as people say."""

import random
from datetime import timedelta
from html import unescape

import pytest
from django.test import Client
from django.urls import reverse
from tests.rooms.respond.conftest import NOON

from lianfang.commons.ledger import queries as ledger
from lianfang.kernel.viewer import SYSTEM
from lianfang.rooms.respond import actions, models
from lianfang.rooms.respond.actions import grouping

pytestmark = pytest.mark.django_db

INTRUDER = {"entities": {"ips": ["203.0.113.9"]}}


def stage(tactic, **more):
    return {"tactics": [tactic], "severity": 4} | INTRUDER | more


ATTACK = (
    (0, "scan", "web-1", stage("reconnaissance")),
    (20, "shell", "web-1", stage("persistence", severity=5)),
    (50, "dump", "db-1", stage("credential-access")),
    (80, "copy", "db-1", stage("exfiltration")),
)


def parts():
    found = {}
    for member in models.Member.objects.select_related("alert"):
        found.setdefault(member.incident_id, []).append((member.alert.rule_uid, member.alert.host))
    return sorted(sorted(one) for one in found.values())


@pytest.fixture
def client_of(three):
    def make(name, language="en"):
        client = Client()
        client.force_login(getattr(three.users, name), backend="django.contrib.auth.backends.ModelBackend")
        client.cookies["django_language"] = language
        return client

    return make


def page_of(client, row):
    answer = client.get(reverse("respond:incident", kwargs={"pk": row.pk}))
    return unescape(answer.content.decode()) if answer.status_code == 200 else answer.status_code


@pytest.fixture
def attack(raised):
    raised(*ATTACK, (10, "noise", "pc-7", {"severity": 1}))
    actions.group_alerts()
    return models.Incident.objects.get(alerts=4)


@pytest.mark.covers("O15")
def test_an_attack_over_two_hosts_is_one_incident_that_stands_first_and_tells_why(attack, client_of):
    client = client_of("member")
    listed = unescape(client.get(reverse("respond:incident_list")).content.decode())
    assert listed.index("Rule shell") < listed.index("Rule noise")
    page = page_of(client, attack)
    for words in ("The incident begins with it.", "Shares Hosts web-1 with “Rule scan”, 20 minutes apart", "Shares Addresses 203.0.113.9 with", "4 phases of an attack were seen, in the order of an attack.", "It reaches over 2 hosts.", "4 different rules fired.", "4 alerts not closed"):
        assert words in page
    for alert in models.Alert.objects.filter(member__incident=attack):
        assert reverse("respond:alert", kwargs={"pk": alert.pk}) in page, "everything is reached from it"
        assert f"Incident of {4} alerts" in client.get(reverse("respond:alert", kwargs={"pk": alert.pk})).content.decode()


def test_every_alert_is_in_one_incident_and_every_finding_in_one_alert(raised):
    alerts = raised(*ATTACK, *((n * 30, "noise", "pc-7") for n in range(20)), (3, "other", ""))
    actions.group_alerts()
    assert models.Member.objects.count() == len(alerts) == models.Alert.objects.count()
    assert not models.Incident.objects.filter(members=None).exists()
    assert sum(models.Incident.objects.values_list("alerts", flat=True)) == len(alerts)
    assert not models.Stirred.objects.exists()


def meanwhile(monkeypatch, do):
    """Something is done while alerts are grouped: after they were read, before anything is written."""
    whole = grouping.groups

    def slowly(*args, **kwargs):
        monkeypatch.setattr(grouping, "groups", whole)
        do()
        return whole(*args, **kwargs)

    monkeypatch.setattr(grouping, "groups", slowly)


def test_many_incidents_are_written_some_at_a_time(raised, monkeypatch):
    monkeypatch.setattr(grouping, "PIECE", 5)
    alerts = raised(*((n, f"r{n}", f"pc-{n}") for n in range(12)), *ATTACK)
    sizes = []
    write = grouping._write
    monkeypatch.setattr(grouping, "_write", lambda changes, members: sizes.append(sum(one.size for one in changes)) or write(changes, members))
    assert actions.group_alerts() == 13
    assert len(sizes) > 4
    assert max(sizes) <= 5
    assert sum(len(part) for part in parts()) == len(alerts)
    grouping.stir(models.Alert.objects.all())
    assert actions.group_alerts() == 0, "nothing changed, nothing is written"
    assert sum(sizes) == len(alerts) + 13


def test_what_comes_in_while_alerts_are_grouped_is_grouped_next(raised, monkeypatch):
    raised(*ATTACK[:2])
    meanwhile(monkeypatch, lambda: raised(*ATTACK[2:]))
    actions.group_alerts()
    assert models.Stirred.objects.exists()
    actions.group_alerts()
    assert models.Incident.objects.get().alerts == len(ATTACK)
    assert not models.Stirred.objects.exists()


def test_what_a_person_parts_while_alerts_are_grouped_stays_parted(attack, raised, monkeypatch):
    alert = models.Alert.objects.filter(member__incident=attack).order_by("-first").first()
    raised((40, "late", "web-1"))
    meanwhile(monkeypatch, lambda: actions.split_incident(attack.pk, [alert.pk], actor=SYSTEM))
    assert actions.group_alerts() == 0
    actions.group_alerts()
    assert models.Member.objects.get(alert=alert).incident_id != attack.pk
    assert not models.Stirred.objects.exists()


@pytest.mark.parametrize("seed", range(8))
def test_the_order_of_arrival_changes_nothing(found, seed):
    """Alerts come in any order, in batches of any size, some twice, grouped in between: the incidents end the same."""
    chance = random.Random(4)
    seen = [(chance.randint(0, 3000), chance.choice("pqrs"), chance.choice(["a", "b", "c"]), {"entities": {"ips": chance.sample(["203.0.113.9", "198.51.100.7", "10.0.0.53"], chance.randint(0, 2))}}) for _ in range(30)]
    actions.raise_alerts(found(*seen))
    actions.group_alerts()
    expected = [(row.title, row.alerts, row.score, row.first, row.last, row.hosts) for row in models.Incident.objects.order_by("first", "last", "title", "score")], parts()
    models.Alert.objects.all().delete()
    models.Incident.objects.all().delete()
    random.Random(seed).shuffle(seen)
    while seen:
        size = chance.randint(1, 9)
        ref = found(*seen[:size])
        actions.raise_alerts(ref)
        if chance.random() < 0.6:
            actions.group_alerts()
            actions.raise_alerts(ref)
        seen = seen[size:]
    actions.group_alerts()
    assert ([(row.title, row.alerts, row.first, row.last, row.hosts) for row in models.Incident.objects.order_by("first", "last", "title", "score")], parts()) == ([(*one[:2], *one[3:]) for one in expected[0]], expected[1])


def test_a_hub_that_all_hosts_share_glues_nothing(raised):
    raised(*((n, f"r{n}", f"pc-{n}", {"entities": {"ips": ["10.0.0.53"], "users": ["NT AUTHORITY\\SYSTEM"]}}) for n in range(9)))
    actions.group_alerts()
    assert models.Incident.objects.count() == 9


def test_nobody_elses_alerts_are_drawn_in(raised, found, organisations, client_of):
    raised(*ATTACK)
    actions.raise_alerts(found((30, "scan", "hmi-1", stage("reconnaissance")), territory=organisations.mill.territory))
    actions.group_alerts()
    ours = models.Incident.objects.get(alerts=4)
    assert models.Incident.objects.count() == 2
    assert page_of(client_of("outsider"), ours) == 404
    assert "hmi-1" in client_of("outsider").get(reverse("respond:incident_list")).content.decode()
    assert "hmi-1" not in client_of("member").get(reverse("respond:incident_list")).content.decode()
    assert client_of("outsider").post(reverse("respond:incident_do", kwargs={"pk": ours.pk, "verb": "close"}), {"verdict": "benign"}).status_code in (302, 404)
    assert not models.Alert.objects.filter(state="closed").exists()


def post(client, row, verb, **given):
    return client.post(reverse("respond:incident_do", kwargs={"pk": row.pk, "verb": verb}), given, follow=True).content.decode()


def test_the_whole_is_assigned_closed_and_named(attack, client_of, three):
    client = client_of("member")
    post(client, attack, "rename", title="Web shop broken into")
    post(client, attack, "assign", to=str(three.users.member.pk))
    assert set(models.Alert.objects.filter(member__incident=attack).values_list("assignee_name", flat=True)) == {"Member"}
    assert "Say what the incident turned out to be" in unescape(post(client, attack, "close"))
    post(client, attack, "close", verdict="true_positive", comment="Isolated.")
    assert set(models.Alert.objects.filter(member__incident=attack).values_list("state", "verdict")) == {("closed", "true_positive")}
    actions.group_alerts()
    attack.refresh_from_db()
    assert (attack.title, attack.verdict, attack.waiting, attack.score) == ("Web shop broken into", "true_positive", 0, 0)
    verbs = set(ledger.seen(SYSTEM).filter(ref=str(attack.ref)).values_list("verb", flat=True))
    assert verbs == {"respond.incident_renamed", "respond.incident_assigned", "respond.incident_closed"}


def test_what_a_person_parts_or_joins_stays_so_when_more_comes(attack, raised, client_of):
    client = client_of("member")
    dump = models.Alert.objects.get(rule_uid="dump")
    post(client, attack, "split", alert=[str(dump.pk)])
    own = models.Incident.objects.get(members__alert=dump)
    assert own.pk != attack.pk
    raised((52, "again", "db-1", stage("credential-access")))
    actions.group_alerts()
    assert models.Member.objects.get(alert=dump).incident_id == own.pk
    assert models.Member.objects.filter(incident=attack, alert__rule_uid="shell").exists()
    noise = models.Incident.objects.get(members__alert__rule_uid="noise")
    post(client, attack, "merge", other=str(noise.pk))
    raised((53, "later", "pc-7"))
    actions.group_alerts()
    names = set(models.Alert.objects.filter(member__incident=attack).values_list("rule_uid", flat=True))
    assert {"scan", "shell", "copy", "noise", "later"} <= names, "what comes later joins it there"
    assert "Somebody put it here." in page_of(client, attack)
    assert not models.Incident.objects.filter(pk=noise.pk).exists()


def test_what_is_split_wholly_or_joined_with_itself_is_refused(attack, client_of):
    client = client_of("member")
    everything = [str(pk) for pk in models.Member.objects.filter(incident=attack).values_list("alert", flat=True)]
    assert "There is nothing to part" in unescape(post(client, attack, "split", alert=everything))
    assert "cannot be joined with itself" in unescape(post(client, attack, "merge", other=str(attack.pk)))


def test_what_goes_with_its_source_leaves_no_incident_behind(raised):
    raised(*ATTACK)
    actions.group_alerts()
    actions.forget_source("edge")
    actions.group_alerts()
    assert not models.Incident.objects.exists()


def test_a_long_silence_parts_and_a_late_alert_between_joins(raised):
    raised((0, "r", "a"), (100, "s", "a"))
    actions.group_alerts()
    assert models.Incident.objects.count() == 2
    raised((50, "t", "a"))
    actions.group_alerts()
    (row,) = models.Incident.objects.all()
    assert (row.alerts, row.last - row.first, row.first) == (3, timedelta(minutes=100), NOON)
