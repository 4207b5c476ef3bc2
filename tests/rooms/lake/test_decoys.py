"""A honeypot's page carries one line; who looks at it is known as a device, across addresses and visits."""

import json
import re
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from django.test import Client
from django.urls import reverse

from lianfang.commons.ledger import queries as ledger
from lianfang.kernel.viewer import SYSTEM
from lianfang.rooms.lake import actions, models
from lianfang.rooms.lake.actions import decoys

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def fresh_pace(monkeypatch):
    monkeypatch.setattr(decoys, "PACE", decoys.Pace())


@pytest.fixture
def keeper(client_of):
    """A member of staff, who reads English."""
    client = client_of("member")
    client.cookies["django_language"] = "en"
    return client


@pytest.fixture
def lure(keeper):
    """A source for a decoy page, made through the form; its address is what the page tells to place there."""
    answer = keeper.post(reverse("lake:source_add"), {"name": "lure", "kind": "decoy"})
    assert answer.status_code == 302, answer.content.decode()[:2000]
    return models.Source.objects.get(name="lure")


def line_of(keeper, row):
    page = keeper.get(reverse("lake:source", kwargs={"pk": row.pk})).content.decode()
    (line,) = re.findall(r"&lt;script src=&quot;(\S+?)&quot; async&gt;", page)
    assert "Only for honeypots and decoy pages of your own" in page
    return line


def visit(row, told=None, *, address="203.0.113.7", agent="Mozilla/5.0 (X11; Linux x86_64)", **more):
    body = told if isinstance(told, bytes) else json.dumps(told if told is not None else visitor())
    return Client(enforce_csrf_checks=True).post(reverse("lake:decoy_door", kwargs={"token": row.token}), data=body, content_type="text/plain", headers={"User-Agent": agent}, REMOTE_ADDR=address, **more)


def visitor(**more):
    device = {"platform": "Linux x86_64", "cores": 8, "canvas": "a" * 64, "audio": "b" * 64, "zone": "Asia/Shanghai", "languages": ["zh-CN", "en"], "fonts": ["Arial", "SimSun"], "screen": {"width": 1920, "height": 1080, "depth": 24}, "webgl": {"vendor": "ACME", "renderer": "ACME 9000", "digest": "c" * 64}, "addresses": ["192.168.1.7"]}
    return {"page": "https://vpn.harbour.example/login", "referrer": "https://bad.example/", "visitor": "0" * 32, "device": device | more}


def events(keeper):
    found = keeper.get("/api/lake/events/", {"filter": "source:is:lure"}).json()["events"]
    return [keeper.get(f"/api/lake/events/{one['event_id']}/").json() for one in reversed(found)]


def test_a_visit_is_an_event_and_a_device(keeper, lure):
    assert line_of(keeper, lure).endswith(f"{lure.token}.js")
    script = Client().get(reverse("lake:decoy_script", kwargs={"token": lure.token}))
    assert (script.status_code, script["Content-Type"], script["Cross-Origin-Resource-Policy"]) == (200, "text/javascript; charset=utf-8", "cross-origin")
    assert not script.cookies
    answer = visit(lure)
    assert (answer.status_code, answer["Access-Control-Allow-Origin"], answer.content) == (204, "*", b"")
    assert visit(lure, address="198.51.100.9").status_code == 204
    assert visit(lure, visitor(canvas="d" * 64), address="198.51.100.10").status_code == 204
    actions.drain()
    one, again, other = events(keeper)
    assert (one["class_uid"], one["src_ip"], one["url"], one["dst_host"], one["log_name"]) == (4002, "203.0.113.7", "https://vpn.harbour.example/login", "vpn.harbour.example", "decoy")
    assert "192.168.1.7" in one["ips"]
    assert {"a" * 64, "b" * 64, "c" * 64} <= set(one["hashes"])
    assert one["event_code"] == again["event_code"] != other["event_code"], "the device is the same under another address"
    raw = json.loads(one["raw"])
    assert (raw["device"]["webgl"]["renderer"], raw["referrer"], raw["decoy"]["visitor"]) == ("ACME 9000", "https://bad.example/", "0" * 32)
    page = keeper.get(reverse("lake:devices")).content.decode()
    for words in (one["event_code"], other["event_code"], "203.0.113.7", "198.51.100.9", "ACME 9000", "https://vpn.harbour.example/login"):
        assert words in page
    assert one["event_id"] in keeper.get(reverse("lake:search"), {"f": f"event_code:is:{one['event_code']}", "span": "24h"}).content.decode()


def test_others_see_no_device_of_ours(keeper, lure, client_of):
    visit(lure)
    actions.drain()
    assert "203.0.113.7" not in client_of("outsider").get(reverse("lake:devices")).content.decode()


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"device": 1}', b"[" * 5000, b"\xff\xfe"])
def test_what_the_script_never_sends_is_refused(lure, body):
    assert visit(lure, body).status_code == 422
    actions.drain()
    assert models.Source.objects.get(name="lure").events == 0


def test_a_stranger_writes_no_attributes_of_his_own(keeper, lure):
    told = visitor(canvas="<script>", cores="many", fonts=["x" * 5000, 7, {}], evil={"deep": [1]}, screen={"width": 10**30}, platform="<b>&\ud800")
    assert visit(lure, {**told, "src_ip": "10.0.0.1", "decoy": {"seen": "1999-01-01T00:00:00Z"}, "visitor": "'; --"}).status_code == 204
    actions.drain()
    (event,) = events(keeper)
    raw = json.loads(event["raw"])
    assert event["src_ip"] == "203.0.113.7"
    assert set(raw["device"]) == {"platform", "audio", "zone", "languages", "fonts", "webgl", "addresses"}
    assert (len(raw["device"]["fonts"]), len(raw["device"]["fonts"][0]), "visitor" in raw["decoy"]) == (1, 400, False)
    assert "<b>" not in keeper.get(reverse("lake:devices")).content.decode()


