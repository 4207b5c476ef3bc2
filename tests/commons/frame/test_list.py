"""Lists: who sees what, search, filters, order, keyset pages, columns, saved views, polling."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from lianfang.commons.frame.models import SavedView
from lianfang.commons.frame.scoped import whose
from lianfang.commons.frame.sheets import Column, Filter, Sheet
from lianfang.kernel import clock
from lianfang.kernel.ids import new_id

from . import stage


@pytest.fixture
def three(sheet):
    return [stage.device(name=name, score=score, level=score, guarded=score > 1) for name, score in (("alpha", 1), ("beta", 2), ("gamma", 3))]


@pytest.fixture
def many(sheet):
    now = clock.now()
    return [stage.device(name=f"d{n:03d}", score=n % 7, created=now - timedelta(seconds=n // 3), seen=None if n % 4 == 0 else now - timedelta(minutes=n)) for n in range(130)]


def names(answer):
    return re.findall(r'class="cell-text first"[^>]*><a[^>]*>([^<]+)<', answer.content.decode())


def rows(client, address):
    """The list, page after page as a browser asks for more."""
    found = []
    while address:
        answer = client.get(address, headers={"HX-Request": "true", "HX-Target": "more"})
        found += names(answer)
        more = re.search(r'hx-get="(\?[^"]*after[^"]*)"', answer.content.decode())
        address = "/stage/device/" + more[1].replace("&amp;", "&") if more else ""
    return found


def test_the_member_and_the_unit_above_see_the_list_and_the_outsider_an_empty_one(as_, three):
    assert names(as_("member").get("/stage/device/")) == ["gamma", "beta", "alpha"]
    assert names(as_("above").get("/stage/device/")) == ["gamma", "beta", "alpha"]
    page = as_("outsider").get("/stage/device/")
    assert names(page) == []
    assert "alpha" not in page.content.decode()
    assert "暂无设备" in page.content.decode()


def test_a_stranger_is_sent_to_the_login_and_back(as_, three):
    answer = as_("").get("/stage/device/?q=a")
    assert answer.status_code == 302
    assert answer["Location"] == "/accounts/login/?next=%2Fstage%2Fdevice%2F%3Fq%3Da"
    fragment = as_("").get("/stage/device/", headers={"HX-Request": "true", "HX-Target": "rows", "HX-Current-URL": "http://testserver/stage/device/?q=b"})
    assert fragment.status_code == 401
    assert fragment["HX-Redirect"] == "/accounts/login/?next=%2Fstage%2Fdevice%2F%3Fq%3Db"


def test_words_are_searched_in_the_declared_fields(as_, three):
    assert names(as_("member").get("/stage/device/?q=amm")) == ["gamma"]
    assert names(as_("member").get("/stage/device/?q=a+l")) == ["alpha"]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("level=3&level=2", {"beta", "gamma"}), ("guarded=1", {"beta", "gamma"}), ("guarded=0", {"alpha"}), ("score_from=2", {"beta", "gamma"}), ("score_from=2&score_to=2", {"beta"}),
        ("name=ALP", {"alpha"}), ("state=closed", set()), ("level=1&guarded=0&q=al", {"alpha"}),
    ],
)  # fmt: skip
def test_filters_narrow(as_, three, asked, expected):
    assert set(names(as_("member").get(f"/stage/device/?{asked}"))) == expected


def test_time_filters_take_spans_days_and_moments(as_, sheet):
    now = clock.now()
    for name, hours in (("new", 1), ("week", 24 * 5), ("old", 24 * 40)):
        stage.device(name=name, seen=now - timedelta(hours=hours))
    get = as_("member").get
    assert set(names(get("/stage/device/?seen=24h"))) == {"new"}
    assert set(names(get("/stage/device/?seen=30d"))) == {"new", "week"}
    assert set(names(get(f"/stage/device/?seen_to={now - timedelta(days=20):%Y-%m-%d}"))) == {"old"}
    assert set(names(get(f"/stage/device/?seen_from={now - timedelta(days=6):%Y-%m-%dT%H:%M}"))) == {"new", "week"}


@pytest.mark.parametrize("asked", ["score_from=many", "seen=yesterday", "seen_from=31.12.", "sort=password", "sort=-half", "after=!!!", "after=bm9uc2Vuc2U", "level=high"])
def test_a_question_that_cannot_be_right_is_answered_with_what_to_do(as_, three, asked):
    answer = as_("member").get(f"/stage/device/?{asked}")
    assert answer.status_code == 422
    assert "fault-todo" in answer.content.decode()


def test_the_conditions_read_as_a_sentence(as_, three):
    page = as_("member").get("/stage/device/?level=5&level=4&guarded=1").content.decode()
    assert "严重性 <b" in page
    assert "为 严重或高危" in page
    assert ">且<" in page
    page = as_("member").get("/stage/device/?level=5&level=4", headers={"Cookie": "django_language=en; someone=member"}).content.decode()
    assert "is critical or high" in page


@pytest.mark.parametrize("sort", ["-created", "created", "score", "-score", "seen", "-seen", "name", "-level", "pk"])
def test_keyset_pages_give_every_row_once_in_any_order(as_, many, sort):
    found = rows(as_("member"), f"/stage/device/?sort={sort}")
    assert len(found) == 130
    assert set(found) == {row.name for row in many}


def test_the_order_is_the_one_asked_for_and_empty_values_come_last(as_, many):
    found = rows(as_("member"), "/stage/device/?sort=-seen")
    moments = {row.name: row.seen for row in many}
    known = [moments[name] for name in found if moments[name]]
    assert known == sorted(known, reverse=True)
    assert all(moments[name] is None for name in found[len(known) :])
    assert found == rows(as_("member"), "/stage/device/?sort=-seen")


def test_rows_that_arrive_while_one_reads_do_not_shift_the_pages(as_, many):
    client = as_("member")
    first = client.get("/stage/device/")
    stage.device(name="late")
    more = re.search(r'hx-get="(\?[^"]*after[^"]*)"', first.content.decode())[1].replace("&amp;", "&")
    second = client.get("/stage/device/" + more, headers={"HX-Request": "true", "HX-Target": "more"})
    assert not set(names(first)) & set(names(second))
    assert "late" not in names(second)


def test_columns_are_chosen_in_the_address(as_, three):
    page = as_("member").get("/stage/device/?columns=half,name").content.decode()
    heads = re.findall(r'<th scope="col" class="cell-\w+"[^>]*>(?:<a[^>]*>)?([^<]+)', page)
    assert heads == ["一半", "名称"]


def test_a_saved_view_is_mine_or_shared_with_my_organisation_never_with_outsiders(as_, three):
    member = as_("member")
    answer = member.post("/stage/device/views/", {"name": "共用的", "question": "level=4", "shared": "1"})
    assert answer["Location"] == "/stage/device/?level=4"
    member.post("/stage/device/views/", {"name": "私", "question": "q=x"})
    assert "共用的" in as_("reader").get("/stage/device/").content.decode()
    assert ">私<" not in as_("reader").get("/stage/device/").content.decode()
    assert "共用的" not in as_("outsider").get("/stage/device/").content.decode()
    mine = SavedView.objects.get(name="私")
    as_("reader").post("/stage/device/views/", {"forget": str(mine.pk)})
    assert SavedView.objects.filter(pk=mine.pk).exists()
    member.post("/stage/device/views/", {"forget": str(mine.pk)})
    assert not SavedView.objects.filter(pk=mine.pk).exists()


def test_polling_costs_a_304_until_something_changes(as_, three):
    client, headers = as_("member"), {"HX-Request": "true", "HX-Target": "rows"}
    first = client.get("/stage/device/", headers=headers)
    assert first["ETag"]
    again = client.get("/stage/device/", headers={**headers, "If-None-Match": first["ETag"]})
    assert again.status_code == 304
    assert again.content == b""
    stage.device(name="delta")
    changed = client.get("/stage/device/", headers={**headers, "If-None-Match": first["ETag"]})
    assert changed.status_code == 200
    assert "delta" in names(changed)
    assert as_("outsider").get("/stage/device/", headers={**headers, "If-None-Match": first["ETag"]}).status_code == 200


@pytest.mark.parametrize("size", [20_000, pytest.param(200_000, marks=pytest.mark.slow)])
def test_a_page_of_many_rows_is_fast_and_counts_no_further_than_it_must(as_, sheet, size):
    now = clock.now()
    stage.Device.objects.bulk_create((stage.Device(id=new_id(), name=f"h{n}", score=n % 100, created=now - timedelta(seconds=n), **whose(stage.MEMBER)) for n in range(size)), batch_size=5000)
    client = as_("above")
    deep = "/stage/device/?after=" + sheet_cursor(sheet, now - timedelta(seconds=size * 3 // 4))
    client.get(deep)
    for address in ("/stage/device/", deep, "/stage/device/?sort=name"):
        with CaptureQueriesContext(connection) as queries:
            answer = client.get(address)
        assert len(names(answer)) == 50
        assert "超过 1000 条" in answer.content.decode()
        assert len(queries) <= 5
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("EXPLAIN QUERY PLAN " + next(query["sql"] for query in queries if "LIMIT 51" in query["sql"]))
            assert "TEMP B-TREE" not in str(cursor.fetchall()), "the page is sorted instead of read along its index"


def sheet_cursor(sheet, moment):
    from django.http import QueryDict

    from lianfang.commons.frame.sheets import Question

    row = stage.Device(created=moment)
    return Question.of(sheet, QueryDict(), stage.MEMBER).cursor(row)


def test_a_label_begins_with_a_capital_however_it_was_declared(sheet):
    made = Sheet(model=stage.Device, room="stage", columns=(Column("name", label="what it is called"), "score"), filters=(Filter("level", label="how bad"),))
    assert [str(column.label) for column in made.columns] == ["What it is called", "分数"]
    assert str(made.filters[0].label) == "How bad"
