"""The shell: errors that speak, headers, languages, navigation, search everywhere, the way home."""

from __future__ import annotations

import logging

import pytest
from django.http import HttpResponse
from django.test import RequestFactory
from django.urls import clear_url_caches

from lianfang.commons.frame import middleware, pages
from lianfang.commons.frame.pages import Corner, Found, Nav
from lianfang.kernel.errors import Conflict, Invalid
from lianfang.kernel.viewer import NOBODY

from . import stage


def test_a_fault_says_what_why_and_what_to_do(as_, sheet):
    answer = as_("member").get("/stage/refuse/")
    page = answer.content.decode()
    assert answer.status_code == 403
    assert all(words in page for words in ("You may not", "It is night.", "Wait until morning.", 'data-copy="#fault-details"'))
    fragment = as_("member").get("/stage/refuse/", headers={"HX-Request": "true", "HX-Target": "x"})
    assert fragment["HX-Retarget"] == "#toasts"
    assert "<html" not in fragment.content.decode()
    problem = as_("member").get("/stage/refuse/", headers={"Accept": "application/json"})
    assert problem["Content-Type"] == "application/problem+json"
    assert problem.json() == {"title": "You may not", "status": 403, "detail": "It is night.", "error": "refused", "what": "You may not", "why": "It is night.", "todo": "Wait until morning.", "retry": False, "details": {}}


def test_what_is_not_there_is_missing_for_people_and_machines(as_, sheet):
    assert "这个地址没有内容" in as_("member").get("/nowhere/").content.decode()
    assert as_("").get("/nowhere/").status_code == 404
    assert as_("member").get("/nowhere/", headers={"Accept": "application/json"}).json()["error"] == "missing"


def test_our_own_mistake_is_logged_under_the_number_that_the_page_shows(as_, sheet, caplog):
    client = as_("member", raise_request_exception=False)
    with caplog.at_level(logging.ERROR, "lianfang.web"):
        answer = client.get("/stage/break/")
    assert answer.status_code == 500
    number = next(record for record in caplog.records if record.name == "lianfang.web").args[0]
    page = answer.content.decode()
    assert number in page
    assert "ZeroDivision" not in page
    assert client.get("/stage/break/", headers={"Accept": "application/json"}).json()["details"]["number"]


def test_a_fault_outside_a_view_speaks_too(sheet, as_, settings):
    settings.MIDDLEWARE = [*settings.MIDDLEWARE[:-2], "tests.commons.frame.test_pages.Grumpy", *settings.MIDDLEWARE[-2:]]
    answer = as_("member", raise_request_exception=False).get("/stage/device/", headers={"Accept": "application/json"})
    assert (answer.status_code, answer.json()["what"]) == (409, "Not today")


