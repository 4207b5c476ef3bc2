"""Who sees what: paths, hats, moves."""

import pytest
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lianfang.commons.ledger.models import Record
from lianfang.commons.people import actions, models, queries
from lianfang.commons.people.types import OrganisationMoved, covers, meet
from lianfang.kernel.errors import Conflict, Missing, Refused
from lianfang.kernel.viewer import SYSTEM, Viewer

pytestmark = pytest.mark.django_db


def member_records(user):
    return set(Record.objects.seen_by(queries.viewer_of(user)).values_list("verb", flat=True))


def names(viewer):
    return {unit.name for unit in queries.organisations(viewer)}


def test_three_people_see_three_things(people):
    assert names(queries.viewer_of(people.member)) == {"harbour", "quay"}
    assert names(queries.viewer_of(people.colleague)) == {"east", "harbour", "quay"}
    assert names(queries.viewer_of(people.outsider)) == {"mill"}


def test_the_industry_body_sees_its_members_across_regions(tree, make_person):
    officer = make_person("officer", tree.banks, "analyst", axis="industry")
    assert names(queries.viewer_of(officer)) == {"banks", "harbour", "mill"}


def test_a_user_without_roles_sees_nothing(tree, make_person):
    viewer = queries.viewer_of(make_person("nobody", tree.quay))
    assert names(viewer) == set()
    assert not viewer.may("people.organisation.view")


trees = st.lists(st.tuples(st.integers(0, 10_000), st.booleans(), st.integers(0, 10_000)), min_size=1, max_size=25)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(shape=trees, tops=st.lists(st.tuples(st.integers(0, 10_000), st.booleans()), max_size=4))
def test_the_range_is_the_subtree_on_both_axes(db, shape, tops):
    """``seen_by`` equals the naive walk up the parents, over random trees."""
    models.Grant.objects.all().delete()
    models.User.objects.all().delete()
    models.Organisation.objects.update(parent=None, industry_parent=None)
    models.Organisation.objects.all().delete()
    actions.found("root")
    rows = [models.Organisation.objects.get(parent=None)]
    for number, (above, in_industry, beside) in enumerate(shape):
        by_industry = [row for row in rows if row.industry]
        unit = actions.create_organisation(f"o{number}", parent=rows[above % len(rows)].pk, industry_parent=by_industry[beside % len(by_industry)].pk if in_industry else None, actor=SYSTEM)
        rows.append(models.Organisation.objects.get(pk=unit.id))
    chosen = [(rows[index % len(rows)], axis) for index, axis in tops]
    viewer = Viewer(
        id="x",
        name="x",
        territory=tuple(row.territory for row, by_industry in chosen if not by_industry),
        industry=tuple(row.industry for row, by_industry in chosen if by_industry and row.industry),
    )
    parents = {row.pk: (row.parent_id, row.industry_parent_id) for row in rows}

    def climbs_to(row, top, axis):
        at = row.pk
        while at is not None and at != top.pk:
            at = parents[at][axis]
        return at is not None

    naive = {row.name for row in rows if any(climbs_to(row, top, int(by_industry)) for top, by_industry in chosen if not by_industry or top.industry)}
    assert {row.name for row in models.Organisation.objects.seen_by(viewer)} == naive
    assert {row.name for row in rows if viewer.sees(row.territory, row.industry)} == naive


# ---- hats ------------------------------------------------------------------------------------------------------


def test_roles_over_different_organisations_are_never_mixed(tree, make_person):
    """Who administers one branch and reads the whole region does not administer the region."""
    user = make_person("both", tree.harbour, "administrator")
    actions.grant(user.pk, role="auditor", over=tree.east, actor=SYSTEM)
    first, second = queries.hats(user)
    assert len(first.roles) == 2
    assert len(second.roles) == 1
    over_harbour, over_east = queries.viewer_of(user), queries.viewer_of(user, hat=second.key)
    assert names(over_harbour) == {"harbour", "quay"}
    assert over_harbour.may("people.user.add")
    assert over_east.may("people.organisation.view")
    assert not over_east.may("people.user.add")
    assert "east" in names(over_east)


def test_the_same_role_on_both_axes_is_one_hat(tree, make_person):
    user = make_person("wide", tree.banks, "analyst")
    actions.grant(user.pk, role="analyst", over=tree.banks, axis="industry", actor=SYSTEM)
    assert len(queries.hats(user)) == 1
    assert names(queries.viewer_of(user)) == {"banks", "harbour", "mill"}


