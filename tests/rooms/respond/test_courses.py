"""An incident's page says what may come next and whether it would be seen, and lays the incident out as a diamond."""

from datetime import timedelta
from html import unescape

import pytest
from django.urls import reverse
from tests.rooms.respond.test_incidents import page_of

from lianfang.kernel.viewer import SYSTEM
from lianfang.rooms.intel.models import indicators as intel_models
from lianfang.rooms.respond import actions, models, queries

pytestmark = pytest.mark.django_db
DAY = 24 * 60


def reading(client, language="en"):
    client.cookies["django_language"] = language
    return client


def step(technique, tactic, **more):
    return {"techniques": [technique], "tactics": [tactic], "severity": 4} | more


def course(day, host, *techniques):
    """One attack on a host: a technique every ten minutes."""
    return [(day * DAY + 10 * at, f"rule {name}", host, step(name, "execution")) for at, name in enumerate(techniques)]


@pytest.fixture
def earlier(raised):
    """Five earlier incidents: after guessing came a remote service and then dumping, once something else."""
    for day in range(4):
        raised(*course(day, f"old-{day}", "T1110.001", "T1021.002", "T1003.001"))
    raised(*course(5, "old-5", "T1110", "T1486"))
    actions.group_alerts()


@pytest.fixture
def now(earlier, raised):
    """What is going on: guessed, and nothing more yet."""
    raised(*course(9, "web-1", "T1110.003"), (9 * DAY + 2, "bad address", "web-1", step("T1071", "command-and-control", entities={"ips": ["203.0.113.9", "10.1.2.3"], "users": ["li"], "domains": ["c2.evil.example", "dc.corp.local"], "hashes": ["a" * 64]})))
    actions.group_alerts()
    return models.Incident.objects.get(hosts=["web-1"])


def test_what_came_after_in_earlier_incidents_is_said_with_its_counts(now):
    found = queries.outlook(now, SYSTEM)
    assert found.incidents == 5 and found.kinds >= 11
    by_name = {one.expected.name: one for one in found.likely}
    assert {"T1021", "T1003"} <= set(by_name), "sub-techniques speak for the whole"
    (guessed,) = [after for after in by_name["T1021"].expected.after if after.name == "T1110"]
    assert guessed.times >= 4 and guessed.of >= 5
    assert not {"T1110", "T1071"} & set(by_name), "what is there already is not foretold"


def test_the_page_tells_whether_a_rule_would_see_it(now, client_of):
    page = page_of(reading(client_of("member")), now)
    assert "What may come next" in page and "Came after T1110 Brute Force in" in page
    assert "rules would see it" in page or "no rule would see it" in page
    assert "Learned from 5 earlier incidents of the last year in your range" in page
    assert "It says where to look next, not what happened." in page


def test_false_alarms_and_what_others_had_teach_nothing(now, three):
    known = queries.outlook(now, SYSTEM).incidents
    actions.incident_by_name("close", models.Incident.objects.get(hosts=["old-5"]).pk, {"verdict": "false_positive", "comment": "a test of ours"}, alerts=[], actor=SYSTEM)
    assert queries.outlook(now, SYSTEM).incidents == known - 1
    assert queries.outlook(now, three.viewers.outsider).incidents == 0


def test_only_the_last_year_is_learned_from(now):
    models.Incident.objects.exclude(pk=now.pk).update(first=now.first - timedelta(days=800), last=now.last - timedelta(days=700))
    assert queries.outlook(now, SYSTEM).incidents == 0


def test_the_diamond_parts_what_attacks_from_what_is_attacked(now):
    found = queries.diamond([step.alert for step in queries.steps(now, SYSTEM)], SYSTEM)
    assert {name for _kind, name, _known in found.infrastructure.names} == {"203.0.113.9", "c2.evil.example"}
    assert {name for _kind, name, _known in found.victim.names} == {"web-1", "li", "10.1.2.3"}
    assert {name.split()[0] for _kind, name, _known in found.capability.names} == {"T1110.003", "T1071", "a" * 64}
    assert found.adversary.names == (), "from techniques alone nobody is named"


def test_links_stand_on_the_side_on_which_their_hosts_are(raised):
    outside = {"http://203.0.113.9:8080/a", "https://[2001:db8::7]/b", "https://li@cdn.evil.example:444/c?d=http://10.0.0.1/"}
    inside = {"http://10.2.3.4/a", "https://[fd00::7]:8443/b", "http://127.0.0.1:5000/", "https://wiki/c", "https://portal.corp.local:8443/d"}
    raised((9 * DAY, "strange link", "web-1", step("T1071", "command-and-control", entities={"urls": sorted(outside | inside)})))
    actions.group_alerts()
    (row,) = models.Incident.objects.all()
    found = queries.diamond([one.alert for one in queries.steps(row, SYSTEM)], SYSTEM)
    assert {name for kind, name, _known in found.infrastructure.names if kind == "urls"} == outside
    assert not inside & {name for _kind, name, _known in found.infrastructure.names}


def test_the_page_asks_once_for_its_alerts(now, client_of, monkeypatch):
    asked = []
    real = queries.steps
    monkeypatch.setattr(queries, "steps", lambda row, viewer: asked.append(row.pk) or real(row, viewer))
    page_of(reading(client_of("member")), now)
    assert asked == [now.pk]


def test_an_adversary_is_named_where_an_indicator_that_was_met_carries_the_name_of_a_group(now, organisations):
    ours = {"organisation": organisations.harbour.id, "territory": organisations.harbour.territory, "industry": organisations.harbour.industry}
    intel_models.Entry.objects.create(about="group", key="g-1", digest="1" * 64, name="Harbour Cat", aliases=["Grey Cat"], source="partner", **ours)
    intel_models.Entry.objects.create(about="malware", key="m-1", digest="2" * 64, name="phishing", source="partner", **ours)
    intel_models.Indicator.objects.create(kind="domain", value="c2.evil.example", digest=intel_models.digest_of("domain", "c2.evil.example"), source="feed one", tags=["grey cat", "phishing"], **ours)
    found = queries.diamond([step.alert for step in queries.steps(now, SYSTEM)], SYSTEM)
    assert [(name, known) for _kind, name, known in found.adversary.names] == [("Harbour Cat", "partner")]
    assert found.infrastructure.names[0] == ("domains", "c2.evil.example", "feed one"), "what is known comes first"


@pytest.mark.covers("S02")
def test_techniques_chain_diamond_and_what_may_come_next_stand_on_one_page_and_in_the_interface(now, client_of):
    client = reading(client_of("member"))
    page = page_of(client, now)
    for words in ("Phases over time", "What may come next", "Diamond Model", "Adversary", "Capability", "Infrastructure", "Victim", "203.0.113.9", "T1110.003 Brute Force", "Nobody is named"):
        assert words in page
    order = [page.index(name) for name in ("Phases over time", "What may come next", "Diamond Model", "Its alerts, and why each belongs")]
    assert order == sorted(order)
    zh = unescape(reading(client_of("member"), "zh-hans").get(reverse("respond:incident", kwargs={"pk": now.pk})).content.decode())
    assert "接下来可能发生" in zh and "钻石模型" in zh
    answer = client.get(f"/api/respond/incidents/{now.pk}/analysis/").json()
    assert answer["next"][0]["technique"].startswith("T") and 0 < answer["next"][0]["chance"] <= 1
    assert {name["name"] for name in answer["diamond"]["infrastructure"]["names"]} == {"203.0.113.9", "c2.evil.example"}
    assert client_of("outsider").get(f"/api/respond/incidents/{now.pk}/analysis/").status_code == 404
