"""The examiner in the ingest process: what fires, what is off, what is stored, and that it happens once."""

import pytest
from tests.rooms.detect.conftest import NOON, SSH, UID, windows

from lianfang.commons.jobs import models as jobs
from lianfang.commons.ledger import queries as ledger
from lianfang.kernel.viewer import SYSTEM
from lianfang.rooms.detect import actions, models, queries
from lianfang.rooms.detect.actions import examining
from lianfang.rooms.lake import declare

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def watchman(pack, monkeypatch):
    monkeypatch.setattr(examining, "LOOK_AT_RULES", 0.0)
    monkeypatch.setattr(examining, "LOOK_AT_WATCH", 0.0)
    actions.install_pack(pack.folder, actor=SYSTEM)
    return examining.Watchman()


WHOAMI = windows(r"C:\Windows\System32\whoami.exe")
DUMP = windows(r"C:\Windows\System32\rundll32.exe", "rundll32 comsvcs.dll, MiniDump 600 x full", minutes=2)
QUIET = windows(r"C:\Windows\explorer.exe", minutes=1)


def rule(name):
    return models.Rule.objects.get(uid=UID[name])


def test_detect_stands_at_the_lake_s_door():
    assert "detect" in declare.examiners()


def test_rows_that_fire_are_named(watchman, batch):
    assert watchman.examine(batch(WHOAMI, QUIET, DUMP)) == {0: (UID["whoami"],), 2: (UID["dump"],)}


def test_a_rule_switched_off_is_silent_at_once_and_for_one_source_only_there(watchman, batch):
    actions.switch(rule("whoami"), False, actor=SYSTEM)
    assert watchman.examine(batch(WHOAMI)) == {}
    actions.switch(rule("whoami"), True, "edge", actor=SYSTEM)
    assert watchman.examine(batch(WHOAMI)) == {0: (UID["whoami"],)}
    assert watchman.examine(batch(WHOAMI, source="core")) == {}
    actions.switch(rule("whoami"), None, "edge", actor=SYSTEM)
    assert watchman.examine(batch(WHOAMI)) == {}


def test_a_pack_installed_while_running_is_taken_up(watchman, batch, tmp_path):
    line = {"Channel": "Microsoft-Windows-Sysmon/Operational", "EventID": "1", "Image": "/usr/sbin/sshd", "message": "Failed password for root"}, ("linux", "", "sshd"), NOON, "web-1", "root"
    other = tmp_path / "late"
    other.mkdir()
    (other / "late.yml").write_text(SSH.replace(UID["ssh"], "6b7a1c1e-7b2e-4a58-9d0e-0000000000bb"), "utf-8")
    assert watchman.examine(batch(line)) == {0: (UID["ssh"],)}
    actions.install_pack(other, actor=SYSTEM)
    assert set(watchman.examine(batch(line))[0]) == {UID["ssh"], "6b7a1c1e-7b2e-4a58-9d0e-0000000000bb"}


def test_what_was_found_is_stored_once_and_told_once(watchman, batch):
    found = batch(WHOAMI, QUIET, DUMP)
    hits = watchman.examine(found)
    for _ in range(3):
        watchman.conclude(found, hits)
    assert sorted((row.rule_uid, row.host, row.count, row.events) for row in models.Finding.objects.all()) == [(UID["whoami"], "ws-1", 1, ["19a0000000a-w000-00000"]), (UID["dump"], "ws-1", 1, ["19a0000000a-w000-00002"])]
    assert [fact.body for fact in jobs.OutboxFact.objects.filter(name="detect.FindingsStored")] == [{"batch": found.ref, "count": 2}]
    assert rule("dump").fired == 1
    assert rule("dump").last_fired is not None


def test_a_finding_copies_what_the_rule_says_and_belongs_to_the_source_s_organisation(watchman, batch, three):
    found = batch(DUMP)
    watchman.conclude(found, watchman.examine(found))
    (row,) = queries.findings_of(found.ref)
    assert (row.title, row.author, row.licence, row.severity, row.alarm, row.techniques) == ("Memory of LSASS read", "Another author", "Apache-2.0", 5, "credential", ("T1003.001",))
    for name, sees in (("member", True), ("colleague", True), ("outsider", False)):
        assert bool(queries.findings([row.id], getattr(three.viewers, name))) is sees


def test_one_ledger_record_per_batch(watchman, batch):
    found = batch(WHOAMI, DUMP)
    watchman.conclude(found, watchman.examine(found))
    assert ledger.seen(SYSTEM).filter(verb="detect.found").count() == 1


def test_a_flood_is_folded_before_anything_is_written(watchman, batch):
    flood = batch(*(windows(r"C:\x\whoami.exe", host=f"h{n % 5}") for n in range(5000)))
    watchman.conclude(flood, watchman.examine(flood))
    assert models.Finding.objects.count() == 5
    assert sum(models.Finding.objects.values_list("count", flat=True)) == 5000


def test_the_examiner_tells_how_it_stands(watchman, batch):
    watchman.conclude(batch(QUIET), watchman.examine(batch(QUIET)))
    told = queries.health()
    assert told.loaded == 3
    assert told.seen is not None


def test_what_came_of_a_source_goes_with_it(watchman, batch):
    found = batch(WHOAMI)
    watchman.conclude(found, watchman.examine(found))
    assert actions.forget_source("other") == 0
    assert actions.forget_source("edge") == 1
    assert actions.forget_source("edge") == 0
    assert not models.Finding.objects.exists()
