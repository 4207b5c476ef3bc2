"""Exceptions in the examiner: which hits they take, whose, until when, and that all others pay nothing."""

from datetime import timedelta

import pytest
from tests.rooms.detect.conftest import UID, windows

from lianfang.commons.jobs import models as jobs
from lianfang.kernel import clock
from lianfang.kernel.viewer import SYSTEM
from lianfang.rooms.detect import actions, models, queries
from lianfang.rooms.detect.actions import examining
from lianfang.rooms.detect.queries import exemptions

pytestmark = pytest.mark.django_db(transaction=True)

NIGHTLY = windows(r"C:\Windows\System32\whoami.exe", host="ws-1", user="backup")
OTHER = windows(r"C:\Windows\System32\whoami.exe", host="ws-2", user="li")
DUMP = windows(r"C:\Windows\System32\rundll32.exe", "rundll32 comsvcs.dll", host="ws-1", user="backup")
TEXT = """
title: The backup asks who it is
logsource: {product: windows, category: process_creation}
filter:
  rules: [%s]
  selection: {User: backup}
  condition: not selection
"""


@pytest.fixture
def watchman(pack, monkeypatch):
    monkeypatch.setattr(examining, "LOOK_AT_RULES", 0.0)
    monkeypatch.setattr(examining, "LOOK_AT_WATCH", 0.0)
    actions.install_pack(pack.folder, actor=SYSTEM)
    return examining.Watchman()


@pytest.fixture
def enforced(organisations, monkeypatch):
    """``enforced(organisation, rule…)``: an exception of that organisation, in force."""
    monkeypatch.setattr(exemptions, "_logs", lambda *_: ([], True))

    def make(organisation, *rules, text=TEXT, source=""):
        values = {"name": f"Backup {models.Exemption.objects.count()}", "text": text % ", ".join(UID[name] for name in rules), "reason": "nightly", "expires": clock.now() + timedelta(days=30), "source": ""}
        row = actions.create_exemption(values, actor=SYSTEM)
        models.Exemption.objects.filter(pk=row.pk).update(territory=organisation.territory, organisation=organisation.id)
        row = actions.enforce_exemption(models.Exemption.objects.get(pk=row.pk), actor=SYSTEM)
        models.Exemption.objects.filter(pk=row.pk).update(source=source)
        return row

    return make


def conclude(watchman, found):
    hits = watchman.examine(found)
    watchman.conclude(found, hits)
    return hits


def told():
    return sorted((row.rule_uid, row.host, str(row.exemption or "")) for row in models.Finding.objects.all())


def test_what_it_takes_is_marked_stored_counted_and_not_told(watchman, batch, enforced, organisations):
    row = enforced(organisations.harbour, "whoami")
    found = batch(NIGHTLY, OTHER, DUMP, NIGHTLY)
    assert conclude(watchman, found)[0] == (UID["whoami"],), "the log keeps what fired"
    assert told() == [(UID["whoami"], "ws-1", str(row.pk)), (UID["whoami"], "ws-2", ""), (UID["dump"], "ws-1", "")]
    assert sorted(one.host for one in queries.findings_of(found.ref)) == ["ws-1", "ws-2"]
    assert [fact.body["count"] for fact in jobs.OutboxFact.objects.filter(name="detect.FindingsStored")] == [2]
    watchman.conclude(found, watchman.examine(found))
    row.refresh_from_db()
    assert (row.findings, row.events, row.last is not None) == (1, 2, True), "brought again it counts nothing twice"


def test_when_all_is_taken_nobody_above_is_told(watchman, batch, enforced, organisations):
    enforced(organisations.harbour, "whoami")
    conclude(watchman, batch(NIGHTLY))
    assert models.Finding.objects.count() == 1
    assert not jobs.OutboxFact.objects.filter(name="detect.FindingsStored").exists()


