"""The shell and a sheet in a real browser: every page in both languages, both themes, desk and phone; no console error, contrast by axe."""

from __future__ import annotations

import os
from datetime import timedelta
from itertools import product
from pathlib import Path

import pytest
from django.db import connection
from pytest_django.live_server_helper import LiveServer
from tests.commons.frame import stage
from tests.commons.frame.conftest import _table, as_, sheet  # noqa: F401  (fixtures)

from lianfang.commons.frame import pages
from lianfang.commons.frame.sheets import many
from lianfang.kernel import clock

pytestmark = [pytest.mark.realparts, pytest.mark.xdist_group("browser")]

ROOT = Path(__file__).parents[2]
SCREENS = Path(os.environ.get("LIANFANG_SCREENS", ROOT / "var/screens"))
AXE = ROOT / "node_modules/axe-core/axe.min.js"
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run", "--disable-default-apps"]
SIZES = {"desk": (1440, 900), "phone": (390, 844)}
ADDRESSES = {
    "list": "/stage/device/", "filtered": "/stage/device/?level=5&level=4&state=active&q=core", "nothing": "/stage/device/?q=nowhere", "detail": "/stage/device/{pk}/", "add": "/stage/device/add/",
    "import": "/stage/device/import/", "components": "/stage/components/", "forbidden": "/stage/refuse/", "missing": "/stage/nowhere/", "search": "/frame/search/?q=core", "api": "/api/docs",
}  # fmt: skip


@pytest.fixture(scope="module")
def chromium():
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=os.environ.get("LIANFANG_CHROMIUM", "/usr/bin/chromium"), args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def node(sheet, transactional_db):  # noqa: F811
    """A node with devices, and every component on one page."""
    stage.Device.objects.all().delete()  # a table that no installed application owns is not flushed between tests
    moment = clock.now()
    names = ("core-switch", "mail-gateway", "payments-db", "vpn-edge", "core-router", "swift-terminal", "hr-portal", "backup-nas", "branch-atm", "dev-runner")
    made = [
        stage.device(name=f"{names[n % 10]}-{n:03d}", address=f"10.{n % 7}.{n % 200}.{n % 254 + 1}", level=5 - n * 7 % 5, score=(n * 37) % 101, state="closed" if n % 6 == 5 else "active", guarded=n % 4 != 0, seen=moment - timedelta(minutes=n * 17), created=moment - timedelta(minutes=n))
        for n in range(120)
    ]
    stage.declare_shell()
    pages.page("components/", name="components", title="组件", room="stage", nav=pages.Nav("situation", "组件"))(stage.components)
    pages.panel(f"{sheet.name}.side", title="相关告警")(lambda request, row: '<p class="row-line">3</p>')
    stage.addresses()
    connection.inc_thread_sharing()  # a kept-alive thread may close its connection after the server has stopped
    server = LiveServer("localhost:0")
    server.pk = made[0].pk
    yield server
    server.stop()


def visit(chromium, node, *, size, theme, language):
    context = chromium.new_context(viewport={"width": SIZES[size][0], "height": SIZES[size][1]}, color_scheme=theme, has_touch=size == "phone")
    context.add_cookies([{"name": "someone", "value": "member", "url": node.url}, {"name": "django_language", "value": language, "url": node.url}])
    page = context.new_page()
    page.faults = []
    page.on("console", lambda message: page.faults.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: page.faults.append(str(error)))
    return page


def contrast(page):
    page.evaluate(AXE.read_text("utf-8"))
    found = page.evaluate("axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa']})")
    return [f"{v['id']}: {n['target']} {n['any'][0]['message'] if n['any'] else n['failureSummary']}" for v in found["violations"] for n in v["nodes"]]


@pytest.mark.parametrize(("size", "theme", "language"), list(product(SIZES, ("light", "dark"), ("zh-hans", "en"))))
def test_every_page_is_clean(chromium, node, size, theme, language):
    page = visit(chromium, node, size=size, theme=theme, language=language)
    troubles = []
    for name, address in ADDRESSES.items():
        page.faults.clear()
        page.goto(node.url + address.format(pk=node.pk))
        page.wait_for_load_state("networkidle")
        SCREENS.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=SCREENS / f"frame-{name}-{size}-{theme}-{language}.png")
        known = ("403", "404")
        troubles += [f"{name}: {fault}" for fault in page.faults if not any(code in fault for code in known)]
        troubles += [f"{name}: {fault}" for fault in contrast(page)]
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        troubles += [f"{name}: {wide} px wider than the window"] if wide > 0 else []
    page.context.close()
    assert not troubles, "\n".join(troubles)


