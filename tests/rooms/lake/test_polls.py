"""HTTP addresses that are asked: pages, tags, rests, bounds, and hosts that a source must not lead to."""

import gzip
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.patience import wait_for
from tests.rooms.lake.conftest import doors, dying, sysmon

from lianfang.kernel.errors import Conflict, Invalid
from lianfang.rooms.lake import actions, models
from lianfang.rooms.lake.actions import asking, pulling, receiving
from lianfang.rooms.lake.adapters import poll, reaching

pytestmark = pytest.mark.django_db(transaction=True)


class Api:
    """A server whose answers a test writes: ``answer(path, query, headers) -> (status, headers, body)``."""

    def __init__(self):
        self.asked, self.answer = [], lambda path, query, headers: (200, {}, [])
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                parts = urlsplit(self.path)
                query = {name: values[0] for name, values in parse_qs(parts.query).items()}
                api.asked.append((parts.path, query, dict(self.headers)))
                status, headers, body = api.answer(parts.path, query, self.headers)
                body = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                if status != 304:
                    self.wfile.write(body)

            def log_message(self, *args):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def api(monkeypatch):
    monkeypatch.setenv("LIANFANG_POLL_NETWORKS", "127.0.0.0/8")
    made = Api()
    yield made
    made.close()


@pytest.fixture
def asked(api, viewers):
    """``asked(**settings)``: a source on the server; gives ``look()``, which asks until there is nothing more."""
    readers = []

    def make(path="/events", **more):
        actions.create_source("api", kind="poll", codec="json", address=f"{api.url}{path}", actor=viewers.member, **more)
        row = models.Source.objects.get(name="api")
        pull = pulling.Pull.__new__(pulling.Pull)
        pull.source, pull.dropped, pull.place, pull._stop = row, 0, "x" * 32, threading.Event()
        readers.append(asking.poll(row))

        def look():
            while pull.step(readers[-1]):
                pass

        return look

    yield make
    for reader in readers:
        reader.close()


def stored() -> int:
    receiving.seal()
    actions.drain()
    row = models.Source.objects.get(name="api")
    assert row.rejects == 0
    return row.events


def rows(*numbers):
    return [sysmon(n, UtcTime="2026-11-21 08:00:00.000") for n in numbers]


def test_linked_pages_are_followed_and_a_list_that_slides_is_read_once(api, asked):
    window = list(range(1, 11))

    def answer(path, query, headers):
        at = int(query.get("at", 0))
        more = {"Link": f'</events?at={at + 4}>; rel="next"'} if at + 4 < len(window) else {}
        return 200, more, {"data": {"records": rows(*window[at : at + 4])}}

    api.answer = answer
    look = asked(paging="link", items="data.records")
    look()
    assert stored() == 10
    window = [*window[3:], 11, 12, 13]
    look()
    look()
    assert stored() == 13
    assert [query.get("at") for _, query, _ in api.asked[:3]] == [None, "4", "8"]


def test_numbered_pages_end_with_an_empty_one(api, asked):
    api.answer = lambda path, query, headers: (200, {"Content-Encoding": "gzip"}, gzip.compress(json.dumps(rows(*range(int(query["p"]) * 3, int(query["p"]) * 3 + 3)) if int(query["p"]) < 4 else []).encode()))
    look = asked(paging="number", parameter="p")
    look()
    look()
    assert stored() == 9
    assert [query["p"] for _, query, _ in api.asked] == ["1", "2", "3", "4"] * 2


def test_a_cursor_is_kept_for_the_next_look(api, asked):
    log = list(range(1, 6))

    def answer(path, query, headers):
        at = int(query.get("since", 0))
        found = log[at : at + 2]
        return 200, {}, {"events": rows(*found), "meta": {"cursor": str(at + len(found))}}

    api.answer = answer
    look = asked(paging="cursor", items="events", next="meta.cursor", parameter="since")
    look()
    assert stored() == 5
    log += [6, 7]
    look()
    look()
    assert stored() == 7
    assert api.asked[-1][1] == {"since": "7"}


def test_what_has_not_changed_is_not_sent_again(api, asked):
    api.answer = lambda path, query, headers: (304, {}, b"") if headers.get("If-None-Match") == '"v1"' and headers.get("If-Modified-Since") else (200, {"ETag": '"v1"', "Last-Modified": "Sat, 21 Nov 2026 08:00:00 GMT"}, rows(1, 2))
    look = asked()
    look()
    look()
    assert stored() == 2
    assert len(api.asked) == 2


def test_json_lines_and_one_record_are_records_too(api, asked):
    api.answer = lambda path, query, headers: (200, {}, b"\n".join(json.dumps(row).encode() for row in rows(1, 2, 3)))
    look = asked()
    look()
    assert stored() == 3
    api.answer = lambda path, query, headers: (200, {}, rows(4)[0])
    look()
    assert stored() == 4


