"""Policies: the verbs of their versions, what a policy must keep, and those that ship."""

from __future__ import annotations

from django.db import transaction
from django.utils.translation import gettext

from lianfang.kernel.errors import Invalid
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.standards import models
from lianfang.rooms.standards.actions.versions import Versions
from lianfang.rooms.standards.queries.controls import CONTROLS, shipped_policies


def _fits(row: models.Policy) -> None:
    strange = sorted({key for clause in row.clauses for key in clause["controls"]} - set(CONTROLS))
    if strange or not row.clauses:
        why = gettext("There is no control %s") % strange[0] if strange else gettext("It has no clause.")
        raise Invalid("This cannot be a policy", why=why, todo=f"{', '.join(CONTROLS)}.", details={"clauses": [why]})


POLICIES = Versions(models.Policy, fits=_fits)


@transaction.atomic
def take_policies(*, actor: Viewer) -> int:
    """The shipped policies that the organisation does not have yet, as drafts; returns how many."""
    have = set(models.Policy.objects.filter(organisation=actor.organisation).values_list("code", flat=True))
    fresh = [values for values in shipped_policies() if values["code"] not in have]
    return len([POLICIES.create(values, actor=actor) for values in fresh])
