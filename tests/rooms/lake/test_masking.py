"""Desensitising as people meet it: a rule switched on by page, and from then on nobody finds the original anywhere."""

import json

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from tests.rooms.kept import database, everything
from tests.rooms.lake.conftest import cleared, sysmon

from lianfang.commons.ledger.models import Record
from lianfang.kernel.viewer import SYSTEM
from lianfang.rooms.lake import actions, models
from lianfang.rooms.lake.actions import receiving

pytestmark = pytest.mark.django_db(transaction=True)
PHONE = "13812345678"


def rule(client, name="users", **fields):
    """Make a rule through its form and switch it on."""
    given = {"name": name, "enabled": "on", "way": "in", "columns": ["user", "actor_user"], "verb": "pseudonym", "form": "name", "examine": "stored", "raw": "cover", "to": "all", "below": "5", **fields}
    answer = client.post("/lake/masking/add/", {key: value for key, value in given.items() if value != ""})
    assert answer.status_code == 302, answer.content.decode()
    receiving.forget_doors()
    return models.MaskRule.objects.get(name=name)


@pytest.mark.covers("Q11")
def test_a_rule_by_page_and_the_original_lies_nowhere(put, browser, home, source, viewers):
    client = browser("member")
    rule(client, columns=["user"], reversible="on")
    rule(client, "addresses", columns=["src_ip", "dst_ip", "ips"], kinds=["ip"], form="ip")
    rule(client, "phones", columns="", kinds=["phone"], verb="mask", form="phone")
    record = sysmon(1, User=r"HARBOUR\zhang.wei", CommandLine=f"notify zhang.wei --to {PHONE}", Note=f"call {PHONE} from 192.0.2.17")
    actions.receive(source, [json.dumps(record).encode(), b'{"User": "zhang.wei", broken'], actor=viewers.member)
    assert b"zhang.wei" not in everything(home), "what waits is sealed"
    actions.drain()
    events = client.get("/api/lake/events/").json()["events"]
    assert len(events) == 1
    assert events[0]["user"].startswith("u_")
    assert events[0]["user"] in events[0]["raw"]
    assert f"--to {PHONE[:3]}****{PHONE[-4:]}" in events[0]["process_cmd"]
    whole = client.get(f"/lake/events/{events[0]['event_id']}/").content.decode()
    lies, kept = everything(home), database()
    for value in ("zhang.wei", PHONE, "192.0.2.17"):
        assert value not in json.dumps(events)
        assert value not in whole
        assert value.encode() not in lies
        assert value not in kept


def test_what_cannot_be_read_is_kept_sealed_and_can_be_sent_again(put, browser, home):
    client = browser("member")
    rule(client)
    put(b'{"User": "zhang.wei", broken')
    assert models.Source.objects.get(name="edr").rejects == 1
    kind = client.get("/api/lake/rejects/").json()[0]["kind"]
    page = client.get("/lake/rejects/kind/", {"source": "edr", "kind": kind}).content.decode()
    assert "zhang.wei" not in page
    assert "sealed" in page
    assert b"zhang.wei" not in everything(home)
    assert actions.replay_rejects("edr", kind, actor=SYSTEM) == 1
    actions.drain()
    assert models.Source.objects.get(name="edr").rejects == 2, "it went through again as it had come"


def test_an_uploaded_file_would_lie_on_the_disk_and_is_refused(browser, source, home):
    client = browser("member")
    rule(client)
    answer = client.post("/lake/upload/", {"source": source, "files": SimpleUploadedFile("a.log", b"user=zhang.wei")})
    assert "desensitised" in answer.content.decode()
    client.cookies["django_language"] = "zh-hans"
    answer = client.post("/lake/upload/", {"source": source, "files": SimpleUploadedFile("a.log", b"user=zhang.wei")})
    assert "落盘" in answer.content.decode() and "disk" not in answer.content.decode(), "the reason is said in the reader's language, not only what happened"
    assert b"zhang.wei" not in everything(home)


def test_a_pseudonym_is_led_back_by_the_originator_alone_with_a_reason_on_record(put, browser, users):
    client = browser("member")
    rule(client, columns=["user"], reversible="on")
    put(sysmon(1, User=r"HARBOUR\zhang.wei"), sysmon(2, User=r"HARBOUR\zhang.wei"))
    token = client.get("/api/lake/events/").json()["events"][0]["user"]
    assert models.Pseudonym.objects.count() == 1
    ask = {"token": token, "reason": "case 7: who was it"}
    assert client.post("/lake/pseudonyms/", ask).status_code == 403, "administrators are cleared for level 3"
    cleared(users.member)
    cleared(users.colleague)
    assert client.post("/lake/pseudonyms/", {"token": token, "reason": ""}).status_code == 422
    assert "zhang.wei" in client.post("/lake/pseudonyms/", ask).content.decode()
    record = Record.objects.get(verb="lake.pseudonym_opened")
    assert ("case 7" in record.detail, "zhang.wei" in record.detail) == (True, False)
    assert browser("colleague").post("/lake/pseudonyms/", ask).status_code == 404, "the unit above is not the originator"
    assert Record.objects.filter(verb="lake.pseudonym_opened").count() == 1


