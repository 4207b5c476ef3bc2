"""An analyst writes a rule on a page, sees what it would have found, a colleague approves it: what comes in then becomes an alert."""

import re
from datetime import timedelta

import pytest
from django.test import Client

from lianfang.commons.jobs import actions as jobs
from lianfang.commons.people.queries import viewer_of
from lianfang.kernel import clock
from lianfang.kernel.viewer import SYSTEM
from lianfang.rooms.detect import actions, models
from lianfang.rooms.detect.actions import examining
from lianfang.rooms.lake import actions as lake
from lianfang.rooms.respond import models as respond

pytestmark = pytest.mark.django_db(transaction=True)

FORM = {
    "by": "form", "title": "Logon of the retired account", "title_zh": "已停用账户登录", "model": "3002.1", "mapping": "linux.sshd", "join": "all", "group.0.if": "holds", "group.0.join": "all", "group.0.0.field": "user", "group.0.0.operator": "is",
    "group.0.0.values": "olddba\noldops", "group.0.1.field": "src_ip", "group.0.1.operator": "cidr", "group.0.1.values": "192.0.2.0/24", "group.1.if": "unless", "group.1.join": "all", "group.1.0.field": "method", "group.1.0.operator": "is",
    "group.1.0.values": "publickey", "level": "high", "techniques": "T1078.001", "alarm": "abnormal-login", "description": "Nobody should use it.", "description_zh": "",
}  # fmt: skip


def line(user, *, method="password", host="web1", ago=5, source="192.0.2.7"):
    moment = clock.now() - timedelta(minutes=ago)
    return f"<38>1 {moment:%Y-%m-%dT%H:%M:%SZ} {host} sshd 7 - - Accepted {method} for {user} from {source} port 50022 ssh2".encode()


@pytest.fixture
def people(make_person, organisations, monkeypatch):
    """Somebody who writes rules and somebody who approves them, both of the whole node; and a source."""
    monkeypatch.setattr(examining, "LOOK_AT_RULES", 0.0)
    found = {name: make_person(name, organisations.root, "administrator") for name in ("writer", "approver")}
    lake.ensure_source("gate", kind="http", codec="syslog", actor=viewer_of(found["writer"]))
    return found


@pytest.fixture
def as_(people):
    def enter(name, language="en"):
        client = Client()
        client.force_login(people[name], backend="django.contrib.auth.backends.ModelBackend")
        client.cookies["django_language"] = language
        return client

    return enter


def bring(*lines, people):
    lake.receive("gate", list(lines), actor=viewer_of(people["writer"]))
    lake.drain()
    jobs.work(once=True)


def drafted(client, **changes):
    answer = client.post("/detect/ownrules/add/", FORM | changes)
    assert answer.status_code == 302, answer.content.decode()
    return models.OwnRule.objects.latest("changed")


def do(client, verb, row):
    return client.post("/detect/ownrules/", {"do": f"{verb}:{row.pk}"})


def put_in_force(as_, row):
    do(as_("writer"), "propose", row)
    do(as_("approver"), "approve", row)
    row.refresh_from_db()
    assert row.stage == "in_force"


