"""Packs come, come again, and go; what people switched stays."""

import zipfile

import pytest
from django.utils import translation
from tests.rooms.detect.conftest import BROKEN, DUMP, UID, WHOAMI

from lianfang.commons.ledger import queries as ledger
from lianfang.kernel.errors import Conflict, Invalid, Missing, Refused
from lianfang.kernel.viewer import SYSTEM
from lianfang.rooms.detect import actions, models, queries
from lianfang.rooms.detect.actions.editions import RULES
from lianfang.rooms.detect.queries import loading

pytestmark = pytest.mark.django_db(transaction=True)


def rule(name):
    return models.Rule.objects.get(uid=UID[name])


def edition():
    return models.Edition.objects.get(name=RULES).number


def test_a_pack_is_installed_with_its_problems_listed(pack):
    made = actions.install_pack(pack.folder, actor=SYSTEM)
    assert (made.name, made.version, made.licence, made.rules, made.usable) == ("house rules", "1", "Apache-2.0", 3, 3)
    assert [(problem.path, problem.rule) for problem in made.problems] == [("windows/broken.yml", UID["broken"])]
    assert made.problems[0].reason
    assert queries.is_installed(pack.folder)


def test_a_rule_keeps_what_it_says_of_itself(pack):
    actions.install_pack(pack.folder, actor=SYSTEM)
    found = rule("dump")
    assert (found.author, found.level, found.severity, found.alarm, found.techniques, found.tactics) == ("Another author", "critical", 5, "credential", ["T1003.001"], ["credential-access"])
    assert found.fields == ["Channel", "CommandLine", "EventID"]
    with translation.override("zh-hans"):
        assert str(rule("whoami")) == "查询当前用户"
    with translation.override("en"):
        assert str(rule("whoami")) == "Who am I"
    assert rule("ssh").alarm == "weak-password"
    assert {mark.value for mark in found.marks.all()} == {"T1003", "T1003.001", "credential-access", "1007.1"}


def test_coming_again_updates_and_keeps_switches(pack):
    actions.install_pack(pack.folder, actor=SYSTEM)
    actions.switch(rule("whoami"), False, actor=SYSTEM)
    actions.switch(rule("dump"), False, "edge", actor=SYSTEM)
    before = rule("whoami").pk
    pack.write("windows/whoami.yml", WHOAMI.replace("level: medium", "level: high"))
    pack.write("linux/ssh.yml", None)
    made = actions.install_pack(pack.folder, actor=SYSTEM)
    assert (rule("whoami").pk, rule("whoami").enabled, rule("whoami").severity) == (before, False, 4)
    assert models.RuleSwitch.objects.get().rule.uid == UID["dump"]
    assert rule("ssh").gone
    assert [line.uid for line in queries.rules(SYSTEM)] == [UID["dump"], UID["whoami"]]
    assert made.rules == 2


def test_a_vanished_rule_that_returns_is_itself_again(pack):
    actions.install_pack(pack.folder, actor=SYSTEM)
    actions.switch(rule("dump"), False, actor=SYSTEM)
    pack.write("windows/dump.yml", None)
    actions.install_pack(pack.folder, actor=SYSTEM)
    pack.write("windows/dump.yml", DUMP)
    actions.install_pack(pack.folder, actor=SYSTEM)
    assert (rule("dump").gone, rule("dump").enabled) == (False, False)


def test_a_rule_of_another_pack_stays_with_it(pack, tmp_path):
    actions.install_pack(pack.folder, actor=SYSTEM)
    other = tmp_path / "other"
    other.mkdir()
    (other / "a.yml").write_text(WHOAMI, "utf-8")
    made = actions.install_pack(other, actor=SYSTEM)
    assert made.rules == 0
    assert made.problems[0].reason == "The pack house rules holds this rule already."
    assert rule("whoami").pack.name == "house rules"


def test_an_archive_is_a_pack_and_its_one_folder_is_no_part_of_the_paths(pack, tmp_path):
    archive = tmp_path / "upload.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for path in pack.folder.rglob("*.y*ml"):
            packed.write(path, f"house-main/{path.relative_to(pack.folder)}")
    made = actions.install_upload(archive.name, archive.read_bytes(), actor=SYSTEM)
    assert (made.name, made.rules) == ("house rules", 3)
    assert rule("whoami").path == "windows/whoami.yml"


def test_what_is_no_pack_is_refused(tmp_path):
    with pytest.raises(Missing):
        actions.install_pack(tmp_path / "nowhere", actor=SYSTEM)
    (tmp_path / "empty").mkdir()
    with pytest.raises(Invalid):
        actions.install_pack(tmp_path / "empty", actor=SYSTEM)
    with pytest.raises(Invalid):
        actions.install_upload("x.zip", b"no zip at all", actor=SYSTEM)


def test_one_record_per_installation_and_one_edition_per_change(pack):
    actions.install_pack(pack.folder, actor=SYSTEM)
    first = edition()
    actions.switch(rule("whoami"), False, actor=SYSTEM)
    assert edition() == first + 1
    verbs = [entry.verb for entry in ledger.timeline(models.Pack.objects.get().ref, SYSTEM)]
    assert verbs == ["detect.pack_installed"]
    assert [entry.detail["on"] for entry in ledger.timeline(rule("whoami").ref, SYSTEM)] == [False]


def test_switching_twice_is_a_conflict(pack):
    actions.install_pack(pack.folder, actor=SYSTEM)
    actions.switch(rule("whoami"), False, actor=SYSTEM)
    with pytest.raises(Conflict):
        actions.switch(rule("whoami"), False, actor=SYSTEM)