@pytest.fixture
def desk(chromium, node):
    page = visit(chromium, node, size="desk", theme="light", language="zh-hans")
    page.goto(node.url + "/stage/device/")
    yield page
    assert not page.faults
    page.context.close()


def test_ctrl_k_finds_and_the_keyboard_opens(desk, node):
    desk.keyboard.press("Control+k")
    desk.wait_for_selector("#found a")
    desk.keyboard.type("payments-db-002")
    desk.wait_for_selector("#found a:has-text('payments-db-002')")
    desk.screenshot(path=SCREENS / "frame-finder.png")
    desk.keyboard.press("ArrowDown")
    desk.keyboard.press("Enter")
    desk.wait_for_url("**/stage/device/*-*/")
    assert desk.text_content("h1").strip() == "payments-db-002"


def test_a_condition_is_set_and_taken_away_without_leaving_the_page(desk):
    desk.click("summary:has-text('严重性')")
    desk.screenshot(path=SCREENS / "frame-chip.png")
    desk.check("input[name=level][value='5']")
    desk.click(".chip[open] button[type=submit]")
    desk.wait_for_selector(".chip.on")
    assert "level=5" in desk.url
    assert desk.locator("#rows .sev-red").count() == desk.locator("#rows tr:not(.more)").count()
    assert "level=5" in desk.get_attribute("[data-follows-list]", "href")
    desk.click(".chip-off")
    desk.wait_for_selector(".chip.on", state="detached")
    assert "level" not in desk.url


def test_more_rows_come_below_and_rows_are_chosen_for_a_verb(desk):
    desk.click("#more a")
    desk.wait_for_selector("#rows tr:not(.more) >> nth=99")
    desk.check("#rows tr:nth-child(2) input[name=row]")
    desk.locator("#rows tr:nth-child(6) input[name=row]").click(modifiers=["Shift"])
    assert desk.text_content("[data-tick-count]") == "5"
    desk.screenshot(path=SCREENS / "frame-bulk.png")
    desk.click(".bulk button[value=remove]")
    assert desk.locator(".confirm-list li").count() == 5
    desk.screenshot(path=SCREENS / "frame-confirm.png")
    desk.click(".confirm button[type=submit]")
    desk.wait_for_selector(".toast-success")
    desk.screenshot(path=SCREENS / "frame-toast.png")
    assert stage.Device.objects.count() == 115


def test_theme_and_density_are_remembered_and_painted_before_anything_is_seen(desk):
    desk.click("[data-theme-switch]")
    desk.click("[data-theme-switch]")
    assert desk.get_attribute("html", "data-bs-theme") == "dark"
    desk.click("summary[aria-label='列与密度']")
    desk.screenshot(path=SCREENS / "frame-columns.png")
    desk.check("input[data-density=compact]")
    desk.reload()
    assert desk.get_attribute("html", "data-bs-theme") == "dark"
    assert desk.get_attribute("html", "data-density") == "compact"


def test_the_language_switch_keeps_the_place(desk, node):
    desk.goto(node.url + "/stage/device/?level=5")
    desk.click("button[name=language]")
    desk.wait_for_selector("html[lang=en]")
    assert desk.url.endswith("/stage/device/?level=5")


def test_the_keyboard_reaches_every_action(desk):
    reached = set()
    for _ in range(40):
        desk.keyboard.press("Tab")
        reached.add(desk.evaluate("(document.activeElement.getAttribute('aria-label') || document.activeElement.textContent || document.activeElement.name || '').trim()"))
    assert {"跳到正文", "搜索全部Ctrl K", "导入", "导出", "新建", "选择所有已显示的", "列与密度", "core-switch-000"} <= reached
    assert desk.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"


def test_a_list_that_is_watched_takes_in_what_is_new(desk):
    desk.evaluate("document.querySelector('#rows').dataset.poll = 1")
    desk.wait_for_timeout(2500)
    with desk.expect_response(lambda answer: answer.status == 304, timeout=8000):
        pass
    stage.device(name="brand-new")
    desk.wait_for_selector("text=brand-new", timeout=8000)


