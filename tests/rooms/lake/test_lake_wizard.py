"""A new source by sample: an operator without code brings a log nobody knows and has it stored as events."""

import gzip
import json
import os
import threading
from datetime import UTC, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.core.files.base import ContentFile

from lianfang.commons.jobs import actions as jobs
from lianfang.commons.ledger.models import Record
from lianfang.kernel import clock
from lianfang.kernel.errors import Conflict, Invalid
from lianfang.rooms.lake import actions, models
from lianfang.rooms.lake.actions import files as actions_files
from lianfang.rooms.lake.actions import listening
from lianfang.rooms.lake.types import Codec, lines_of

pytestmark = pytest.mark.django_db(transaction=True)

AT = clock.now().astimezone(ZoneInfo("Asia/Shanghai")).replace(microsecond=0) - timedelta(hours=1)
TABLE = f"时间,源地址,目的端口,动作,用户\n{AT:%Y-%m-%d %H:%M:%S},192.0.2.7,443,deny,李四\n{AT:%Y-%m-%d %H:%M:%S},192.0.2.8,https,allow,王五\n{AT:%Y-%m-%d %H:%M:%S},192.0.2.9\n"


@pytest.fixture
def me(client, users):
    client.force_login(users.member, backend="django.contrib.auth.backends.ModelBackend")
    client.cookies["django_language"] = "en"
    return client


def bring(client, text: str) -> str:
    """The address of the page on which the pasted sample is looked at."""
    answer = client.post("/lake/sample/", {"text": text})
    assert answer.status_code == 302, answer.content.decode()
    return answer["Location"]


def stored(client, source: str) -> list[dict]:
    """The whole events of a source, in the order of receipt."""
    found = client.get(f"/api/lake/events/?filter=source:is:{source}&limit=100").json()["events"]
    return [client.get(f"/api/lake/events/{one['event_id']}/").json() for one in sorted(found, key=lambda one: one["event_id"])]


def picked(address: str, client, targets: dict[str, str], **more: str) -> dict[str, str]:
    """What the page would send: its own field rows, with these targets chosen."""
    page = client.post(address, {"way": "own"}).content.decode()
    names = [part.split('value="')[1].split('"')[0] for part in page.split('name="field.')[1:]]
    sent = {"way": "own"}
    for at, name in enumerate(names):
        sent |= {f"field.{at}": name, f"to.{at}": targets.get(name, "")}
        sent |= {f"{part}.{at}": more[f"{name}:{part}"] for part in ("parse", "regex", "table") if f"{name}:{part}" in more}
    return sent | {name: value for name, value in more.items() if ":" not in name}


@pytest.mark.covers("Q09", "Q10")
def test_a_table_in_chinese_becomes_a_source_without_code(me, viewers):
    """Pasted, recognised, seen, picked, saved: the sample is searchable, and what comes later is read alike."""
    address = bring(me, TABLE)
    page = me.get(address).content.decode()
    assert "The first line names 5 columns" in page
    assert "Record 3" in page and "2 values, but the header names 5 columns" in page
    assert "192.0.2.7" in page
    targets = {"时间": "time", "源地址": "src_endpoint.ip", "目的端口": "dst_port", "动作": "status_id", "用户": "用户"}
    sent = picked(address, me, targets, name="harbour.gate", title="港口闸机", klass="network_activity", **{"时间:parse": "local_time", "动作:table": "deny=2; allow=1"})
    page = me.post(address, sent).content.decode()
    assert "90 %" in page  # nine of ten fields: one port is a word
    assert "目的端口: “https” gives no value for Destination port" in page
    assert "Network Activity" in page
    answer = me.post(address, sent | {"do": "next"})
    assert answer["Location"] == f"{address}source/"
    form = me.get(answer["Location"]).content.decode()
    assert "harbour.gate" not in form.split("form-card")[0] and "港口闸机" in form
    made = me.post(answer["Location"], {"name": "gate", "kind": "http", "feed": "1"})
    row = models.Source.objects.get(name="gate")
    assert made["Location"] == f"/lake/source/{row.pk}/"
    assert (row.codec, row.template, row.header) == (Codec.CSV, "harbour.gate", "时间,源地址,目的端口,动作,用户")
    actions.drain()
    found = stored(me, "gate")
    assert [(one["src_ip"], one["dst_port"], one["status_id"], one["user"], one["class_uid"], one["template"]) for one in found] == [
        ("192.0.2.7", 443, 2, "李四", 4001, "harbour.gate"), ("192.0.2.8", None, 1, "王五", 4001, "harbour.gate"),
    ]  # fmt: skip
    assert found[0]["time"] == AT.astimezone(UTC).isoformat()
    assert json.loads(found[1]["unmapped"]) == {"目的端口": "https", "动作": "allow"}
    actions.receive("gate", [f"{AT:%Y-%m-%d %H:%M:%S},192.0.2.10,22,deny,赵六".encode()], actor=viewers.member)  # without its header: the source has it
    actions.drain()
    assert [one["user"] for one in stored(me, "gate")][2:] == ["赵六"]
    assert Record.objects.filter(verb="lake.mapping_made", label="harbour.gate").count() == 1


