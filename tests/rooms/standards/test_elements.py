"""Data elements as people meet them: written, submitted, approved by a second person, followed by columns, replaced, retired."""

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from tests.rooms.lake.conftest import sysmon

from lianfang.commons.ledger.models import Record
from lianfang.rooms.standards import models, queries
from lianfang.rooms.standards.types import State

pytestmark = pytest.mark.django_db(transaction=True)

SEAT = {"code": "X1", "name": "席位号", "name_en": "Seat", "definition": "会员的交易席位", "definition_en": "A member's seat", "type": "text", "format": "[0-9A-Z]{4}", "least": "", "greatest": "", "unit": "", "codes": "", "names": "seat", "owner": "", "level": "2", "note": ""}


def written(client, **values):
    return client.post("/standards/element/add/", {**SEAT, **values})


def did(client, verb, row):
    return client.post("/standards/element/", {"do": f"{verb}:{row.pk}", "confirm": "1"})


def one(code="X1", **more):
    return models.Element.objects.get(code=code, **more)


@pytest.mark.covers("XA3")
def test_an_element_is_in_force_when_a_second_person_has_approved_it(browser):
    assert written(browser("member")).status_code == 302
    did(browser("member"), "submit", one())
    assert one().state == State.SUBMITTED
    answer = browser("member").post(f"/api/standards/element/{one().pk}/approve/")
    assert (answer.status_code, answer.json()["what"]) == (403, "A second person has to approve")
    assert one().state == State.SUBMITTED, "nobody approves what they submitted themselves"
    did(browser("second"), "approve", one())
    row = one()
    assert (row.state, row.submitted_by, row.approved_by, row.version) == (State.APPROVED, "Member", "Second", 1)
    assert [record.verb for record in Record.objects.filter(ref=str(row.ref)).order_by("time", "id")] == ["standards.element_added", "standards.element_submitted", "standards.element_approved"]
    page = browser("member").get(f"/standards/element/{row.pk}/").content.decode()
    assert "A member&#x27;s seat" in page
    assert "[0-9A-Z]{4}" in page


@pytest.mark.covers("XA3")
def test_a_change_of_what_is_approved_is_a_new_version(browser):
    written(browser("member"))
    did(browser("member"), "submit", one())
    did(browser("second"), "approve", one())
    first = one()
    assert browser("member").post(f"/standards/element/{first.pk}/change/", {**SEAT, "format": "[0-9]{6}"}).status_code == 409
    did(browser("member"), "version", first)
    draft = one(version=2)
    assert browser("member").post(f"/standards/element/{draft.pk}/change/", {**SEAT, "format": "[0-9]{6}"}).status_code == 302
    did(browser("member"), "submit", draft)
    did(browser("second"), "approve", draft)
    assert (one(version=1).state, one(version=1).format) == (State.RETIRED, "[0-9A-Z]{4}")
    assert (one(version=2).state, one(version=2).format) == (State.APPROVED, "[0-9]{6}")
    assert "[0-9A-Z]{4}" in browser("member").get(f"/standards/element/{first.pk}/").content.decode(), "the old version can still be read"


@pytest.mark.parametrize(("values", "field"), [({"format": "("}, "format"), ({"codes": "1 = a\n1 = b"}, "codes"), ({"type": "code"}, "codes"), ({"least": "9", "greatest": "2"}, "least"), ({"code": "no blanks"}, "code")])
def test_what_can_be_no_element_is_told_beside_its_field(browser, values, field):
    answer = written(browser("member"), **values)
    assert answer.status_code == 422
    assert field in answer.context["form"].errors
    assert not models.Element.objects.exists()


@pytest.mark.covers("XA3")
def test_elements_go_out_as_a_table_and_come_back_from_one(browser):
    written(browser("member"), type="code", codes="1 = yes\n2 = no; maybe", required="on", least="1", greatest="9")
    columns = "code,name,name_en,definition,definition_en,type,format,least,greatest,unit,codes,required,names,owner,level,note"
    table = b"".join(browser("member").get(f"/standards/element/export/?format=csv&columns={columns}").streaming_content)
    before = models.Element.objects.values(*columns.split(",")).get()
    models.Element.objects.all().delete()
    client = browser("member")
    run = client.post("/standards/element/import/", {"file": SimpleUploadedFile("elements.csv", table)}).url
    for do in ("step", "accept", "step"):
        client.post(run, {"do": do})
    assert models.Element.objects.values(*columns.split(",")).get() == before
    assert one().state == State.DRAFT, "what is imported is a draft"


