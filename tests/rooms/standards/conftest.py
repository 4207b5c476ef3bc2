"""A lake of its own for each test, and two people of one organisation, so that one can approve what the other submits."""

import pytest
from tests.rooms.lake import conftest as lake

from lianfang.commons.jobs import actions as jobs

role, home, source, put = lake.role, lake.home, lake.source, lake.put


@pytest.fixture
def second(tree, make_person):
    """Another member of the harbour, who may approve."""
    return make_person("second", tree.harbour, "administrator")


@pytest.fixture
def analyst(tree, make_person):
    """A colleague of the member who may see data up to level 2."""
    return make_person("analyst", tree.harbour, "analyst")


@pytest.fixture
def browser(client, users, second, analyst):
    """``browser("member")``: a client in which that person is logged in."""

    def login(name):
        client.logout()
        client.force_login({**vars(users), "second": second, "analyst": analyst}[name], backend="django.contrib.auth.backends.ModelBackend")
        client.cookies["django_language"] = "en"
        return client

    return login


@pytest.fixture
def measured(browser):
    """Press “Measure now” and let a worker have it."""

    def measure(name="member"):
        answer = browser(name).post("/standards/quality/", {"do": "measure"})
        assert answer.status_code == 302, answer.content.decode()
        assert "/jobs/work/" in answer.url
        jobs.work(once=True)

    return measure
