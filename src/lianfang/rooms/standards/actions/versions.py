"""The life that elements and policies share: drafted, submitted, approved by a second person, replaced by the next version, retired.

In: what people write and decide. Out: versions, each step with one record in the ledger. What was approved is never changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from django.db import transaction
from django.db.models import Max
from django.utils.translation import gettext

from lianfang.commons.frame.scoped import whose
from lianfang.commons.ledger import actions as ledger
from lianfang.kernel import clock
from lianfang.kernel.errors import Conflict, Invalid, Refused
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.standards import models
from lianfang.rooms.standards.actions.uses import must_belong
from lianfang.rooms.standards.types import State

Row = TypeVar("Row", bound=models.Versioned)


class Versions(Generic[Row]):
    """The verbs of one kind.

    ``fits(row)`` raises ``Invalid``; ``follow(before, after, actor=…)`` runs when a version takes the place of another,
    ``let_go(row, actor=…)`` when one is retired without a next one.
    """

    def __init__(self, model: type[Row], *, fits: Callable[[Row], None], follow: Callable[..., object] | None = None, let_go: Callable[..., object] | None = None):
        self.model, self.fits, self.follow, self.let_go = model, fits, follow, let_go

    @transaction.atomic
    def create(self, values: Mapping[str, Any], *, actor: Viewer) -> Row:
        """A first version, as a draft of the actor's organisation."""
        self._must(actor, "add")
        must_belong(actor)
        row = self.model(**{name: values[name] for name in self.model.WRITTEN if name in values}, **whose(actor))
        self._must_fit(row)
        row.save(force_insert=True)
        self.told("added", row, actor)
        return row

    @transaction.atomic
    def change(self, row: Row, values: Mapping[str, Any], *, actor: Viewer) -> Row:
        """A draft may change as long as nobody has been asked to approve it."""
        row = self._mine(row, actor, "change", State.DRAFT)
        if values.get("code", row.code) != row.code and row.version > 1:
            raise Invalid("A version keeps its code", todo="Make another one with a code of its own.", details={"code": [gettext("cannot be changed")]})
        before = {name: getattr(row, name) for name in self.model.WRITTEN}
        for name in self.model.WRITTEN:
            setattr(row, name, values.get(name, before[name]))
        self._must_fit(row)
        row.save(update_fields=self.model.WRITTEN)
        self.told("changed", row, actor, **{name: str(getattr(row, name))[:300] for name in self.model.WRITTEN if getattr(row, name) != before[name]})
        return row

    @transaction.atomic
    def remove(self, row: Row, *, actor: Viewer) -> None:
        """A draft may go; what was approved is retired instead."""
        row = self._mine(row, actor, "delete", State.DRAFT)
        self.told("removed", row, actor)
        row.delete()

    @transaction.atomic
    def submit(self, row: Row, *, actor: Viewer) -> Row:
        """Ask a second person to approve."""
        row = self._mine(row, actor, "change", State.DRAFT)
        row.state, row.submitter, row.submitted_by, row.submitted = State.SUBMITTED, actor.id, actor.name, clock.now()
        return self._moved(row, "submitted", actor)

    @transaction.atomic
    def send_back(self, row: Row, *, actor: Viewer) -> Row:
        """Back to being a draft."""
        row = self._mine(row, actor, "approve", State.SUBMITTED)
        row.state = State.DRAFT
        return self._moved(row, "returned", actor)

    @transaction.atomic
    def approve(self, row: Row, *, actor: Viewer) -> Row:
        """In force from now on, in place of the version before; only a second person can say so."""
        row = self._mine(row, actor, "approve", State.SUBMITTED)
        if actor.id == row.submitter:
            raise Refused("A second person has to approve", why=gettext("You submitted %s yourself.") % row, todo="Ask a colleague who may approve this.")
        row.state, row.approved_by, row.approved = State.APPROVED, actor.name, clock.now()
        row = self._moved(row, "approved", actor)
        for before in self._versions(row).select_for_update().filter(state=State.APPROVED).exclude(pk=row.pk):
            before.state, before.retired = State.RETIRED, clock.now()
            if self.follow:
                self.follow(before, row, actor=actor)
            self._moved(before, "replaced", actor, by=row.version)
        return row

    @transaction.atomic
    def retire(self, row: Row, *, actor: Viewer) -> Row:
        """No longer in force, and nothing takes its place."""
        row = self._mine(row, actor, "approve", State.APPROVED)
        row.state, row.retired = State.RETIRED, clock.now()
        if self.let_go:
            self.let_go(row, actor=actor)
        return self._moved(row, "retired", actor)

    @transaction.atomic
    def begin(self, row: Row, *, actor: Viewer) -> Row:
        """A draft of the next version, equal to this one."""
        row = self._mine(row, actor, "change", State.APPROVED, State.RETIRED)
        versions = self._versions(row)
        if versions.filter(state__in=(State.DRAFT, State.SUBMITTED)).exists():
            raise Conflict(gettext("A new version of %s is being worked on") % row, todo="Go on with that draft.")
        latest = versions.aggregate(latest=Max("version"))["latest"]
        fresh = self.model(**{name: getattr(row, name) for name in self.model.WRITTEN}, organisation=row.organisation, territory=row.territory, industry=row.industry, version=latest + 1)
        fresh.save(force_insert=True)
        self.told("version_begun", fresh, actor)
        return fresh

    def told(self, verb: str, row: Row, actor: Viewer, *, label: str = "", **detail: Any) -> None:
        """One record of the ledger."""
        ledger.record(f"standards.{self.model.kind()}_{verb}", row.ref, actor=actor, label=label or str(row)[:200], detail={"code": row.code, "version": row.version, **detail}, territory=row.territory, industry=row.industry)

    def _versions(self, row: Row) -> Any:
        return self.model.objects.filter(organisation=row.organisation, code=row.code)

    def _must(self, actor: Viewer, deed: str) -> None:
        actor.must(f"standards.{self.model.kind()}.{deed}")

    def _must_fit(self, row: Row) -> None:
        self.fits(row)
        if self._versions(row).filter(version=row.version).exclude(pk=row.pk).exists():
            raise Invalid(gettext("The code %s is taken") % row.code, why="A code stays the same through all versions.", todo="Make a new version of that one, or choose another code.", details={"code": [gettext("taken")]})

    def _mine(self, row: Row, actor: Viewer, deed: str, *states: State) -> Row:
        """The row as it is now, if the actor's organisation may decide it and it stands where it should."""
        self._must(actor, deed)
        found: Row = self.model.objects.select_for_update().get(pk=row.pk)
        if not actor.sees(found.territory, found.industry):
            raise Refused(gettext("%s belongs to an organisation above") % found, why="It holds for you, and only its own organisation changes it.", todo="Make one of your own, or ask the owner.")
        if found.state not in states:
            raise Conflict(gettext("%(element)s is %(state)s") % {"element": found, "state": found.get_state_display()}, why="This step does not fit there.", todo="Reload the page; for a change of what is approved make a new version.")
        return found

    def _moved(self, row: Row, verb: str, actor: Viewer, **detail: Any) -> Row:
        row.save(update_fields=("state", "submitter", "submitted_by", "submitted", "approved_by", "approved", "retired"))
        self.told(verb, row, actor, **detail)
        return row