def test_from_a_form_over_a_preview_and_an_approval_to_an_alert_a_saved_view_and_an_export(people, as_):
    writer, approver = as_("writer"), as_("approver")
    bring(line("olddba", ago=50), line("oldops", ago=48), line("olddba", host="web2", ago=20), line("olddba", method="publickey", ago=10), line("wang"), people=people)
    assert not respond.Alert.objects.exists()

    # live as Sigma, and a preview that stores nothing
    sigma = writer.post("/detect/rule-build/?part=text", FORM).content.decode()
    assert "src_ip|cidr: 192.0.2.0/24" in sigma and "model and group_1 and not group_2" in sigma and "attack.t1078.001" in sigma
    place = writer.post("/detect/rule-preview/", FORM | {"days": "1"}).url
    assert "Cancel the preview" in writer.get(place).content.decode()
    jobs.work(once=True)
    page = writer.get(place).content.decode()
    assert [int(number) for number in re.findall(r'<dd class="number">(\d+)</dd>', page)] == [3, 2, 2, 5]
    assert "web2" in page and "Accepted password for olddba" in page
    assert approver.get(place).status_code == 404
    assert not models.Finding.objects.exists()

    # a draft finds nothing; who wrote it cannot approve it; a colleague can
    row = drafted(writer)
    assert (row.title, row.stage, row.version, row.made_by) == ("Logon of the retired account", "draft", 1, "Writer")
    do(writer, "propose", row)
    do(writer, "approve", row)
    row.refresh_from_db()
    assert row.stage == "proposed"
    do(approver, "approve", row)
    row.refresh_from_db()
    assert (row.stage, row.approved_by) == ("in_force", "Approver")

    # what comes in now becomes an alert
    bring(line("oldops", host="db1", ago=1), line("oldops", method="publickey", host="db2", ago=1), people=people)
    alert = respond.Alert.objects.get()
    assert (alert.host, alert.title, alert.alarm, alert.severity, alert.author) == ("db1", "Logon of the retired account", "abnormal-login", 4, "Writer")
    listed = approver.get("/respond/alerts/", {"q": "retired account"}).content.decode()
    assert "db1" in listed
    assert approver.post("/respond/alerts/views/", {"name": "Retired accounts", "question": "q=retired+account"}).url == "/respond/alerts/?q=retired+account"
    assert "Retired accounts" in approver.get("/respond/alerts/").content.decode()
    exported = approver.get("/detect/findings/export/", {"rule": row.uid, "format": "csv"})
    assert b"db1" in exported.getvalue()
    assert [one["host"] for one in approver.get("/api/detect/findings/", {"rule": row.uid}).json()["items"]] == ["db1"]
    records = approver.get("/ledger/records/", {"q": "Logon of the retired account"}).content.decode()
    assert all(words in records for words in ("Own rule written", "Own rule proposed", "Own rule approved"))


def test_a_version_is_replaced_by_the_next_and_withdrawn_in_the_end(people, as_):
    row = drafted(as_("writer"))
    put_in_force(as_, row)
    assert as_("writer").post(f"/detect/ownrules/{row.pk}/change/", FORM).status_code in (404, 409)
    do(as_("writer"), "version", row)
    second = models.OwnRule.objects.get(version=2)
    page = as_("writer").get(f"/detect/ownrules/{second.pk}/change/").content.decode()
    assert ">192.0.2.0/24<" in page and "{{" not in page
    as_("writer").post(f"/detect/ownrules/{second.pk}/change/", FORM | {"uid": second.uid, "group.0.1.values": "198.51.100.0/24"})
    page = as_("writer").get(f"/detect/ownrules/{second.pk}/").content.decode()
    assert "-    src_ip|cidr: 192.0.2.0/24" in page and "+    src_ip|cidr: 198.51.100.0/24" in page
    bring(line("olddba"), people=people)
    assert respond.Alert.objects.count() == 1
    put_in_force(as_, second)
    row.refresh_from_db()
    assert row.stage == "replaced"
    bring(line("olddba", host="web7"), line("olddba", host="web8", source="198.51.100.3"), people=people)
    assert set(respond.Alert.objects.values_list("host", flat=True)) == {"web1", "web8"}
    do(as_("approver"), "withdraw", second)
    do(as_("approver"), "withdraw", second)
    second.refresh_from_db()
    if second.stage != "withdrawn":  # the list asks once more before it does what cannot be taken back
        as_("approver").post("/detect/ownrules/", {"do": f"withdraw:{second.pk}", "confirm": "1"})
    second.refresh_from_db()
    assert second.stage == "withdrawn"
    bring(line("olddba", host="web9", source="198.51.100.3"), people=people)
    assert not respond.Alert.objects.filter(host="web9").exists()