def test_too_much_is_turned_away_and_the_rest_is_taken(lure, monkeypatch):
    monkeypatch.setattr(decoys, "EACH", 3)
    monkeypatch.setattr(decoys, "ALL", 4)
    assert [visit(lure).status_code for _ in range(4)] == [204, 204, 204, 429]
    assert [visit(lure, address=f"198.51.100.{n}").status_code for n in range(2)] == [204, 429]
    assert visit(lure, visitor(platform="x" * (17 << 10))).status_code == 413


def test_the_token_is_the_only_way_in_and_can_be_changed(keeper, lure):
    old = lure.token
    assert Client().get("/lake/s/guess.js").status_code == Client().post("/lake/s/guess").status_code == Client().get(reverse("lake:decoy_door", kwargs={"token": old})).status_code == 404
    assert Client().get("/lake/s/.js").status_code == 404, "sources of other kinds have no token"
    keeper.post(reverse("lake:source_list"), {"do": f"renew:{lure.pk}"})
    lure.refresh_from_db()
    assert lure.token != old
    assert Client().get(reverse("lake:decoy_script", kwargs={"token": old})).status_code == 404
    assert "lake.token_renewed" in {entry.verb for entry in ledger.timeline(lure.ref, SYSTEM)}
    actions.pause_source(lure, actor=SYSTEM)
    assert visit(lure).status_code == 404


def test_the_door_answers_pages_of_other_hosts(lure):
    asked = Client().options(reverse("lake:decoy_door", kwargs={"token": lure.token}), headers={"Origin": "https://vpn.harbour.example"})
    assert (asked.status_code, asked["Access-Control-Allow-Origin"], asked["Access-Control-Allow-Methods"]) == (204, "*", "POST")


# ---- a real browser ------------------------------------------------------------------------------------------------


@pytest.fixture
def honeypot(tmp_path):
    """``honeypot(line)``: a page of another host (127.0.0.1 beside localhost) that carries the line."""
    servers = []

    def serve(line):
        folder = tmp_path / "honeypot"
        folder.mkdir()
        (folder / "login.html").write_text(f"<!doctype html><title>VPN</title><form><input name=user></form>{line}", "utf-8")
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(folder)))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/login.html"

    yield serve
    for server in servers:
        server.shutdown()


@pytest.mark.realparts
@pytest.mark.xdist_group("browser")
def test_a_browser_that_visits_a_honeypot_is_found_in_the_search_with_what_it_gave_away(chromium, live, honeypot, keeper, lure):
    address = honeypot(f'<script src="{live.url}{reverse("lake:decoy_script", kwargs={"token": lure.token})}" async></script>')
    faults = []
    for _ in range(2):
        context = chromium.new_context(locale="zh-CN", timezone_id="Asia/Shanghai", viewport={"width": 1280, "height": 800})
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        with page.expect_request_finished(lambda request: request.method == "POST") as sent:
            page.goto(address)
        assert sent.value.response().status == 204
        assert [cookie["name"] for cookie in context.cookies()] == ["_vid"], "no cookie but a name of its own"
        context.close()
    assert not faults
    actions.drain()
    first, second = events(keeper)
    assert first["event_code"] == second["event_code"], "one device, though its storage was emptied"
    raw = json.loads(first["raw"])
    device = raw["device"]
    assert raw["page"] == first["url"] == address
    assert (device["zone"], device["languages"][0], first["src_ip"]) == ("Asia/Shanghai", "zh-CN", "127.0.0.1")
    assert re.fullmatch(r"[0-9a-f]{64}", device["canvas"])
    assert re.fullmatch(r"[0-9a-f]{64}", device["audio"])
    assert device["cores"] >= 1
    assert (device["screen"]["width"], "HeadlessChrome" in first["user_agent"] or "Chrome" in first["user_agent"]) == (1280, True)
    assert raw["decoy"]["visitor"] != json.loads(second["raw"])["decoy"]["visitor"]
    shown = keeper.get(reverse("lake:search"), {"f": "log_name:is:decoy", "span": "24h"}).content.decode()
    assert first["event_id"] in shown
    whole = keeper.get(reverse("lake:event", kwargs={"event_id": first["event_id"]})).content.decode()
    assert device["canvas"] in whole
    assert first["event_code"] in keeper.get(reverse("lake:devices")).content.decode()


@pytest.mark.realparts
@pytest.mark.xdist_group("browser")
def test_a_browser_that_withholds_everything_still_tells_that_it_was_there(chromium, live, honeypot, keeper, lure):
    blocked = """delete window.fetch; for (const name of ['RTCPeerConnection', 'OfflineAudioContext', 'webkitOfflineAudioContext', 'localStorage', 'Intl', 'performance'])
        Object.defineProperty(window, name, {get() { throw new Error('blocked') }});
        HTMLCanvasElement.prototype.getContext = () => null; Object.defineProperty(document, 'cookie', {get() { throw new Error('blocked') }});"""
    address = honeypot(f'<script src="{live.url}{reverse("lake:decoy_script", kwargs={"token": lure.token})}" async></script>')
    page = chromium.new_page()
    page.add_init_script(blocked)
    with page.expect_request_finished(lambda request: request.method == "POST"):
        page.goto(address)
    page.close()
    actions.drain()
    (event,) = events(keeper)
    device = json.loads(event["raw"])["device"]
    assert not {"canvas", "audio", "webgl", "addresses", "zone", "fonts"} & set(device)
    assert device["cores"] >= 1