def test_who_may_not_switch_is_refused(pack, three):
    actions.install_pack(pack.folder, actor=SYSTEM)
    auditor = three.person("auditor", three.users.member.organisation, "auditor")
    from lianfang.commons.people.queries import viewer_of

    with pytest.raises(Refused):
        actions.switch(rule("whoami"), False, actor=viewer_of(auditor))
    assert queries.rules(viewer_of(auditor)) == []


def test_the_next_start_loads_one_file_and_a_lost_file_is_made_again(pack):
    actions.install_pack(pack.folder, actor=SYSTEM)
    whole = loading.whole_file(models.Pack.objects.values_list("digest", flat=True))
    assert whole.is_file()
    assert {found.uid for found in loading.load_all().rules} == {UID["whoami"], UID["dump"], UID["ssh"]}
    for path in loading.folder().iterdir():
        path.write_bytes(b"damaged")
    assert len(loading.load_all().rules) == 3


def test_packs_joined_give_the_hits_of_each(pack, tmp_path):
    from lianfang.engines.rules.examiner import Examiner

    actions.install_pack(pack.folder, actor=SYSTEM)
    other = tmp_path / "other"
    other.mkdir()
    (other / "dump2.yml").write_text(DUMP.replace(UID["dump"], "6b7a1c1e-7b2e-4a58-9d0e-0000000000aa"), "utf-8")
    actions.install_pack(other, actor=SYSTEM)
    event = {"Channel": "Microsoft-Windows-Sysmon/Operational", "EventID": "1", "CommandLine": "rundll32 comsvcs.dll #24", "Image": r"C:\x\whoami.exe"}
    (hit,) = Examiner(loading.load_all()).rows([event], [("windows", "process_creation", "sysmon")])
    assert set(hit[1]) == {UID["dump"], UID["whoami"], "6b7a1c1e-7b2e-4a58-9d0e-0000000000aa"}


def test_a_pack_can_go_and_findings_stay(pack):
    actions.install_pack(pack.folder, actor=SYSTEM)
    actions.remove_pack(models.Pack.objects.get(), actor=SYSTEM)
    assert not models.Rule.objects.exists()
    assert loading.load_all().rules == ()


def test_samples_are_run_both_ways(pack):
    pack.write("windows/broken.yml", None)
    pack.write("samples/whoami.yaml", "rule: windows/whoami.yml\ncodec: json\nbase: {Channel: Microsoft-Windows-Sysmon/Operational, EventID: 1}\nfires:\n  - {note: plain, frame: {Image: 'C:\\Windows\\System32\\whoami.exe'}}\nsilent:\n  - {note: wrong, frame: {Image: 'C:\\tools\\WHOAMI.EXE'}}\n")
    report = actions.test_pack(pack.folder)
    assert (report.rules, report.samples) == (3, 2)
    assert [(failure.rule, failure.sample) for failure in report.failures if failure.sample] == [("windows/whoami.yml", "whoami.yaml: wrong")]
    assert len([failure for failure in report.failures if not failure.sample]) == 4


def test_a_broken_rule_is_a_problem_not_an_end(tmp_path):
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "b.yml").write_text(BROKEN, "utf-8")
    (tmp_path / "p" / "c.yml").write_text("[unclosed", "utf-8")
    made = actions.install_pack(tmp_path / "p", actor=SYSTEM)
    assert (made.rules, len(made.problems)) == (0, 2)


NEW_SERVER = """
title: Account on a new server
id: 6b7a1c1e-7b2e-4a58-9d0e-0000000000b1
baseline: {kind: new_pair, entity: user, value: host, days: 30}
level: medium
"""


@pytest.mark.parametrize("said", [
    "where: [a, b]", "where: {class_uid: {a: 1}}", "where: {class_uid: x}", "where: {nobody: 1}", "days: 3.5", "days: many", "far: none", "entity: {user: 1}", "5: 6", "least: true", "kind: guess",
])  # fmt: skip
def test_a_baseline_that_cannot_be_used_is_a_problem_not_an_end(pack, said):
    """Whatever stands in it: the other rules are installed, and the job that judges baselines never meets it."""
    pack.write("usual.yml", NEW_SERVER)
    assert actions.install_pack(pack.folder, actor=SYSTEM).rules == 4
    pack.write("usual.yml", NEW_SERVER.replace("days: 30", said) if not said.startswith("entity") and not said.startswith("kind") else NEW_SERVER.replace("entity: user" if "entity" in said else "kind: new_pair", said))
    made = actions.install_pack(pack.folder, actor=SYSTEM)
    assert (made.rules, made.usable) == (3, 3)
    row = models.Rule.objects.get(path="usual.yml")
    assert (bool(row.problem), row.gone) == (True, False), "it stays, with the reason"
    actions.judge_baselines()


def test_a_baseline_takes_no_rule_from_another_pack_and_no_id_twice(pack, tmp_path):
    actions.install_pack(pack.folder, actor=SYSTEM)
    other = tmp_path / "other"
    other.mkdir()
    (other / "a.yml").write_text(NEW_SERVER.replace("6b7a1c1e-7b2e-4a58-9d0e-0000000000b1", UID["whoami"]), "utf-8")
    (other / "b.yml").write_text(NEW_SERVER, "utf-8")
    (other / "c.yml").write_text(NEW_SERVER, "utf-8")
    made = actions.install_pack(other, actor=SYSTEM)
    assert made.rules == 1
    assert {problem.path: problem.reason for problem in made.problems} == {"a.yml": "The pack house rules holds this rule already.", "c.yml": "The file b.yml has the same ID."}
    assert rule("whoami").pack.name == "house rules"
