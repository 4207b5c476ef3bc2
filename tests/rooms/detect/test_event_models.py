"""The library of event models through the doors: all of them, what feeds them here, which rules are about them, their place among incidents."""

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse

from lianfang.commons.people.queries import viewer_of
from lianfang.engines.schema import ocsf
from lianfang.kernel import clock
from lianfang.kernel.viewer import SYSTEM
from lianfang.rooms.detect import actions, models
from lianfang.rooms.detect.queries import incidents, library
from lianfang.rooms.lake import actions as lake

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def fed(pack, three, organisations):
    """The rules of the house, and a failed logon by SSH that a source of the harbour brought."""
    actions.install_pack(pack.folder, actor=SYSTEM)
    keeper = viewer_of(three.person("keeper", organisations.harbour, "administrator"))
    lake.ensure_source("gate", kind="http", codec="syslog", actor=keeper)
    moment = clock.now() - timedelta(minutes=5)
    lake.receive("gate", [f"<38>1 {moment:%Y-%m-%dT%H:%M:%SZ} web1 sshd 7 - - Failed password for root from 192.0.2.7 port 50022 ssh2".encode()], actor=keeper)
    lake.drain()


@pytest.fixture
def client_of(three):
    def make(user, language="en"):
        client = Client()
        client.force_login(getattr(three.users, user), backend="django.contrib.auth.backends.ModelBackend")
        client.cookies["django_language"] = language
        return client

    return make


def test_there_are_more_than_three_hundred_and_each_has_two_names_and_a_place(client_of):
    page = client_of("member").get(reverse("detect:event_models")).content.decode()
    assert "444 event models" in page
    told = client_of("member").get("/api/detect/event-models/").json()
    assert len(told) == 444 == len({one["key"] for one in told})
    assert all(one["name_zh"] and one["name_en"] and one["incident"]["kind_zh"] and one["incident"]["why_zh"] for one in told)
    assert {one["incident"]["kind"] for one in told} <= set(incidents.kinds())


def test_a_model_shows_what_feeds_it_which_rules_are_about_it_and_its_latest_events(fed, client_of):
    page = client_of("member").get(reverse("detect:event_model", kwargs={"key": "3002.1"})).content.decode()
    for words in ("Authentication: Logon", "gate", "OpenSSH server", "Failed login by SSH", "Attack on credentials", "class_uid%3Ais%3A3002"):
        assert words in page
    assert "Memory of LSASS read" not in page
    assert "身份认证：登录" in client_of("member", "zh-hans").get(reverse("detect:event_model", kwargs={"key": "3002.1"})).content.decode()
    told = client_of("member").get("/api/detect/event-models/3002.1/").json()
    assert (told["sources"], told["events"], len(told["rule_uids"])) == ({"gate": 1}, 1, 1)
    assert sum(told["days"].values()) == 1


def test_what_others_bring_is_not_mine_to_count(fed, client_of):
    told = client_of("outsider").get("/api/detect/event-models/3002.1/").json()
    assert (told["sources"], told["days"]) == ({}, {})


def test_the_library_is_narrowed_by_what_feeds_it_by_rules_by_words_and_by_kind_of_incident(fed, client_of):
    def keys(**asked):
        page = client_of("member").get(reverse("detect:event_models"), asked).content.decode()
        return {key for key in library.event_models() if reverse("detect:event_model", kwargs={"key": key}) in page}

    assert keys(fed="1") == {"3002.1"}
    assert {"1007.1", "3002.1"} <= keys(rules="1") and "8001.1" not in keys(rules="1")
    assert keys(q="进程活动 启动") == {"1007.1"} == keys(q="process activity launch")
    assert keys(kind="ransomware") == {"1001.10", "6005.9"}
    assert all(key.startswith("30") for key in keys(category="3"))


def test_rules_and_models_lead_to_each_other(fed, client_of):
    rule = models.Rule.objects.get(title="Who am I")
    assert reverse("detect:event_model", kwargs={"key": "1007.1"}) in client_of("member").get(reverse("detect:rule", kwargs={"pk": rule.pk})).content.decode()
    page = client_of("member").get(reverse("detect:rule_list"), {"model": "3002.1"}).content.decode()
    assert "Failed login by SSH" in page and "Who am I" not in page


def test_marks_follow_a_mapping_that_changed(fed):
    assert actions.mark_models() is False  # the installation marked them
    assert not models.RuleMark.objects.filter(kind="model", value="4014.1").exists()
    row = lake.save_mapping("template: own.ssh\ntitle: {zh: 自有, en: Own}\ndetect: {program: gatekeeper}\nlogsource: {product: linux, service: sshd}\nclass: tunnel_activity\nactivity: Open\ntests:\n  - {name: one, codec: json, raw: '{\"program\": \"gatekeeper\"}', expect: {class_uid: 4014}}\n", actor=SYSTEM)
    assert row.name == "own.ssh"
    assert actions.mark_models() is True
    assert models.RuleMark.objects.filter(rule__title="Failed login by SSH", kind="model", value="4014.1").exists()


@pytest.mark.parametrize(("importance", "loss", "harm", "level"), [("special", "special", "general", "I"), ("general", "small", "special", "I"), ("important", "special", "general", "II"), ("special", "severe", "general", "II"), ("general", "special", "general", "III"), ("important", "severe", "great", "II"), ("important", "large", "general", "IV"), ("general", "severe", "general", "IV"), ("special", "small", "considerable", "III")])
def test_the_level_of_an_incident_follows_from_importance_loss_and_harm(client_of, importance, loss, harm, level):
    asked = {"importance": importance, "loss": loss, "harm": harm}
    told = client_of("member").get("/api/detect/incident-level/", asked).json()
    assert (told["level"], bool(told["why"])) == (level, True)
    page = client_of("member").get(reverse("detect:event_model", kwargs={"key": "1007.1"}), asked).content.decode()
    assert f"<span>{level}</span>" in page


def test_a_level_is_not_guessed_from_words_that_nobody_knows(client_of):
    answer = client_of("member").get("/api/detect/incident-level/", {"importance": "huge", "loss": "small", "harm": "general"})
    assert answer.status_code == 422 and "huge" in answer.content.decode()


def test_every_class_has_a_place_and_every_alarm_type_too():
    from lianfang.rooms.detect.queries import framework

    assert all(incidents.of_model(model.class_uid, model.activity) for model in library.event_models().values())
    assert all(incidents.of_rule((), key) for key in framework.alarms())
    assert incidents.of_rule(("T1498.001",), "destruction").kind.key == "denial"
    assert set(ocsf.CATEGORIES) == set(ocsf.CATEGORIES_ZH)
