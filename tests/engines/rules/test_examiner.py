"""Where engines silently lose detections: every trap once, on every path and with both matchers."""

import json

import pyarrow as pa
import pytest

from lianfang.engines.rules import Examiner, WatchSets, jsonpath
from lianfang.engines.rules.compiler import compile_rules
from lianfang.kernel.errors import Invalid, Missing

SYSMON = "Microsoft-Windows-Sysmon/Operational"


def start(**fields) -> dict:
    return {"Channel": SYSMON, "EventID": "1", **fields}


@pytest.fixture(params=["vectorscan", "fallback"])
def examiner(request, own) -> Examiner:
    return Examiner(own, engine=request.param)


@pytest.fixture
def fired(examiner, own, names):
    """Names of the rules that fire on one event, the same on all paths."""

    def ask(event: dict, source=None) -> set[str]:
        rows = examiner.rows([event], source)
        line = json.dumps(event, ensure_ascii=False).encode()
        assert examiner.json_lines([line], source) == rows
        assert examiner.json_lines([json.dumps(event).encode()], source) == rows, "with JSON escapes"
        table = pa.table({name: pa.array([value], pa.string()) for name, value in event.items()}) if event else pa.table({"x": pa.array([None], pa.string())})
        assert examiner.arrow(table, source) == rows
        return {names[uid] for _, uids in rows for uid in uids}

    return ask


@pytest.mark.parametrize(
    ("event", "name", "fires"),
    [
        (start(CommandLine="powershell -ENC xyz"), "contains", True),
        (start(CommandLine="powershell -encode"), "contains", False),
        (start(CommandLine="BETA then ALPHA"), "contains all", True),
        (start(CommandLine="alpha"), "contains all", False),
        (start(Image="c:\\users\\x\\A.EXE"), "starts and ends", True),
        (start(Image="D:\\users\\a.exe"), "starts and ends", False),
        (start(User="Администратор"), "equal", True),
        (start(User="АДМИНИСТРАТОР"), "equal", False),
        (start(User="系统管理员"), "equal", True),
        (start(User="ROOT"), "equal", True),
        (start(User="root "), "equal", False),
        (start(CommandLine="x KeRnEl y"), "cased", True),
        (start(CommandLine="x kernel y"), "cased", False),
        (start(CommandLine="CMD /C echo & WHOAMI /all"), "wild", True),
        (start(CommandLine="cmdxx/c whoami"), "wild", False),
        (start(CommandLine="我的计算机啊"), "wild chinese", True),
        (start(CommandLine="计机"), "wild chinese", False),
        (start(CommandLine="net user bob  /add"), "regex", False),
        (start(CommandLine="net2 group \t/add"), "regex", True),
        (start(CommandLine="NET user /add"), "regex", False),
        (start(CommandLine="net user /add\n"), "regex", True),
        (start(CommandLine="PowerShell -- 秘密"), "regex caseless", True),
        (start(), "null", True),
        (start(ParentImage=""), "null", False),
        (start(ParentImage=""), "empty", True),
        (start(), "empty", False),
        (start(IntegrityLevel="High"), "exists", True),
        (start(IntegrityLevel="High", Hashes="x"), "exists", False),
        (start(), "exists", False),
        (start(Description="anything"), "any value", True),
        (start(), "any value", False),
        (start(SourceIp="10.255.0.1"), "cidr", True),
        (start(SourceIp="11.0.0.1"), "cidr", False),
        (start(SourceIp="FE80::1"), "cidr", True),
        (start(SourceIp="::ffff:10.1.2.3"), "cidr", True),
        (start(SourceIp="10.0.0.x"), "cidr", False),
        (start(ProcessId="1000"), "greater", True),
        (start(ProcessId="2000"), "greater", True),
        (start(ProcessId="2001"), "greater", False),
        (start(ProcessId="999.9"), "greater", False),
        (start(ProcessId="many"), "greater", False),
        (start(LogonId="999"), "number", True),
        (start(Image="C:\\A.exe", ParentImage="c:\\a.EXE"), "fieldref", True),
        (start(Image="C:\\A.exe"), "fieldref", False),
        (start(CommandLine="C:\\A.exe -x", Image="c:\\a.exe"), "fieldref start", True),
        (start(Image="c:\\a.exe", OriginalFileName="A.EXE"), "fieldref end", True),
        (start(CommandLine="tool /x y"), "windash", True),
        (start(CommandLine="tool –x y"), "windash", True),
        (start(CommandLine="tool --x y"), "windash", False),
        (start(CommandLine="echo aHR0cDovL2V2aWw="), "base64", True),
        (start(Image="C:\\cmd.exe", User="bob"), "not", True),
        (start(Image="C:\\cmd.exe"), "not", True),
        (start(Image="C:\\cmd.exe", User="NT SYSTEM"), "not", False),
        (start(Image="C:\\a.exe", CommandLine="a -enc b"), "one of", True),
        (start(Image="C:\\a.exe"), "one of", False),
        (start(Whatever="run MIMIKATZ now"), "keywords", True),
        (start(Whatever="sekurlsa::x logon"), "keywords", True),
        (start(Whatever="含中文关键字的"), "keywords", True),
        (start(Whatever='say "C:\\TEMP\\x"'), "keywords", True),
        (start(Whatever="see A/B"), "keywords", True),
        (start(A="first word", B="second word"), "keywords all", True),
        (start(A="first word"), "keywords all", False),
        (start(Mimikatz="no"), "keywords", False),
    ],
)
def test_each_condition(fired, event, name, fires):
    assert (name in fired(event)) is fires


