"""Each further format: what a record becomes, and that no hostile one breaks, stalls or vanishes."""

from __future__ import annotations

import hashlib
import time
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lianfang.engines.connect import codecs, files, recognise
from lianfang.engines.connect.codecs import CODECS, Decoded, Limits, decode
from lianfang.engines.connect.limits import Reject
from lianfang.engines.connect.mapping import Templates
from lianfang.kernel.errors import Invalid, Missing

SMALL = Limits(frame_bytes=4000, sample_bytes=100, depth=8, fields=30, mail_bytes=4000)
CEF = b"<134>Nov 20 08:00:01 fw1 CEF:0|ACME|Wall|2.1|100|connection denied|7|src=192.0.2.7 dst=10.0.0.8 spt=40000 dpt=22 proto=TCP act=deny msg=a\\=b c cs1Label=Policy cs1=from outside"
LEEF = b"LEEF:1.0|ACME|IPS|1|exploit|src=192.0.2.7\tdst=10.0.0.8\tusrName=lin"
FORTI = b'<189>date=2026-11-20 time=08:00:01 devname="FG-1" logid="0000000013" type="traffic" subtype="forward" srcip=192.0.2.7 srcport=40000 dstip=10.0.0.8 dstport=443 action="deny" msg="one, two = three"'
ZEEK = b"""#separator \\x09
#set_separator\t,
#empty_field\t(empty)
#unset_field\t-
#path\tconn
#fields\tts\tuid\tid.orig_h\tid.orig_p\ttunnel_parents\tservice\tconn_state
#types\ttime\tstring\taddr\tport\tset[string]\tstring\tstring
1795161600.5\tCabc\t192.0.2.7\t40000\tC1,C2\t-\tS\\x46"""
AUDIT = [
    b"type=SYSCALL msg=audit(1795161600.500:77): arch=c000003e syscall=59 success=yes exit=0 a0=55 a1=66 ppid=1 pid=900 auid=1000 uid=0 comm=\"cat\" exe=\"/usr/bin/cat\" key=\"exec\"\x1dARCH=x86_64 SYSCALL=execve AUID=\"lin\" UID=\"root\"",
    b"type=SYSCALL msg=audit(1795161600.501:78): syscall=2 success=no exe=\"/usr/bin/id\"",
    b'type=EXECVE msg=audit(1795161600.500:77): argc=2 a0="cat" a1=2F6574632F736861646F77',
    b"type=PATH msg=audit(1795161600.500:77): item=0 name=\"/usr/bin/cat\" nametype=NORMAL",
    b"type=PROCTITLE msg=audit(1795161600.500:77): proctitle=636174002F6574632F736861646F77",
]
XML = b"""<Event xmlns="http://schemas.microsoft.com/win/2004/08/events/event"><System><Provider Name="Microsoft-Windows-Security-Auditing" Guid="{5}"/><EventID>4625</EventID><TimeCreated SystemTime="2026-11-20T08:00:00.5Z"/><Channel>Security</Channel><Computer>ws1</Computer></System><EventData><Data Name="TargetUserName">lin &amp; co</Data><Data Name="LogonType">3</Data><Data Name="Channel">forged</Data></EventData></Event>"""
JAVA = ["2026-11-20 08:00:01,123 ERROR [http-1] com.acme.Pay - payment refused", "java.lang.IllegalStateException: no account", "\tat com.acme.Pay.run(Pay.java:10)", "Caused by: java.io.IOException: gone", "\t... 3 more", "2026-11-20 08:00:02,000 INFO [http-2] com.acme.Pay - ok"]
PYTHON = ["ERROR:app:failed", "Traceback (most recent call last):", '  File "a.py", line 1, in <module>', "ValueError: bad value"]
FORMATS = sorted(CODECS)


def row(codec: str, *frames: bytes, **more: str) -> dict[str, str]:
    done = decode(codec, frames, **more)
    assert done.rejects == []
    assert len(done.rows) == 1
    return done.rows[0]


def mail() -> bytes:
    message = EmailMessage()
    message["From"] = "Lin <lin@corp.example>"
    message["To"] = "a@corp.example, b@corp.example"
    message["Subject"] = "发票通知"
    message["Date"] = "Fri, 20 Nov 2026 08:00:00 +0800"
    message["Message-ID"] = "<1@corp.example>"
    message["Received"] = "from x (mail.bad.example [198.51.100.7]) by mx1"
    message.set_content("see http://bad.example/pay?x=1。\n")
    message.add_alternative('<a href="https://evil.example/a?b=1&amp;c=2">x</a>', subtype="html")
    message.add_attachment(b"MZ", maintype="application", subtype="octet-stream", filename="发票.exe")
    return message.as_bytes()


