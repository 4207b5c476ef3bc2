"""A lake of its own for each test, and two people of one organisation, so that one can approve what the other submits."""

import pytest
from tests.rooms.lake import conftest as lake

from lianfang.commons.jobs import actions as jobs

role, home, source, put = lake.role, lake.home, lake.source, lake.put


@pytest.fixture
def users(users, tree, make_person):
    """With a second member of the harbour, who may approve, and a colleague who may see data up to level 2."""
    users.second, users.analyst = make_person("second", tree.harbour, "administrator"), make_person("analyst", tree.harbour, "analyst")
    return users


@pytest.fixture
def measured(browser):
    """Press “Measure now” and let a worker have it."""

    def measure(name="member"):
        answer = browser(name).post("/standards/quality/", {"do": "measure"})
        assert answer.status_code == 302, answer.content.decode()
        assert "/jobs/work/" in answer.url
        jobs.work(once=True)

    return measure
