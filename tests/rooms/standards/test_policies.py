"""Policies as people meet them: registered in versions, approved by a second person, each clause beside the controls that keep it."""

import pytest

from lianfang.commons.ledger.models import Record
from lianfang.rooms.lake import actions as lake
from lianfang.rooms.standards import models
from lianfang.rooms.standards.queries.controls import CONTROLS

pytestmark = pytest.mark.django_db(transaction=True)


def did(client, verb, row):
    client.post("/standards/policy/", {"do": f"{verb}:{row.pk}", "confirm": "1"})
    row.refresh_from_db()


@pytest.fixture
def taken(browser):
    """The two shipped policies, as drafts."""
    browser("member").post("/standards/policies/")
    return {row.code: row for row in models.Policy.objects.all()}


def states(client, row):
    """Control → what the page says of it."""
    page = client.get(f"/standards/policy/{row.pk}/").content.decode()
    found = {}
    for part in page.split('<div class="control">')[1:]:
        found[next(str(label) for label, _look, _page in CONTROLS.values() if str(label) in part)] = "not in force" if "not in force" in part else "not to be seen" if "not to be seen" in part else "in force"
    return found


@pytest.mark.covers("XA14")
def test_the_two_policies_are_registered_approved_and_kept_in_versions(taken, browser):
    assert {row.title for row in taken.values()} == {"金融数据安全分级制度", "数据安全管理制度"}
    row = taken["DSM"]
    text = "".join(clause["text"] for clause in row.clauses)
    assert all(word in text for word in ("访问", "传输", "备份", "加密"))
    did(browser("member"), "submit", row)
    did(browser("member"), "approve", row)
    assert row.state == "submitted", "nobody approves what they submitted themselves"
    did(browser("second"), "approve", row)
    assert (row.state, row.approved_by) == ("approved", "Second")
    assert browser("member").post(f"/standards/policy/{row.pk}/change/", {"code": "DSM", "title": "x", "clauses": "1 | x |"}).status_code == 409
    did(browser("member"), "version", row)
    draft = models.Policy.objects.get(code="DSM", version=2)
    assert browser("member").post(f"/standards/policy/{draft.pk}/change/", {"code": "DSM", "title": row.title, "clauses": "1.1 | 访问须授权。 | roles, masking\n1.2 | 留痕。 | ledger"}).status_code == 302
    did(browser("member"), "submit", draft)
    did(browser("second"), "approve", draft)
    row.refresh_from_db()
    assert (row.state, draft.state, draft.clauses[0]["controls"]) == ("retired", "approved", ["roles", "masking"])
    assert Record.objects.filter(verb="standards.policy_approved").count() == 2
    assert browser("outsider").get(f"/standards/policy/{row.pk}/").status_code == 404


@pytest.mark.covers("XA14")
def test_a_clause_shows_whether_its_controls_hold_now(taken, browser, viewers, settings, monkeypatch):
    client = browser("member")
    before = states(client, taken["DSM"])
    assert before["Backup of the node"] == "not to be seen", "what the node cannot see is never counted as kept"
    assert before["Masks by level"] == "in force"
    assert before["Encrypted connection of users"] == "not in force"
    assert before["Encrypted ways in"] == "in force"
    settings.PUBLIC_URL = "https://node.example"
    lake.create_source("plain", kind="syslog_tcp", port=15140, actor=viewers.member)
    after = states(client, taken["DSM"])
    assert after["Encrypted connection of users"] == "in force"
    assert after["Encrypted ways in"] == "not in force"
    monkeypatch.setenv("LIANFANG_RETENTION_DAYS", "30")
    assert states(client, taken["DSG"])["Retention"] == "not in force"
    monkeypatch.setenv("LIANFANG_RETENTION_DAYS", "400")
    assert states(client, taken["DSG"])["Classes of data"] == "in force"


def test_a_clause_with_a_control_that_there_is_not_is_refused(browser):
    answer = browser("member").post("/standards/policy/add/", {"code": "P1", "title": "x", "clauses": "1 | y | nothing"})
    assert answer.status_code == 422
    assert "clauses" in answer.context["form"].errors


def test_a_policy_that_is_not_ready_is_sent_back_and_one_that_is_over_is_retired(taken, browser):
    row = taken["DSM"]
    did(browser("member"), "submit", row)
    did(browser("second"), "return", row)
    assert row.state == "draft"
    assert browser("member").post(f"/standards/policy/{row.pk}/change/", {"code": "DSM", "title": "x", "clauses": "1 | y | ledger"}).status_code == 302
    did(browser("member"), "submit", row)
    did(browser("second"), "approve", row)
    did(browser("second"), "retire", row)
    assert row.state == "retired"
    page = browser("member").get(f"/standards/policy/{row.pk}/").content.decode()
    assert "Versions" in page


def test_no_draft_takes_the_code_of_another(taken, browser):
    answer = browser("member").post(f"/standards/policy/{taken['DSM'].pk}/change/", {"code": "DSG", "title": "x", "clauses": "1 | y | ledger"})
    assert answer.status_code == 422
    assert "code" in answer.context["form"].errors