# ---- what becomes of a record ------------------------------------------------------------------------------------


def test_cef_under_a_syslog_header() -> None:
    found = row("cef", CEF)
    assert found.items() >= {"hostname": "fw1", "timestamp": "Nov 20 08:00:01", "DeviceVendor": "ACME", "Severity": "7", "severity": "info", "src": "192.0.2.7", "msg": "a=b c", "cs1Label": "Policy", "cs1": "from outside"}.items()


def test_cef_escapes_in_its_header_and_extension() -> None:
    found = row("cef", rb"CEF:0|A\|B|C\\D|1|x|n|5|path=C:\\Windows\\a.exe msg=one\ntwo")
    assert (found["DeviceVendor"], found["DeviceProduct"], found["path"], found["msg"]) == ("A|B", "C\\D", r"C:\Windows\a.exe", "one\ntwo")


@pytest.mark.parametrize("frame", [LEEF, b"LEEF:2.0|ACME|IPS|1|exploit|^|src=192.0.2.7^dst=10.0.0.8^usrName=lin", b"LEEF:2.0|ACME|IPS|1|exploit|0x5e|src=192.0.2.7^dst=10.0.0.8^usrName=lin", b"LEEF:2.0|ACME|IPS|1|exploit|src=192.0.2.7\tdst=10.0.0.8\tusrName=lin"])
def test_leef_of_both_versions(frame: bytes) -> None:
    assert row("leef", frame).items() >= {"DeviceVendor": "ACME", "DeviceEventClassID": "exploit", "src": "192.0.2.7", "dst": "10.0.0.8", "usrName": "lin"}.items()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (FORTI.decode(), {"devname": "FG-1", "srcip": "192.0.2.7", "action": "deny", "msg": "one, two = three", "type": "traffic", "facility": "local7"}),
        ("<190>Nov 20 2026 08:00:01 USG-A %%01POLICY/6/POLICYDENY(l):vsys=public, protocol=6, source-ip=192.0.2.7, source-port=40000, time=2026/11/20 08:00:01, rule-name=deny all.", {"hostname": "USG-A", "program": "%%01POLICY/6/POLICYDENY(l)", "source-ip": "192.0.2.7", "time": "2026/11/20 08:00:01", "rule-name": "deny all."}),
        ("<190>Nov 20 08:00:01 2026 H3C %%10FILTER/6/FILTER_EXECUTION: -Context=1; SrcZoneName(1025)=Untrust;SrcIPAddr(1003)=192.0.2.7;Action(1053)=Deny;", {"Context": "1", "SrcZoneName": "Untrust", "SrcIPAddr": "192.0.2.7", "Action": "Deny"}),
        ("<134>Nov 20 08:00:01 localhost fwlog: 日志类型:服务控制, 用户:(null), 源IP:192.0.2.7, 源端口:40000, 动作:拒绝", {"日志类型": "服务控制", "源IP": "192.0.2.7", "动作": "拒绝"}),
        ("id=tos time=\"2026-11-20 08:00:01\" fw=TOS pri=5 src=192.0.2.7 msg='it is \\'so\\''", {"time": "2026-11-20 08:00:01", "pri": "5", "msg": "it is 'so'"}),
        ("a=1|b=two words|c=3", {"a": "1", "b": "two words", "c": "3"}),
    ],
)  # fmt: skip
def test_pairs_in_the_manners_of_firewalls(text: str, expected: dict[str, str]) -> None:
    assert row("kv", text.encode()).items() >= expected.items()


def test_a_table_with_its_header_anywhere_a_header_may_come_from() -> None:
    first = decode("csv", [b"time,src_ip,note", b'2026-11-20,192.0.2.7,"a, ""b"""'])
    assert first.rows == [{"time": "2026-11-20", "src_ip": "192.0.2.7", "note": 'a, "b"'}]
    assert first.parts == [0]
    later = decode("csv", [b"2026-11-21,192.0.2.8,c"], header=first.header)
    assert later.rows[0]["src_ip"] == "192.0.2.8"
    assert decode("csv", [b"a;b;c", b"1;2;3"]).rows == [{"a": "1", "b": "2", "c": "3"}]
    assert decode("tsv", [b"a\tb", b"1,1\t2"]).rows == [{"a": "1,1", "b": "2"}]
    assert decode("csv", [b"a,b\n1,2\n3,4\n"]).rows == [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]
    assert row("csv", "时间,来源\n2026,内网".encode("gbk"), encoding="gb18030") == {"时间": "2026", "来源": "内网"}


