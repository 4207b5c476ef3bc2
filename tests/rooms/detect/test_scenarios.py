"""Scenarios through the doors: everything they name exists, what this node sees of each, and the switch of a whole one."""

import re

import pytest
from django.urls import reverse
from tests.rooms.detect.test_event_models import client_of, fed  # noqa: F401

from lianfang.kernel.viewer import SYSTEM
from lianfang.rooms.detect import actions, models
from lianfang.rooms.detect.queries import framework, library, loading, scenarios

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def role():
    return "administrator"


@pytest.fixture
def starter(home):
    actions.install_pack("content/rules/starter", actor=SYSTEM)


@pytest.fixture
def chains(home):
    actions.install_pack("content/rules/correlations", actor=SYSTEM)


def test_everything_a_scenario_names_exists(starter, chains):
    assert len(scenarios.scenarios()) == 11
    paths = set(models.Rule.objects.values_list("path", flat=True))
    for one in scenarios.scenarios().values():
        assert one.alarm in framework.alarms()
        for stage in one.stages:
            assert set(stage.models) <= set(library.event_models()), (one.key, stage.en)
            assert set(stage.rules) <= paths, (one.key, stage.en)
            assert set(stage.correlations) <= paths, (one.key, stage.en)


def test_a_rule_named_for_a_stage_can_fire_on_one_of_its_models(starter):
    about = {}
    for path, key in models.RuleMark.objects.filter(kind="model").values_list("rule__path", "value"):
        about.setdefault(path, set()).add(key)
    missed = [(one.key, path, sorted(about.get(path, ()))[:4]) for one in scenarios.scenarios().values() for stage in one.stages for path in stage.rules if not about.get(path, set()) & set(stage.models)]
    assert missed == [], missed


def test_a_correlation_named_for_a_stage_looks_at_one_of_its_models(chains):
    """Through what it looks at, which may be correlations again."""
    known = {one.uid: one for one in loading.correlations()}
    about, uids = {}, dict(models.Rule.objects.values_list("path", "uid"))
    for uid, key in models.RuleMark.objects.filter(kind="model").values_list("rule__uid", "value"):
        about.setdefault(uid, set()).add(key)

    def looked_at(uid):
        return set().union(*map(looked_at, known[uid].refs)) if uid in known else about.get(uid, set())

    missed = [(one.key, path, sorted(looked_at(uids[path]))[:6]) for one in scenarios.scenarios().values() for stage in one.stages for path in stage.correlations if not looked_at(uids[path]) & set(stage.models)]
    assert missed == [], missed


def test_a_correlation_of_a_stage_is_listed_and_switched_with_it(chains, fed, three, organisations):  # noqa: F811
    from django.test import Client

    keeper, client = three.person("root", organisations.root, "administrator"), Client()
    client.force_login(keeper, backend="django.contrib.auth.backends.ModelBackend")
    client.cookies["django_language"] = "en"
    place = reverse("detect:scenario", kwargs={"key": "weak-password"})
    page = client.get(place).content.decode()
    assert re.search(r"Password of SSH guessed</a>.{0,300}correlation", page, re.S)
    client.post(place, {"on": "0"})
    assert not models.Rule.objects.get(path="chains/ssh_guessed.yml").enabled
    assert models.Rule.objects.get(path="chains/port_scan.yml").enabled


def test_a_page_says_stage_by_stage_what_this_node_sees(starter, fed, client_of):  # noqa: F811
    page = client_of("member").get(reverse("detect:scenario", kwargs={"key": "weak-password"})).content.decode()
    assert page.count("seen") >= 2 and "Authentication: Logon" in page
    every = client_of("member", "zh-hans").get(reverse("detect:scenarios")).content.decode()
    assert all(one.zh in every for one in scenarios.scenarios().values())
    assert "弱密码" in client_of("member", "zh-hans").get(reverse("detect:event_model", kwargs={"key": "3002.1"})).content.decode()


def test_a_whole_scenario_is_switched_by_who_sees_the_node(starter, three, organisations):
    from django.test import Client

    keeper, client = three.person("root", organisations.root, "administrator"), Client()
    client.force_login(keeper, backend="django.contrib.auth.backends.ModelBackend")
    place = reverse("detect:scenario", kwargs={"key": "mining"})
    client.post(place, {"on": "0"})
    assert not models.Rule.objects.get(path="windows/miner_command_line.yml").enabled
    assert models.Rule.objects.get(path="web/sql_injection.yml").enabled
    client.post(place, {"on": "1"})
    assert models.Rule.objects.get(path="windows/miner_command_line.yml").enabled
    client.force_login(three.users.member, backend="django.contrib.auth.backends.ModelBackend")
    assert client.post(place, {"on": "0"}).status_code == 403