@pytest.mark.covers("XC10")
@pytest.mark.parametrize(
    ("line", "codec", "rows"),
    [
        ('{"alarmId": "A-7", "devName": "core-sw1", "lvl": "紧急", "txt": "port down", "peer": "192.0.2.9"}', "json", {"alarmId": "event_code", "devName": "host", "txt": "message", "peer": "dst_ip", "lvl": "severity_id"}),
        ("<132>Nov 20 08:00:01 core-sw1 alarmd: id=A-7 peer 192.0.2.9 level=紧急 port down", "syslog", {"hostname": "host"}),
        ("A-7|core-sw1|192.0.2.9|紧急|port down", "syslog", {}),
    ],
    ids=["json", "syslog", "regex"],
)
def test_an_alarm_of_any_shape_becomes_the_canonical_finding_with_its_sample_stored(me, line, codec, rows):
    """JSON, syslog or anything a pattern can take apart: the same finding, and the sample is the mapping's test from then on."""
    address = bring(me, line)
    me.post(address, {"codec": codec, "encoding": "utf-8", "zone": "UTC", "header": "", "start": "", "way": "found"})
    patterns = {"syslog": r"id=(?P<event_code>\S+) peer (?P<dst_ip>\S+) level=\S+ (?P<message>.+)"} if rows else {"syslog": r"^(?P<event_code>[^|]+)\|(?P<host>[^|]+)\|(?P<dst_ip>[^|]+)\|[^|]+\|(?P<message>.+)$"}
    extra = {"lvl:table": "紧急=5; *=1"} if codec == "json" else {"message:regex": patterns[codec]}
    sent = picked(address, me, rows, name="own.alarm", klass="detection_finding", activity="Create", severity="" if codec == "json" else "5", **{"const.0": "product", "value.0": "CMP"}, **extra)
    page = me.post(address, sent).content.decode()
    assert "Detection Finding" in page
    assert me.post(address, sent | {"do": "next"}).status_code == 302
    me.post(f"{address}source/", {"name": "alarms", "kind": "syslog_udp", "port": "5514", "feed": "1"})
    actions.drain()
    (event,) = stored(me, "alarms")
    assert {name: event[name] for name in ("class_uid", "activity_id", "severity_id", "event_code", "host", "dst_ip", "product")} == {
        "class_uid": 2004, "activity_id": 1, "severity_id": 5, "event_code": "A-7", "host": "core-sw1", "dst_ip": "192.0.2.9", "product": "CMP",
    }  # fmt: skip
    assert event["message"] == "port down"
    text = me.get(f"/lake/mapping/{models.Mapping.objects.get().pk}/yaml/").content.decode()
    assert "core-sw1" in text and "tests:" in text and "class_uid: 2004" in text


MAPPING = """template: harbour.door
title: {zh: 门禁, en: Doors}
detect: {}
class: authentication
activity: Logon
map:
  - {from: who, to: user}
  - {from: at, to: host}
tests:
  - name: in
    codec: json
    raw: '{"who": "li", "at": "gate-1"}'
    expect: {user: li, host: gate-1, class_uid: 3002}
"""