def test_other_channels_and_event_ids_do_not_fire(fired):
    assert fired({"Channel": SYSMON, "EventID": "11", "CommandLine": "x -enc y"}) == set()
    assert fired({"Channel": "Security", "EventID": "1", "CommandLine": "x -enc y"}) == set()
    assert "contains" in fired({"Channel": SYSMON.upper(), "EventID": "1", "CommandLine": "x -enc y"})
    assert fired({}) == set()


def test_native_spellings_are_found(fired):
    defender = {"Channel": "Microsoft-Windows-Windows Defender/Operational", "EventID": "5007"}
    assert "spaced name" in fired({**defender, "New Value": "Real-time Disabled"})
    assert "spaced name" in fired({**defender, "newvalue": "Real-time Disabled"})
    assert "spaced name" not in fired({**defender, "NewValue": "on", "New Value": "Disabled"}), "the exact name comes first"
    module = {"Channel": "Microsoft-Windows-PowerShell/Operational", "EventID": "4103"}
    assert "other case" in fired({**module, "Payload": "Inject"})


def test_a_column_absent_from_a_whole_batch_is_absent(examiner, names):
    rows = [start(Image="C:\\cmd.exe") for _ in range(3)]
    table = pa.table({name: [row[name] for row in rows] for name in ("Channel", "EventID", "Image")})
    hits = examiner.arrow(table)
    assert hits == examiner.rows(rows)
    assert all({"not", "null"} <= {names[uid] for uid in uids} for _, uids in hits)


def test_other_products_are_gated_by_the_log_source(fired):
    event = {"CommandLine": "cat /etc/shadow"}
    assert fired(event, ("linux", "process_creation", "")) == {"linux"}
    assert fired(event, ("Linux", "process_creation", "auditd")) == {"linux"}
    assert fired(event, ("linux", "", "auditd")) == set()
    assert fired(event) == set()
    assert fired({"cs-uri-query": "a=../b"}, ("nginx", "webserver", "access")) == {"web"}
    assert "keywords" in fired({"m": "mimikatz"}, ("windows", "", ""))
    assert fired({"m": "mimikatz"}) == set()


def test_log_sources_can_be_given_for_each_event(examiner, names):
    rows = [{"CommandLine": "cat /etc/shadow"}] * 3
    sources = [("linux", "process_creation", ""), ("macos", "process_creation", ""), ("linux", "process_creation", "")]
    lines = [json.dumps(row).encode() for row in rows]
    assert [index for index, _ in examiner.rows(rows, sources)] == [0, 2]
    assert examiner.json_lines(lines, sources) == examiner.arrow(pa.Table.from_pylist(rows), sources) == examiner.rows(rows, sources)
    with pytest.raises(Invalid):
        examiner.rows(rows, sources[:2])