@pytest.mark.parametrize(("frames", "words"), [([b"2026-11-20,192.0.2.7"], "names of the columns"), ([b"a,b", b"1,2,3"], "3 values, but the header names 2"), ([b"a,b", b'"' + b"x" * 200_000], "field larger"), ([b"#fields\ta\tb", b"1"], "#fields names 2"), ([b"1\t2"], "names of the columns")])
def test_a_table_that_does_not_fit_is_never_half_read(frames: list[bytes], words: str) -> None:
    done = decode("zeek" if b"#" in frames[0] or b"\t" in frames[0] else "csv", frames)
    assert done.rows == []
    assert words in done.rejects[-1].reason
    assert done.rejects[-1].todo


def test_zeek_in_both_writers() -> None:
    done = decode("zeek", ZEEK.split(b"\n"))
    assert done.rows == [{"ts": "1795161600.5", "uid": "Cabc", "id.orig_h": "192.0.2.7", "id.orig_p": "40000", "tunnel_parents": "C1\nC2", "conn_state": "SF", "_path": "conn"}]
    assert done.parts == list(range(7))
    again = decode("zeek", [ZEEK.split(b"\n")[-1]], header=done.header)
    assert again.rows == done.rows
    assert row("zeek", b'{"ts":1795161600.5,"uid":"C1","id.orig_h":"192.0.2.7","conn_state":"SF"}')["_path"] == "conn"


def test_the_records_of_an_audit_event_are_one_row() -> None:
    done = decode("auditd", AUDIT)
    assert [one["type"] for one in done.rows] == ["EXECVE", "SYSCALL"]
    assert done.rows[0].items() >= {"types": "SYSCALL\nEXECVE\nPATH\nPROCTITLE", "a1": "/etc/shadow", "SYSCALL.a1": "66", "exe": "/usr/bin/cat", "SYSCALL": "execve", "AUID": "lin", "proctitle": "cat /etc/shadow", "cmdline": "cat /etc/shadow"}.items()
    assert done.origin == [0, 1]
    assert sorted(done.parts) == [2, 3, 4]
    assert done.raws[0] == b"\n".join([AUDIT[0], *AUDIT[2:]])
    user = row("auditd", b"type=USER_LOGIN msg=audit(1795161600.5:9): pid=1 uid=0 auid=1000 msg='op=login acct=\"lin\" exe=\"/usr/sbin/sshd\" hostname=? addr=192.0.2.7 terminal=ssh res=failed'")
    assert user.items() >= {"acct": "lin", "addr": "192.0.2.7", "res": "failed"}.items()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('192.0.2.7 - - [20/Nov/2026:16:00:00 +0800] "POST /a?b=\\"1 HTTP/1.1" 404 12 "-" "curl/8" "203.0.113.9"', {"c-ip": "192.0.2.7", "cs-method": "POST", "sc-status": "404"}),
        ('www.corp.example:443 192.0.2.7 - lin [20/Nov/2026:16:00:00 +0800] "GET / HTTP/1.1" 200 12', {"cs-host": "www.corp.example", "s-port": "443", "cs-username": "lin"}),
        ('2026/11/20 08:00:01 [error] 12#13: *56 open() "/srv/a" failed (2: No such file), client: 192.0.2.7, server: www.corp.example, request: "GET /a?x=1 HTTP/1.1", host: "www.corp.example"', {"level": "error", "client": "192.0.2.7", "server": "www.corp.example", "request": "GET /a?x=1 HTTP/1.1", "message": 'open() "/srv/a" failed (2: No such file)'}),
        ("[Fri Nov 20 08:00:01.123456 2026] [core:error] [pid 7:tid 8] [client 192.0.2.7:50000] AH00126: Invalid URI in request", {"timestamp": "Nov 20 08:00:01.123456 2026", "module": "core", "level": "error", "client": "192.0.2.7", "client_port": "50000", "code": "AH00126"}),
    ],
)
def test_web_servers(text: str, expected: dict[str, str]) -> None:
    assert row("web", text.encode()).items() >= expected.items()