def test_what_a_form_cannot_show_is_said_and_kept_as_text(people, as_):
    actions.install_pack("content/rules/starter", actor=SYSTEM)
    shown = unshown = 0
    for rule in models.Rule.objects.filter(pack__name="lianfang-starter"):
        page = as_("writer").get("/detect/ownrules/add/", {"copy": rule.uid}).content.decode()
        if "This rule cannot be shown as a form" in page:
            unshown += 1
        else:
            shown += 1
    assert shown and unshown
    text = models.Rule.objects.get(path="windows/security_log_cleared.yml").text
    assert as_("writer").post("/detect/ownrules/add/", {"by": "text", "text": text}).status_code == 302
    row = models.OwnRule.objects.get()
    assert row.uid != models.Rule.objects.get(path="windows/security_log_cleared.yml").uid and row.uid in row.text
    file = as_("writer").get(f"/detect/ownrules/{row.pk}/sigma/")
    assert b"".join(file.streaming_content) == row.text.encode()


@pytest.mark.parametrize(("changes", "said"), [({"group.0.0.values": ""}, "has no value"), ({"group.0.0.field": ""}, "names no field"), ({"title": "", "title_zh": ""}, "title"), ({"group.0.if": "unless", "mapping": "bastion"}, "has to hold"), ({"group.0.0.operator": "gt", "group.0.0.values": "many"}, "is no number")])
def test_what_is_not_complete_is_said(people, as_, changes, said):
    answer = as_("writer").post("/detect/ownrules/add/", FORM | changes)
    assert answer.status_code == 422 and said in answer.content.decode()
    assert not models.OwnRule.objects.exists()


def test_lines_and_groups_come_and_go(people, as_):
    client = as_("writer")
    page = client.post("/detect/rule-build/", FORM | {"op": "add:0"}).content.decode()
    assert 'name="group.0.2.field"' in page and "olddba" in page
    page = client.post("/detect/rule-build/", FORM | {"op": "add"}).content.decode()
    assert 'name="group.2.0.field"' in page
    page = client.post("/detect/rule-build/", FORM | {"op": "drop:1"}).content.decode()
    assert 'name="group.1.0.field"' not in page
    page = client.post("/detect/rule-build/", FORM | {"op": "drop:0:0"}).content.decode()
    assert "olddba" not in page and "192.0.2.0/24" in page


def test_a_preview_is_cancelled(people, as_):
    client = as_("writer")
    place = client.post("/detect/rule-preview/", FORM | {"days": "30"}).url
    client.post(place)
    jobs.work(once=True)
    assert not models.Preview.objects.get().result
    assert "form-fault" in client.get(place).content.decode()


def test_who_sees_a_part_of_the_node_writes_no_rule_for_all(users, client_of):
    client = client_of("member")
    assert client.post("/detect/ownrules/add/", FORM).status_code == 403
    assert client.post("/detect/rule-preview/", FORM | {"days": "1"}).status_code == 403


def test_a_log_is_tried_on_own_rules_too_in_force_or_not_yet(people, as_, three):
    pasted = {"text": line("olddba").decode()}

    def tried(client):
        page = client.post("/detect/try/", pasted).content.decode()
        return page[page.index("<form method") : page.index("How it is read")]

    row = drafted(as_("writer"))
    page = tried(as_("approver"))
    assert "Logon of the retired account" in page and "draft" in page and "Not in force yet" in page and f"/detect/ownrules/{row.pk}/" in page
    member = Client()
    member.force_login(three.users.member, backend="django.contrib.auth.backends.ModelBackend")
    member.cookies["django_language"] = "en"
    assert "retired" not in tried(member).replace(pasted["text"], "")
    put_in_force(as_, row)
    page = tried(as_("approver"))
    assert "Logon of the retired account" in page and "own rule" in page and "Not in force yet" not in page
    assert "Logon of the retired account" in tried(member)
    pasted["text"] = line("wang").decode()
    assert "No rule fires on it" in tried(as_("approver"))
