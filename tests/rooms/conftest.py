"""What the rooms' tests share: a node's folder, a small real tree of organisations, and people in it."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest
from django.db import connection
from django.test import Client
from pytest_django.live_server_helper import LiveServer

from lianfang.commons.people import actions as people_actions
from lianfang.commons.people import models as people_models
from lianfang.commons.people import queries as people_queries
from lianfang.kernel.viewer import SYSTEM

QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run", "--disable-default-apps"]


@pytest.fixture
def home(settings, tmp_path):
    """A node's folder of its own."""
    settings.HOME = tmp_path / "home"
    settings.HOME.mkdir()
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    people_queries.forget_keys()
    return settings.HOME


@pytest.fixture
def organisations(db, home):
    """centre ⊃ (east ⊃ harbour, west ⊃ mill)."""
    people_actions.found("Sector centre")
    root = people_models.Organisation.objects.get(parent=None)

    def below(name, parent):
        return people_actions.create_organisation(name, parent=parent, actor=SYSTEM)

    east, west = below("east", root.pk), below("west", root.pk)
    return SimpleNamespace(root=root, east=east, west=west, harbour=below("harbour", east.id), mill=below("mill", west.id))


@pytest.fixture
def tree(organisations):
    """The same by their identifiers."""
    return SimpleNamespace(root=str(organisations.root.pk), **{name: one.id for name, one in vars(organisations).items() if name != "root"})


@pytest.fixture
def make_person(organisations):
    """``make_person("li", organisation, "analyst")``: a user with that role over that organisation (itself or its identifier)."""

    def make(username, organisation, role):
        place = getattr(organisation, "id", organisation)
        person = people_actions.create_user(username, name=username.title(), organisation=place, actor=SYSTEM).person
        people_actions.grant(person.id, role=role, over=place, actor=SYSTEM)
        user = people_models.User.objects.get(pk=person.id)
        user.must_change_password = False
        user.save()
        return user

    return make


@pytest.fixture
def users(tree, make_person, role):
    """A member of the organisation, a colleague from the unit above, an outsider who may see nothing of it; each with the room's ``role``."""
    return SimpleNamespace(member=make_person("member", tree.harbour, role), colleague=make_person("colleague", tree.east, role), outsider=make_person("outsider", tree.mill, role))


@pytest.fixture
def viewers(users):
    """The same people as viewers."""
    return SimpleNamespace(**{name: people_queries.viewer_of(user) for name, user in vars(users).items()})


@pytest.fixture
def three(users, viewers, make_person):
    """Both together, and the way to make a fourth."""
    return SimpleNamespace(users=users, viewers=viewers, person=make_person)


@pytest.fixture
def client_of(users):
    """``client_of("member")``: a browser in which that person is logged in."""

    def client(name):
        made = Client()
        made.force_login(getattr(users, name), backend="django.contrib.auth.backends.ModelBackend")
        return made

    return client


@pytest.fixture
def browser(client, users):
    """``browser("member")``: the test's one client, in which that person is logged in and reads English; ``None``: nobody."""

    def login(name):
        client.logout()
        if name:
            client.force_login(getattr(users, name), backend="django.contrib.auth.backends.ModelBackend")
        client.cookies["django_language"] = "en"
        return client

    return login


@pytest.fixture
def chromium():
    """A real browser without a window; a test that opens it is marked ``realparts``."""
    playwright = pytest.importorskip("playwright.sync_api")
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    with playwright.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=os.environ.get("LIANFANG_CHROMIUM", "/usr/bin/chromium"), args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def live():
    """The node's pages on a port of their own, over the test's database; ``live.url``."""
    connection.inc_thread_sharing()
    server = LiveServer("localhost:0")
    yield server
    server.stop()