def test_a_grant_ends_by_itself(tree, make_person):
    user = make_person("brief", tree.quay, "analyst")
    models.Grant.objects.filter(user=user).update(until=timezone.now())
    assert queries.viewer_of(user).permissions == frozenset()


# ---- moves -----------------------------------------------------------------------------------------------------


def test_a_moved_subtree_takes_its_rows_along(people, tree):
    before = models.Organisation.objects.get(pk=tree.harbour).territory
    actions.move_organisation(tree.harbour, under=tree.west, actor=SYSTEM)
    assert names(queries.viewer_of(people.colleague)) == {"east"}
    assert names(queries.viewer_of(people.member)) == {"harbour", "quay"}
    member = models.User.objects.get(pk=people.member.pk)
    harbour, quay = (models.Organisation.objects.get(pk=pk) for pk in (tree.harbour, tree.quay))
    assert member.territory == harbour.territory
    assert quay.territory.startswith(harbour.territory)
    assert models.Grant.objects.get(user=member).territory == harbour.territory
    assert "people.granted" in member_records(people.member), "what was recorded before the move stays visible to the organisation"
    again = actions.create_organisation("newcomer", parent=tree.east, actor=SYSTEM)
    assert again.territory != before, "an old seat must never come to mean another organisation"


def test_a_sweep_catches_what_was_written_meanwhile(people, tree):
    old = models.Organisation.objects.get(pk=tree.harbour).territory
    actions.move_organisation(tree.harbour, under=tree.west, actor=SYSTEM)
    models.User.objects.filter(pk=people.member.pk).update(territory=old)
    new = models.Organisation.objects.get(pk=tree.harbour).territory
    assert actions.rewrite(OrganisationMoved(organisation=tree.harbour, axis="territory", before=old, after=new)) == 1
    assert models.User.objects.get(pk=people.member.pk).territory == new


def test_joining_and_leaving_the_industry_tree(people, tree):
    actions.move_organisation(tree.east, under=tree.banks, axis="industry", actor=SYSTEM)
    east = models.Organisation.objects.get(pk=tree.east)
    assert east.industry
    assert models.User.objects.get(pk=people.colleague.pk).industry == east.industry
    actions.move_organisation(tree.east, under=None, axis="industry", actor=SYSTEM)
    assert models.Organisation.objects.get(pk=tree.east).industry == ""
    assert models.User.objects.get(pk=people.colleague.pk).industry == ""


def test_moves_that_cannot_be(people, tree):
    with pytest.raises(Conflict):
        actions.move_organisation(tree.harbour, under=tree.quay, actor=SYSTEM)
    with pytest.raises(Conflict):
        actions.move_organisation(tree.root, under=tree.quay, actor=SYSTEM)
    with pytest.raises(Refused):
        actions.move_organisation(tree.harbour, under=tree.quay, actor=Viewer(id="x", name="x", territory=("",)))
    with pytest.raises(Missing):
        actions.move_organisation(tree.harbour, under=tree.west, actor=queries.viewer_of(people.colleague))


def test_an_organisation_in_use_stays(people, tree):
    for pk in (tree.root, tree.east, tree.harbour):
        with pytest.raises(Conflict):
            actions.remove_organisation(pk, actor=SYSTEM)
    actions.remove_organisation(tree.quay, actor=SYSTEM)
    assert not models.Organisation.objects.filter(pk=tree.quay).exists()


# ---- the algebra of permissions ----------------------------------------------------------------------------------

part = st.sampled_from(["a", "b", "*"])
patterns = st.sets(st.tuples(part, part, part).map(".".join) | st.sampled_from(["*", "a.*", "b.*"]), max_size=4)
single = st.tuples(st.sampled_from("ab"), st.sampled_from("ab"), st.sampled_from("ab")).map(".".join)


@given(patterns, patterns, single)
def test_a_key_may_what_both_sides_may(left, right, permission):
    def may(granted):
        return Viewer(id="", name="", permissions=frozenset(granted)).may(permission)

    assert may(meet(left, right)) == (may(left) and may(right))


@given(patterns, st.tuples(part, part, part).map(".".join), single)
def test_what_is_covered_may_be_done(granted, pattern, permission):
    if covers(granted, pattern) and Viewer(id="", name="", permissions=frozenset({pattern})).may(permission):
        assert Viewer(id="", name="", permissions=frozenset(granted)).may(permission)