def test_a_table_is_brought_and_its_mistakes_are_shown_in_their_cells(desk, node, tmp_path):
    table = tmp_path / "设备.csv"
    table.write_text("名称,地址,分数,备注\nweb-1,10.0.0.1,5,x\nweb-2,10.0.0.999,5,\nweb-3,10.0.0.3,many,\n", "utf-8")
    desk.goto(node.url + "/stage/device/import/")
    desk.set_input_files("input[type=file]", table)
    desk.click("button[type=submit]:has-text('检查表格')")
    desk.wait_for_selector("button[value=accept]")
    desk.screenshot(path=SCREENS / "frame-import-faults.png")
    assert desk.locator(".cell-fault").count() == 2
    assert contrast(desk) == []
    desk.click("button[value=accept]")
    desk.wait_for_selector("text=已导入 1 行")
    assert stage.Device.objects.filter(name="web-1").exists()


def test_the_navigation_of_a_phone_opens_and_closes(chromium, node):
    page = visit(chromium, node, size="phone", theme="light", language="zh-hans")
    page.goto(node.url + "/stage/device/")
    page.click("[data-rail-open]")
    page.wait_for_selector("#rail a.entry:visible")
    page.wait_for_timeout(250)
    page.screenshot(path=SCREENS / "frame-rail-phone.png")
    assert contrast(page) == []
    page.keyboard.press("Escape")
    page.wait_for_selector("#rail a.entry:visible", state="detached")
    page.click("summary:has-text('状态')")
    page.screenshot(path=SCREENS / "frame-chip-phone.png")
    assert not page.faults
    page.context.close()


def test_what_a_page_asks_by_itself_says_so(desk):
    desk.evaluate("document.querySelector('#rows').dataset.poll = 1")
    with desk.expect_request(lambda request: request.headers.get("hx-target") == "rows", timeout=8000) as asked:
        pass
    assert asked.value.headers["x-poll"] == "1"


def test_a_verb_on_all_goes_on_by_itself_to_the_end(desk, monkeypatch):
    monkeypatch.setattr(many, "STEP", 15)
    desk.check("[data-tick-all]")
    desk.check("input[name=all]")
    desk.click(".bulk button[value=remove]")
    assert "120" in desk.text_content(".confirm")
    desk.click(".confirm button[type=submit]")
    desk.wait_for_selector("#run .row-line", timeout=15000)
    desk.screenshot(path=SCREENS / "frame-many-done.png")
    assert "已处理 120 条" in desk.text_content("#run")
    assert stage.Device.objects.count() == 0


BROKEN = """() => [...document.querySelectorAll('#rows td')].flatMap((cell) => {
  const walker = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT), found = [];
  while (walker.nextNode()) for (const word of walker.currentNode.data.matchAll(/[\\w.:]{2,24}/g)) {
    const range = document.createRange(); range.setStart(walker.currentNode, word.index); range.setEnd(walker.currentNode, word.index + word[0].length);
    if (new Set([...range.getClientRects()].map((box) => Math.round(box.top))).size > 1) found.push(word[0]);
  }
  return found;
})"""
"""Words of a list's cells that stand on two lines."""


def test_a_crowded_list_scrolls_and_breaks_no_word(desk, node):
    desk.set_viewport_size({"width": 900, "height": 800})
    for language in ("zh-hans", "en"):
        desk.context.add_cookies([{"name": "django_language", "value": language, "url": node.url}])
        desk.goto(node.url + "/stage/device/?columns=name,address,level,state,guarded,score,seen,created,half")
        assert desk.evaluate(BROKEN) == []
        assert desk.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0


def test_the_count_and_the_choices_stay_at_the_end_of_the_sentence(desk):
    desk.set_viewport_size({"width": 1000, "height": 800})
    right = desk.evaluate("document.querySelector('.sentence').getBoundingClientRect().right - document.querySelector('.sentence-end').getBoundingClientRect().right")
    assert abs(right) < 2
    assert desk.locator(".sentence-end .sentence-count").count() == 1


def test_on_a_phone_the_values_of_a_row_stand_below_each_other(chromium, node):
    page = visit(chromium, node, size="phone", theme="light", language="en")
    page.goto(node.url + "/stage/device/?columns=name,level,score")
    page.evaluate("document.querySelectorAll('#rows td[data-label]').forEach((cell, n) => { if (n % 2) cell.dataset.label = 'A label of many words'; })")
    starts = page.evaluate("""() => [...document.querySelectorAll('#rows tr:first-child td[data-label]:not(.first)')].map((cell) => {
      const range = document.createRange(); range.selectNodeContents(cell); return Math.round(range.getBoundingClientRect().left); })""")
    assert len(set(starts)) == 1
    page.context.close()
