"""Logging in through the real doors: password, lock, one-time password, second factor, idle sessions."""

import json
import re
import stat
import time
from datetime import timedelta
from importlib import import_module

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal import auth as totp
from django.apps import apps
from django.core.management import call_command
from django.urls import reverse

from lianfang.commons.ledger.models import Record
from lianfang.commons.people import actions, models, queries
from lianfang.engines.envelope import SealingKey, is_sealed
from lianfang.kernel import clock
from lianfang.kernel.errors import Conflict
from lianfang.kernel.viewer import SYSTEM

PASSWORD, ANOTHER = "Sunny-Harbour-42", "Rainy-Mountain-43"


@pytest.fixture(autouse=True)
def _cache(db):
    call_command("createcachetable", verbosity=0)


def log_in(client, username, password=PASSWORD, **more):
    return client.post(reverse("account_login"), {"login": username, "password": password}, **more)


def verbs():
    return list(Record.objects.order_by("time", "id").values_list("verb", flat=True))


def is_in(client):
    return client.get(reverse("people:account")).status_code == 200


def test_in_and_out(client, people):
    assert client.get(reverse("people:account")).status_code == 302
    answer = log_in(client, "Member ")
    assert answer.status_code == 302
    assert answer["Location"] == "/"
    assert is_in(client)
    client.post(reverse("account_logout"))
    assert not is_in(client)
    assert verbs()[-2:] == ["people.logged_in", "people.logged_out"]


def test_one_comes_back_to_the_page_one_wanted(client, people):
    wanted = reverse("people:user_list")
    answer = client.get(wanted)
    assert answer["Location"].startswith(reverse("account_login"))
    assert client.post(answer["Location"], {"login": "member", "password": PASSWORD, "next": wanted})["Location"] == wanted
    client.post(reverse("account_logout"))
    assert log_in(client, "member", next="x").status_code == 302
    client.post(reverse("account_logout"))
    assert client.post(reverse("account_login"), {"login": "member", "password": PASSWORD, "next": "https://elsewhere.example/"})["Location"] == "/"


def errors(answer):
    return re.findall(r'role="alert"[^>]*>(.*?)</div>', answer.content.decode(), re.S)


def test_nobody_learns_who_exists(client, people):
    known, unknown = log_in(client, "member", "wrong"), log_in(client, "nosuchuser", "wrong")
    assert errors(known)
    assert errors(known) == errors(unknown)
    models.User.objects.filter(username="outsider").update(is_active=False)
    assert errors(log_in(client, "outsider")) == errors(known)


@pytest.mark.parametrize("name", ["member", "nosuchuser"])
def test_five_failures_lock_the_name_for_a_quarter_of_an_hour(client, people, name):
    for _ in range(5):
        log_in(client, name, "wrong")
    assert queries.locked_until(name) is not None
    assert "login_locked" in verbs()[-1]
    log_in(client, name)
    assert not is_in(client), "even the right password is refused while the name is locked"
    before = len(verbs())
    log_in(client, name, "wrong")
    assert len(verbs()) == before, "what happens while locked does not fill the ledger"
    with clock.frozen(clock.now() + timedelta(minutes=16)):
        assert queries.locked_until(name) is None
        if name == "member":
            log_in(client, name)
            assert is_in(client)


def test_the_lock_is_counted_in_the_database_and_lifted_by_a_reset(client, people):
    for _ in range(5):
        actions.count_failure("member", address="192.0.2.1")  # another worker
    log_in(client, "member")
    assert not is_in(client)
    once = actions.reset_password("member", actor=SYSTEM)
    assert log_in(client, "member", once).status_code == 302


def test_success_forgets_failures(client, people):
    for _ in range(4):
        log_in(client, "member", "wrong")
    log_in(client, "member")
    assert is_in(client)
    assert not models.Attempt.objects.exists()


def change(client, old, new):
    return client.post(reverse("account_change_password"), {"oldpassword": old, "password1": new, "password2": new})


def test_a_one_time_password_opens_nothing_but_its_own_change(client, node):
    log_in(client, "admin", node.password)
    for address in (reverse("people:user_list"), reverse("people:account"), "/"):
        answer = client.get(address)
        assert answer.status_code == 302
        assert answer["Location"] == reverse("account_change_password")
    assert client.get("/api/people/me").status_code == 403
    assert change(client, node.password, ANOTHER).status_code == 302
    assert client.get(reverse("people:user_list")).status_code == 200
    assert "people.password_changed" in verbs()
    assert models.User.objects.get(username="admin").must_change_password is False


