"""Elements: the verbs of their versions, what an element must keep, and the starter set."""

from __future__ import annotations

from django.db import transaction
from django.utils.translation import gettext

from lianfang.commons.frame.scoped import whose
from lianfang.engines.columns.measures import Check
from lianfang.kernel import clock
from lianfang.kernel.errors import Invalid
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.standards import models, queries
from lianfang.rooms.standards.actions import uses
from lianfang.rooms.standards.actions.versions import Versions
from lianfang.rooms.standards.types import State, Type


def _fits(row: models.Element) -> None:
    """The format can be a regular expression, the bounds are in order, a code list has no value twice."""
    values = row.code_values
    wrong: dict[str, list[str]] = {}
    if row.format:
        try:
            Check("format", "message", pattern=row.format).checked()
        except Invalid as fault:
            wrong["format"] = [str(fault.why)]
    if row.least is not None and row.greatest is not None and row.least > row.greatest:
        wrong["least"] = [gettext("more than the greatest")]
    if len(values) != len(set(values)) or any(not value for value in values):
        wrong["codes"] = [gettext("every value once, none empty")]
    if row.type == Type.CODE and not values:
        wrong["codes"] = [gettext("a code needs its list")]
    if wrong:
        raise Invalid("This cannot be a data element", why="; ".join(f"{name}: {reasons[0]}" for name, reasons in wrong.items()), todo="Mend what is marked.", details=wrong)


ELEMENTS = Versions(models.Element, fits=_fits, follow=uses.follow, let_go=uses.let_go)


@transaction.atomic
def take_starter(*, actor: Viewer) -> int:
    """The shipped elements that the organisation does not have yet, submitted; returns how many. A second person approves them."""
    actor.must("standards.element.add")
    uses.must_belong(actor)
    known = set(models.Element.objects.filter(organisation=actor.organisation).values_list("code", flat=True))
    asked = {"state": State.SUBMITTED, "submitter": actor.id, "submitted_by": actor.name, "submitted": clock.now()}
    rows = [models.Element(**values, **asked, **whose(actor)) for values in queries.starter() if values["code"] not in known]
    models.Element.objects.bulk_create(rows)
    if rows:
        ELEMENTS.told("starter_taken", rows[0], actor, label=gettext("starter set"), elements=len(rows), codes=[row.code for row in rows])
    return len(rows)