def test_it_reaches_as_far_as_its_organisation_and_its_source(watchman, batch, enforced, organisations):
    enforced(organisations.east, "whoami", source="edge")
    conclude(watchman, batch(NIGHTLY, ref="19a00000001-w000:edge"))
    conclude(watchman, batch(NIGHTLY, ref="19a00000002-w000:core", source="core"))
    conclude(watchman, batch(NIGHTLY, ref="19a00000003-w000:edge", territory=organisations.mill.territory))
    assert [bool(row.exemption) for row in models.Finding.objects.order_by("batch")] == [True, False, False]


def test_its_rules_speak_again_when_it_is_withdrawn_or_its_time_has_come(watchman, batch, enforced, organisations, monkeypatch):
    row = enforced(organisations.harbour, "whoami")
    conclude(watchman, batch(NIGHTLY, ref="19a00000001-w000:edge"))
    later = row.expires
    with monkeypatch.context() as patched:
        patched.setattr(clock, "now", lambda: later)
        patched.setattr(examining, "LOOK_AT_RULES", 1e9)  # nobody has to look at the tables for it
        conclude(watchman, batch(NIGHTLY, ref="19a00000002-w000:edge"))
    conclude(watchman, batch(NIGHTLY, ref="19a00000003-w000:edge"))
    actions.withdraw_exemption(row, actor=SYSTEM)
    conclude(watchman, batch(NIGHTLY, ref="19a00000004-w000:edge"))
    assert [bool(one.exemption) for one in models.Finding.objects.order_by("batch")] == [True, False, True, False]


def test_only_rows_on_which_such_a_rule_fired_are_asked(watchman, batch, enforced, organisations):
    enforced(organisations.harbour, "whoami")
    watchman.keep_up()
    conclude(watchman, batch(DUMP, windows(r"C:\Windows\explorer.exe")))
    assert watchman.spared.engine.stats().events == 0
    conclude(watchman, batch(DUMP, NIGHTLY, ref="19a00000002-w000:edge"))
    assert watchman.spared.engine.stats().events == 1


def test_of_two_that_would_take_it_the_older_does_and_each_rule_has_its_own(watchman, batch, enforced, organisations):
    first = enforced(organisations.harbour, "whoami")
    second = enforced(organisations.harbour, "whoami", "dump")
    conclude(watchman, batch(NIGHTLY, DUMP))
    assert told() == [(UID["whoami"], "ws-1", str(first.pk)), (UID["dump"], "ws-1", str(second.pk))]


@pytest.mark.parametrize(
    ("filter", "taken"),
    [
        ("selection: {User|startswith: back}\n  condition: not selection", True),
        ("selection_a: {User: backup}\n  selection_b: {Computer: ws-9}\n  condition: not 1 of selection_*", True),
        ("selection_a: {User: backup}\n  selection_b: {Computer: ws-9}\n  condition: not all of selection_*", False),
        ("good: {User: li}\n  condition: good", True),
        ("selection: {Nowhere: x}\n  condition: not selection", False),
        ("selection: {User: null}\n  condition: not selection", False),
    ],
)
def test_conditions_mean_what_sigma_says(watchman, batch, enforced, organisations, filter, taken):
    enforced(organisations.harbour, "whoami", text=TEXT.replace("selection: {User: backup}\n  condition: not selection", filter))
    conclude(watchman, batch(NIGHTLY))
    assert bool(models.Finding.objects.get().exemption) is taken


def test_a_pack_that_comes_again_keeps_what_was_excepted(watchman, batch, enforced, organisations, pack):
    enforced(organisations.harbour, "whoami")
    pack.write("pack.yaml", "name: house rules\nversion: '2'\nlicence: Apache-2.0\n")
    pack.write("windows/broken.yml", None)
    actions.install_pack(pack.folder, actor=SYSTEM)
    conclude(examining.Watchman(), batch(NIGHTLY))
    assert models.Finding.objects.get().exemption is not None