@pytest.mark.parametrize("weak", ["Short-1", "alllowercaseletters", "12345678901234", "Password123", "Member-1234", PASSWORD])
def test_the_password_policy(client, people, weak):
    log_in(client, "member")
    assert change(client, PASSWORD, weak).status_code == 200
    assert models.User.objects.get(username="member").check_password(PASSWORD)


def test_the_last_five_passwords_do_not_come_back(client, people, settings):
    settings.ACCOUNT_RATE_LIMITS = {"change_password": "100/m/user"}
    log_in(client, "member")
    used = [PASSWORD]
    for number in range(5):
        used.append(f"Rainy-Mountain-{number}")
        assert change(client, used[-2], used[-1]).status_code == 302
    for old in used[1:]:
        assert change(client, used[-1], old).status_code == 200
    assert models.PastPassword.objects.count() == 5


def test_an_old_password_must_be_changed(client, people, settings):
    models.User.objects.filter(username="member").update(password_changed=clock.now() - timedelta(days=181))
    log_in(client, "member")
    assert client.get(reverse("people:user_list"))["Location"] == reverse("account_change_password")
    settings.PASSWORD_DAYS = 0
    assert client.get(reverse("people:user_list")).status_code == 200


def test_a_changed_password_ends_the_other_sessions(client, people, django_user_model):
    from django.test import Client

    other = Client()
    log_in(other, "member")
    log_in(client, "member")
    change(client, PASSWORD, ANOTHER)
    assert is_in(client)
    assert not is_in(other)


def test_a_deactivated_user_is_out_at_once(client, people):
    log_in(client, "member")
    actions.deactivate(people.member.pk, actor=SYSTEM)
    assert not is_in(client)


def test_an_idle_session_ends(client, people, monkeypatch):
    log_in(client, "member")
    assert is_in(client)
    now = time.time()
    monkeypatch.setattr("lianfang.commons.people.middleware.time.time", lambda: now + 55 * 60)
    client.get(reverse("people:account"), headers={"X-Poll": "1"})
    assert is_in(client)
    monkeypatch.setattr("lianfang.commons.people.middleware.time.time", lambda: now + 120 * 60)
    assert not is_in(client)
    assert Record.objects.filter(verb="people.logged_out", detail__contains="idle").exists()


# ---- second factor ---------------------------------------------------------------------------------------------