def test_who_wants_to_be_left_alone_is_and_it_is_told(api, viewers):
    api.answer = lambda path, query, headers: (429, {"Retry-After": "2"}, b"")
    actions.create_source("api", kind="poll", codec="json", address=f"{api.url}/events", actor=viewers.member, every=1)
    with doors():
        wait_for(lambda: "answers 429" in models.Source.objects.get().trouble)
        first = time.monotonic()
        api.answer = lambda path, query, headers: (200, {}, rows(1))
        wait_for(lambda: models.Source.objects.get().trouble == "")
        assert time.monotonic() - first > 1.2
        wait_for(lambda: models.Position.objects.filter(pending={}).exclude(value={}).exists())
    assert stored() == 1


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_crash_while_a_page_is_received_loses_and_doubles_nothing(api, asked, monkeypatch, moment):
    api.answer = lambda path, query, headers: (200, {}, rows(1, 2))
    look = asked()

    with monkeypatch.context() as world:
        world.setattr(receiving, "receive", dying(moment))
        with pytest.raises(SystemExit):
            look()
    api.answer = lambda path, query, headers: (200, {}, rows(1, 2, 3))
    look()
    assert stored() == 3


# ---- bounds and hosts ------------------------------------------------------------------------------------------


def one_page(address, **more):
    reader = poll.Poll(poll.Settings(address, **more))
    try:
        return reader.page({})
    finally:
        reader.close()


def test_too_much_and_bombs_are_refused(api, monkeypatch):
    api.answer = lambda path, query, headers: (200, {}, b"[" + b" " * (1 << 20) + b"]")
    monkeypatch.setattr(poll, "MOST_BYTES", 1 << 18)
    with pytest.raises(Conflict, match="too large"):
        one_page(api.url)
    api.answer = lambda path, query, headers: (200, {"Content-Encoding": "gzip"}, gzip.compress(bytes(80 << 20)))
    with pytest.raises(Invalid):
        one_page(api.url)


def test_pages_without_end_are_ended(api, monkeypatch):
    monkeypatch.setattr(poll, "MOST_PAGES", 5)
    api.answer = lambda path, query, headers: (200, {"Link": f'<?n={len(api.asked)}>; rel="next"'}, rows(len(api.asked)))
    reader, position = poll.Poll(poll.Settings(api.url, paging="link")), {}
    for _ in range(4):
        position = reader.page(position).after
    with pytest.raises(Conflict, match="More than 5 pages"):
        reader.page(position)
    reader.close()


@pytest.mark.parametrize("to", ["http://169.254.169.254/latest/meta-data", "http://localhost:1/", "https://127.0.0.1/", "file:///etc/passwd"])
def test_redirects_and_links_to_other_hosts_are_refused(api, to):
    api.answer = lambda path, query, headers: (302, {"Location": to}, b"")
    with pytest.raises(Conflict, match="leads elsewhere"):
        one_page(api.url)
    api.answer = lambda path, query, headers: (200, {}, {"items": [], "next": to})
    with pytest.raises(Conflict, match="leads elsewhere"):
        one_page(api.url, paging="link", items="items", next="next")


def test_a_redirect_on_the_same_host_is_followed(api):
    api.answer = lambda path, query, headers: (302, {"Location": "/there"}, b"") if path != "/there" else (200, {}, rows(1))
    assert len(one_page(f"{api.url}/here").frames) == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "10.1.2.3", "169.254.169.254", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "2130706433"])
def test_private_networks_are_closed_unless_the_node_opens_them(host, monkeypatch):
    monkeypatch.delenv("LIANFANG_POLL_NETWORKS", raising=False)
    with pytest.raises(Conflict, match="private network"):
        one_page(f"http://{host}:9/")


def test_the_address_that_was_checked_is_the_one_that_is_asked(api, monkeypatch):
    """A name that leads to a public address when it is checked and to this machine a moment later (DNS rebinding) gains nothing."""
    monkeypatch.delenv("LIANFANG_POLL_NETWORKS")
    answers = iter(["192.0.2.1", "127.0.0.1"])
    real = reaching.socket.getaddrinfo

    def getaddrinfo(host, port, *args, **more):
        return real(next(answers) if host == "rebind.example" else host, port, *args, **more)

    monkeypatch.setattr(reaching.socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(reaching, "allowed", lambda address: str(address) == "192.0.2.1")
    monkeypatch.setattr(poll, "PATIENCE", 0.3)
    with pytest.raises(Conflict, match="does not answer"):
        one_page(api.url.replace("127.0.0.1", "rebind.example"))
    assert api.asked == []


def test_secrets_go_into_headers_and_never_in_clear_to_another_machine(api, viewers):
    api.answer = lambda path, query, headers: (200, {}, [])
    for more in ({"login": "bearer", "secret": "t0ken"}, {"login": "header", "user": "X-Key", "secret": "t0ken"}, {"login": "password", "user": "li", "secret": "pw"}):
        one_page(api.url, **more)
    sent = [headers for _, _, headers in api.asked]
    assert sent[0]["Authorization"] == "Bearer t0ken"
    assert sent[1]["X-Key"] == "t0ken"
    assert sent[2]["Authorization"] == "Basic bGk6cHc="
    for wrong in ({"address": "http://api.example/", "secret": "pw"}, {"address": "https://li:pw@api.example/"}, {"address": "ftp://api.example/"}):
        with pytest.raises(Invalid):
            actions.create_source("api", kind="poll", actor=viewers.member, **wrong)
