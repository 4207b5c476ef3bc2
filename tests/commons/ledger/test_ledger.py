"""The ledger as rooms and auditors meet it."""

from __future__ import annotations

import json
import stat
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from django.db import transaction

from lianfang.commons.frame import journal
from lianfang.commons.ledger import actions, models, queries
from lianfang.commons.ledger.types import Draft, Kind
from lianfang.engines import envelope, merkle
from lianfang.kernel import clock
from lianfang.kernel.errors import Conflict, Invalid, Missing, Refused
from lianfang.kernel.ref import Ref
from lianfang.kernel.viewer import SYSTEM, Viewer

pytestmark = pytest.mark.django_db

PROVINCE, CITY, OTHER = "0000100001", "000010000100001", "0000100002"
MEMBER = Viewer(id="m1", name="李明", organisation="o-city", path=CITY, territory=(CITY,), permissions=frozenset({"ledger.*"}))
ABOVE = Viewer(id="a1", name="王岚", organisation="o-province", path=PROVINCE, territory=(PROVINCE,), permissions=frozenset({"ledger.*"}))
OUTSIDER = Viewer(id="x1", name="周行", organisation="o-other", path=OTHER, territory=(OTHER,), permissions=frozenset({"ledger.*"}))
CASE = Ref("respond", "case", "018f3c00-0000-7000-8000-000000000000")


def said(verb="respond.closed", *, actor=MEMBER, **detail):
    return actions.record(verb, CASE, actor=actor, label="可疑登录", detail=detail)


# -- recording -----------------------------------------------------------------------------------------------------


def test_what_was_done_is_on_record_with_who_what_and_when():
    reference = said(before={"state": "new"}, after={"state": "closed"})
    found = queries.entry(uuid.UUID(reference.id), MEMBER)
    assert (found.verb, found.ref, found.label, found.actor_name, found.actor_kind) == ("respond.closed", CASE, "可疑登录", "李明", "user")
    assert found.detail == {"before": {"state": "new"}, "after": {"state": "closed"}}
    assert found.seq is None


def test_nothing_is_on_record_when_the_action_is_rolled_back():
    with transaction.atomic():
        said()
        transaction.set_rollback(True)
    assert models.Record.objects.count() == 0


def test_the_member_and_the_unit_above_see_a_record_and_the_outsider_does_not():
    id = uuid.UUID(said().id)
    assert queries.entry(id, MEMBER) == queries.entry(id, ABOVE)
    with pytest.raises(Missing):
        queries.entry(id, OUTSIDER)
    assert queries.timeline(CASE, OUTSIDER) == []


def test_a_record_may_concern_another_organisation_than_the_actors():
    actions.record("people.granted", CASE, actor=ABOVE, territory=OTHER)
    assert len(queries.timeline(CASE, OUTSIDER)) == 1
    assert queries.timeline(CASE, MEMBER) == []


def test_the_timeline_of_a_thing_is_newest_first():
    for n in range(3):
        said(f"respond.step{n}")
    actions.record("respond.other", Ref("respond", "case", "2"), actor=MEMBER)
    assert [entry.verb for entry in queries.timeline(CASE, MEMBER)] == ["respond.step2", "respond.step1", "respond.step0"]


def test_what_frame_and_jobs_tell_lands_here():
    journal.tell("detect.rule.changed", Ref("detect", "rule", "1"), actor=MEMBER, label="规则", detail={"before": {"on": 0}, "after": {"on": 1}})
    assert models.Record.objects.get().verb == "detect.rule.changed"


@pytest.mark.parametrize("detail", [
    {"when": datetime(2026, 11, 20, tzinfo=UTC), "id": uuid.uuid4(), "set": {1}, "big": 2**70, "float": 1e21, "nan": float("nan")},
    {"文本": "a\x00b\ud800", 5: "number as key", "deep": {"x": [None, True, 1.5]}},
    {},
])  # fmt: skip
def test_any_detail_can_be_said_and_verified(detail):
    actions.record("t.said", CASE, actor=MEMBER, label="x\x00y\ud800" * 100, detail=detail)
    assert actions.cut_checkpoint()
    assert queries.verify().ok


def test_many_records_say_the_same_as_one_by_one():
    drafts = [Draft("t.said", CASE, f"n{n}", {"n": n}) for n in range(2500)]
    assert actions.record_many(drafts, actor=MEMBER) == 2500
    said("t.said")
    actions.cut_checkpoint()
    verdict = queries.verify()
    assert (verdict.ok, verdict.records, verdict.unsealed) == (True, 2501, 0)


# -- places and checkpoints ------------------------------------------------------------------------------------------


def test_places_are_gapless_and_in_order_of_telling():
    verbs = [f"t.v{n:04d}" for n in range(300)]
    for verb in verbs:
        said(verb)
    assert actions.sequence(batch=70) == 300
    assert list(models.Record.objects.order_by("seq").values_list("seq", "verb")) == list(enumerate(verbs))