def test_windows_events_as_xml() -> None:
    found = row("winxml", XML)
    assert found.items() >= {"Channel": "Security", "EventID": "4625", "Provider_Name": "Microsoft-Windows-Security-Auditing", "Computer": "ws1", "SystemTime": "2026-11-20T08:00:00.5Z", "TargetUserName": "lin & co", "LogonType": "3", "EventData.Channel": "forged"}.items()
    pretty = [b'<?xml version="1.0"?>', b"<Events>", *XML.replace(b"><", b">\n<").split(b"\n"), *XML.replace(b"><", b">\n  <").split(b"\n"), b"</Events>"]
    done = decode("winxml", pretty)
    assert [one["EventID"] for one in done.rows] == ["4625", "4625"]
    assert done.rejects == []


@pytest.mark.parametrize("frame", [b'<!DOCTYPE x [<!ENTITY a "aaaa">]>' + XML, XML.replace(b"lin &amp; co", b"&xxe;"), b"<Event><Sys", b"<Event>" + b"<a>" * 5000, b"<Event><System/><System/></Event>" * 3, b"<Event></Event>"])
def test_xml_that_wants_more_than_data_is_refused(frame: bytes) -> None:
    done = decode("winxml", [frame])
    assert done.rows == []
    assert done.rejects


def test_stack_traces_stay_with_their_record() -> None:
    done = decode("lines", [line.encode() for line in JAVA])
    assert [one["message"] for one in done.rows] == ["payment refused", "ok"]
    assert done.rows[0].items() >= {"level": "ERROR", "thread": "http-1", "logger": "com.acme.Pay", "exception": "java.lang.IllegalStateException", "exception_message": "no account", "cause": "java.io.IOException"}.items()
    assert done.parts == [1, 2, 3, 4]
    python = row("lines", *(line.encode() for line in PYTHON))
    assert python.items() >= {"level": "ERROR", "exception": "ValueError", "exception_message": "bad value"}.items()
    assert len(decode("lines", [b"BEGIN a", b"2026-11-20 b", b"BEGIN c"], start="^BEGIN").rows) == 2
    with pytest.raises(Invalid):
        decode("lines", [b"a"], start="(")


def test_a_record_without_end_is_cut_into_bounded_ones() -> None:
    done = decode("lines", [b" more"] * 10_000, limits=SMALL)
    assert len(done.rows) > 5
    assert max(map(len, done.raws)) <= SMALL.frame_bytes
    assert decode("auditd", [AUDIT[1]] * 5000, limits=SMALL).rejects == []


def test_a_mail_says_who_whom_what_and_keeps_neither_text_nor_attachment() -> None:
    found = row("mail", mail())
    assert found.items() >= {
        "mail.from": "lin@corp.example", "mail.from_name": "Lin", "mail.to": "a@corp.example\nb@corp.example", "mail.subject": "发票通知", "mail.received_ips": "198.51.100.7",
        "mail.urls": "http://bad.example/pay?x=1\nhttps://evil.example/a?b=1&c=2", "mail.domains": "bad.example\nevil.example", "mail.attachment_names": "发票.exe",
    }.items()  # fmt: skip
    assert found["mail.attachment_sha256"] == hashlib.sha256(b"MZ").hexdigest()
    assert not any("see http" in value for value in found.values())


def test_text_in_gbk_is_read_as_declared_or_by_looking() -> None:
    line = "<13>Nov 20 08:00:00 h app: 用户=林 动作=登录失败".encode("gbk")
    for encoding in ("gbk", "gb18030", "auto"):
        assert row("kv", line, encoding=encoding)["动作"] == "登录失败"
    assert row("json", '{"a":"登录"}'.encode("gbk"), encoding="gb18030") == {"a": "登录"}
    with pytest.raises(Missing, match="no encoding"):
        decode("json", [], encoding="klingon")


def test_json_under_a_syslog_header() -> None:
    assert row("json", b'<134>Nov 20 08:00:01 waf1 app: {"src_ip":"192.0.2.7","n":1}') == {"src_ip": "192.0.2.7", "n": "1", "facility": "local0", "severity": "info", "timestamp": "Nov 20 08:00:01", "hostname": "waf1", "program": "app"}


# ---- files -------------------------------------------------------------------------------------------------------


def opened(path: Path, content: bytes, **manner: str) -> list[bytes | Reject]:
    path.write_bytes(content)
    return list(files.frames(path, manner=files.Manner(**manner)))


def read(frames: list[bytes | Reject], codec: str) -> Decoded:
    assert all(isinstance(frame, bytes) for frame in frames)
    return decode(codec, [frame for frame in frames if isinstance(frame, bytes)])


