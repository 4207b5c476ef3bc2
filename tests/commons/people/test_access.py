"""Nobody gives what they do not have; keys; founding."""

import time
from datetime import timedelta

import pytest

from lianfang.commons.ledger import actions as ledger
from lianfang.commons.ledger import queries as asked
from lianfang.commons.people import actions, models, queries
from lianfang.engines.envelope import Checkpoint, VerifyKey
from lianfang.kernel import clock
from lianfang.kernel.errors import Conflict, Invalid, Missing, Refused
from lianfang.kernel.viewer import NOBODY, SYSTEM

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(("name", "origin"), [("Sector centre 1+2", "Sector-centre-1-2/ledger"), ("华东　联防 中心", "华东-联防-中心/ledger"), ("ops.example.org", "ops.example.org/ledger")])
def test_the_log_is_called_after_the_node(db, settings, tmp_path, name, origin):
    settings.HOME = tmp_path
    actions.found(name)
    first = ledger.cut_checkpoint()
    assert first.partition("\n")[0] == origin
    assert asked.node().origin == origin
    assert Checkpoint.open(first, [VerifyKey.parse(asked.node().verify_key)], origin=origin).size > 0
    models.User.objects.all().delete()
    models.Organisation.objects.all().delete()
    actions.found("another name")
    assert asked.node().origin == origin, "a log that was sealed keeps its name"
    assert ledger.cut_checkpoint().partition("\n")[0] == origin
    assert asked.verify().ok


def test_a_name_that_says_nothing_leaves_the_log_a_random_one(db, settings, tmp_path):
    settings.HOME = tmp_path
    actions.found(" + ")
    assert asked.node().origin.startswith("node-")


def test_founding_twice_changes_nothing(node):
    assert node.password
    assert node.admin.must_change_password
    assert node.admin.check_password(node.password)
    assert actions.found("another name") == ""
    assert models.Organisation.objects.count() == 1
    assert queries.viewer_of(node.admin).may("anything.at.all")
    assert {role.key for role in models.Role.objects.all()} == {"administrator", "duty_leader", "analyst", "intelligence_officer", "operator", "unit_contact", "auditor"}


def test_an_administrator_of_a_branch_stays_in_it(people, tree, make_person):
    boss = queries.viewer_of(people.member)
    with pytest.raises(Missing):
        actions.create_user("spy", name="Spy", organisation=tree.mill, actor=boss)
    with pytest.raises(Missing):
        actions.grant(people.member.pk, role="auditor", over=tree.east, actor=boss)
    with pytest.raises(Missing):
        actions.reset_password("outsider", actor=boss)
    with pytest.raises(Refused):
        actions.create_role("mine", name="Mine", permissions=["people.*"], actor=boss)


def test_nobody_gives_what_they_do_not_have(tree, make_person):
    actions.create_role("clerk", name="Clerk", permissions=["people.grant.*", "people.user.*", "people.organisation.view", "lake.*.view"], actor=SYSTEM)
    clerk = queries.viewer_of(make_person("clerk", tree.harbour, "clerk"))
    other = make_person("other", tree.harbour)
    with pytest.raises(Refused):
        actions.grant(other.pk, role="administrator", over=tree.harbour, actor=clerk)
    strong = make_person("strong", tree.harbour, "administrator")
    for deed in (actions.reset_password, actions.deactivate):
        with pytest.raises(Refused):
            deed(strong.pk, actor=clerk)
    with pytest.raises(Refused):
        actions.change_user(strong.pk, email="mine@example.org", actor=clerk)
    actions.reset_password(other.pk, actor=clerk)


def test_somebody_always_administers_the_node(node, tree, make_person):
    with pytest.raises(Conflict):
        actions.revoke(models.Grant.objects.get(user=node.admin).pk, actor=SYSTEM)
    with pytest.raises(Conflict):
        actions.deactivate(node.admin.pk, actor=SYSTEM)
    second = make_person("second", tree.root, "administrator")
    actions.revoke(models.Grant.objects.get(user=node.admin).pk, actor=SYSTEM)
    with pytest.raises(Conflict):
        actions.deactivate(second.pk, actor=SYSTEM)


def test_built_in_roles_are_fixed_and_own_ones_are_not(node):
    with pytest.raises(Conflict):
        actions.change_role("analyst", permissions=["*"], actor=SYSTEM)
    actions.create_role("night_watch", name="Night watch", permissions=["respond.*.view"], actor=SYSTEM)
    actions.change_role("night_watch", permissions=["respond.*"], actor=SYSTEM)
    assert models.Role.objects.get(key="night_watch").permissions == ["respond.*"]
    with pytest.raises(Invalid):
        actions.change_role("night_watch", permissions=["respond.everything.at.all"], actor=SYSTEM)
    actions.remove_role("night_watch", actor=SYSTEM)


