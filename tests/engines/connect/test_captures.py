"""Captures through a program beside ours: the real tshark where tests may use real parts, small scripts in the place of it for what goes wrong."""

import gzip
import json
import os
import shutil
import stat
import sys
import tempfile
import zipfile
from itertools import islice
from pathlib import Path

import pytest
from tests.engines.connect import packets

from lianfang.engines.connect import captures, files
from lianfang.engines.connect.files import Manner
from lianfang.engines.connect.limits import Limits, Reject

AT = 1795161600.5
ANYBODYS = shutil.which("python3", path="/usr/bin:/usr/local/bin") or os.path.realpath(sys.executable)
"""An interpreter that also a user without rights may run: where the tests run as root, the program does not."""


@pytest.fixture
def capture(tmp_path):
    """``capture(content, name)``: a file of these bytes; a small office by default."""

    def write(content=None, name="a.pcap"):
        (tmp_path / name).write_bytes(packets.pcap(packets.office(AT)) if content is None else content)
        return tmp_path / name

    return write


@pytest.fixture
def program(monkeypatch):
    """``program("zeek", code)``: Python code that runs under this name, and is the only program of captures that is here; where nobody may run it."""
    home = tempfile.TemporaryDirectory()
    folder = Path(home.name)
    folder.chmod(0o755)
    monkeypatch.setattr(captures, "installed", lambda: {path.name: str(path) for path in folder.iterdir()})

    def write(name, code):
        path = folder / name
        path.write_text(f"#!{ANYBODYS}\nimport os, sys, time\nif '-G' in sys.argv: sys.exit()\n{code}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)

    yield write
    home.cleanup()


def read(path, **more):
    return [one if isinstance(one, Reject) else json.loads(one) for one in files.frames(path, **more)]


def test_without_a_program_it_is_said_what_is_missing_and_how_to_get_it(capture, program):
    with pytest.raises(captures.NoReader) as caught:
        read(capture())
    assert "not installed" in caught.value.why
    assert "apt-get install tshark" in caught.value.todo
    with pytest.raises(captures.NoReader, match="Captures") as caught:
        read(capture(), manner=Manner(reader="zeek"))
    assert "zeek" in caught.value.todo
    with pytest.raises(captures.NoReader, match="tcpdump"):
        read(capture(), manner=Manner(reader="tcpdump"))


def test_the_setting_chooses_among_several(program):
    program("tshark", "")
    program("zeek", "")
    assert captures.reader()[0] == "tshark"
    assert captures.reader("zeek")[0] == "zeek"


def test_what_zeek_writes_is_read_by_its_logs_names(capture, program):
    """A script that writes what Zeek's documentation says; the real Zeek was not run."""
    program("zeek", "sys.stdin.buffer.read(); open('conn.log','w').write('{\"ts\":1.5,\"id.orig_h\":\"10.0.0.9\"}\\n'); open('weird.log','w').write('{}\\n'); open('dns.log','w').write('{\"ts\":2.5,\"query\":\"a.example\"}\\n{\"cut')")
    assert read(capture()) == [{"_path": "conn", "ts": 1.5, "id.orig_h": "10.0.0.9"}, {"_path": "dns", "ts": 2.5, "query": "a.example"}]


def test_what_suricata_writes_is_read_but_for_its_figures(capture, program):
    """A script again, and not the real Suricata."""
    program("suricata", "sys.stdin.buffer.read(); open('eve.json','w').write('{\"event_type\":\"flow\",\"src_ip\":\"10.0.0.9\"}\\n{\"event_type\":\"stats\"}\\n')")
    assert read(capture()) == [{"event_type": "flow", "src_ip": "10.0.0.9"}]


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("sys.stdin.buffer.read(); sys.exit('tshark: it has no idea')", "it has no idea"),
        ("os.kill(os.getpid(), 11)", "signal 11"),
        ("sys.stdin.buffer.read(); sys.exit(3)", "ended with 3"),
        ("x = bytearray(5 << 30)", "MemoryError"),
        ("sys.stdin.close(); sys.stdin = None; time.sleep(60)", "did nothing"),
        ("while True: print('{\"timestamp\":1}' * 1000)", "proportion"),
        ("while True: print('x' * 1000, end='')", "too large"),
    ],
)
def test_a_program_that_breaks_hangs_or_floods_is_ended_and_it_is_said(capture, program, monkeypatch, code, said):
    monkeypatch.setattr(captures, "PATIENCE", 0.5)
    program("tshark", code)
    (fault,) = read(capture(), limits=Limits(frame_bytes=1 << 16, free=1 << 20, ratio=10) if "x" not in said else Limits())
    assert said in fault.reason
    assert "split it" in fault.todo