def test_each_frame_of_a_file_can_be_read_alone(tmp_path: Path) -> None:
    path = tmp_path / "log"
    zeek = opened(path, ZEEK + b"\n")
    assert [decode(codec, [zeek[0]]).rows[0]["tunnel_parents"] for codec in ("zeek", "json", "auto") if isinstance(zeek[0], bytes)] == ["C1\nC2"] * 3
    table = opened(path, "时间,来源\n2026,内网\n".encode("gbk"), codec="csv", encoding="gb18030")
    assert read(table, "csv").rows == [{"时间": "2026", "来源": "内网"}]
    assert len(opened(path, "\n".join(JAVA).encode(), codec="lines")) == 2
    assert len(opened(path, b"\n".join(AUDIT), codec="auditd")) == 2
    assert len(read(opened(path, b"<Events>\n" + XML.replace(b"><", b">\n<") + b"\n</Events>", codec="winxml"), "winxml").rows) == 1
    assert isinstance(opened(path, b"a,b\n1,2,3\n", codec="csv")[0], Reject)


def test_a_mail_file_is_one_record(tmp_path: Path) -> None:
    frames = opened(tmp_path / "a.eml", mail())
    assert read(frames, "json").rows == decode("mail", [mail()]).rows
    bad = opened(tmp_path / "b.msg", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"x" * 3000)
    assert isinstance(bad[0], Reject)
    assert "Not a readable message" in bad[0].reason
    assert "Too large" in next(found.reason for found in files.frames(tmp_path / "a.eml", limits=Limits(mail_bytes=100)) if isinstance(found, Reject))


# ---- hostile input -----------------------------------------------------------------------------------------------

pieces = st.sampled_from([CEF, LEEF, FORTI, *AUDIT, XML, *(line.encode() for line in [*JAVA, *PYTHON]), *ZEEK.split(b"\n"), b"a,b,c", b'"', b"|", b"=", b"\\", b"CEF:0|", b"LEEF:2.0|", b"<Event", b"</Event>", b"type=EXECVE msg=audit(1.1:1): argc=9999999999999999999999 a0=41", b"#fields\t", b"#separator \\xff", b"\xff\xfe", "，：；".encode(), b"\0", b"From: a@b.cn\nDate: x\nTo: y\n\n", b"Content-Type: multipart/mixed; boundary=x\n\n--x\n"])
hostile = st.lists(st.one_of(st.binary(max_size=80), st.lists(pieces, max_size=4).map(b"".join), st.lists(pieces, max_size=3).map(b"\n".join)), max_size=8)


@given(st.sampled_from(FORMATS), hostile, st.sampled_from(["utf-8", "gb18030", "auto"]))
@settings(max_examples=400, deadline=None)
@example("mail", [b"From: =?x?b?" + b"=" * 200], "utf-8")
@example("mail", [b"Content-Type: multipart/mixed; boundary=\"\n\n--"], "utf-8")
def test_whatever_comes_is_a_row_a_part_or_a_reject(codec: str, frames: list[bytes], encoding: str) -> None:
    done = decode(codec, frames, limits=SMALL, encoding=encoding)
    assert {*done.origin, *done.parts, *(reject.index for reject in done.rejects)} == set(range(len(frames)))
    for found in done.rows:
        assert all(isinstance(name, str) and isinstance(value, str) and "\0" not in value for name, value in found.items())
        "".join([*found, *found.values()]).encode()
    assert all(reject.reason and reject.todo for reject in done.rejects)


@given(hostile)
@settings(max_examples=80, deadline=None)
def test_any_sample_can_be_looked_at(frames: list[bytes]) -> None:
    guesses = recognise.recognise(frames, limits=SMALL)
    assert [guess.score for guess in guesses] == sorted((guess.score for guess in guesses), reverse=True)
    assert all(0 <= guess.score <= 1 and guess.reasons for guess in guesses)


LONG = 300_000


