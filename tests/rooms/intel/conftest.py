"""The three people, and one who may only look."""

import pytest


@pytest.fixture
def role():
    return "intelligence_officer"


@pytest.fixture
def users(users, tree, make_person):
    """The three, and a reader who may only look."""
    users.reader = make_person("reader", tree.harbour, "auditor")
    return users