def test_json_values_of_other_types(examiner, names):
    def ask(line: str, source=None) -> set[str]:
        return {names[uid] for _, uids in examiner.json_lines([line.encode()], source) for uid in uids}

    head = f'{{"Channel":"{SYSMON}","EventID":1,'
    assert {"greater", "number"} <= ask(head + '"ProcessId":1500,"LogonId":999}')
    assert "exists" in ask(head + '"IntegrityLevel":false}')
    assert "null" in ask(head + '"ParentImage":null}')
    assert "contains" in ask(head + '"CommandLine":["a", "b -enc c"]}')
    assert "keywords" in ask(head + '"a":{"b":[{"c":"MIMIKATZ"}]}}')
    assert "keywords" in ask(head + '"a":"\\u006dimi\\u006Batz"}')
    assert "keywords" in ask(head + '"a":"see A\\/B"}')
    assert "nested" in ask('{"userIdentity":{"type":"Root"}}', ("aws", "", "cloudtrail"))
    assert "contains" in ask(' { "EventID" : "1" , "CommandLine" : "x -enc y", "Channel" : "' + SYSMON + '" } ')
    assert ask('{"Channel":["x"],"EventID":{"y":1}}') == set()


def test_the_last_of_two_equal_names_counts(examiner):
    line = f'{{"Channel":"Security","EventID":"7","CommandLine":"x -enc y","Channel":"{SYSMON}","EventID":"1"}}'.encode()
    assert examiner.json_lines([line]) == examiner.rows([json.loads(line)])


def test_lines_cannot_swallow_each_other(examiner):
    good = json.dumps(start(CommandLine="x -enc y")).encode()
    lines = [good, b'{"a":[0', good, b"0]},{},{}", b"", b"nonsense", b"[1]", b"\xff\xfe", b'{"a":' * 2000, good, b"null", b'"x"']
    assert [index for index, _ in examiner.json_lines(lines)] == [0, 2, 9]
    assert examiner.stats().refused == 9
    assert examiner.stats().last_refusal


def test_a_guess_is_never_believed(examiner):
    """The same bytes after the event id, another channel: the class is what the line says."""
    sysmon = json.dumps(start(CommandLine="x -enc y")).encode()
    other = json.dumps({"EventID": "1", "Channel": "System", "CommandLine": "x -enc y"}).encode()
    swapped = json.dumps({"EventID": "1", "Channel": SYSMON, "CommandLine": "x -enc y"}).encode()
    lines = [sysmon, other, swapped, other] * 50
    expected = [index for index in range(200) if index % 2 == 0]
    for _ in range(3):
        assert [index for index, _ in examiner.json_lines(lines)] == expected


def test_a_few_lines_of_another_kind_do_not_change_what_is_guessed_of_the_many(examiner, monkeypatch):
    many = json.dumps({"EventID": "1", "Channel": SYSMON, "CommandLine": "x -enc y"}).encode()
    other = json.dumps({"EventID": "1", "Channel": "System", "CommandLine": "x"}).encode()
    lines, read, head = [*[many] * 9, other] * 10, [], jsonpath.Lines.head
    examiner.json_lines(lines)
    monkeypatch.setattr(jsonpath.Lines, "head", lambda path, line, origin: [read.append(line), head(path, line, origin)][1])
    for _ in range(3):
        examiner.json_lines(lines)
    assert read == [other] * 30, "only lines that are not what was guessed are read twice"
    examiner.json_lines([other] * 50)
    read.clear()
    examiner.json_lines([other] * 50)
    assert not read, "what most lines are by now is guessed by now"


def test_why_a_rule_fired(examiner, own):
    uid = {rule.title: rule.uid for rule in own.rules}
    why = examiner.explain(uid["one of"], start(Image="C:\\a.exe", CommandLine="A.exe -ENC aQBl -enc x"))
    assert why.fired
    assert why.title == "one of"
    matches = {match.field: match for match in why.matches}
    assert (matches["Image"].operator, matches["Image"].spans) == ("endswith", ((2, 8),))
    assert matches["CommandLine"].spans == ((5, 11), (15, 21))
    assert matches["Channel"].value == SYSMON


def test_explanations_point_into_the_text(examiner, own):
    uid = {rule.title: rule.uid for rule in own.rules}

    def told(name: str, row: dict, source=None) -> list[tuple[str, list[str]]]:
        return [(match.field, [match.value[a:b] for a, b in match.spans]) for match in examiner.explain(uid[name], row, source).matches if match.field not in ("Channel", "EventID")]

    assert told("wild", start(CommandLine="cmd /c x whoami y")) == [("CommandLine", ["cmd", "/c ", "whoami"])]
    assert told("regex caseless", start(CommandLine="PowerShell 的秘密!")) == [("CommandLine", ["PowerShell 的秘密"])]
    assert told("keywords", start(A="x", B="中文关键字!")) == [("B", ["中文关键字"])]
    assert told("null", start()) == [("ParentImage", [])]
    assert told("cidr", start(SourceIp="10.1.1.1")) == [("SourceIp", ["10.1.1.1"])]
    assert told("linux", {"CommandLine": "cat /etc/SHADOW"}, ("linux", "process_creation", "")) == [("CommandLine", ["/etc/SHADOW"])]
    defender = {"Channel": "Microsoft-Windows-Windows Defender/Operational", "EventID": "5007", "New Value": "is Disabled"}
    assert told("spaced name", defender) == [("New Value", ["Disabled"])]


