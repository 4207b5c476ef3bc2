"""Somebody with full access to the database changes something behind the ledger's back; verification finds it, every time."""

from __future__ import annotations

import random
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lianfang.commons.ledger import actions, models, queries
from lianfang.commons.ledger.models import identity
from lianfang.commons.ledger.models.leaves import commitment, leaf
from lianfang.commons.ledger.queries.verifying import _document
from lianfang.commons.ledger.types import Draft, Kind
from lianfang.engines import merkle
from lianfang.kernel.ref import Ref
from lianfang.kernel.viewer import Viewer

pytestmark = pytest.mark.django_db

CLERK = Viewer(id="c1", name="clerk", organisation="o1", path="00001", territory=("00001",), industry_path="00007")
SIZE, CUTS = 640, (100, 400, 640)
TRIALS = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
PLACE = st.integers(0, SIZE - 1)


@pytest.fixture
def log():
    """A log of 640 records under three checkpoints: two full tiles, one begun."""
    written = 0
    for cut in CUTS:
        actions.record_many([Draft(f"t.v{n % 7}", Ref("t", "thing", str(n)), f"thing {n}", {"n": n, "state": "new"}) for n in range(written, cut)], actor=CLERK)
        actions.cut_checkpoint()
        written = cut
    assert queries.verify().ok