@pytest.mark.covers("Q09")
def test_a_mapping_goes_out_and_in_as_yaml_and_a_change_that_breaks_its_sample_is_refused(me, viewers):
    """By the page and by the API alike: what differs is said, and nothing of the old version is lost."""
    assert me.post("/lake/mapping-write/", {"text": MAPPING}).status_code == 302
    row = models.Mapping.objects.get()
    assert me.get(f"/lake/mapping/{row.pk}/yaml/").content.decode() == MAPPING
    broken = MAPPING.replace("{from: who, to: user}", "{from: whom, to: user}")
    refused = me.post("/lake/mapping-write/", {"text": broken})
    assert refused.status_code == 422
    page = refused.content.decode()
    assert "The mapping breaks its sample" in page and "<td><code>user</code></td><td>li</td><td>–</td>" in page
    without = broken.replace("expect: {user: li, host: gate-1, class_uid: 3002}", "expect: {host: gate-1}").replace('"who"', '"whom"')
    answer = me.post("/api/lake/mappings/", json.dumps({"yaml": without}), content_type="application/json")
    assert answer.status_code == 422, "the stored sample counts, not only what the change brings with it"
    assert answer.json()["details"]["differences"] == [{"test": "in", "column": "user", "expected": "li", "got": None}]
    row.refresh_from_db()
    assert (row.version, row.text) == (1, MAPPING)
    both = MAPPING.replace("{from: who, to: user}", "{first_of: [whom, who], to: user}")
    assert me.post("/api/lake/mappings/", json.dumps({"yaml": both}), content_type="application/json").json() == {"name": "harbour.door", "version": 2, "samples": 1}
    assert me.post("/lake/mapping-write/", {"text": broken, "renew": "1"}).status_code == 302
    row.refresh_from_db()
    assert row.version == 3 and "whom" in row.text and "user: li" not in row.text
    assert me.get(f"/lake/mapping/{row.pk}/yaml/?version=1").content.decode() == MAPPING
    for text, why in (("template: [", "not YAML"), (MAPPING.replace("harbour.door", "linux.sshd"), "A template that ships has this name"), (MAPPING.partition("tests:")[0].replace("door", "d2"), "A mapping needs a sample"), (MAPPING.replace("to: user", "to: nobody"), "is not a column")):
        assert why in me.post("/lake/mapping-write/", {"text": text}).content.decode()
    actions.create_source("doors", codec="json", template="harbour.door", actor=viewers.member)
    assert "These sources name it: doors" in me.post(f"/lake/mapping/{row.pk}/remove/", {"confirm": "1"}, follow=True).content.decode()


def test_an_outsider_neither_sees_nor_uses_the_mapping_and_nobody_sees_anothers_sample(me, viewers, users, client):
    actions.save_mapping(MAPPING, actor=viewers.member)
    address = bring(me, "a=1 b=2 c=3 d=4")
    for person in (users.outsider, users.colleague):
        client.force_login(person, backend="django.contrib.auth.backends.ModelBackend")
        assert client.get(address).status_code == 404
        assert client.get(f"{address}source/").status_code == 404
    client.force_login(users.outsider, backend="django.contrib.auth.backends.ModelBackend")
    assert "harbour.door" not in client.get("/lake/mapping/").content.decode()
    assert client.get(f"/lake/mapping/{models.Mapping.objects.get().pk}/yaml/").status_code == 404
    assert client.post("/lake/source/add/", {"name": "x", "kind": "http", "codec": "json", "encoding": "utf-8", "template": "harbour.door"}).status_code == 422
    with pytest.raises(Invalid, match="no mapping template"):
        actions.create_source("x", template="harbour.door", actor=viewers.outsider)


