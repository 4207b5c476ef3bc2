"""The first organisation, the built-in roles and the first administrator of a node."""

from __future__ import annotations

from contextlib import suppress

from django.contrib.auth.hashers import make_password
from django.db import transaction

from lianfang.commons.ledger import actions as ledger
from lianfang.commons.people import models
from lianfang.commons.people.actions.users import one_time_password
from lianfang.commons.people.types import FUNCTIONS, Axis, Kind
from lianfang.engines.envelope import key_name
from lianfang.kernel.errors import Conflict
from lianfang.kernel.viewer import SYSTEM, WIDTH

LONGEST_NAME = 100
"""Of a log; as the ledger takes it."""
FIRST = f"{1:0{WIDTH}d}"


@transaction.atomic
def found(node_name: str) -> str:
    """Make what a node cannot do without. Returns the one-time password of ``admin`` the first time, "" ever after.

    Running it again brings the built-in roles up to date and changes nothing else.
    """
    _keep_roles()
    if models.Organisation.objects.exists():
        return ""
    _name_log(node_name)
    root = models.Organisation(name=node_name, kind=Kind.CENTRE.value, territory=FIRST, industry=FIRST)
    root.organisation = str(root.pk)
    root.save(force_insert=True)
    password = one_time_password()
    where = {"territory": root.territory, "industry": root.industry}
    admin = models.User(username="admin", name="管理员", organisation=root, password=make_password(password), must_change_password=True, **where)
    admin.save(force_insert=True)
    role = models.Role.objects.get(key="administrator")
    models.Grant.objects.create(user=admin, role=role, over=root, axis=Axis.TERRITORY.value, organisation=str(root.pk), **where)
    ledger.record("people.founded", root.ref, actor=SYSTEM, label=node_name, detail={"administrator": admin.username}, **where)
    return password


def _name_log(node_name: str) -> None:
    """The log is called after the node; a log that was signed before, under keys that are kept, keeps its name."""
    name = key_name(node_name)[:LONGEST_NAME]
    if name:
        with suppress(Conflict):
            ledger.name_node(name)


def _keep_roles() -> None:
    for function in FUNCTIONS:
        facts = {"name": function.name, "about": function.about, "permissions": sorted(function.permissions), "landing": function.landing, "clearance": function.clearance.value}
        models.Role.objects.update_or_create(key=function.key, defaults={"built_in": True, **facts})