def test_the_page_shows_what_a_rule_does_to_real_rows_and_to_a_pasted_line(put, browser):
    client = browser("member")
    put(sysmon(1, User=r"HARBOUR\zhang.wei"))
    row = rule(client, enabled="", verb="mask")
    page = client.get(f"/lake/masking/{row.pk}/").content.decode()
    assert "zhang.wei" in page
    assert "z********" in page
    line = json.dumps(sysmon(2, User=r"HARBOUR\lina"))
    page = client.post("/lake/masking-try/", {"rule": str(row.pk), "line": line}).content.decode()
    assert "l***" in page
    assert client.post("/lake/masking-try/", {"rule": str(row.pk), "line": ""}).status_code == 422
    assert "Nothing would be hidden" in client.post("/lake/masking-try/", {"rule": "", "line": line}).content.decode(), "no rule is on"


def test_rules_that_ship_are_taken_over_switched_on_and_keep_their_versions(browser, users):
    client = browser("member")
    assert "user pseudonyms" in client.get("/lake/masking-shipped/").content.decode()
    client.post("/lake/masking-shipped/", {"name": ["user-pseudonyms", "passwords"]})
    assert list(models.MaskRule.objects.values_list("name", "enabled")) == [("passwords", False), ("user-pseudonyms", False)]
    row = models.MaskRule.objects.get(name="user-pseudonyms")
    client.post("/lake/masking/", {"do": "on", "row": [str(row.pk)]})
    row.refresh_from_db()
    assert (row.enabled, row.version, row.editions.count()) == (True, 2, 2)
    assert "values that stay: root" in client.get(f"/lake/masking/{row.pk}/").content.decode()
    assert Record.objects.filter(verb__startswith="lake.maskrule_").count() == 3
    assert browser("outsider").get(f"/lake/masking/{row.pk}/").status_code == 404


def test_a_rule_that_cannot_work_is_not_taken_and_says_why(browser):
    client = browser("member")
    answer = client.post("/lake/masking/add/", {"name": "x", "way": "in", "columns": ["src_port"], "verb": "mask", "form": "text", "examine": "stored", "raw": "cover", "to": "all", "below": "5"})
    assert answer.status_code != 302
    assert "numbers" in answer.content.decode()
    assert not models.MaskRule.objects.exists()


@pytest.mark.covers("Q11")
def test_what_leaves_is_hidden_by_recipient_and_no_expression_leads_around_it(put, browser, users):
    client = browser("member")
    put(sysmon(1, User=r"HARBOUR\zhang.wei", CommandLine=f"notify zhang.wei --to {PHONE}", ParentCommandLine="zhang.wei"))
    assert "zhang.wei" in json.dumps(client.get("/api/lake/events/").json()), "without a rule it leaves as it is"
    rule(client, way="out", below="4", verb="mask", columns=["user", "actor_user"])
    rule(client, "phones", way="out", below="4", columns="", kinds=["phone"], verb="mask", form="phone")
    event = client.get("/api/lake/events/").json()["events"][0]
    assert event["user"] == "z********"

    def asked(sql):
        return json.dumps(client.post("/api/lake/query", json.dumps({"sql": sql}), content_type="application/json").json(), ensure_ascii=False)

    def taken(sql):
        return client.post("/lake/sql/export/", {"sql": sql, "form": "csv"}).content.decode()

    every = "SELECT * FROM events"
    derived = "SELECT reverse(user), substr(raw, 1, 2000), user || '!', unmapped, parent_cmd, list_transform(domains, x -> x || x) FROM events WHERE user LIKE '%'"
    told = [json.dumps(event), json.dumps(client.get(f"/api/lake/events/{event['event_id']}/").json()), json.dumps(client.get("/api/lake/events/top/user").json()), client.get("/lake/search/export/").getvalue().decode()]
    for text in (*told, asked(every), asked(derived), taken(every), taken(derived)):
        assert "zhang.wei" not in text
        assert "iew.gnahz" not in text
        assert PHONE not in text
    assert json.loads(asked("SELECT count(*) FROM events WHERE user = 'zhang.wei'"))["rows"] == [[0]], "nothing can be learned by asking"
    assert "zhang.wei" in client.get(f"/lake/events/{event['event_id']}/").content.decode(), "on the page the clearance alone counts"
    cleared(users.member)
    assert "zhang.wei" in asked(every), "the rule speaks of recipients below level 4"


def test_a_rule_that_is_on_shows_what_it_did_to_what_came_before_and_masks_nothing_twice(put, browser):
    client = browser("member")
    put(sysmon(1, User=r"HARBOUR\zhang.wei"))
    row = rule(client)
    put(sysmon(2, User=r"HARBOUR\wang.fang"))
    (change,) = client.get(f"/lake/masking/{row.pk}/").context["changes"]
    assert {cell["before"] for cell in change["cells"] if cell["label"] == "User"} == {"zhang.wei"}, "wang.fang is not there any more, and a pseudonym of a pseudonym says nothing"
