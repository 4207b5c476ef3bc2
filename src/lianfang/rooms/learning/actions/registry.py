"""The registry of models: registered as proposed, approved by a second person, put in use, replaced, taken up again, retired.

In: an artefact with its metrics, and people's words. Out: rows with one record for every step. At most one model of a name is in use in an
organisation; the one before becomes approved again, so that going back is the same step as going on.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any, BinaryIO, Protocol
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils.translation import gettext

from lianfang.commons.frame.scoped import whose
from lianfang.commons.ledger import actions as ledger
from lianfang.kernel import clock
from lianfang.kernel.errors import Conflict, Invalid, Refused
from lianfang.kernel.viewer import SYSTEM, Viewer
from lianfang.rooms.learning import declare, models, queries
from lianfang.rooms.learning.actions.artefacts import keep
from lianfang.rooms.learning.actions.sets import must_belong
from lianfang.rooms.learning.types import Stand, Whose

MOST_METRICS, MOST_PARAMETERS = 60, 64 << 10


class Sent(Protocol):
    """An uploaded file."""

    def chunks(self) -> Iterable[bytes]: ...


def register_model(values: Mapping[str, Any], sent: Sent | None, *, actor: Viewer) -> models.Model:
    """A model that was trained elsewhere: ``name kind form metrics metric parameters note``, ``version``: what it was trained on. It is proposed; somebody else approves it."""
    actor.must("learning.model.add")
    must_belong(actor)
    if sent is None:
        raise Invalid("There is no file", todo="Send the artefact as the field “file”.", details={"file": [gettext("missing")]})
    plain = {name: str(values.get(name) or "").strip() for name in ("name", "kind", "form", "metric", "note")}
    for name in ("name", "kind"):
        if not plain[name]:
            raise Invalid("A model needs a name and a kind", todo="Say what it is called, and what it is.", details={name: [gettext("missing")]})
    metrics, parameters = numbers(values.get("metrics")), _mapping(values.get("parameters"), "parameters")
    plain["metric"] = plain["metric"] or next(iter(metrics), "")
    if plain["metric"] and plain["metric"] not in metrics:
        raise Invalid("The metric that decides is not among the metrics", why=plain["metric"][:40], todo="Name one of them.", details={"metric": [gettext("unknown")]})
    if models.Model.objects.filter(organisation=actor.organisation, name=plain["name"][:80]).exclude(learner="").exists():
        raise Refused("This name belongs to a learner of the node", why="Its versions come from trainings.", todo="Choose another name.")
    taught = _version(str(values.get("version") or ""), actor)
    digest, size = keep(sent.chunks(), plain["form"])
    return enter({**plain, "metrics": metrics, "parameters": parameters}, digest, size, of=whose(actor), actor=actor, taught=taught)


@transaction.atomic
def enter(values: Mapping[str, Any], digest: str, size: int, *, of: Mapping[str, str], actor: Viewer, taught: models.Version | None = None, learner: str = "") -> models.Model:
    """The next version of a name, proposed."""
    name = str(values["name"])[:80]
    newest = models.Model.objects.select_for_update().filter(organisation=of["organisation"], name=name).order_by("-number").first()
    number = newest.number + 1 if newest else 1
    row = models.Model(
        name=name, number=number, kind=str(values["kind"])[:40], learner=learner, taught=taught, parameters=dict(values.get("parameters") or {}), metrics=dict(values["metrics"]), metric=str(values.get("metric") or "")[:40],
        form=values["form"], bytes=size, digest=digest, note=str(values.get("note") or "")[:300], proposer=str(actor.id), proposed_by=actor.name, **of,
    )  # fmt: skip
    try:
        with transaction.atomic():
            row.save(force_insert=True)
    except IntegrityError as error:
        raise Conflict("Another version was registered at the same moment", todo="Send it again.", retry=True) from error
    _told("registered", row, actor, kind=row.kind, form=row.form, bytes=size, sha256=digest, metrics=row.metrics, taught=str(taught or ""))
    return row


@transaction.atomic
def approve_model(row: models.Model, *, actor: Viewer) -> models.Model:
    """Somebody else than who proposed it says that it may be used."""
    actor.must("learning.model.approve")
    row = models.Model.objects.select_for_update().get(pk=row.pk)
    _must_be(row, Stand.PROPOSED)
    if row.proposer == str(actor.id) and actor.kind != SYSTEM.kind:
        raise Refused("A second person has to approve", why=gettext("You proposed it yourself."), todo="Ask a colleague who may approve this.")
    row.state, row.approved_by, row.approved = Stand.APPROVED, actor.name, clock.now()
    row.save(update_fields=("state", "approved_by", "approved"))
    _told("approved", row, actor)
    return row


@transaction.atomic
def use_model(row: models.Model, *, actor: Viewer) -> models.Model:
    """From now on this is the one; what was in use before is approved again and can be taken up. Also the way back."""
    actor.must("learning.model.use")
    row = models.Model.objects.select_for_update().get(pk=row.pk)
    _must_be(row, Stand.APPROVED)
    alike = Q(name=row.name) | Q(learner=row.learner) if row.learner else Q(name=row.name)
    for other in models.Model.objects.select_for_update().filter(alike, organisation=row.organisation, state=Stand.USED):
        other.state = Stand.APPROVED
        other.save(update_fields=("state",))
        _told("replaced", other, actor, by=str(row))
    if row.learner:
        declare.learner_called(row.learner).use(queries.artefact(row).read_bytes(), str(row), _whose(row))
    row.state, row.used_by, row.used = Stand.USED, actor.name, clock.now()
    row.save(update_fields=("state", "used_by", "used"))
    _told("used", row, actor, sha256=row.digest)
    return row


@transaction.atomic
def retire_model(row: models.Model, *, actor: Viewer) -> models.Model:
    """It is not used any more, for good; artefact and record stay."""
    actor.must("learning.model.retire")
    row = models.Model.objects.select_for_update().get(pk=row.pk)
    if row.state == Stand.RETIRED:
        raise Conflict(gettext("“%s” was retired already") % row, todo="Reload the page.")
    if row.state == Stand.USED and row.learner:
        declare.learner_called(row.learner).drop(_whose(row))
    row.state, row.retired_by, row.retired = Stand.RETIRED, actor.name, clock.now()
    row.save(update_fields=("state", "retired_by", "retired"))
    _told("retired", row, actor)
    return row


def take_model(row: models.Model, *, actor: Viewer) -> BinaryIO:
    """The artefact as it was sent or made, opened; on record."""
    actor.must("learning.model.export")
    file = queries.artefact(row).open("rb")
    _told("taken", row, actor, sha256=row.digest)
    return file


def numbers(said: Any) -> dict[str, float]:
    """Metrics by name. Raises ``Invalid`` for what is no mapping of names to finite numbers."""
    found = _mapping(said, "metrics")
    if len(found) > MOST_METRICS or not all(isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) for value in found.values()):
        raise Invalid("Metrics are numbers by name", why=gettext("At most %d, each a finite number.") % MOST_METRICS, todo='Write {"accuracy": 0.93}.', details={"metrics": [gettext("no number")]})
    return {str(name)[:40]: float(value) for name, value in found.items()}


def _mapping(said: Any, name: str) -> dict[str, Any]:
    try:
        found = json.loads(said or "{}") if isinstance(said, str) else dict(said or {})
    except (ValueError, TypeError, RecursionError) as error:
        raise Invalid(gettext("“%s” is no JSON") % name, why=str(error)[:200], todo='Write it like {"name": 1}.', details={name: [gettext("no JSON")]}) from error
    if not isinstance(found, dict) or len(json.dumps(found)) > MOST_PARAMETERS:
        raise Invalid(gettext("“%s” is no mapping, or too long") % name, todo='Write it like {"name": 1}.', details={name: [gettext("no mapping")]})
    return found


def _version(said: str, actor: Viewer) -> models.Version | None:
    """The version of a data set that somebody names. Raises ``Invalid``."""
    if not said:
        return None
    try:
        row = models.Version.objects.seen_by(actor).select_related("dataset").filter(pk=UUID(said)).first()
    except ValueError:
        row = None
    if row is None:
        raise Invalid("This names no version", why=said[:60], todo="Give the identifier of a version, as the list of versions says it.", details={"version": [gettext("unknown")]})
    return row


def _must_be(row: models.Model, state: Stand) -> None:
    if row.state != state:
        raise Conflict(gettext("“%(row)s” is %(state)s") % {"row": row, "state": row.get_state_display()}, why=gettext("This can be done to what is %s.") % state.label, todo="Reload the page.")


def _whose(row: models.Model) -> Whose:
    return Whose(row.organisation, row.territory, row.industry)


def _told(verb: str, row: models.Model, actor: Viewer, **detail: Any) -> None:
    ledger.record(f"learning.model_{verb}", row.ref, actor=actor, label=str(row)[:200], detail=detail, territory=row.territory, industry=row.industry)
