"""The web part lets everybody in, however many only stay connected."""

import http.client
import socket
import subprocess
import time

import pytest

from lianfang.site import web

TINY = """
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"here"]
"""


@pytest.fixture
def served(tmp_path):
    """Granian as the node starts it, over an application of four lines; its port."""
    (tmp_path / "tiny.py").write_text(TINY)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    line = web.command(host="127.0.0.1", port=port, workers=1, threads=4, static=tmp_path)
    line[line.index("lianfang.site.wsgi:application")] = "tiny:application"
    process = subprocess.Popen(line, cwd=tmp_path)
    yield port
    process.terminate()
    process.wait(20)


def asked(port, patience=20.0):
    """A connection over which one question was answered; it stays open."""
    deadline = time.monotonic() + patience
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request("GET", "/")
            assert connection.getresponse().read() == b"here"
            return connection
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def test_who_only_stays_connected_keeps_nobody_out(served):
    idle = [asked(served) for _ in range(60)]
    assert asked(served)
    for connection in idle:
        connection.close()
