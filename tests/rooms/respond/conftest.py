"""The three people, and findings as detect stores them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count

import pytest

from lianfang.rooms.detect import models as detect
from lianfang.rooms.respond import actions, models

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


@pytest.fixture
def role():
    return "analyst"


@pytest.fixture(autouse=True)
def _home(home):
    pass


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
                "key": f"{ref}-{at}", "batch": ref, "rule_uid": rule, "title": f"Rule {rule}", "title_zh": f"规则 {rule}", "author": f"Author of {rule}", "severity": 3, "level": 1, "status": "stable", "host": host,
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
