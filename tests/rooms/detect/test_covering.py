"""Which rules can fire on what comes in: met kind by kind of events, shown on the page, in lists, over the API."""

import pytest
from django.test import Client
from django.urls import reverse
from tests.rooms.detect.conftest import NOON, UID, windows

from lianfang.kernel import clock
from lianfang.kernel.viewer import SYSTEM
from lianfang.rooms.detect import actions, jobs, models
from lianfang.rooms.detect.actions import examining, noting, surveying

pytestmark = pytest.mark.django_db(transaction=True)

COMPANY = """
title: Renamed tool of another house
id: 6b7a1c1e-7b2e-4a58-9d0e-000000000011
logsource: {product: windows, category: process_creation}
detection:
  selection: {OriginalFileName: psexec.c}
  condition: selection
level: high
"""
EITHER = """
title: Tool by either name
id: 6b7a1c1e-7b2e-4a58-9d0e-000000000012
logsource: {product: windows, category: process_creation}
detection:
  one: {OriginalFileName: psexec.c}
  two: {Image|endswith: '\\\\psexec.exe'}
  condition: 1 of them
level: high
"""
LINUX = {"program": "sshd", "message": "Accepted", "OriginalFileName": "x"}, ("linux", "", "sshd"), NOON, "web-1", ""


@pytest.fixture
def watchman(pack, monkeypatch):
    monkeypatch.setattr(examining, "LOOK_AT_RULES", 0.0)
    monkeypatch.setattr(examining, "SAY", 0.0)
    pack.write("windows/broken.yml", None)
    pack.write("windows/company.yml", COMPANY)
    pack.write("windows/either.yml", EITHER)
    actions.install_pack(pack.folder, actor=SYSTEM)
    return examining.Watchman()


@pytest.fixture
def receive(watchman, batch):
    """Let events come in, and look which rules can fire."""

    def work(*events, ref="19a0000000a-w000:edge", source="edge"):
        made = batch(*events, ref=ref, source=source)
        watchman.conclude(made, watchman.examine(made))
        jobs.survey()

    return work


@pytest.fixture
def client(three):
    client = Client()
    client.force_login(three.users.member, backend="django.contrib.auth.backends.ModelBackend")
    client.cookies["django_language"] = "en"
    return client


def reach(name):
    return models.Rule.objects.get(uid=(UID | {"company": f"{UID['dump'][:-2]}11", "either": f"{UID['dump'][:-2]}12"})[name])


PLAIN = windows(r"C:\Windows\explorer.exe")


def test_an_analyst_reads_which_rules_wait_for_what_and_who_could_bring_it(receive, client):
    """Process creations come, but without the original file name; nothing comes from sshd."""
    receive(PLAIN, windows(r"C:\x\whoami.exe"))
    page = client.get(reverse("detect:coverage")).content.decode()
    assert "<strong>3</strong> of 5 rules (60 %) can fire" in page
    assert "<strong>1</strong> have fired" in page
    for words in ("OriginalFileName", "Microsoft-Windows-Sysmon/Operational 1", "Sysmon 10 or newer", "linux / sshd", "LogLevel VERBOSE", "house rules"):
        assert words in page
    assert 'class="r-fired" x="0.000" y="0" width="20.000"' in page
    assert "style=" not in page  # the node's own policy forbids inline styles
    told = client.get("/api/detect/coverage/").json()
    assert told["packs"][0]["states"] == {"fired": 1, "ready": 2, "fields": 1, "source": 1, "unknown": 0, "off": 0, "unusable": 0}
    assert [(one["field"], one["rules"], one["alone"]) for one in told["fields"]] == [("OriginalFileName", 1, 1)]
    assert [(one["product"], one["service"], one["rules"]) for one in told["sources"]] == [("linux", "sshd", 1)]


