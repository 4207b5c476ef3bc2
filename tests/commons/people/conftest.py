"""The same three people as in every room, in a small real tree: a centre, two regions, members below them."""

from types import SimpleNamespace

import pytest

from lianfang.commons.people import actions, models, queries
from lianfang.kernel.viewer import SYSTEM

PASSWORD = "Sunny-Harbour-42"


@pytest.fixture(autouse=True)
def _quick_hashes(settings):
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    queries.forget_keys()


@pytest.fixture
def node(db):
    """A founded node; ``node.password`` is what ``found`` returned."""
    password = actions.found("Sector centre")
    return SimpleNamespace(password=password, root=models.Organisation.objects.get(parent=None), admin=models.User.objects.get(username="admin"))


@pytest.fixture
def tree(node):
    """east ⊃ (harbour ⊃ quay), west ⊃ mill; harbour and mill also hang under the industry body ``banks``."""

    def below(name, parent, **more):
        return actions.create_organisation(name, parent=parent, actor=SYSTEM, **more).id

    banks = below("banks", node.root.pk, industry_parent=node.root.pk)
    east, west = below("east", node.root.pk), below("west", node.root.pk)
    harbour = below("harbour", east, industry_parent=banks)
    return SimpleNamespace(root=str(node.root.pk), banks=banks, east=east, west=west, harbour=harbour, quay=below("quay", harbour), mill=below("mill", west, industry_parent=banks))


@pytest.fixture
def make_person(node):
    """``make_person("li", organisation, "analyst")``: a user with a usable password and a role over their organisation."""

    def make(username, organisation, *roles, over=None, axis="territory"):
        person = actions.create_user(username, name=username.title(), organisation=organisation, actor=SYSTEM).person
        for role in roles:
            actions.grant(person.id, role=role, over=over or organisation, axis=axis, actor=SYSTEM)
        user = models.User.objects.get(pk=person.id)
        user.set_password(PASSWORD)
        user.must_change_password = False
        user.save()
        return user

    return make


@pytest.fixture
def people(tree, make_person):
    """A member of the organisation, a colleague from the unit above, an outsider who may see nothing of it."""
    return SimpleNamespace(
        member=make_person("member", tree.harbour, "administrator"),
        colleague=make_person("colleague", tree.east, "administrator"),
        outsider=make_person("outsider", tree.mill, "administrator"),
    )
