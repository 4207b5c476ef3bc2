"""Organisations: found below another, change, move a subtree, remove."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.apps import apps
from django.db import models as db
from django.db import transaction
from django.db.models import F, QuerySet, Value
from django.db.models.functions import Concat, Substr
from django.utils.translation import gettext as _

from lianfang.commons.frame.scoped import Scoped
from lianfang.commons.jobs import actions as jobs
from lianfang.commons.ledger import actions as ledger
from lianfang.commons.people import models, queries
from lianfang.commons.people.types import Axis, Kind, OrganisationMoved, Unit
from lianfang.kernel import clock
from lianfang.kernel.errors import Conflict, Invalid, Refused
from lianfang.kernel.viewer import WIDTH, Viewer, after

DEEPEST = 60
LAST_SEAT = 10**WIDTH - 2
SWEEPS = (timedelta(minutes=1), timedelta(minutes=15))


@transaction.atomic
def create_organisation(name: str, *, parent: Any, industry_parent: Any = None, kind: Kind | str = Kind.MEMBER, short_name: str = "", code: str = "", actor: Viewer) -> Unit:
    """An organisation below ``parent`` by territory and, if named, below ``industry_parent`` by industry."""
    actor.must("people.organisation.add")
    above = models.Organisation.objects.fetch(parent, actor)
    beside = models.Organisation.objects.fetch(industry_parent, actor) if industry_parent else None
    row = models.Organisation(name=_said(name), short_name=short_name.strip(), code=code.strip(), kind=Kind(kind).value, parent=above, industry_parent=beside)
    row.territory = _seat(above, Axis.TERRITORY)
    row.industry = _seat(beside, Axis.INDUSTRY) if beside else ""
    row.organisation = str(row.pk)
    row.save(force_insert=True)
    _told("people.organisation_created", row, actor, name=row.name, above=str(above))
    return queries.organisation(row.pk, actor)


@transaction.atomic
def change_organisation(pk: Any, *, actor: Viewer, **fields: str) -> Unit:
    """Change ``name``, ``short_name``, ``kind`` or ``code``. Its seat changes by ``move_organisation`` only."""
    actor.must("people.organisation.change")
    row = models.Organisation.objects.fetch(pk, actor)
    before = {key: getattr(row, key) for key in fields if key in {"name", "short_name", "kind", "code"}}
    if set(fields) - set(before):
        raise Invalid(_("This cannot be changed here"), why=_("Not a field of an organisation: %(what)s.") % {"what": ", ".join(sorted(set(fields) - set(before)))}, todo=_("Use “move” for its place in the tree."))
    for key, value in fields.items():
        setattr(row, key, Kind(value).value if key == "kind" else value.strip())
    row.name = _said(row.name)
    row.save(update_fields=list(fields))
    transaction.on_commit(queries.forget_names)
    _told("people.organisation_changed", row, actor, **ledger.differing(before, {key: getattr(row, key) for key in before}))
    return queries.organisation(row.pk, actor)


@transaction.atomic
def move_organisation(pk: Any, *, under: Any, axis: Axis | str = Axis.TERRITORY, actor: Viewer) -> Unit:
    """Hang an organisation, with everything below it, under another; ``under=None`` takes it out of the industry tree.

    Every row of every ``Scoped`` model follows in the same transaction, and two sweeps catch what was being written
    under the old path meanwhile (old seats are never given again). What never changes (ledger, event tables) keeps the
    path of its time; ``Former`` lets the organisation and those above it now see it still. ``OrganisationMoved`` is told.
    """
    actor.must("people.organisation.move")
    axis = Axis(axis)
    row = models.Organisation.objects.fetch(pk, actor)
    target = models.Organisation.objects.fetch(under, actor) if under else None
    _must_be_movable(row, target, axis, actor)
    above = row.parent if axis == Axis.TERRITORY else row.industry_parent
    before, path = getattr(row, axis), _seat(target, axis) if target else ""
    models.Organisation.objects.filter(pk=row.pk).update(**{"parent" if axis == Axis.TERRITORY else "industry_parent": target})
    moved = OrganisationMoved(organisation=str(row.pk), axis=axis.value, before=before, after=path)
    _remember(moved)
    rewrite(moved)
    jobs.publish(moved)
    for pause in SWEEPS:
        jobs.enqueue("people.settle", {"organisation": moved.organisation, "axis": moved.axis, "before": before, "after": path}, run_at=clock.now() + pause)
    row = models.Organisation.objects.get(pk=row.pk)
    _told("people.organisation_moved", row, actor, axis=axis.value, **ledger.differing({"under": str(above or ""), "path": before}, {"under": str(target or ""), "path": path}))
    return queries.unit(row)


@transaction.atomic
def remove_organisation(pk: Any, *, actor: Viewer) -> None:
    """Remove an organisation that nobody belongs to and nothing hangs below."""
    actor.must("people.organisation.delete")
    row = models.Organisation.objects.fetch(pk, actor)
    for axis in Axis:
        if queries.below(row, axis).exists():
            raise Conflict(_("%(row)s still has organisations below it") % {"row": row}, todo=_("Move or remove them first."))
    if row.parent_id is None or models.User.objects.filter(organisation=row).exists():
        raise Conflict(_("%(row)s is still needed") % {"row": row}, why=_("It is the root, or users belong to it."), todo=_("Move its users to another organisation first."))
    if models.Grant.objects.filter(over=row).exists() or models.Key.objects.filter(over=row).exists():
        raise Conflict(_("%(row)s is still needed") % {"row": row}, why=_("Roles or keys are held over it."), todo=_("Revoke them first."))
    _told("people.organisation_removed", row, actor, name=row.name)
    row.delete()


def rewrite(moved: OrganisationMoved) -> int:
    """Carry every ``Scoped`` row from the old path to the new one; may be repeated. Returns how many rows changed.

    Raises nothing: a row that already moved no longer matches.
    """
    with transaction.atomic():
        return sum(_carry(model, moved) for model in _scoped_models())


def _remember(moved: OrganisationMoved) -> None:
    if moved.before:
        below = _subtree(models.Organisation.objects.all(), moved.axis, moved.before).values_list("pk", moved.axis)
        models.Former.objects.bulk_create([models.Former(organisation_id=pk, axis=moved.axis, path=path) for pk, path in below], batch_size=500)


def _carry(model: type[db.Model], moved: OrganisationMoved) -> int:
    column, rows = moved.axis, model._base_manager.all()
    if not moved.before:  # it had no place in this tree: only its own rows can follow
        return rows.filter(organisation=moved.organisation, **{column: ""}).update(**{column: moved.after})
    return _subtree(rows, column, moved.before).update(**{column: Concat(Value(moved.after), Substr(column, len(moved.before) + 1)) if moved.after else Value("")})


def _subtree(rows: QuerySet, column: str, top: str) -> QuerySet:
    return rows.filter(**{f"{column}__gte": top, f"{column}__lt": after(top)})


def _scoped_models() -> list[type[db.Model]]:
    """Organisations first: whoever waits for one of their rows then reads the new path. The ledger commits to what was true then."""
    found = [model for model in apps.get_models() if issubclass(model, Scoped) and model is not models.Organisation and model._meta.app_label != "ledger"]
    return [models.Organisation, *found]


def _must_be_movable(row: models.Organisation, target: models.Organisation | None, axis: Axis, actor: Viewer) -> None:
    before = getattr(row, axis)
    if row.parent_id is None:
        raise Conflict(_("%(row)s is the root") % {"row": row}, why=_("Everything else hangs below it."), todo=_("Move its parts instead."))
    if target is None and (axis == Axis.TERRITORY or queries.below(row, axis).exists()):
        raise Conflict(_("%(row)s cannot be taken out") % {"row": row}, why=_("Every organisation has a territory, and whole branches must be moved, not cut."), todo=_("Choose where it belongs."))
    if target is not None and not getattr(target, axis):
        raise Conflict(_("%(target)s has no place in the industry tree") % {"target": target}, todo=_("Give it one first."))
    if target is not None and before and getattr(target, axis).startswith(before):
        raise Conflict(_("%(row)s cannot hang below itself") % {"row": row}, why=_("%(target)s is part of it.") % {"target": target}, todo=_("Choose an organisation outside of it."))
    if row.organisation == actor.organisation or (before and axis == Axis.TERRITORY and before in actor.territory):
        raise Refused(_("You cannot move %(row)s") % {"row": row}, why=_("Your own scope begins there."), todo=_("Ask the unit above."))
    deepest = max((len(getattr(one, axis)) for one in _subtree(models.Organisation.objects.all(), axis, before)), default=0) - len(before) if before else 0
    if target is not None and len(getattr(target, axis)) + WIDTH + deepest > DEEPEST:
        raise Invalid(_("The tree would become too deep"), why=_("It has at most %(what)s levels.") % {"what": DEEPEST // WIDTH}, todo=_("Choose a place further up."))


def _seat(above: models.Organisation, axis: Axis) -> str:
    """The next free path below ``above``. The row stays locked until the transaction ends, so no seat is given twice."""
    counter = f"{axis}_seats"
    models.Organisation.objects.filter(pk=above.pk).update(**{counter: F(counter) + 1})
    path, seat = models.Organisation.objects.values_list(axis.value, counter).get(pk=above.pk)
    if not path:
        raise Conflict(_("%(above)s has no place in the industry tree") % {"above": above}, todo=_("Give it one first."))
    if seat > LAST_SEAT or len(path) + WIDTH > DEEPEST:
        raise Invalid(_("Nothing more fits below %(above)s") % {"above": above}, why=_("A level has at most %(last_seat)s seats and a tree %(what)s levels.") % {"last_seat": LAST_SEAT, "what": DEEPEST // WIDTH}, todo=_("Choose another place."))
    return f"{path}{seat:0{WIDTH}d}"


def _said(name: str) -> str:
    if not name.strip():
        raise Invalid(_("The organisation has no name"), todo=_("Give it one."), details={"name": [_("Give it one.")]})
    return name.strip()


def _told(verb: str, row: models.Organisation, actor: Viewer, **detail: Any) -> None:
    ledger.record(verb, row.ref, actor=actor, label=str(row), detail=detail, territory=row.territory, industry=row.industry)
