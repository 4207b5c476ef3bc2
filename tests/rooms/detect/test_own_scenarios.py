"""People of the node describe a scenario of their own on a page; it stands among the shipped ones, with what the node sees of it."""

from __future__ import annotations

import json
import re
from html import unescape

import pytest
from django.test import Client
from django.urls import reverse
from tests.rooms.detect.test_event_models import client_of, fed

from lianfang.commons.ledger import queries as ledger
from lianfang.kernel.viewer import SYSTEM
from lianfang.rooms.detect import actions, models

__all__ = ["client_of", "fed"]
pytestmark = pytest.mark.django_db(transaction=True)
FORM = {
    "by": "form", "zh": "盗用运维账户", "en": "Stolen operations account", "about_zh": "先试口令，再登录。", "about_en": "Passwords are tried, then somebody logs on.", "alarm": "weak-password", "stage.0.zh": "试口令", "stage.0.en": "Passwords are tried", "stage.0.model.0": "3002.1",
    "stage.0.techniques": "T1110", "stage.1.zh": "登录", "stage.1.en": "Logged on", "stage.1.model.0": "3002.1", "stage.1.techniques": "", "stage.1.needs_zh": "认证日志", "stage.1.needs_en": "logs of logons",
}  # fmt: skip
BUILD = "/detect/scenario-build/"


@pytest.fixture
def role():
    return "administrator"


@pytest.fixture
def rules(home):
    from django.conf import settings

    for name in ("starter", "correlations"):
        actions.install_pack(settings.CONTENT / "rules" / name, actor=SYSTEM)
    return {rule.path: rule for rule in models.Rule.objects.all()}


@pytest.fixture
def keeper(three, organisations):
    client = Client()
    client.force_login(three.person("describer", organisations.root, "administrator"), backend="django.contrib.auth.backends.ModelBackend")
    client.cookies["django_language"] = "en"
    return client


def words(answer):
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", answer.content.decode())))


def chosen(rules):
    return {"stage.0.rule.0": rules["chains/ssh_guessed.yml"].uid, "stage.1.rule.0": rules["linux/ssh_root_password_logon.yml"].uid}


def test_a_scenario_is_described_found_among_the_others_changed_and_switched_off(rules, fed, keeper, client_of):
    # stages are filled in from lists
    found = words(keeper.post(BUILD, FORM | {"op": "find:0", "stage.0.find": "ssh guessed"}))
    assert "Password of SSH guessed" in found
    assert "Authentication: Logon" in words(keeper.post(BUILD, FORM | {"op": "find:1", "stage.1.find": "authentication logon"})) + found
    uid = rules["chains/ssh_guessed.yml"].uid
    taken = keeper.post(BUILD, FORM | {"op": f"take:0:rule:{uid}"}).content.decode()
    assert f'name="stage.0.rule.0" value="{uid}"' in taken
    assert f'value="{uid}"' not in keeper.post(BUILD, FORM | chosen(rules) | {"op": f"leave:0:rule:{uid}"}).content.decode()
    assert 'name="stage.2.zh"' in keeper.post(BUILD, FORM | {"op": "add"}).content.decode()
    assert 'name="stage.1.zh"' not in keeper.post(BUILD, FORM | {"op": "drop:1"}).content.decode()
    assert 'name="stage.0.zh" value="登录"' in keeper.post(BUILD, FORM | {"op": "up:1"}).content.decode()

    answer = keeper.post(reverse("detect:ownscenario_add"), FORM | chosen(rules))
    assert answer.status_code == 302, words(answer)
    row = models.OwnScenario.objects.get()
    assert (row.version, row.made_by, len(row.stages)) == (1, "Describer", 2)
    assert "Passwords are tried" in words(keeper.get(answer.url))

    # everybody sees it as the shipped ones are seen
    place = reverse("detect:scenario", kwargs={"key": row.key})
    every = client_of("member")
    assert place in every.get(reverse("detect:scenarios")).content.decode()
    shown = words(every.get(place))
    assert "1. Passwords are tried seen" in shown
    assert "Password of SSH guessed" in shown and "Authentication: Logon" in shown and "Needs: logs of logons" in shown
    assert "盗用运维账户" in words(client_of("member", "zh-hans").get(reverse("detect:event_model", kwargs={"key": "3002.1"})))

    # all its rules are switched at once, as those of a shipped one
    keeper.post(place, {"on": "0"})
    assert not models.Rule.objects.get(uid=uid).enabled
    assert "no rule is on" in words(every.get(place))
    keeper.post(place, {"on": "1"})

    # a change is a version, and its history is in the ledger
    changed = keeper.post(reverse("detect:ownscenario_change", kwargs={"pk": row.pk}), FORM | chosen(rules) | {"stage.1.en": "Somebody logged on"})
    assert changed.status_code == 302, words(changed)
    row.refresh_from_db()
    assert (row.version, row.stages[1]["en"]) == (2, "Somebody logged on")
    (record,) = ledger.seen(SYSTEM).filter(verb="detect.ownscenario_changed")
    told = json.loads(record.detail)
    assert (told["said"]["stages"][1]["en"], told["says"]["stages"][1]["en"]) == ("Logged on", "Somebody logged on")

    # off it stands nowhere; it can come back, and go
    keeper.post(reverse("detect:ownscenario_list"), {"do": f"disable:{row.pk}"})
    assert every.get(place).status_code == 404
    assert place not in every.get(reverse("detect:scenarios")).content.decode()
    keeper.post(reverse("detect:ownscenario_list"), {"do": f"enable:{row.pk}"})
    assert every.get(place).status_code == 200
    keeper.post(reverse("detect:ownscenario_list"), {"do": f"delete:{row.pk}"})
    assert {one.verb for one in ledger.seen(SYSTEM).filter(ref=str(row.ref))} >= {f"detect.ownscenario_{verb}" for verb in ("added", "changed", "disabled", "enabled")}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"zh": "", "en": ""}, "The scenario has no name"), ({"stage.0.zh": "", "stage.0.en": ""}, "Stage 1 has no name"), ({"stage.0.model.0": ""}, "names no event model"), ({"stage.0.model.0": "9.9"}, "names what does not exist here: 9.9"),
        ({"stage.0.techniques": "T9999"}, "names what does not exist here: T9999"), ({"stage.0.rule.0": "nobody"}, "names what does not exist here: nobody"), ({"stage.0.techniques": ""}, "names no rule and no technique"),
    ],
)  # fmt: skip
def test_what_could_never_be_seen_is_refused_with_the_reason(home, keeper, changes, said):
    assert said in words(keeper.post(reverse("detect:ownscenario_add"), {**FORM, "stage.1.techniques": "T1078"} | changes))
    assert not models.OwnScenario.objects.exists()


def test_over_the_api(home, keeper, client_of):
    stages = [{"zh": "试口令", "en": "Tried", "models": ["3002.1"], "rules": [], "techniques": ["T1110"]}]
    made = keeper.post("/api/detect/ownscenarios/", {"en": "Over the API", "stages": stages}, content_type="application/json")
    assert made.status_code in (200, 201), made.content
    assert models.OwnScenario.objects.get().stages[0]["models"] == ["3002.1"]
    refused = keeper.post("/api/detect/ownscenarios/", {"en": "x", "stages": [{"zh": "y"}]}, content_type="application/json")
    assert refused.status_code in (400, 422)
    assert client_of("member").post("/api/detect/ownscenarios/", {"en": "x", "stages": stages}, content_type="application/json").status_code == 403, "who sees a part of the node describes none for all"
