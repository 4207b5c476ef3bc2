"""Tables out and in: exactly what is shown, formulas defused, errors per cell, nothing written before the person accepts."""

from __future__ import annotations

import csv
import io
import zipfile

import pytest
import python_calamine
import xlsxwriter
from django.core.files.uploadedfile import SimpleUploadedFile

from lianfang.commons.frame.models import Import, ImportRow
from lianfang.commons.frame.sheets import exchange, tables
from lianfang.kernel.errors import Invalid

from . import stage

HX = {"HX-Request": "true", "HX-Target": "run"}


def export(client, asked):
    answer = client.get(f"/stage/device/export/?{asked}")
    assert answer.status_code == 200
    return b"".join(answer.streaming_content)


def read_csv(content):
    return list(csv.reader(io.StringIO(content.decode("utf-8-sig"))))


def xlsx(*lines):
    draft = io.BytesIO()
    book = xlsxwriter.Workbook(draft)
    sheet = book.add_worksheet()
    for number, line in enumerate(lines):
        sheet.write_row(number, 0, line)
    book.close()
    return draft.getvalue()


def bring(client, content, name="table.csv"):
    """Upload, then let the steps run to the decision."""
    answer = client.post("/stage/device/import/", {"file": SimpleUploadedFile(name, content if isinstance(content, bytes) else content.encode())})
    if answer.status_code != 302:
        return answer, None
    address = answer["Location"]
    return steps(client, address), address


def steps(client, address):
    answer = client.get(address)
    while "hx-post" in answer.content.decode():
        answer = client.post(address, {"do": "step"}, headers=HX)
    return answer


# -- out ---------------------------------------------------------------------------------------------------------


def test_an_export_is_exactly_what_is_shown(as_, sheet):
    for n in range(120):
        stage.device(name=f"d{n:03d}", score=n, level=4)
    asked = "score_from=10&sort=score&columns=name,score,level,half"
    table = read_csv(export(as_("member"), asked))
    assert table[0] == ["名称", "分数", "严重性", "一半"]
    assert table[1] == ["d010", "10", "高危", "5.0"]
    assert len(table) == 111
    book = python_calamine.load_workbook(io.BytesIO(export(as_("member"), asked + "&format=xlsx"))).get_sheet_by_index(0).to_python()
    assert len(book) == 111
    assert book[1][:2] == ["d010", 10.0]
    assert len(read_csv(export(as_("outsider"), asked))) == 1


@pytest.mark.parametrize("evil", ['=HYPERLINK("http://evil")', "+1", "-1+1", "@SUM(A1)", "\t=1", "＝1"])
def test_no_cell_of_an_export_runs(as_, sheet, evil):
    stage.device(name=evil)
    cell = read_csv(export(as_("member"), "columns=name"))[1][0]
    assert cell == f"'{evil}"
    with zipfile.ZipFile(io.BytesIO(export(as_("member"), "columns=name&format=xlsx"))) as book:
        assert b"<f>" not in book.read("xl/worksheets/sheet1.xml")


def test_there_are_two_formats(as_, sheet):
    assert as_("member").get("/stage/device/export/?format=exe").status_code == 422


# -- in ----------------------------------------------------------------------------------------------------------


def test_a_good_table_is_shown_then_accepted_then_there(as_, sheet):
    client = as_("member")
    page, address = bring(client, "名称,地址,状态,受保护,分数\nalpha,10.0.0.1,在用,是,3\nbeta,,停用,否,4\n")
    assert "所有行均正确" in page.content.decode()
    assert stage.Device.objects.count() == 0
    client.post(address, {"do": "accept"})
    assert "已导入 2 行" in steps(client, address).content.decode()
    alpha, beta = stage.Device.objects.order_by("name")
    assert (alpha.address, alpha.state, alpha.guarded, alpha.score, alpha.organisation) == ("10.0.0.1", "active", True, 3, stage.MEMBER.organisation)
    assert (beta.state, beta.guarded, beta.level) == ("closed", False, 3)


def test_mistakes_are_told_per_cell_and_only_right_lines_are_taken_when_accepted(as_, sheet):
    stage.device(name="known")
    client = as_("member")
    page, address = bring(client, "名称,地址,分数,受保护\ngood,10.0.0.1,1,是\nbad,10.0.0.999,many,maybe\nknown,,1,是\n,,1,是\ngood,,1,是\n")
    text = page.content.decode()
    run = Import.objects.get()
    assert (run.total, run.faulty) == (5, 4)
    by_line = {row.line: set(row.errors) for row in ImportRow.objects.filter(run=run, faulty=True)}
    assert by_line == {3: {"受保护"}, 4: {"名称"}, 5: {""}, 6: {"名称"}} or by_line[3] >= {"受保护"}
    assert "与第 2 行重复" in text
    assert stage.Device.objects.count() == 1
    client.post(address, {"do": "accept"})
    steps(client, address)
    assert set(stage.Device.objects.values_list("name", flat=True)) == {"known", "good"}


