"""The three people, and findings as detect stores them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count
from types import SimpleNamespace

import pytest

from lianfang.commons.people import actions as people
from lianfang.commons.people import models as people_models
from lianfang.commons.people import queries as people_queries
from lianfang.kernel.viewer import SYSTEM
from lianfang.rooms.detect import models as detect
from lianfang.rooms.respond import actions, models

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
PASSWORD = "Sunny-Harbour-42"


@pytest.fixture(autouse=True)
def _home(settings, tmp_path):
    settings.HOME = tmp_path / "home"
    settings.HOME.mkdir()
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    people_queries.forget_keys()


@pytest.fixture
def organisations(db):
    """east ⊃ harbour; west ⊃ mill."""
    people.found("Sector centre")
    root = people_models.Organisation.objects.get(parent=None)

    def below(name, parent):
        return people.create_organisation(name, parent=parent, actor=SYSTEM)

    east, west = below("east", root.pk), below("west", root.pk)
    return SimpleNamespace(root=root, east=east, west=west, harbour=below("harbour", east.id), mill=below("mill", west.id))


@pytest.fixture
def three(organisations):
    """A member of the organisation, a colleague from the unit above, an outsider who may see nothing of it; analysts all."""

    def person(name, organisation, role="analyst"):
        made = people.create_user(name, name=name.title(), organisation=organisation.id, actor=SYSTEM).person
        people.grant(made.id, role=role, over=organisation.id, axis="territory", actor=SYSTEM)
        user = people_models.User.objects.get(pk=made.id)
        user.set_password(PASSWORD)
        user.must_change_password = False
        user.save()
        return user

    users = SimpleNamespace(member=person("member", organisations.harbour), colleague=person("colleague", organisations.east), outsider=person("outsider", organisations.mill))
    views = SimpleNamespace(**{name: people_queries.viewer_of(user) for name, user in vars(users).items()})
    return SimpleNamespace(users=users, viewers=views, person=person)


@pytest.fixture
def found(organisations):
    """``found((minute, rule, host, …), …)``: one batch of findings in ``harbour``, stored; gives the batch's ref."""
    numbers = count()

    def store(*findings, territory=None, source="edge"):
        ref = f"19a00000{next(numbers):03x}-w000:{source}"
        for at, one in enumerate(findings):
            minute, rule, host, more = (*one, {})[:4] if len(one) < 4 else one
            first = NOON + timedelta(minutes=minute)
            values = {
                "key": f"{ref}-{at}", "batch": ref, "rule_uid": rule, "title": f"Rule {rule}", "title_zh": f"规则 {rule}", "author": f"Author of {rule}", "severity": 3, "status": "stable", "host": host,
                "source": source, "source_name": source, "window": first, "first": first, "last": first, "count": 1, "events": [f"{ref}-{at}"], "territory": organisations.harbour.territory if territory is None else territory,
            }  # fmt: skip
            detect.Finding.objects.create(**values | more)
        return ref

    return store


@pytest.fixture
def raised(found):
    """The same, already raised; gives the alerts that stand then."""

    def raise_(*findings, **where):
        actions.raise_alerts(found(*findings, **where))
        return list(models.Alert.objects.order_by("first", "host", "rule_uid"))

    return raise_