@pytest.mark.covers("XA3")
def test_the_starter_set_is_taken_over_and_approved_in_one_go(browser):
    shipped = queries.starter()
    assert len(shipped) >= 80
    client = browser("member")
    assert f"Take over {len(shipped)} elements" in client.get("/standards/starter/").content.decode()
    assert client.post("/standards/starter/").status_code == 302
    assert models.Element.objects.filter(state=State.SUBMITTED).count() == len(shipped)
    browser("second").post("/standards/element/", {"do": "approve", "row": [str(pk) for pk in models.Element.objects.values_list("pk", flat=True)]})
    assert models.Element.objects.filter(state=State.APPROVED).count() == len(shipped)
    client.post("/standards/starter/")
    assert models.Element.objects.count() == len(shipped), "taking over again brings nothing twice"


@pytest.fixture
def approved(browser):
    """The starter set, approved."""
    browser("member").post("/standards/starter/")
    browser("second").post("/standards/element/", {"do": "approve", "row": [str(pk) for pk in models.Element.objects.values_list("pk", flat=True)]})


@pytest.mark.covers("XA3")
def test_columns_get_suggestions_a_person_decides_and_what_is_used_or_not_is_reported(approved, put, browser, measured):
    put(*(sysmon(n) for n in range(3)), sysmon(4, Computer="bad host!"))
    client = browser("member")
    client.post("/standards/columns/", {"do": "suggest"})
    suggested = {use.column: use.element.code for use in models.ElementUse.objects.select_related("element")}
    assert suggested["src_ip"] == "N001"
    assert suggested["dst_port"] == "N005"
    assert suggested["host"] == "H001"
    assert not models.Rule.objects.exists(), "a suggestion asks nothing of anybody"
    client.post("/standards/columns/", {"do": "choose", "column": "host", "element": "H001"})
    client.post("/standards/columns/", {"do": "refuse", "column": "url"})
    measured()
    page = client.get("/standards/columns/").content.decode()
    host = page[page.index("<code>host</code>") :].split("</tr>")[0]
    assert "75.0 %" in host
    assert "confirmed" in host
    assert {rule.kind for rule in models.Rule.objects.filter(column="host")} == {"format", "length"}
    codes = [line["code"] for line in client.get("/api/standards/element/?use=used").json()["items"]]
    assert codes == ["H001"]
    assert len(client.get("/api/standards/element/?use=unused&limit=500").json()["items"]) == len(queries.starter()) - 1
    missing = client.get("/standards/columns/?show=none").content.decode()
    assert "<code>url</code>" in missing
    assert "<code>host</code>" not in missing


def test_an_element_of_another_type_cannot_be_chosen(approved, browser):
    answer = browser("member").post("/standards/columns/", {"do": "choose", "column": "time", "element": "H001"})
    assert answer.status_code == 422
    assert not models.ElementUse.objects.exists()


def test_columns_follow_the_next_version_and_retiring_lets_them_go(approved, browser):
    client = browser("member")
    client.post("/standards/columns/", {"do": "choose", "column": "http_method", "element": "N015"})
    before = models.Rule.objects.get()
    did(client, "version", one("N015"))
    draft = one("N015", version=2)
    draft.codes = [["GET", "read"]]
    draft.save()
    did(client, "submit", draft)
    did(browser("second"), "approve", draft)
    rule = models.Rule.objects.get()
    assert rule.pk != before.pk
    assert (rule.codes, models.ElementUse.objects.get().element.version) == (["GET"], 2)
    did(browser("second"), "retire", draft)
    assert not models.ElementUse.objects.exists()
    assert not models.Rule.objects.exists()


def test_what_is_approved_above_holds_below_and_is_not_changed_there(browser, users, tree):
    written(browser("colleague"))
    row = one()
    assert browser("member").get(f"/standards/element/{row.pk}/").status_code == 404, "a draft is nobody's business yet"
    models.Element.objects.update(state=State.APPROVED)
    assert browser("member").get(f"/standards/element/{row.pk}/").status_code == 200
    did(browser("member"), "retire", row)
    assert one().state == State.APPROVED
    assert browser("outsider").get(f"/standards/element/{row.pk}/").status_code == 404