def test_nothing_is_written_when_it_is_dropped(as_, sheet):
    client = as_("member")
    __, address = bring(client, "名称\nalpha\n")
    client.post(address, {"do": "drop"})
    assert stage.Device.objects.count() == 0
    assert not ImportRow.objects.exists()
    assert client.get(address).status_code == 404


def test_an_id_changes_the_row_but_never_one_outside_my_scope(as_, sheet):
    mine = stage.device(name="mine", score=1)
    other = stage.Device.objects.create(name="other", score=1, organisation="org-9", territory="00009")
    client = as_("member")
    page, address = bring(client, f"ID,分数\n{mine.pk},9\n{other.pk},9\n")
    assert "没有这条记录" in page.content.decode()
    client.post(address, {"do": "accept"})
    steps(client, address)
    mine.refresh_from_db()
    other.refresh_from_db()
    assert (mine.score, mine.name, other.score) == (9, "mine", 1)


def test_somebody_elses_import_is_not_there(as_, sheet):
    __, address = bring(as_("member"), "名称\nalpha\n")
    assert as_("outsider").get(address).status_code == 404
    assert as_("above").post(address, {"do": "accept"}).status_code == 404


def test_spreadsheets_and_the_encodings_of_an_office_are_read(as_, sheet):
    page, __ = bring(as_("member"), xlsx(["名称", "分数", "最近出现"], ["alpha", 3, "2026-11-20 08:00"]), "a.xlsx")
    assert "所有行均正确" in page.content.decode()
    page, __ = bring(as_("member"), "名称;分数\n北京;3\n".encode("gb18030"), "b.csv")
    assert "北京" in page.content.decode()
    assert "所有行均正确" in page.content.decode()


def test_a_long_table_goes_in_steps_and_can_be_left_and_found_again(as_, sheet):
    client = as_("member")
    answer = client.post("/stage/device/import/", {"file": SimpleUploadedFile("t.csv", ("名称,分数\n" + "".join(f"n{n},{n}\n" for n in range(600))).encode())})
    address = answer["Location"]
    client.post(address, {"do": "step"}, headers=HX)
    assert "250 / 600" in client.get(address).content.decode()
    steps(client, address)
    client.post(address, {"do": "accept"})
    client.post(address, {"do": "step"}, headers=HX)
    assert stage.Device.objects.count() == 250
    assert str(Import.objects.get().pk) in client.get("/stage/device/import/").content.decode()
    steps(client, address)
    assert stage.Device.objects.count() == 600


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty.csv", b""), ("head.csv", "名称\n".encode()), ("foreign.csv", b"a,b\n1,2\n"), ("twice.csv", "名称,名称\n1,2\n".encode()), ("nul.csv", b"\0\0\0\0"), ("broken.xlsx", b"PK\x03\x04 not really"),
        ("long.csv", b"a\n" + b'"' + b"x" * 200_000 + b'"\n'),
    ],
)  # fmt: skip
def test_a_file_that_is_no_table_is_answered_with_what_to_do(as_, sheet, name, content):
    answer, __ = bring(as_("member"), content, name)
    assert answer.status_code == 422
    assert "fault-todo" in answer.content.decode()
    assert not Import.objects.exists()


def test_a_hostile_spreadsheet_costs_nothing():
    def packed(sheet, size=0):
        draft = io.BytesIO()
        with zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED) as book:
            book.writestr("xl/worksheets/sheet1.xml", sheet)
            if size:
                book.writestr("xl/media/zeros.bin", b"\0" * size)
        return draft.getvalue()

    for content in (packed('<c r="A1"/><c r = "XFD1048576"/>'), packed("<row r='1048576'/><c r='AAA1'/>"), packed("", tables.UNPACKED + 1)):
        with pytest.raises(Invalid):
            tables.read("bomb.xlsx", content)


def test_the_template_is_understood_by_the_import(as_, sheet):
    head = read_csv(as_("member").get("/stage/device/import/?template=1").content)[0]
    assert head == ["名称", "地址", "严重性", "状态", "受保护", "分数", "最近出现"]


def test_a_worksheet_that_would_be_cut_is_refused_and_csv_takes_all(as_, sheet, monkeypatch):
    monkeypatch.setattr(exchange, "MOST", 3)
    for n in range(5):
        stage.device(name=f"d{n}")
    answer = as_("member").get("/stage/device/export/?format=xlsx")
    assert answer.status_code == 422
    assert "CSV" in answer.content.decode()
    assert b"".join(as_("member").get("/stage/device/export/?format=csv").streaming_content).count(b"\r\n") == 6
