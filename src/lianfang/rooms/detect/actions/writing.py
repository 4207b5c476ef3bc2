"""Writing: rules of the node's own, drafted, proposed, approved by another person, in force, replaced or withdrawn.

In: texts, and who it was. Out: versions, each step with one record in the ledger; what is in force stands in the node's own
pack ``node-rules``, which examiners take up within two seconds. What was proposed is never changed: a change is a new version.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from django.db import transaction
from django.db.models import Max
from django.utils.translation import gettext as _

from lianfang.commons.ledger import actions as ledger
from lianfang.engines.rules.sources import RuleText
from lianfang.engines.rules.types import Rule
from lianfang.kernel import clock
from lianfang.kernel.errors import Conflict, Invalid, Refused
from lianfang.kernel.labels import Severity
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.detect import models
from lianfang.rooms.detect.actions import installing
from lianfang.rooms.detect.actions.guarding import must_for_node
from lianfang.rooms.detect.models.ownrules import Stage
from lianfang.rooms.detect.queries import building, linking, loading, reading
from lianfang.rooms.detect.types import CORRELATION, NODE_RULES


@transaction.atomic
def write_rule(values: Mapping[str, Any], *, actor: Viewer) -> models.OwnRule:
    """A first version, as a draft; it gets an identifier of its own."""
    must_for_node(actor, "detect.ownrule.add")
    uid = str(uuid4())
    row = models.OwnRule(uid=uid, maker=actor.id, made_by=actor.name)
    said = building.document(str(values["text"]))
    text = building.renamed(str(values["text"]), uid=uid, author="" if said.get("author") else actor.name)
    _take(row, text if said.get("id") else linking.tidied(text) if CORRELATION in said else building.tidied(text))
    row.save(force_insert=True)
    _told("added", row, actor)
    return row


@transaction.atomic
def change_rule(row: models.OwnRule, values: Mapping[str, Any], *, actor: Viewer) -> models.OwnRule:
    """A draft may change as long as nobody has been asked to approve it."""
    row = _standing(row, actor, "change", Stage.DRAFT)
    _take(row, building.renamed(str(values["text"]), uid=row.uid))
    row.save()
    _told("changed", row, actor)
    return row


@transaction.atomic
def drop_rule(row: models.OwnRule, *, actor: Viewer) -> None:
    """A draft may go; what was in force is withdrawn instead."""
    row = _standing(row, actor, "delete", Stage.DRAFT)
    _told("removed", row, actor)
    row.delete()


@transaction.atomic
def propose_rule(row: models.OwnRule, *, actor: Viewer) -> models.OwnRule:
    """Ask another person to approve."""
    row = _standing(row, actor, "change", Stage.DRAFT)
    row.stage, row.proposer, row.proposed_by, row.proposed = Stage.PROPOSED, actor.id, actor.name, clock.now()
    return _moved(row, "proposed", actor)


@transaction.atomic
def return_rule(row: models.OwnRule, *, actor: Viewer) -> models.OwnRule:
    """Back to being a draft."""
    row = _standing(row, actor, "approve", Stage.PROPOSED)
    row.stage = Stage.DRAFT
    return _moved(row, "returned", actor)


@transaction.atomic
def approve_rule(row: models.OwnRule, *, actor: Viewer) -> models.OwnRule:
    """In force from now on, in place of the version before; whoever wrote or proposed it cannot say so."""
    row = _standing(row, actor, "approve", Stage.PROPOSED)
    if not actor.id or actor.id in (row.proposer, row.maker):
        raise Refused(_("Another person has to approve"), why=_("You wrote or proposed “%s” yourself.") % row, todo=_("Ask a colleague who may approve rules."))
    if row.model == CORRELATION:
        checked_rule(row.text)  # what it is built upon may have gone meanwhile, or been built upon it
    now = clock.now()
    for before in models.OwnRule.objects.select_for_update().filter(uid=row.uid, stage=Stage.IN_FORCE):
        before.stage, before.ended = Stage.REPLACED, now
        _moved(before, "replaced", actor)
    row.stage, row.approved_by, row.approved = Stage.IN_FORCE, actor.name, now
    row = _moved(row, "approved", actor)
    _publish()
    return row


@transaction.atomic
def withdraw_rule(row: models.OwnRule, *, actor: Viewer) -> models.OwnRule:
    """No longer in force; findings and alerts that came of it stay."""
    row = _standing(row, actor, "approve", Stage.IN_FORCE)
    above = [one.rule.title for one in loading.correlations() if row.uid in one.refs]
    if above:
        raise Conflict(_("“%(rule)s” is looked at by the correlation “%(above)s”") % {"rule": row, "above": above[0]}, why=_("Without this rule it would never fire again, and nobody would be told."), todo=_("Withdraw or change the correlation first."))
    row.stage, row.ended = Stage.WITHDRAWN, clock.now()
    row = _moved(row, "withdrawn", actor)
    _publish()
    return row


@transaction.atomic
def begin_version(row: models.OwnRule, *, actor: Viewer) -> models.OwnRule:
    """A draft of the next version, equal to this one."""
    row = _standing(row, actor, "change", Stage.IN_FORCE, Stage.WITHDRAWN, Stage.REPLACED)
    versions = models.OwnRule.objects.filter(uid=row.uid)
    if versions.filter(stage__in=(Stage.DRAFT, Stage.PROPOSED)).exists():
        raise Conflict(_("A new version of “%s” is being worked on") % row, todo=_("Go on with that draft."))
    fresh = models.OwnRule(uid=row.uid, version=versions.aggregate(latest=Max("version"))["latest"] + 1, maker=actor.id, made_by=actor.name)
    _take(fresh, row.text)
    fresh.save(force_insert=True)
    _told("version_begun", fresh, actor)
    return fresh


def checked_rule(text: str) -> Rule:
    """The one rule or correlation in a text, as it would be compiled; raises ``Invalid`` with the reason."""
    building.document(text)
    compiled = loading.compile_texts([RuleText("own.yml", text)])
    found = (*compiled.rules, *(one.rule for one in compiled.correlations))
    if compiled.problems or len(found) != 1:
        why = compiled.problems[0].reason if compiled.problems else _("The text holds %(n)d rules.") % {"n": len(found)}
        raise Invalid(_("The rule cannot be compiled"), why=why, todo=_("Correct it and save again."), details={"text": [why]})
    for one in compiled.correlations:
        linking.must_stand(one)
    return found[0]


def _take(row: models.OwnRule, text: str) -> None:
    """The text and what is read from it, into the row."""
    rule, own = checked_rule(text), reading.beyond_sigma(text)
    row.text, row.title, row.title_zh, row.changed = text, rule.title[:250], str(own.get("title_zh", ""))[:250], clock.now()
    row.severity = Severity.of_sigma(rule.level if rule.level in models.Level.values else models.Level.MEDIUM)
    row.model = CORRELATION if "correlation" in building.document(text) else str(own.get("model", ""))[:20]
    if not row.title:
        raise Invalid(_("The rule has no title"), todo=_("Say in a few words what it finds."), details={"text": [_("The rule has no title")]})


def _publish() -> None:
    """Write all rules in force into the node's own pack, in the caller's transaction."""
    rows = models.OwnRule.objects.filter(stage=Stage.IN_FORCE).order_by("uid")
    texts = tuple(RuleText(f"{row.uid}.yml", row.text) for row in rows)
    digest = reading.digest_of(texts)
    before = models.Pack.objects.filter(name=NODE_RULES).values_list("digest", flat=True).first()
    installing.write_own(reading.PackText(NODE_RULES, digest[:12], "", digest, "", texts))
    if before and before != digest:
        transaction.on_commit(lambda: loading.pack_file(before).unlink(missing_ok=True))


def _standing(row: models.OwnRule, actor: Viewer, deed: str, *stages: Stage) -> models.OwnRule:
    """The row as it is now, if the actor may do this to it and it stands where it should."""
    must_for_node(actor, f"detect.ownrule.{deed}")
    found = models.OwnRule.objects.select_for_update().get(pk=row.pk)
    if found.stage not in stages:
        raise Conflict(_("“%(rule)s” is %(stage)s") % {"rule": found, "stage": found.get_stage_display()}, why=_("This step does not fit there."), todo=_("Reload the page; for a change of what is in force make a new version."))
    return found


def _moved(row: models.OwnRule, verb: str, actor: Viewer) -> models.OwnRule:
    row.changed = clock.now()
    row.save()
    _told(verb, row, actor)
    return row


def _told(verb: str, row: models.OwnRule, actor: Viewer) -> None:
    ledger.record(f"detect.ownrule_{verb}", row.ref, actor=actor, label=str(row), detail={"rule": row.uid, "version": row.version, "digest": reading.digest_of([RuleText("", row.text)])})