def test_user_names_are_one_whatever_their_case(tree):
    actions.create_user("Wang.Fang", name="王芳", organisation=tree.quay, actor=SYSTEM)
    with pytest.raises(Conflict):
        actions.create_user("wang.fang", name="王芳", organisation=tree.quay, actor=SYSTEM)
    with pytest.raises(Invalid):
        actions.create_user("a b", name="x", organisation=tree.quay, actor=SYSTEM)
    assert queries.person("WANG.FANG", SYSTEM).name == "王芳"


def test_a_moved_user_is_seen_by_the_new_unit_only(people, tree):
    actions.change_user(people.member.pk, organisation=tree.mill, actor=SYSTEM)
    assert queries.person(people.member.pk, queries.viewer_of(people.outsider)).organisation == tree.mill
    with pytest.raises(Missing):
        queries.person(people.member.pk, queries.viewer_of(people.colleague))


def test_who_may_be_asked(people, tree, make_person, django_assert_num_queries):
    make_person("reader", tree.quay, "auditor")
    boss = queries.viewer_of(people.colleague)
    with django_assert_num_queries(2):
        able = queries.persons(boss, permission="respond.alert.close")
    assert {person.username for person in able} == {"member", "colleague"}
    assert {person.username for person in queries.persons(boss)} == {"member", "colleague", "reader"}


# ---- keys ------------------------------------------------------------------------------------------------------


@pytest.fixture
def key(people):
    return actions.make_key("forwarder", permissions=["lake.event.add"], actor=queries.viewer_of(people.member))


def test_a_key_may_what_it_says_and_no_more(key, people, tree):
    viewer = queries.viewer_of_key(key.id, key.secret)
    assert viewer.may("lake.event.add")
    assert not viewer.may("lake.event.view")
    assert viewer.kind == "key"
    assert viewer.organisation == tree.harbour
    assert {unit.name for unit in queries.organisations(viewer)} == {"harbour", "quay"}
    row = models.Key.objects.get(code=key.id)
    assert key.secret not in row.digest
    assert len(row.digest) == 64


def test_a_wrong_secret_is_nobody(key):
    assert queries.viewer_of_key(key.id, key.secret + "x") is NOBODY
    assert queries.viewer_of_key("nosuchkey", key.secret) is NOBODY
    assert queries.viewer_of_key("", "") is NOBODY


def test_a_key_falls_with_its_users_role(key, people):
    models.Grant.objects.filter(user=people.member).delete()
    queries.forget_keys()
    assert not queries.viewer_of_key(key.id, key.secret).may("lake.event.add")


def test_a_key_ends_when_revoked_expired_or_its_user_goes(key, people, monkeypatch):
    actions.revoke_key(models.Key.objects.get(code=key.id).pk, actor=SYSTEM)
    assert queries.viewer_of_key(key.id, key.secret) is NOBODY
    boss = queries.viewer_of(people.member)
    brief = actions.make_key("brief", permissions=["lake.event.add"], until=clock.now() + timedelta(minutes=5), actor=boss)
    assert queries.viewer_of_key(brief.id, brief.secret) is not NOBODY
    queries.forget_keys()
    with clock.frozen(clock.now() + timedelta(minutes=6)):
        assert queries.viewer_of_key(brief.id, brief.secret) is NOBODY
    third = actions.make_key("third", permissions=["lake.event.add"], actor=boss)
    actions.deactivate(people.member.pk, actor=SYSTEM)
    assert queries.viewer_of_key(third.id, third.secret) is NOBODY


def test_another_process_forgets_a_revoked_key_within_five_seconds(key, monkeypatch):
    assert queries.viewer_of_key(key.id, key.secret) is not NOBODY
    models.Key.objects.filter(code=key.id).update(revoked=clock.now())
    later = time.monotonic() + queries.KEY_MEMORY + 0.01
    assert queries.KEY_MEMORY <= 5
    monkeypatch.setattr(queries, "monotonic", lambda: later)
    assert queries.viewer_of_key(key.id, key.secret) is NOBODY


def test_keys_are_subsets(people, tree, make_person):
    with pytest.raises(Refused):
        actions.make_key("greedy", permissions=["lake.event.add", "people.*"], actor=queries.viewer_of(make_person("ops", tree.harbour, "operator")))
    with pytest.raises(Missing):
        actions.make_key("far", permissions=["lake.event.add"], over=tree.mill, actor=queries.viewer_of(people.member))


def test_a_known_key_costs_next_to_nothing(key, django_assert_num_queries):
    queries.viewer_of_key(key.id, key.secret)
    with django_assert_num_queries(0):
        started = time.perf_counter()
        for _ in range(200):
            queries.viewer_of_key(key.id, key.secret)
    assert (time.perf_counter() - started) / 200 < 0.0003


def test_the_console_key(node):
    made = actions.make_console_key("script", permissions=("lake.event.add",), actor=SYSTEM)
    assert queries.viewer_of_key(made["id"], made["secret"]).may("lake.event.add")