class Grumpy:
    """A middleware that raises."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        raise Conflict("Not today")


def test_every_answer_carries_the_policy_and_nothing_is_inline_or_foreign(as_, sheet):
    pages.page("components/", name="components", title="x", room="stage")(stage.components)
    stage.addresses()
    device = stage.device(name="alpha")
    for address in ("/stage/device/", f"/stage/device/{device.pk}/", "/stage/device/add/", "/stage/device/import/", "/stage/refuse/", "/stage/components/", "/api/docs"):
        answer = as_("member").get(address)
        page = answer.content.decode()
        policy = dict(part.split(" ", 1) for part in answer["Content-Security-Policy"].split("; "))
        assert policy["script-src"] == policy["style-src"] == "'self'"
        assert answer["X-Content-Type-Options"] == "nosniff"
        assert answer["Referrer-Policy"] == "same-origin"
        assert " style=" not in page
        assert " onclick=" not in page
        assert "<style" not in page
        assert "src=\"http" not in page
        assert "href=\"http" not in page


def test_chinese_is_the_default_and_english_is_one_post_away(as_, sheet):
    client = as_("member")
    page = client.get("/stage/device/", headers={"Accept-Language": "en"})
    assert '<html lang="zh-hans">' in page.content.decode()
    answer = client.post("/i18n/setlang/", {"language": "en", "next": "/stage/device/"})
    assert answer["Location"] == "/stage/device/"
    page = client.get("/stage/device/").content.decode()
    assert '<html lang="en">' in page
    assert "Search everything" in page


def test_the_viewers_own_language_counts_where_this_browser_chose_none(as_, sheet, monkeypatch):
    from dataclasses import replace

    monkeypatch.setitem(stage.PEOPLE, "english", replace(stage.MEMBER, language="en"))
    assert '<html lang="en">' in as_("english").get("/stage/device/").content.decode()


def test_a_chosen_language_is_told_upwards_for_a_person_only(as_, sheet):
    heard = []
    pages.plug(speak=lambda request, language: heard.append((request.viewer.id, language)))
    as_("member").post("/i18n/setlang/", {"language": "en", "next": "/"})
    as_("member").post("/i18n/setlang/", {"language": "xx", "next": "/"})
    assert as_("").post("/i18n/setlang/", {"language": "en", "next": "/"}).status_code == 302
    assert heard == [("m", "en")]


def test_nobody_sees_a_menu_they_cannot_use(as_, sheet):
    pages.page("secret/", name="secret", permission="stage.secret.view", nav=Nav("trust", "秘密", icon="lock"), room="stage")(stage.components)
    stage.addresses()
    assert "/stage/secret/" not in as_("member").get("/stage/device/").content.decode()
    assert as_("member").get("/stage/secret/").status_code == 403
    stage.PEOPLE["keeper"] = type(stage.MEMBER)(id="k", name="k", permissions=frozenset({"stage.*"}), territory=("",))
    assert "/stage/secret/" in as_("keeper").get("/stage/device/").content.decode()
    del stage.PEOPLE["keeper"]


def test_home_is_where_the_role_lands_else_the_first_usable_page(as_, sheet):
    assert as_("member").get("/")["Location"] == "/stage/device/"
    pages.plug(landing=lambda viewer: "/stage/device/?q=mine")
    assert as_("member").get("/")["Location"] == "/stage/device/?q=mine"
    assert as_("").get("/")["Location"] == "/accounts/login/?next=%2F"
    stage.PEOPLE["empty"] = type(stage.MEMBER)(id="e", name="e")
    pages.plug(landing=lambda viewer: "")
    assert "尚无可用页面" in as_("empty").get("/").content.decode()
    del stage.PEOPLE["empty"]


def test_the_corners_of_the_shell_are_filled_from_above(as_, sheet):
    pages.plug(organisation=lambda viewer: Corner("城东银行", "/org/"), inbox=lambda viewer: Corner(url="/inbox/", count=7))
    page = as_("member").get("/stage/device/").content.decode()
    assert "城东银行" in page
    assert "待办：7" in page


def test_search_everywhere_finds_pages_and_rows_in_my_scope(as_, sheet):
    stage.device(name="payments-db")
    pages.finder(lambda words, viewer: [Found("from above", "/x/")] if words == "pay" else [])
    page = as_("member").get("/frame/search/?q=pay", headers={"HX-Request": "true"}).content.decode()
    assert "payments-db" in page
    assert "from above" in page
    assert "<html" not in page
    assert "payments-db" not in as_("outsider").get("/frame/search/?q=pay").content.decode()
    assert "/stage/device/" in as_("member").get("/frame/search/?q=设备").content.decode()
    assert "<script>" not in as_("member").get("/frame/search/?q=<script>").content.decode()


def test_two_pages_of_one_name_or_an_unknown_section_are_refused(sheet):
    with pytest.raises(Conflict):
        pages.page("x/", name="device", room="stage")(stage.components)
    with pytest.raises(Conflict):
        pages.page("y/", name="y", room="stage", nav=Nav("cellar", "?"))(stage.components)


def test_unchanged_depends_on_state_language_viewer_and_address():
    def ask(etag="", viewer=stage.MEMBER, address="/x/"):
        request = RequestFactory().get(address, headers={"If-None-Match": etag} if etag else {})
        request.viewer = viewer
        return request

    first = ask()
    assert pages.unchanged(first, 1) is None
    assert pages.unchanged(ask(first.etag), 1).status_code == 304
    assert pages.unchanged(ask(first.etag), 2) is None
    assert pages.unchanged(ask(first.etag, viewer=stage.OUTSIDER), 1) is None
    assert pages.unchanged(ask(first.etag, address="/y/"), 1) is None


def test_a_request_that_no_middleware_touched_still_gets_an_answer():
    request = RequestFactory().get("/x/", headers={"Accept": "application/json"})
    assert middleware.csrf_failed(request, "no cookie").status_code == 403
    assert request.viewer is NOBODY


def test_field_errors_become_one_fault():
    fault = pages.invalid({"name": ["too long"], "score": ["not a number"]})
    assert isinstance(fault, Invalid)
    assert fault.details == {"name": ["too long"], "score": ["not a number"]}


def test_a_bell_that_a_room_has_is_heard_on_every_page_by_who_may_hear_it(as_, sheet):
    everywhere = ("/stage/device/", "/stage/device/add/", "/frame/search/", "/stage/nowhere/")
    assert not any('id="bell-stage"' in as_("member").get(address).content.decode() for address in everywhere)
    pages.page("bell/", name="bell", permission="stage.device.enable", room="stage")(lambda request: HttpResponse(status=204))
    stage.addresses()
    clear_url_caches()
    for address in everywhere:
        page = as_("member").get(address).content.decode()
        assert page.count('id="bell-stage"') == 1, address
        assert 'hx-get="/stage/bell/?after=2' in page
        assert 'id="bell-stage"' not in as_("reader").get(address).content.decode()
    assert 'id="bell-stage"' not in as_("").get("/stage/open/").content.decode()


def test_the_inbox_of_an_open_page_is_asked_again_and_answers_only_when_it_changed(as_, sheet):
    assert "/frame/inbox/" not in as_("member").get("/stage/device/").content.decode()
    waiting = [3]
    pages.plug(inbox=lambda viewer: Corner(url="/stage/device/", count=waiting[0]))
    assert 'hx-get="/frame/inbox/"' in as_("member").get("/stage/device/").content.decode()
    first = as_("member").get("/frame/inbox/")
    assert '<span class="count">3</span>' in first.content.decode()
    assert "<html" not in first.content.decode()
    assert as_("member").get("/frame/inbox/", headers={"If-None-Match": first["ETag"]}).status_code == 304
    waiting[0] = 4
    assert '<span class="count">4</span>' in as_("member").get("/frame/inbox/", headers={"If-None-Match": first["ETag"]}).content.decode()
    assert as_("").get("/frame/inbox/").status_code == 302


def test_pages_of_a_group_are_one_entry_and_stand_as_tabs_above_each_other(as_, sheet):
    for number, name in enumerate(("first", "second", "third")):
        pages.page(f"{name}/", name=name, permission="stage.secret.view" if name == "third" else "", nav=Nav("trust", name.title(), order=number, group="life"), room="stage")(stage.components)
    stage.addresses()
    page = as_("member").get("/stage/second/").content.decode()
    menu, head = page.split('class="rail"', 1)[1].split("</nav>", 1)[0], page.split("<main", 1)[1]
    assert menu.count("/stage/first/") == 1, "one entry, which opens with the first page"
    assert "/stage/second/" not in menu
    assert '<a href="/stage/first/">First</a><a href="/stage/second/" aria-current="page">Second</a></nav>' in head
    assert "third" not in head, "a page that may not be used is no tab"
    with pytest.raises(Conflict):
        pages.page("z/", name="z", room="stage", nav=Nav("trust", "?", group="cellar"))(stage.components)


def test_a_group_of_which_one_page_is_left_bears_its_name(as_, sheet):
    pages.page("only/", name="only", nav=Nav("trust", "Only this", group="life"), room="stage")(stage.components)
    stage.addresses()
    page = as_("member").get("/stage/only/").content.decode()
    assert 'class="tabs"' not in page
    assert "Only this" in page.split("<main", 1)[0]