def test_a_checkpoint_is_a_signed_note_that_others_can_read():
    for _ in range(5):
        said()
    note = actions.cut_checkpoint()
    assert actions.cut_checkpoint() == note, "nothing new, nothing signed"
    key = envelope.VerifyKey.parse(queries.node().verify_key)
    checkpoint = envelope.Checkpoint.open(note, [key], origin=queries.node().origin)
    assert (checkpoint.size, checkpoint.root.hex()) == (5, models.Checkpoint.objects.get().root)


def test_a_proof_can_be_checked_offline_with_nothing_but_the_public_key():
    ids = [uuid.UUID(said(f"t.v{n}").id) for n in range(700)]
    with pytest.raises(Conflict):
        queries.proof(ids[5], MEMBER)
    actions.cut_checkpoint()
    proof = queries.proof(ids[5], MEMBER)
    key = envelope.VerifyKey.parse(queries.node().verify_key)
    file = envelope.ProofFile.parse(proof.file)
    head = envelope.Checkpoint.open(file.note, [key])
    leaf = json.loads(file.extra)
    assert merkle.verify_inclusion(file.index, head.size, merkle.leaf_hash(file.extra), file.path, head.root)
    assert (leaf["seq"], leaf["verb"], leaf["refs"]) == (5, "t.v5", [str(CASE)])
    assert "李明" not in proof.leaf.decode(), "the leaf names nobody"
    assert len(proof.file) < 1536 + 500
    with pytest.raises(Missing):
        queries.proof(ids[5], OUTSIDER)
    with pytest.raises(Refused):
        envelope.Checkpoint.open(file.note, [envelope.SigningKey.generate(key.name).verify_key])


def test_checkpoints_are_consistent_with_each_other():
    for n in (3, 600, 41):
        actions.record_many([Draft("t.v", CASE)] * n, actor=MEMBER)
        actions.cut_checkpoint()
    old, middle, new = models.Checkpoint.objects.order_by("size")
    tiles = merkle.Tiles(models.load_tile)
    for first, second in ((old, middle), (middle, new), (old, new)):
        path = merkle.consistency(tiles, first.size, second.size)
        assert merkle.verify_consistency(first.size, second.size, bytes.fromhex(first.root), bytes.fromhex(second.root), path)


def test_keys_are_readable_by_their_owner_only(home):
    said()
    actions.cut_checkpoint()
    for file in (home / "keys").iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file.name


def test_a_node_is_named_once():
    actions.name_node("ops.example.org")
    said()
    actions.cut_checkpoint()
    assert queries.node().origin == "ops.example.org/ledger"
    actions.name_node("ops.example.org")
    with pytest.raises(Conflict):
        actions.name_node("other.example.org")
    with pytest.raises(Invalid):
        actions.name_node("two words")


# -- forgetting ------------------------------------------------------------------------------------------------------


def test_a_record_can_be_forgotten_on_record_and_every_proof_still_holds():
    id = uuid.UUID(said(phone="13800000000").id)
    with pytest.raises(Conflict):
        actions.forget(id, reason="too early", actor=ABOVE)
    actions.cut_checkpoint()
    actions.forget(id, reason="Withdrawn consent", actor=ABOVE)
    actions.cut_checkpoint()
    row = models.Record.objects.get(pk=id)
    assert (row.detail, row.salt, row.actor_name, row.label) == (None, None, "", "")
    verdict = queries.verify()
    assert (verdict.ok, verdict.forgotten) == (True, 1)
    proof = queries.proof(id, ABOVE)
    assert merkle.verify_inclusion(proof.index, proof.size, merkle.leaf_hash(proof.leaf), proof.path, proof.root)


def test_content_that_was_erased_without_a_record_is_found():
    id = uuid.UUID(said().id)
    actions.cut_checkpoint()
    models.Record.objects.filter(pk=id).update(detail=None, salt=None, label="", actor="", actor_name="", organisation="")
    assert [problem.kind for problem in queries.verify().problems] == [Kind.EDITED]


def test_progress_is_told():
    told = []
    actions.record_many([Draft("t.v", CASE)] * 5000, actor=SYSTEM)
    actions.cut_checkpoint()
    queries.verify(progress=lambda done, total: told.append((done, total)))
    assert told == [(4096, 5000), (5000, 5000)]


def test_health_says_how_long_records_wait_and_whether_the_log_held():
    assert (queries.lag(), queries.gauges()) == ({"unsealed": 0.0}, {"records": 0.0, "holds": -1.0})
    with clock.frozen(clock.now() - timedelta(seconds=9)):
        said()
    assert 9 <= queries.lag()["unsealed"] < 60
    actions.cut_checkpoint()
    actions.check(actor=SYSTEM)
    assert queries.gauges() == {"records": 1.0, "holds": 1.0}
    models.Record.objects.filter(seq=0).update(label="x")
    with pytest.raises(Conflict):
        actions.check(actor=SYSTEM)
    assert queries.gauges()["holds"] == 0.0