def test_the_api_recognises_and_previews_without_storing_anything(me):
    text = "<38>Nov 20 08:00:01 web1 sshd[714]: Failed password for invalid user oracle from 192.0.2.7 port 50022 ssh2\n"
    found = me.post("/api/lake/sample/recognise", json.dumps({"text": text}), content_type="application/json").json()
    assert (found[0]["codec"], found[0]["template"], found[0]["reasons"][-1]) == ("syslog", "linux.sshd", "The template linux.sshd knows 1 of 1 records")
    seen = me.post("/api/lake/sample/preview", json.dumps({"text": text + "\n", "codec": "syslog", "zone": "Asia/Shanghai"}), content_type="application/json").json()
    (event,) = seen["events"]
    assert {name: event["columns"][name] for name in ("user", "src_ip", "class_uid", "status_id")} == {"user": "oracle", "src_ip": "192.0.2.7", "class_uid": 3002, "status_id": 2}
    assert 0.5 < seen["coverage"] <= 1 and event["level"] == 3
    seen = me.post("/api/lake/sample/preview", json.dumps({"text": '{"who": "li"}\nnonsense', "codec": "json", "mapping": MAPPING.partition("tests:")[0]}), content_type="application/json").json()
    assert seen["events"][0]["columns"]["user"] == "li"
    assert seen["rejects"][0]["number"] == 2 and seen["rejects"][0]["todo"]
    assert not models.Mapping.objects.exists() and not models.Trial.objects.exists() and not models.Source.objects.exists()


def test_every_way_in_reads_by_the_header_and_the_beginning_that_the_source_names(me, viewers, home):
    """A growing file of a folder, in the middle of a stack trace and far below its header; and an upload."""
    inbox = home / "inbox"
    inbox.mkdir()
    trace = "{at} ERROR [main] com.acme.Pay - refused\njava.lang.IllegalStateException: no\n\tat com.acme.Pay.run(Pay.java:1)\n"
    actions.create_source("pay", kind="folder", path=str(inbox), pattern="*.log", codec="lines", actor=viewers.member)
    actions.create_source("table", kind="folder", path=str(inbox), pattern="*.csv", codec="csv", actor=viewers.member)
    log, table = inbox / "pay.log", inbox / "t.csv"
    watches = [listening.Watch.__new__(listening.Watch) for _ in range(2)]
    for watch, name in zip(watches, ("pay", "table")):
        row = models.Source.objects.get(name=name)
        watch.path, watch.source, watch.pattern, watch.dropped, watch.manner, watch._stop, watch._missing = inbox, row, row.pattern, 0, actions_files.manner_of(row), threading.Event(), ""
    log.write_text(trace.format(at=f"{AT:%Y-%m-%d %H:%M:%S}") + f"{AT:%Y-%m-%d %H:%M:%S} ERROR [main] com.acme.Pay - again\n")
    table.write_text("time,src_ip\n" + f"{AT:%Y-%m-%d %H:%M:%S},192.0.2.1\n")
    for watch in watches:
        watch.look()
    with log.open("a") as file:
        file.write("java.lang.Error: later\n\tat com.acme.Pay.run(Pay.java:2)\n" + f"{AT:%Y-%m-%d %H:%M:%S} INFO [main] com.acme.Pay - fine\n")
    with table.open("a") as file:
        file.write(f"{AT:%Y-%m-%d %H:%M:%S},192.0.2.2\n")
    for watch in watches:
        watch.look()
    os.utime(log, (0, 0))
    for watch in watches:
        watch.look()
    actions.drain()
    found = stored(me, "pay")
    assert [event["raw"].count("\n") for event in found] == [2, 2, 0], "each stack trace is one event, also the one that was written in two pieces"
    assert [json.loads(event["raw"])["src_ip"] for event in stored(me, "table")] == ["192.0.2.1", "192.0.2.2"]
    assert me.get("/api/lake/rejects/").json() == []
    up = home / "up.csv"
    up.write_text("192.0.2.3;9\n192.0.2.4;8\n")
    actions.create_source("up", kind="upload", codec="csv", header="src_ip;n", actor=viewers.member)
    actions.ingest_path(up, "up", actor=viewers.member)
    actions.drain()
    assert [json.loads(event["raw"])["n"] for event in stored(me, "up")] == ["9", "8"]
    for wrong in ({"start": "("}, {"header": "x" * 4001, "codec": "csv"}):
        assert me.post("/lake/source/add/", {"name": "w", "kind": "http", "codec": "lines", "encoding": "utf-8", **wrong}).status_code == 422