@contextmanager
def undone():
    """What happens inside is taken back at the end."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def sql(statement, *values):
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return cursor.rowcount


def kinds():
    return {problem.kind for problem in queries.verify().problems}


def places(kind):
    return [problem.seq for problem in queries.verify().problems if problem.kind == kind]


TEXTS = ("verb", "ref", "label", "actor", "actor_name", "actor_kind", "organisation", "territory", "industry", "detail")


@TRIALS
@given(PLACE, st.sampled_from(TEXTS), st.text(alphabet="abc019:{}\"", min_size=1, max_size=9))
def test_an_edited_text_is_found_at_its_place(log, seq, column, text):
    with undone():
        if sql(f"UPDATE ledger_record SET {column} = %s WHERE seq = %s AND {column} <> %s", text, seq, text):
            assert places(Kind.EDITED) == [seq]


@TRIALS
@given(PLACE, st.sampled_from(["salt", "commitment"]), st.binary(min_size=32, max_size=32))
def test_an_edited_salt_or_commitment_is_found_at_its_place(log, seq, column, blob):
    with undone():
        sql(f"UPDATE ledger_record SET {column} = %s WHERE seq = %s", connection.Database.Binary(blob), seq)
        assert set(places(Kind.EDITED)) == {seq}


@TRIALS
@given(PLACE, st.integers(1, 10**9))
def test_an_edited_time_is_found_even_by_a_microsecond(log, seq, microseconds):
    with undone():
        row = models.Record.objects.get(seq=seq)
        models.Record.objects.filter(seq=seq).update(time=row.time + timedelta(microseconds=microseconds))
        assert places(Kind.EDITED) == [seq]


@TRIALS
@given(PLACE)
def test_an_edited_detail_with_a_freshly_made_commitment_is_found(log, seq):
    """The tamperer knows the code and computes the commitment anew; the leaf no longer fits."""
    with undone():
        models.Record.objects.filter(seq=seq).update(detail='{"n":0,"state":"closed"}')
        commit_again(seq)
        assert places(Kind.EDITED) == [seq]


@TRIALS
@given(st.sets(PLACE, min_size=1, max_size=4))
def test_removed_rows_are_found_at_their_places(log, seqs):
    with undone():
        for seq in seqs:
            sql("DELETE FROM ledger_record WHERE seq = %s", seq)
        assert places(Kind.REMOVED) == sorted(seqs)


@TRIALS
@given(PLACE, PLACE)
def test_two_rows_that_changed_places_are_both_named(log, one, other):
    with undone():
        if one != other:
            sql("UPDATE ledger_record SET seq = -1 WHERE seq = %s", one)
            sql("UPDATE ledger_record SET seq = %s WHERE seq = %s", one, other)
            sql("UPDATE ledger_record SET seq = %s WHERE seq = -1", other)
            assert places(Kind.MOVED) == sorted((one, other))


@TRIALS
@given(st.integers(0, SIZE - 2))
def test_a_removed_row_whose_gap_was_closed_is_found(log, seq):
    with undone():
        sql("DELETE FROM ledger_record WHERE seq = %s", seq)
        for later in range(seq + 1, min(seq + 40, SIZE)):
            sql("UPDATE ledger_record SET seq = %s WHERE seq = %s", later - 1, later)
        assert kinds() & {Kind.MOVED, Kind.EDITED, Kind.REMOVED}


@TRIALS
@given(st.integers(1, SIZE))
def test_a_cut_off_tail_is_found_although_head_tiles_and_checkpoints_were_cut_too(log, left):
    """Everything in the database is rolled back as if it had never been; the checkpoint outside it remembers."""
    with undone():
        sql("DELETE FROM ledger_record WHERE seq >= %s", SIZE - left)
        sql("DELETE FROM ledger_checkpoint WHERE size > %s", SIZE - left)
        rebuild(SIZE - left)
        assert Kind.TRUNCATED in kinds()


@TRIALS
@given(PLACE)
def test_a_log_rewritten_with_a_fitting_tree_is_found_by_the_signatures(log, seq):
    """Row, commitment and the whole tree are made to fit; only the signed roots cannot be."""
    with undone():
        models.Record.objects.filter(seq=seq).update(verb="t.never", detail='{"n":-1}')
        commit_again(seq)
        rebuild(SIZE)
        found = queries.verify().problems
        assert {problem.kind for problem in found} == {Kind.REWRITTEN}
        assert min(problem.seq for problem in found) == min(cut for cut in CUTS if cut > seq), "the first checkpoint after the change"


@TRIALS
@given(st.integers(0, 3), st.binary(min_size=32, max_size=32))
def test_a_damaged_tile_is_found(log, index, blob):
    with undone():
        tile = models.Tile.objects.order_by("pk")[index % models.Tile.objects.count()]
        models.Tile.objects.filter(pk=tile.pk).update(hashes=blob + bytes(tile.hashes)[32:])
        assert not queries.verify().ok


def test_a_missing_tile_is_found(log):
    for tile in list(models.Tile.objects.all()):
        with undone():
            models.Tile.objects.filter(pk=tile.pk).delete()
            assert not queries.verify().ok


def test_an_inserted_row_is_found(log):
    with undone():
        row = models.Record.objects.get(seq=3)
        row.pk, row.seq = models.tables.new_id(), SIZE + 5
        row.save(force_insert=True)
        assert places(Kind.INSERTED) == [SIZE + 5]


def test_a_changed_checkpoint_is_found(log):
    mark = models.Checkpoint.objects.get(size=400)
    for change in ({"root": "00" * 32}, {"note": mark.note.replace("400\n", "401\n", 1)}, {"size": 399}, {"note": "nothing"}):
        with undone():
            models.Checkpoint.objects.filter(pk=mark.pk).update(**change)
            assert Kind.CHECKPOINT in kinds()


def test_a_new_key_does_not_hide_what_the_old_one_signed(log):
    (identity.folder() / "ledger.key").unlink()
    assert Kind.CHECKPOINT in kinds()
    actions.record("t.v", Ref("t", "thing", "x"), actor=CLERK)
    actions.cut_checkpoint()
    assert Kind.CHECKPOINT in kinds()


def test_a_renamed_log_is_found(log):
    with undone():
        models.Head.objects.update(node="other")
        assert Kind.EDITED in kinds()


def test_random_edits_are_all_found(log):
    """One hundred random single-cell edits by SQL: one hundred found."""
    chance, found = random.Random(7), 0
    for _trial in range(100):
        with undone():
            seq, column = chance.randrange(SIZE), chance.choice(TEXTS)
            sql(f"UPDATE ledger_record SET {column} = %s WHERE seq = %s", f"x{chance.random()}", seq)
            found += places(Kind.EDITED) == [seq]
    assert found == 100


def commit_again(seq):
    """The tamperer's tool: a commitment that fits the changed row."""
    row = models.Record.objects.filter(seq=seq).values().get()
    models.Record.objects.filter(seq=seq).update(commitment=commitment(bytes(row["salt"]), _document(row)))


def rebuild(size):
    """The tamperer's other tool: head and tree made anew from the rows as they are now."""
    name = models.Head.objects.get().node
    rows = models.Record.objects.filter(seq__lt=size).order_by("seq").values_list("seq", "verb", "time", "actor_kind", "ref", "commitment")
    hashes = [merkle.leaf_hash(leaf(name, *row[:5], bytes(row[5]))) for row in rows]
    models.Tile.objects.all().delete()
    for (level, index), blob in merkle.grow(0, hashes, lambda level, index: b"").items():
        models.Tile.objects.create(pk=level << models.tables.LEVEL_SHIFT | index, hashes=blob)
    models.Head.objects.update(size=size)