def test_the_figures_lead_to_the_rules(receive, client):
    receive(PLAIN)
    page = client.get(reverse("detect:coverage")).content.decode()
    for asked, title in (("enabled=1&amp;reach=fields&amp;waits=OriginalFileName", "Renamed tool"), ("enabled=1&amp;reach=source&amp;product=linux&amp;service=sshd", "Failed login by SSH")):
        assert f"?{asked}" in page
        listed = client.get(f"{reverse('detect:rule_list')}?{asked.replace('&amp;', '&')}").content.decode()
        assert title in listed
        assert "Tool by either name" not in listed


def test_the_page_of_a_rule_says_whether_it_can_fire_here(receive, client):
    receive(PLAIN)
    shown = {name: client.get(reverse("detect:rule", kwargs={"pk": reach(name).pk})).content.decode() for name in ("dump", "company", "ssh")}
    assert "comes with what it needs" in shown["dump"]
    assert "comes, but without fields it needs" in shown["company"]
    assert "Sysmon 10 or newer" in shown["company"]
    assert "Nothing of its kind was received" in shown["ssh"]


def test_a_field_of_another_source_helps_no_rule(receive):
    receive(PLAIN, LINUX)
    assert (reach("company").reach, reach("company").waits) == ("fields", ["OriginalFileName"])
    assert (reach("either").reach, reach("ssh").reach) == ("ready", "ready")


def test_when_the_field_comes_the_rule_can_fire(receive):
    receive(PLAIN)
    row, *rest = PLAIN
    receive((row | {"OriginalFileName": "EXPLORER.EXE"}, *rest), ref="19a0000000b-w000:edge")
    assert (reach("company").reach, reach("company").waits) == ("ready", [])
    assert not models.RuleMark.objects.filter(kind="waits").exists()


def test_who_may_not_see_a_source_is_not_told_its_name(receive, three, monkeypatch):
    receive(PLAIN)
    from lianfang.rooms.detect.queries import covering

    assert covering.coverage(SYSTEM).fields[0].sources == ()  # no source of this name is set up
    monkeypatch.setattr(covering.lake, "source_names", lambda viewer: ["edge"])
    assert covering.coverage(SYSTEM).fields[0].sources == ("edge",)


def test_nothing_new_is_nothing_to_write(receive, watchman, batch):
    receive(PLAIN)
    before = models.Edition.objects.get(name="kinds").number
    assert not actions.survey()
    receive(PLAIN, ref="19a0000000c-w000:edge")
    assert models.Edition.objects.get(name="kinds").number == before
    assert watchman.kinds._untold == {}


def test_what_one_examiner_met_another_adds_to(batch):
    row, *rest = PLAIN
    for met in (PLAIN, ({**row, "Company": "x"}, *rest)):
        kinds = noting.Kinds()
        kinds.note(batch(met))
        kinds.tell()
    (kind,) = models.EventKind.objects.all()
    assert {"Company", "Image"} <= set(kind.fields)
    assert kind.sources == ["edge"]


def test_kinds_that_come_no_more_count_no_more(receive, monkeypatch):
    receive(PLAIN)
    models.EventKind.objects.update(last=clock.now() - surveying.LATELY * 2)
    assert actions.survey(again=True)
    assert reach("dump").reach == "source"


def test_no_kind_is_missed_however_rare_it_is(batch):
    rare = ({"Channel": "Security", "EventID": "4720"}, ("windows", "", "security"), NOON, "dc-1", "")
    kinds = noting.Kinds()
    kinds.note(batch(*[PLAIN] * 150, rare, *[PLAIN] * 249))
    assert {str(channel) for _source, channel, _event in kinds.met} == {"Security", "Microsoft-Windows-Sysmon/Operational"}


def test_every_row_of_a_large_batch_has_its_turn(batch):
    """A field that few events of a kind have is met after some batches, not never."""
    row, *rest = PLAIN
    flood = batch(*[PLAIN] * 150, (row | {"Company": "x"}, *rest), *[PLAIN] * 249)
    kinds = noting.Kinds()
    for _ in range(10):
        kinds.note(flood)
    assert "Company" in next(iter(kinds.met.values())).fields


