"""A lake of its own for each test, and two people of one organisation, so that one can approve what the other proposes."""

import pytest
from tests.rooms.lake import conftest as lake

from lianfang.commons.people import actions as people
from lianfang.commons.people import queries as people_queries

role, home, source, put = lake.role, lake.home, lake.source, lake.put


@pytest.fixture
def users(users, tree, make_person):
    """With a second member of the harbour, who may approve, and a colleague who may see data up to level 2."""
    users.second, users.analyst = make_person("second", tree.harbour, "administrator"), make_person("analyst", tree.harbour, "analyst")
    return users


@pytest.fixture
def key(users):
    """``key("member", "lake.event.view", …)``: the header of an API key of that person with these permissions."""

    def make(name, *permissions):
        user = getattr(users, name)
        return {"HTTP_AUTHORIZATION": people.make_key("trainer", permissions=list(permissions), over=str(user.organisation_id), actor=people_queries.viewer_of(user)).header}

    return make