def test_one_click_collects_and_converts_and_the_same_click_again_doubles_nothing(me, viewers):
    """The door is there beforehand; a file that a device exported goes in with one click, is known and converted, and searchable as events."""
    log = "".join(f"<38>{AT:%b} {AT.day:2d} {AT:%H:%M:%S} web1 sshd[{n}]: Failed password for root from 192.0.2.{n} port 50022 ssh2\n" for n in range(1, 4))
    address = bring(me, log)
    assert me.post(address, {"do": "next", "way": "found"}).status_code == 302
    assert me.post(f"{address}source/", {"name": "sshd", "kind": "upload", "feed": "1"}).status_code == 302
    actions.drain()
    assert [(one["src_ip"], one["class_uid"], one["template"]) for one in stored(me, "sshd")] == [(f"192.0.2.{n}", 3002, "linux.sshd") for n in range(1, 4)]
    more = log.replace("192.0.2.", "198.51.100.")
    for _ in range(2):
        assert me.post("/lake/upload/", {"source": "sshd", "files": ContentFile(gzip.compress(more.encode(), mtime=0), "more.log.gz")}).status_code == 302
        jobs.work(once=True)
        actions.drain()
    assert [one["src_ip"] for one in stored(me, "sshd")][3:] == [f"198.51.100.{n}" for n in range(1, 4)]


def test_what_is_wrong_is_said_in_chinese_on_every_page_of_a_source(me, viewers):
    me.cookies["django_language"] = "zh-hans"
    form = me.post("/lake/source/add/", {"name": "f", "kind": "folder", "path": "/nowhere/at/all", "codec": "json", "encoding": "utf-8"}).content.decode()
    assert "没有此文件夹" in form and "no such folder" not in form
    assert "请写成 主机:端口，多个用逗号分隔。" in me.post("/lake/source/add/", {"name": "k", "kind": "kafka", "codec": "json", "encoding": "utf-8"}).content.decode()
    actions.create_source("edr", codec="json", actor=viewers.member)
    row = models.Source.objects.get(name="edr")
    models.Source.objects.filter(pk=row.pk).update(trouble=lines_of(Conflict("There is no host db.example", why="Name or service not known", todo="Check the address; it is tried again.")))
    actions.receive("edr", [b"nonsense", b"{"], actor=viewers.member)
    actions.drain()
    page = me.get(f"/lake/source/{row.pk}/").content.decode()
    for words in ("没有主机 db.example", "请检查地址；系统会自动重试。", "无法解析的日志", "不是 JSON：", "请检查发送方是否每行写一个完整的 JSON 对象"):
        assert words in page
    assert "不是 JSON：" in me.get("/lake/rejects/").content.decode()
    refused = me.get("/lake/trial/nothing/").status_code, me.get("/lake/sample/01900000-0000-7000-8000-000000000000/").content.decode()
    assert "该样例已不存在" in refused[1]


def test_a_table_names_the_reasons_of_the_sources_that_feed_it_and_of_no_others(me, viewers):
    for name, lines in (("a", [b'{"x": "1"}', b"broken"]), ("b", [b"worse"])):
        actions.create_source(name, codec="json", actor=viewers.member)
        actions.receive(name, lines, actor=viewers.member)
    actions.drain()
    page = me.get("/lake/catalogue/other/").content.decode()
    assert "What could not be read of the sources that feed it" in page
    assert 'source=a&amp;kind=' in page and "source=b&amp;kind=" not in page


def test_a_changed_source_is_on_the_ledger_with_what_was_before_and_what_is_now(me, viewers):
    actions.create_source("edr", codec="json", note="old", actor=viewers.member)
    row = models.Source.objects.get(name="edr")
    me.post(f"/lake/source/{row.pk}/change/", {"name": "edr", "kind": "http", "codec": "kv", "encoding": "utf-8", "note": "new", "zone": row.zone, "hold": "on"})
    detail = Record.objects.get(verb="lake.source_changed").detail
    assert json.loads(detail) == {"before": {"note": "old", "codec": "json"}, "after": {"note": "new", "codec": "kv"}}