def test_endless_names_fill_no_memory(batch, monkeypatch):
    monkeypatch.setattr(noting, "KINDS_KEPT", 3)
    monkeypatch.setattr(noting, "FIELDS_KEPT", 5)
    kinds = noting.Kinds()
    for number in range(30):
        kinds.note(batch(({"Channel": f"c{number % 6}", "EventID": "1", f"f{number}": "x"}, ("windows", "", ""), NOON, "h", "")))
    kinds.tell()
    assert models.EventKind.objects.count() == 3
    assert max(len(kind.fields) for kind in models.EventKind.objects.all()) <= 6


def test_a_rule_that_is_off_or_broken_is_said_to_be(receive, client, pack):
    receive(PLAIN)
    models.Rule.objects.filter(uid=UID["dump"]).update(enabled=False)
    models.Rule.objects.filter(uid=UID["whoami"]).update(problem="no longer compiles")
    states = client.get("/api/detect/coverage/").json()["packs"][0]["states"]
    assert (states["off"], states["unusable"]) == (1, 1)


def test_a_node_without_rules_says_how_to_get_some(client):
    assert "No rules are installed" in client.get(reverse("detect:coverage")).content.decode()


CHAINS = """
title: Tool, then a login
id: 6b7a1c1e-7b2e-4a58-9d0e-000000000021
correlation: {type: temporal_ordered, rules: [6b7a1c1e-7b2e-4a58-9d0e-000000000012, 6b7a1c1e-7b2e-4a58-9d0e-000000000003], group-by: [host], timespan: 5m}
level: high
---
title: Renamed tool again and again
id: 6b7a1c1e-7b2e-4a58-9d0e-000000000022
correlation: {type: event_count, rules: [6b7a1c1e-7b2e-4a58-9d0e-000000000011], group-by: [host], timespan: 5m, condition: {gte: 3}}
level: high
---
title: Tool, and no login
id: 6b7a1c1e-7b2e-4a58-9d0e-000000000023
correlation: {type: absence, rules: [6b7a1c1e-7b2e-4a58-9d0e-000000000012, 6b7a1c1e-7b2e-4a58-9d0e-000000000003], group-by: [host], timespan: 5m}
level: high
"""


def test_a_correlation_that_can_never_fire_says_which_of_its_rules_it_waits_for(pack, receive, client):
    """Process creations come, but without the original file name; nothing comes from sshd."""
    pack.write("chains.yml", CHAINS)
    actions.install_pack(pack.folder, actor=SYSTEM)
    receive(PLAIN)
    row = {number: models.Rule.objects.get(uid=f"6b7a1c1e-7b2e-4a58-9d0e-0000000000{number}") for number in (21, 22, 23)}
    assert {number: (one.reach, one.waits) for number, one in row.items()} == {21: ("source", []), 22: ("fields", ["OriginalFileName"]), 23: ("ready", [])}
    told = client.get("/api/detect/coverage/").json()
    assert [(one["field"], one["rules"]) for one in told["fields"]] == [("OriginalFileName", 2)]
    assert [(one["product"], one["service"], one["rules"]) for one in told["sources"]] == [("linux", "sshd", 1)], "the log is missing, not a log called correlation"
    assert "Tool, then a login" in client.get(f"{reverse('detect:rule_list')}?reach=source").content.decode()
    page = client.get(reverse("detect:rule", kwargs={"pk": row[21].pk})).content.decode()
    steps = page[page.index("It is built upon what these rules find") :]
    assert steps.index("Tool by either name") < steps.index("can fire") < steps.index("Failed login by SSH") < steps.index("no such log comes")
    client.cookies["django_language"] = "zh-hans"
    assert "它建立在这些规则的命中之上" in client.get(reverse("detect:rule", kwargs={"pk": row[21].pk})).content.decode()
    receive(LINUX, ref="19a0000000d-w000:edge")
    row[21].refresh_from_db()
    assert row[21].reach == "ready"
