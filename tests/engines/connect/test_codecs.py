"""Frames from anybody become rows or rejects, never an exception, and no frame disappears."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lianfang.engines.connect import codecs
from lianfang.engines.connect.codecs import Limits, decode
from lianfang.kernel.errors import Missing

SMALL = Limits(frame_bytes=2000, sample_bytes=100, depth=8, fields=20)
json_values = st.recursive(st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=5)), lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=4), inner, max_size=4)), max_leaves=20)


def one(frame: bytes, **more: Any) -> dict[str, str]:
    done = decode("json", [frame], **more)
    assert done.rejects == []
    assert len(done.rows) == 1
    return done.rows[0]


def why(frame: bytes, codec: str = "json", **more: Any) -> str:
    done = decode(codec, [frame], **more)
    assert done.rows == []
    assert len(done.rejects) == 1
    assert done.rejects[0].todo
    return done.rejects[0].reason


@given(st.sampled_from(sorted(codecs.CODECS)), st.lists(st.one_of(st.binary(max_size=200), json_values.map(lambda value: json.dumps(value).encode())), max_size=8))
def test_every_frame_is_accounted_for(codec: str, frames: list[bytes]) -> None:
    done = decode(codec, frames, limits=SMALL)
    assert len(done.rows) == len(done.raws) == len(done.origin)
    assert {*done.origin, *done.parts, *(reject.index for reject in done.rejects)} == set(range(len(frames)))
    for row in done.rows:
        assert all(isinstance(name, str) and isinstance(value, str) and "\0" not in value for name, value in row.items())
    for reject in done.rejects:
        assert reject.reason
        assert reject.todo


@given(st.dictionaries(st.text(min_size=1, max_size=8), st.text(max_size=12), max_size=8))
def test_a_flat_object_of_texts_is_the_row(fields: dict[str, str]) -> None:
    expected = {name.replace("\0", "␀"): value.replace("\0", "␀") for name, value in fields.items()}
    if not {"Channel", "request", "request_uri", "uri"} & set(fields):
        assert one(json.dumps(fields).encode()) == expected


@given(st.dictionaries(st.sampled_from("abc"), json_values, max_size=3))
def test_no_value_of_a_nested_object_is_lost(fields: dict[str, Any]) -> None:
    done = decode("json", [json.dumps(fields).encode()], limits=Limits(depth=64))
    text = "\n".join(done.rows[0].values())
    for value in leaves(fields):
        assert value in text


def leaves(value: Any) -> list[str]:
    if isinstance(value, dict | list):
        return [text for item in (value.values() if isinstance(value, dict) else value) for text in leaves(item)]
    return [value.replace("\0", "␀")] if isinstance(value, str) else [] if value is None or isinstance(value, bool | float) else [str(value)]


@pytest.mark.parametrize(
    ("frame", "row"),
    [
        (b'{"a":1.10,"b":123456789012345678901234567890,"c":1e5,"d":true,"e":null}', {"a": "1.10", "b": "123456789012345678901234567890", "c": "1e5", "d": "true"}),
        (b'{"a":{"b":[1,2],"c":[{"d":"x"}]}}', {"a.b": "1\n2", "a.c.0.d": "x"}),
        (b'{"a":{"b":"1"},"a.b":"2"}', {"a.b": "1", "a.b#2": "2"}),
        (b'{"a":"\xff\xfe"}', {"a": "��"}),
        (b'{"a":"\\ud800x","b":"\\ud83d\\ude00"}', {"a": "�x", "b": "😀"}),
        (b'{"a":"x\\u0000y"}', {"a": "x␀y"}),
        (b'\xef\xbb\xbf{"a":"1"}', {"a": "1"}),
        (b'\0{"a":"1"}\0\n', {"a": "1"}),
    ],
)
def test_odd_values_stay_visible_and_exact(frame: bytes, row: dict[str, str]) -> None:
    assert one(frame) == row


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (b"", "empty"),
        (b"hello", "Not JSON"),
        (b'{"a":"x\0y"}', "Not JSON"),
        (b'{"a":', "Not JSON"),
        (b'"text"', "not an object"),
        (b"{" * 100_000, "Not JSON"),
        (b'{"a":' * 1000 + b"1" + b"}" * 1000, "Nested deeper"),
        (b'{"a":' * 5000 + b"1" + b"}" * 5000, "Not JSON"),
        (b'{"a":' * 100 + b"1" + b"}" * 100, "Nested deeper"),
        (b"[" * 100_000, "Not JSON"),
        (b'{"a":"' + b"x" * (2 << 20) + b'"}', "Too large"),
        (json.dumps({str(number): 1 for number in range(3000)}).encode(), "fields"),
        (json.dumps({str(number): "1" for number in range(3000)}).encode(), "fields"),
    ],
)
def test_what_cannot_be_read_says_why(frame: bytes, reason: str) -> None:
    assert reason in why(frame)


def test_a_reject_keeps_the_frame_or_its_beginning() -> None:
    done = decode("json", [b"hello", b"x" * 5000], limits=SMALL)
    assert [len(reject.raw) for reject in done.rejects] == [5, 100]


def test_many_objects_in_one_frame() -> None:
    for frame in (b'[{"a":1},{"a":2}]', b'{"a":1}\n{"a":2}\n', b'{"a":1}{"a":2}', b'{\n "a": 1\n}\n{\n "a": 2\n}'):
        done = decode("json", [frame])
        assert [row["a"] for row in done.rows] == ["1", "2"], frame
        assert done.origin == [0, 0]
    broken = decode("json", [b'{"a":1}\n{"a":\n{"a":3}'])
    assert [row["a"] for row in broken.rows] == ["1", "3"]
    assert [reject.raw for reject in broken.rejects] == [b'{"a":']


def test_too_many_objects_in_one_frame() -> None:
    done = decode("json", [b"[" + b",".join([b'{"a":1}'] * 30) + b"]"], limits=Limits(rows_per_frame=20))
    assert len(done.rows) == 20
    assert "30 records" in done.rejects[0].reason


def test_an_unknown_codec_is_missing() -> None:
    with pytest.raises(Missing, match="no codec"):
        decode("morse", [])


# ---- Windows, in every dialect -----------------------------------------------------------------------------------

NATIVE = {"Channel": "Security", "EventID": "4624", "Provider_Name": "P", "Computer": "c", "SystemTime": "2026-11-20T08:00:00Z", "TargetUserName": "lin", "EventRecordID": "7"}
SYSTEM = {"Provider": {"#attributes": {"Name": "P"}}, "EventID": {"#attributes": {"Qualifiers": 0}, "#text": 4624}, "Channel": "Security", "Computer": "c", "TimeCreated": {"#attributes": {"SystemTime": "2026-11-20T08:00:00Z"}}, "EventRecordID": 7}
DIALECTS = {
    "flat": NATIVE,
    "evtx": {"Event": {"#attributes": {"xmlns": "x"}, "System": SYSTEM, "EventData": {"#attributes": {"Name": "n"}, "TargetUserName": "lin"}}},
    "xml": {"Event": {"@xmlns": "x", "System": {"Provider": {"@Name": "P"}, "EventID": "4624", "Channel": "Security", "Computer": "c", "TimeCreated": {"@SystemTime": "2026-11-20T08:00:00Z"}, "EventRecordID": "7"}, "EventData": {"Data": [{"@Name": "TargetUserName", "#text": "lin"}, {"@Name": "Empty"}]}}},
    "winlogbeat": {"@timestamp": "2026-11-20T08:00:00Z", "winlog": {"channel": "Security", "event_id": 4624, "provider_name": "P", "computer_name": "c", "record_id": 7, "event_data": {"TargetUserName": "lin"}}},
    "nxlog": {"EventTime": "2026-11-20T08:00:00Z", "Hostname": "c", "Channel": "Security", "EventID": 4624, "SourceName": "P", "TargetUserName": "lin", "EventRecordID": 7},
}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_windows_events_have_the_names_that_rules_use(dialect: str) -> None:
    row = one(json.dumps(DIALECTS[dialect]).encode())
    assert {name: row.get(name) for name in NATIVE} == NATIVE


def event(**sections: Any) -> dict[str, str]:
    return one(json.dumps({"Event": {"System": SYSTEM, **sections}}).encode())


def test_unnamed_data_is_lines() -> None:
    assert event(EventData={"Data": {"#text": ["a", None, "b"]}})["Data"] == "a\nb"
    assert event(EventData={"Data": "a"})["Data"] == "a"
    assert event(EventData="a")["Data"] == "a"


def test_user_data_is_reached_through_its_wrapper() -> None:
    assert event(UserData={"Operation": {"#attributes": {"xmlns": "x"}, "New Value": "v", "Inner": {"Deep": 1}}}).items() >= {"New Value": "v", "Deep": "1"}.items()


def test_data_cannot_pass_itself_off_as_the_header() -> None:
    row = event(EventData={"Channel": "Forged", "EventID": 1, "Computer": "x", "Level": "9"})
    assert (row["Channel"], row["EventID"], row["Computer"]) == ("Security", "4624", "c")
    assert (row["EventData.Channel"], row["EventData.EventID"]) == ("Forged", "1")


def test_deep_user_data_is_a_reject() -> None:
    deep: Any = "x"
    for _ in range(60):
        deep = {"a": deep}
    assert "Nested deeper" in why(json.dumps({"Event": {"System": SYSTEM, "UserData": deep}}).encode())


# ---- syslog ------------------------------------------------------------------------------------------------------


def line(text: str | bytes, **more: Any) -> dict[str, str]:
    done = decode("syslog", [text.encode() if isinstance(text, str) else text], **more)
    assert done.rejects == []
    return done.rows[0]


def test_rfc_5424() -> None:
    row = line(r'<165>1 2003-08-24T05:14:15.000003-07:00 192.0.2.1 myproc 8710 ID1 [a@1 x="1\"\]\\" y="2"][b z=""] %% It is time')
    assert row == {
        "facility": "local4", "severity": "notice", "timestamp": "2003-08-24T05:14:15.000003-07:00", "hostname": "192.0.2.1", "program": "myproc", "pid": "8710", "msgid": "ID1",
        "sd.a@1.x": '1"]\\', "sd.a@1.y": "2", "sd.b.z": "", "message": "%% It is time",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<34>Oct 11 22:14:15 mymachine su: 'su root' failed", {"facility": "auth", "severity": "crit", "timestamp": "Oct 11 22:14:15", "hostname": "mymachine", "program": "su", "message": "'su root' failed"}),
        ("<13>Feb  5 17:32:18 10.0.0.99 Use the BFG!", {"hostname": "10.0.0.99", "message": "Use the BFG!"}),
        ("2026-11-20T08:00:00.123456+08:00 web1 kernel: [1.0] x", {"timestamp": "2026-11-20T08:00:00.123456+08:00", "hostname": "web1", "program": "kernel"}),
        ("<189>Nov 20 2026 08:00:01 fw1 %ASA-6-302013: Built", {"timestamp": "Nov 20 2026 08:00:01", "hostname": "fw1", "program": "%ASA-6-302013", "message": "Built"}),
        ("<999>no priority", {"message": "<999>no priority"}),
        ("just words", {"message": "just words"}),
    ],
)
def test_rfc_3164_and_its_relatives(text: str, expected: dict[str, str]) -> None:
    assert line(text).items() >= expected.items()


def test_bytes_that_are_not_utf_8_are_seen_or_read_as_declared() -> None:
    assert line(b"<13>Nov 20 08:00:00 h app: \xff\x00x")["message"] == "�␀x"
    assert line("<13>Nov 20 08:00:00 h app: 登录失败".encode("gb18030"), encoding="gb18030")["message"] == "登录失败"


def test_a_chosen_user_name_cannot_move_the_blame() -> None:
    row = line("<38>Nov 20 08:00:01 web1 sshd[1]: Failed password for invalid user root from 203.0.113.1 port 1 ssh2 from 192.0.2.7 port 50022 ssh2")
    assert row["src_ip"] == "192.0.2.7"
    assert row["user"] == "root from 203.0.113.1 port 1 ssh2"


@pytest.mark.parametrize(
    ("message", "action", "outcome", "user", "address"),
    [
        ("Accepted publickey for lin from 2001:db8::7 port 1 ssh2: ED25519 SHA256:abc", "accepted", "success", "lin", "2001:db8::7"),
        ("Failed none for invalid user  from 192.0.2.1 port 2 ssh2", "failed", "failure", None, "192.0.2.1"),
        ("Invalid user admin from 192.0.2.1 port 3", "invalid_user", "failure", "admin", "192.0.2.1"),
        ("error: maximum authentication attempts exceeded for root from 192.0.2.1 port 3 ssh2 [preauth]", "max_attempts", "failure", "root", "192.0.2.1"),
        ("User backup from 192.0.2.1 not allowed because not listed in AllowUsers", "not_allowed", "failure", "backup", "192.0.2.1"),
        ("Connection closed by authenticating user root 192.0.2.1 port 22 [preauth]", "disconnected", None, "root", "192.0.2.1"),
        ("Disconnected from user lin 192.0.2.1 port 4", "disconnected", None, "lin", "192.0.2.1"),
        ("Received disconnect from 192.0.2.1 port 4:11: disconnected by user", "disconnected", None, None, "192.0.2.1"),
        ("Did not receive identification string from 192.0.2.1 port 4", "scanned", "failure", None, "192.0.2.1"),
        ("pam_unix(sshd:session): session opened for user root(uid=0) by (uid=0)", "session_opened", "success", "root", None),
        ("pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=192.0.2.1  user=root", "authentication_failure", "failure", "root", "192.0.2.1"),
    ],
)
def test_sshd_says_who_whence_and_how_it_ended(message: str, action: str, outcome: str | None, user: str | None, address: str | None) -> None:
    row = line(f"<38>Nov 20 08:00:01 web1 sshd[1]: {message}")
    assert (row.get("action"), row.get("outcome"), row.get("user"), row.get("src_ip")) == (action, outcome, user, address)


def test_sudo_keeps_the_whole_command() -> None:
    row = line("<85>Nov 20 08:00:01 web1 sudo:      lin : TTY=pts/0 ; PWD=/tmp ; USER=#-1 ; COMMAND=/bin/sh -c 'a ; USER=x'")
    assert (row["user"], row["USER"], row["COMMAND"]) == ("lin", "#-1", "/bin/sh -c 'a ; USER=x'")


def test_an_empty_record_is_a_reject() -> None:
    assert "empty" in why(b"\0\n", codec="syslog")
    assert "Too large" in why(b"x" * 3000, codec="syslog", limits=SMALL)


@pytest.mark.parametrize(
    "message",
    [
        "Failed password for " + " from 1.2.3.4 port 5" * 700,
        "Failed password for " + "invalid user " * 1200,
        "Connection closed by user " + "1.2.3.4 " * 2000,
        "Connection closed by user " + "a" * 16000,
        "error: kex_exchange_identification" + " from 1" * 2000,
        "User " + " from a" * 2000,
        "Did not receive identification string" + " with" * 3000,
    ],
)
@pytest.mark.parametrize("program", ["sshd", "sudo", "nginx", "su"])
def test_no_message_keeps_a_reader_busy(program: str, message: str) -> None:
    start = time.process_time()
    line(f"<38>Nov 20 08:00:01 web1 {program}[1]: {message}")
    line(f'<38>Nov 20 08:00:01 web1 {program}[1]: a b - [x] "{message}')
    line(f"<38>Nov 20 08:00:01 web1 {program}[1]: lin : {message}")
    assert time.process_time() - start < 0.5


@pytest.mark.parametrize("header", ["<34>1 ", "<34>", "<34>Nov 20 08:00:00 ", '<34>1 - - - - - [a b="', "<34>1 - - - - - " + '[a b="c"]' * 100_000, "x" * 1_000_000, " " * 1_000_000 + "x", "<34>1 " + "- " * 400_000, '<34>1 - - - - - [a b="' + "\\" * 900_000])
def test_no_header_keeps_a_reader_busy(header: str) -> None:
    start = time.process_time()
    decode("syslog", [header.encode() + b"a" * 100])
    assert time.process_time() - start < 1
