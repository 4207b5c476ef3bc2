"""The three people, in a small real tree, and a client for each."""

from types import SimpleNamespace

import pytest
from django.test import Client

from lianfang.commons.people import actions as people
from lianfang.commons.people import models as people_models
from lianfang.commons.people import queries as people_queries
from lianfang.kernel.viewer import SYSTEM


@pytest.fixture(autouse=True)
def _quick_hashes(settings):
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    people_queries.forget_keys()


@pytest.fixture
def tree(db):
    """centre ⊃ (east ⊃ harbour, west ⊃ mill)."""
    people.found("Sector centre")
    root = people_models.Organisation.objects.get(parent=None)

    def below(name, parent):
        return people.create_organisation(name, parent=parent, actor=SYSTEM).id

    east, west = below("east", root.pk), below("west", root.pk)
    return SimpleNamespace(root=str(root.pk), east=east, west=west, harbour=below("harbour", east), mill=below("mill", west))


@pytest.fixture
def users(tree):
    """A member of the organisation, a colleague from the unit above, an outsider who may see nothing of it; and a reader who may only look."""

    def make(name, organisation, role="intelligence_officer"):
        person = people.create_user(name, name=name.title(), organisation=organisation, actor=SYSTEM).person
        people.grant(person.id, role=role, over=organisation, actor=SYSTEM)
        user = people_models.User.objects.get(pk=person.id)
        user.must_change_password = False
        user.save()
        return user

    return SimpleNamespace(member=make("member", tree.harbour), colleague=make("colleague", tree.east), outsider=make("outsider", tree.mill), reader=make("reader", tree.harbour, "auditor"))


@pytest.fixture
def viewers(users):
    return SimpleNamespace(**{name: people_queries.viewer_of(user) for name, user in vars(users).items()})


@pytest.fixture
def client_of(users):
    """``client_of("member")``: a browser in which that person is logged in."""

    def client(name):
        made = Client()
        made.force_login(getattr(users, name), backend="django.contrib.auth.backends.ModelBackend")
        return made

    return client