def code_of(secret, ahead=0):
    return totp.format_hotp_value(totp.hotp_value(secret, int(time.time()) // 30 + ahead))


@pytest.fixture
def with_factor(client, people):
    """The member with a second factor, set up through the pages; logged out again. Gives the secret and the recovery codes."""
    log_in(client, "member")
    answer = client.get(reverse("mfa_activate_totp"))
    assert "reauth" in answer["Location"] or "confirm" in answer["Location"]
    client.post(answer["Location"], {"password": PASSWORD})
    page = client.get(reverse("mfa_activate_totp"))
    secret = re.search(r"<code[^>]*>([A-Z2-7]{32})</code>", page.content.decode())[1]
    assert secret not in str(dict(client.session)), "sessions lie in the database too"
    done = client.post(reverse("mfa_activate_totp"), {"code": code_of(secret, -1)})
    assert done["Location"] == reverse("mfa_view_recovery_codes")
    codes = re.findall(r"^(\d{8})$|>(\d{8})$", client.get(done["Location"]).content.decode(), re.M)
    client.post(reverse("account_logout"))
    return secret, ["".join(code) for code in codes]


def test_a_code_is_asked_for_and_works_once(client, with_factor):
    secret, _codes = with_factor
    assert log_in(client, "member")["Location"] == reverse("mfa_authenticate")
    assert not is_in(client)
    code = code_of(secret)
    assert client.post(reverse("mfa_authenticate"), {"code": "000000"}).status_code == 200
    assert client.post(reverse("mfa_authenticate"), {"code": code}).status_code == 302
    assert is_in(client)
    client.post(reverse("account_logout"))
    log_in(client, "member")
    client.post(reverse("mfa_authenticate"), {"code": code})
    assert not is_in(client), "a code that was seen over a shoulder is worth nothing"
    assert {"people.second_factor_added", "people.login_failed"} <= set(verbs())
    assert Record.objects.filter(verb="people.logged_in", detail__contains='"second_factor":true').exists()


def test_a_recovery_code_works_once_and_is_shown_once(client, with_factor):
    _secret, codes = with_factor
    assert len(codes) == 10
    for again in (False, True):
        log_in(client, "member")
        client.post(reverse("mfa_authenticate"), {"code": codes[0]})
        assert is_in(client) is not again
        client.post(reverse("account_logout"))


def test_the_database_alone_gives_no_second_factor(client, with_factor, settings):
    secret, codes = with_factor
    kept = json.dumps(list(Authenticator.objects.values_list("data", flat=True)))
    assert Authenticator.objects.count() == 2
    assert not [word for word in (secret, *codes) if word in kept]
    assert stat.S_IMODE((settings.HOME / "keys" / "sealing.key").stat().st_mode) == 0o600
    for row in Authenticator.objects.all():
        assert all(map(is_sealed, queries.secrets_of(row)))


@pytest.mark.parametrize("there", ["another key", "no key", "not a key"])
def test_with_a_wrong_key_the_door_says_so(client, with_factor, people, settings, tmp_path, there):
    secret, _codes = with_factor
    settings.HOME = tmp_path
    if there == "another key":
        SealingKey.generate().save(queries.sealing_file())
    elif there == "not a key":
        (tmp_path / "keys").mkdir()
        queries.sealing_file().write_text("SECRET+KEY+ü")
    log_in(client, "member")
    answer = client.post(reverse("mfa_authenticate"), {"code": code_of(secret)}, headers={"Accept-Language": "en"})
    assert answer.status_code == 409
    assert "keys/sealing.key" in answer.content.decode()
    assert not is_in(client)
    assert queries.factors_out_of_reach() == 2
    with pytest.raises(Conflict):
        queries.unseal(Authenticator.objects.first().data.get("secret", ""))
    if there == "no key":
        with pytest.raises(Conflict):
            actions.seal("a new one")  # would hide that the old key is lost
    assert queries.recovery_codes_left(people.member) == 10
    actions.drop_second_factor(people.member.pk, actor=SYSTEM)
    assert client.get(reverse("mfa_authenticate"))["Location"] == reverse("account_login")
    log_in(client, "member")
    assert is_in(client)


def test_what_was_stored_in_clear_is_sealed_by_the_migration(client, with_factor):
    secret, codes = with_factor
    migration = import_module("lianfang.commons.people.migrations.0002_seal_second_factors")
    migration.unseal(apps, None)
    assert secret in json.dumps(list(Authenticator.objects.values_list("data", flat=True)))
    for _again in range(2):
        migration.seal(apps, None)
    assert secret not in json.dumps(list(Authenticator.objects.values_list("data", flat=True)))
    log_in(client, "member")
    client.post(reverse("mfa_authenticate"), {"code": codes[0]})
    assert is_in(client)


def test_an_administrator_drops_a_lost_factor(client, with_factor, people):
    actions.drop_second_factor(people.member.pk, actor=queries.viewer_of(people.colleague))
    assert not Authenticator.objects.exists()
    assert verbs()[-1] == "people.second_factor_dropped"
    log_in(client, "member")
    assert is_in(client)


def test_a_role_may_ask_for_a_second_factor(client, tree, make_person):
    actions.create_role("guarded", name="Guarded", permissions=["people.*.view"], second_factor=True, actor=SYSTEM)
    make_person("careful", tree.quay, "guarded")
    log_in(client, "careful")
    assert client.get(reverse("people:user_list"))["Location"] == reverse("mfa_activate_totp")
    assert client.get("/api/people/me").status_code == 403


# ---- keys through an endpoint ------------------------------------------------------------------------------------


@pytest.fixture
def key(people):
    return actions.make_key("forwarder", permissions=["people.user.view"], actor=queries.viewer_of(people.member))


@pytest.mark.parametrize("header", ["Lianfang {}:{}", "Bearer {}.{}", "lianfang {}:{}"])
def test_a_key_opens_the_api(client, key, header, people):
    answer = client.get("/api/people/me", headers={"Authorization": header.format(key.id, key.secret)})
    assert answer.status_code == 200
    assert answer.json()["permissions"] == ["people.user.view"]
    assert answer.json()["kind"] == "key"
    assert models.Key.objects.get(code=key.id).last_used is not None


@pytest.mark.parametrize("header", ["Lianfang {}:wrong", "Lianfang {}", "Lianfang", "Bearer {}", "Basic {}", "Lianfang ü:ü"])
def test_a_wrong_key_is_a_stranger(client, key, header):
    answer = client.get("/api/people/me", headers={"Authorization": header.format(key.id)})
    assert answer.status_code == 401


def test_a_wrong_key_does_not_fall_back_on_the_session(client, key, people):
    client.force_login(people.member)
    assert client.get("/api/people/me").status_code == 200
    assert client.get("/api/people/me", headers={"Authorization": f"Lianfang {key.id}:wrong"}).status_code == 401


def test_an_authenticated_request_costs_little(client, key, django_assert_num_queries):
    header = {"Authorization": f"Lianfang {key.id}:{key.secret}"}
    client.get("/api/people/me", headers=header)
    with django_assert_num_queries(0):
        assert client.get("/api/people/me", headers=header).status_code == 200