@pytest.mark.parametrize("codec", [codec for codec in FORMATS if codec != "json"])
@pytest.mark.parametrize(
    "text",
    [b"a=" * LONG, b" a=\"" * (LONG // 2), b"=" * LONG, b"\\" * LONG, b"CEF:0|" + b"\\|" * LONG, b"CEF:0|a|b|c|d|e|f|" + b"a=b " * 2000, b"LEEF:2.0|a|b|c|d|^|" + b"^" * LONG, b"type=A msg=audit(1.1:1): " + b"a='" * LONG, b"<Event>" + b"<Event " * LONG, b"<Event>" * LONG,
     b"2026/11/20 08:00:01 [error] 1#1: , client: " + b", host: \"" * (LONG // 4), b"[Fri Nov 20 08:00:01 2026] [" + b"a" * LONG, b"1.1.1.1 - - [20/Nov/2026:16:00:00 +0800] \"" + b"\\\"" * LONG, b"ERROR " + b"a." * LONG, b"ERROR x\n" + b"java.lang." * LONG, b"x\n" + b"a.b.c\n" * (LONG // 4), b"From: a\nTo: b\nDate: c\nReceived: " + b"(" * LONG, b"From: " + b"<" * LONG, b"From: a\nSubject: " + b"=?utf-8?q?" * (LONG // 8), b"From: a\n\n" + b"http://" * (LONG // 8), b"a,b\n" + b'"' * LONG, b"#fields" + b"\ta" * LONG, b"<134>" + b":," * LONG, "源：".encode() * LONG],
    ids=lambda text: text[:16].decode("utf-8", "replace"),
)  # fmt: skip
def test_no_record_keeps_a_codec_busy(codec: str, text: bytes) -> None:
    start = time.process_time()
    decode(codec, [text[: 1 << 20]])
    assert time.process_time() - start < 2


def test_the_codecs_are_those_that_the_handbook_names() -> None:
    assert {"json", "syslog", "cef", "leef", "kv", "csv", "tsv", "zeek", "suricata", "web", "winxml", "auditd", "lines", "mail", "auto"} == set(CODECS)
    assert all(len(name) <= 12 for name in CODECS)


# ---- recognition -------------------------------------------------------------------------------------------------

SAMPLES = {
    "cef": [CEF] * 3, "leef": [LEEF] * 3, "kv": [FORTI] * 3, "zeek": ZEEK.split(b"\n"), "auditd": AUDIT, "winxml": [XML], "lines": [line.encode() for line in JAVA], "mail": mail().split(b"\n"),
    "csv": [b"time,src_ip,action", b"2026-11-20 08:00:01,192.0.2.7,deny", b"2026-11-20 08:00:02,192.0.2.8,deny"], "tsv": [b"time\tsrc\tn", b"2026\tx\t1"],
    "web": [b'192.0.2.7 - - [20/Nov/2026:16:00:00 +0800] "GET / HTTP/1.1" 200 12 "-" "curl/8"'] * 2, "json": [b'{"a":1}', b'{"a":2}'], "syslog": [b"<38>Nov 20 08:00:01 web1 sshd[1]: Accepted password for lin from 192.0.2.7 port 5 ssh2"] * 2,
}  # fmt: skip


@pytest.mark.parametrize("codec", SAMPLES)
def test_a_sample_is_recognised_with_reasons(codec: str) -> None:
    guesses = recognise.recognise(SAMPLES[codec])
    assert guesses[0].codec == codec, guesses
    assert guesses[0].reasons
    assert guesses[0].read
    assert not guesses[0].rejected


def test_a_template_makes_a_guess_surer() -> None:
    templates = Templates.load(Path(__file__).parents[3] / "content/mappings")
    now = datetime(2026, 11, 20, 9, tzinfo=UTC)
    for template, sample in [(template, sample) for template in templates.templates if template.name not in ("json", "syslog", "syslog.lines", "windows.other") for sample in template.tests if "raw" in sample]:
        best = recognise.recognise(sample["raw"].encode().split(b"\n"), templates=templates, received=now)[0]
        assert best.template == template.name, (sample["name"], best)
        assert any(template.name in reason for reason in best.reasons)


def test_auto_takes_each_frame_by_its_look() -> None:
    done = decode("auto", [CEF, b'{"a":1}', LEEF, b"<38>Nov 20 08:00:01 web1 sshd[1]: x", FORTI, XML, *AUDIT])
    assert not done.rejects
    assert len(done.rows) == 8
    assert sorted({*done.origin, *done.parts}) == list(range(11))


def test_gbk_is_recognised() -> None:
    best = recognise.recognise(["<134>Nov 20 08:00:01 fw fwlog: 日志类型:服务控制, 用户:林, 源IP:192.0.2.7, 目的IP:10.0.0.8, 动作:拒绝".encode("gbk")] * 3)[0]
    assert (best.codec, best.encoding) == ("kv", "gb18030")


def test_nothing_is_nothing() -> None:
    assert recognise.recognise([]) == recognise.recognise([b"  ", b""]) == []
    assert codecs.codec_of(b"") == "syslog"