def test_a_rule_that_did_not_fire_explains_nothing(examiner, own):
    why = examiner.explain(own.rules[0].uid, {"Channel": "x"})
    assert (why.fired, why.matches) == (False, ())
    with pytest.raises(Missing):
        examiner.explain("00000000-0000-4000-8000-000000000000", {})


def test_rules_are_replaced_between_two_batches(examiner, own):
    row = start(CommandLine="x -enc y", ParentImage="p")
    uids = examiner.rows([row])[0][1]
    examiner.replace(own.only(uids[:1]))
    assert examiner.rows([row]) == [(0, uids[:1])]
    examiner.replace(compile_rules([]))
    assert examiner.rows([row]) == examiner.json_lines([json.dumps(row).encode()]) == examiner.arrow(pa.Table.from_pylist([row])) == []


def test_an_unknown_engine_name_is_the_fallback(own):
    assert Examiner(own, engine="fallback").stats().engine == "fallback"
    assert Examiner(own).stats().engine == "vectorscan"


WATCH = WatchSets(
    ips=["203.0.113.7", "2001:db8::1"],
    cidrs=["198.51.100.0/24", "2001:db8:9::/48"],
    domains=["evil.example", "坏.example"],
    hashes=["D41D8CD98F00B204E9800998ECF8427E"],
    urls=["http://bad.example/A?x=1", "https://bare.example"],
)


@pytest.mark.parametrize(
    ("value", "uids"),
    [
        ("203.0.113.7", ["ioc:ip:203.0.113.7"]),
        ("from 203.0.113.7:443 and 203.0.113.70", ["ioc:ip:203.0.113.7"]),
        ("[2001:0DB8:0::1]:443", ["ioc:ip:2001:db8::1"]),
        ("::ffff:203.0.113.7", ["ioc:ip:203.0.113.7"]),
        ("198.51.100.200", ["ioc:cidr:198.51.100.0/24"]),
        ("2001:db8:9:1::5", ["ioc:cidr:2001:db8:9::/48"]),
        ("EVIL.example", ["ioc:domain:evil.example"]),
        ("a.b.Evil.Example.", ["ioc:domain:evil.example"]),
        ("notevil.example", []),
        ("evil.example.org", []),
        ("http://www.坏.example/x", ["ioc:domain:坏.example"]),
        ("MD5=d41d8cd98f00b204e9800998ecf8427e,IMPHASH=0", ["ioc:hash:D41D8CD98F00B204E9800998ECF8427E"]),
        ("curl 'HTTP://BAD.example/A?x=1'", ["ioc:url:http://bad.example/A?x=1"]),
        ("http://bad.example/a?x=1", []),
        ("see https://bare.example/.", ["ioc:url:https://bare.example"]),
        ("nothing", []),
    ],
)
def test_indicators_are_found_in_the_same_pass(own, value, uids):
    examiner = Examiner(own, watch=WATCH)
    for row in ({"SomeField": value}, start(CommandLine=value, ParentImage="p"), {"Channel": "Nothing", "EventID": "5", "CommandLine": value}):
        hits = examiner.rows([row])
        assert [uid for _, found in hits for uid in found if uid.startswith("ioc:")] == uids
        assert examiner.json_lines([json.dumps(row).encode()]) == hits
        assert examiner.arrow(pa.Table.from_pylist([row])) == hits
        for uid in uids:
            (match,) = examiner.explain(uid, row).matches
            assert match.value == value
            assert match.spans


def test_the_watch_list_can_be_replaced(own):
    examiner = Examiner(own)
    row = {"x": "evil.example"}
    assert examiner.rows([row]) == []
    examiner.rewatch(WATCH)
    assert examiner.rows([row]) == [(0, ("ioc:domain:evil.example",))]
    examiner.rewatch(None)
    assert examiner.rows([row]) == []