def test_the_program_finds_no_setting_of_ours_and_an_empty_folder(capture, program, monkeypatch):
    monkeypatch.setenv("LIANFANG_SECRET", "not for strangers")
    program("tshark", "sys.stdin.buffer.read(); sys.exit(f'tshark: {os.environ.get(\"LIANFANG_SECRET\")} {os.listdir()} {os.getuid() != 0 or \"root\"}')")
    (fault,) = read(capture())
    assert "None [] True" in fault.reason


# ---- the real one -------------------------------------------------------------------------------------------------


@pytest.fixture
def tshark():
    if "tshark" not in captures.installed():
        pytest.skip("tshark is not installed (python tools/real_parts.py install)")
    return Manner(reader="tshark")


@pytest.mark.realparts
@pytest.mark.parametrize("content", [packets.pcap(packets.office(AT)), packets.pcap(packets.office(AT), order=">"), packets.pcap(packets.office(AT), nano=True), packets.pcapng(packets.office(AT)), gzip.compress(packets.pcapng(packets.office(AT), order=">"))], ids=["pcap", "big end first", "nanoseconds", "pcapng", "packed pcapng"])
def test_every_kind_of_capture_tells_the_same(capture, tshark, content):
    found = read(capture(content), manner=tshark)
    assert [one["tshark"]["record"] for one in found] == ["dns", "http", "flow", "flow", "tls", "flow", "dns", "flow"]
    dns, http, _, page, tls, *_ = found
    assert (dns["query"], dns["answer"], dns["tshark"]["rcode"]) == ("www.bad.example", ["198.51.100.1"], "NOERROR")
    assert (http["c-uri"], http["c-useragent"], http["sc-status"]) == ("http://www.bad.example/gate.php?id=7", "curl/8.0", "404")
    assert (page["tshark"]["state"], page["tshark"]["packets_out"], page["tshark"]["packets_in"], page["service"]) == ("closed", 5, 3, "http")
    assert (tls["server_name"], len(tls["tshark"].get("ja3", "a" * 32))) == ("login.bad.example", 32)


@pytest.mark.realparts
def test_of_a_capture_that_is_cut_off_what_could_be_read_is_kept(capture, tshark):
    whole = packets.pcap(packets.office(AT))
    *found, fault = read(capture(whole[:700]), manner=tshark)
    assert [one["tshark"]["record"] for one in found] == ["dns", "http", "flow", "flow"]
    assert fault.reason == "Capture: It is cut off in the middle of a packet"
    *found, fault = read(capture(whole + b"\xff" * 50), manner=tshark)
    assert len(found) == 8
    assert "packet" in fault.reason


@pytest.mark.realparts
def test_hostile_names_stay_text(capture, tshark):
    evil = b'GET /a\tb"\\\x01\xff?x=\xe4\xbd\xa0 HTTP/1.1\r\nHost: a"\tb\r\n\r\n'
    http, _ = read(capture(packets.pcap(packets.conversation(AT, ("10.0.0.9", 40000), ("198.51.100.1", 80), [evil]))), manner=tshark)
    assert http["c-uri"].startswith('http://a"')
    assert http["cs-method"] == "GET"


@pytest.mark.realparts
def test_ipv6_and_a_capture_inside_an_archive(tmp_path, tshark):
    with zipfile.ZipFile(tmp_path / "case.zip", "w") as archive:
        archive.writestr("six.pcap", packets.pcap([packets.datagram(AT, ("2001:db8::9", 40000), ("2001:db8::53", 53), packets.dns(1, "six.example"))]))
    dns, flow = read(tmp_path / "case.zip", manner=tshark)
    assert (dns["query"], flow["src_ip"], flow["dst_ip"], flow["protocol"]) == ("six.example", "2001:db8::9", "2001:db8::53", "udp")


@pytest.mark.realparts
def test_a_reader_that_wants_no_more_ends_the_program(capture, tshark):
    many = [packets.datagram(AT + n, ("10.0.0.9", 1024 + n), ("10.0.0.53", 53), packets.dns(n, f"h{n}.example")) for n in range(5000)]
    stream = files.frames(capture(packets.pcap(many)), manner=tshark)
    assert len(list(islice(stream, 3))) == 3
    stream.close()
    assert not _children()


def _children():
    """Processes of ours that run tshark."""
    own = Path("/proc/self/task")
    return [number for task in own.iterdir() for number in (task / "children").read_text().split() if b"tshark" in Path(f"/proc/{number}/cmdline").read_bytes()] if sys.platform == "linux" else []
