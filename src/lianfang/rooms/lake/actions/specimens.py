"""Specimens: one record of our own in the form that a source speaks, for trying whether it comes in and is understood.

In: a source and who asks. Out: the bytes that its sender would have written just now. A source that names a template that ships
gets that template's first sample, its times moved to now; any other a plain record of its format.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import orjson

from lianfang.kernel import clock
from lianfang.rooms.lake import models, queries
from lianfang.rooms.lake.types import Codec, Kind

SAYS = "Lianfang test line"
SYSLOG_KINDS = (Kind.SYSLOG_UDP, Kind.SYSLOG_TCP, Kind.SYSLOG_TLS)
EPOCH = re.compile(r"(?<![\d.])1\d{9}(?=\.\d|\b)")
_MONTH, _CLOCK, _ZONE = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)", r"\d\d:\d\d:\d\d", r"(?P<zone>(?:\.\d+)?(?:Z|\s?[-+]\d\d:?\d\d)?)(?![\d:])"
TIMES = tuple(
    (re.compile(pattern + _ZONE), form)
    for pattern, form in (
        (rf"(?<!\d)\d{{4}}-\d\d-\d\d([T ]){_CLOCK}", "%Y-%m-%d{0}%H:%M:%S"),
        (rf"(?<!\d)\d{{4}}/\d\d/\d\d {_CLOCK}", "%Y/%m/%d %H:%M:%S"),
        (rf"date=\d{{4}}-\d\d-\d\d time={_CLOCK}", "date=%Y-%m-%d time=%H:%M:%S"),
        (rf"(?<!\d)\d\d/{_MONTH}/\d{{4}}:{_CLOCK}", "%d/%b/%Y:%H:%M:%S"),
        (rf"(?<!\d)\d\d? {_MONTH} \d{{4}} {_CLOCK}", "%d %b %Y %H:%M:%S"),
        (rf"(?<![A-Za-z/]){_MONTH} [ \d]?\d \d{{4}} {_CLOCK}", "%b %d %Y %H:%M:%S"),
        (rf"(?<![A-Za-z/]){_MONTH} [ \d]\d {_CLOCK}", "%b %e %H:%M:%S"),
    )
)
"""Forms in which samples write a time, and how the present one is written so."""
SEVERAL_LINES = frozenset({Codec.CSV, Codec.TSV, Codec.ZEEK})
"""Formats whose records are nothing without the line that names their columns."""

Writer = Callable[[datetime, str], str]


def specimen(row: models.Source, by: str) -> bytes:
    """The record, in the source's own character set."""
    now = clock.now().astimezone(ZoneInfo(row.zone or models.default_zone()))
    text = _of_template(row, now - timedelta(seconds=1)) or _of_codec(row, now, by)  # samples keep their fractions of a second: none may lie ahead
    return text.encode(row.encoding, "replace")


def _of_template(row: models.Source, now: datetime) -> str:
    for template in queries.shipped():
        if template.name == row.template:
            for test in template.tests:
                if "raw" in test and test.get("codec", Codec.JSON) in (row.codec, *((test.get("codec", Codec.JSON),) if row.codec == Codec.AUTO else ())):
                    return _as_now(str(test["raw"]), now)
    return ""


def _as_now(raw: str, now: datetime) -> str:
    """A sample with every time in it made ``now``, in the form and the zone that it has."""
    raw = EPOCH.sub(str(int(now.timestamp())), raw)
    for pattern, form in TIMES:
        raw = pattern.sub(lambda found, form=form: _in_zone(found["zone"], now).strftime(form.format(*found.groups())) + found["zone"], raw)  # type: ignore[misc]
    return raw


def _in_zone(said: str, now: datetime) -> datetime:
    digits = re.sub(r"[^-+\d]", "", said.partition(" ")[2] or re.sub(r"^\.\d+", "", said))
    if "Z" in said:
        return now.astimezone(UTC)
    return now.astimezone(timezone((1 if digits[0] == "+" else -1) * timedelta(hours=int(digits[1:3]), minutes=int(digits[3:5])))) if re.fullmatch(r"[-+]\d{4}", digits) else now


def _of_codec(row: models.Source, now: datetime, by: str) -> str:
    if row.codec in SEVERAL_LINES:
        return _of_columns(row, now, by)
    if row.codec == Codec.AUTO and row.kind in SYSLOG_KINDS:
        return PLAIN[Codec.SYSLOG](now, by)
    return PLAIN[row.codec](now, by)


def _of_columns(row: models.Source, now: datetime, by: str) -> str:
    """A row below the source's own header, or below one that comes with it."""
    if row.codec == Codec.ZEEK and not row.header:
        return PLAIN[Codec.ZEEK](now, by)
    sign = "\t" if row.codec in (Codec.TSV, Codec.ZEEK) else next((sign for sign in ",;|\t" if sign in row.header), ",")
    names = [name.strip().strip('"') for name in row.header.splitlines()[-1].removeprefix("#fields").strip().split(sign)] if row.header else ["time", "message", "sent_by"]
    line = sign.join(_cell(name, now, by) for name in names)
    return line if row.header else f"{sign.join(names)}\n{line}"


def _cell(name: str, now: datetime, by: str) -> str:
    if re.search(r"time|date|^ts$|时间|日期", name, re.IGNORECASE):
        return f"{now:%Y-%m-%d %H:%M:%S}"
    return by if name == "sent_by" else SAYS


def _json(**fields: object) -> str:
    return orjson.dumps(fields).decode()


def _xml(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")


def _quoted(text: str) -> str:
    return re.sub(r'["\\|=\r\n]', "_", text)


PLAIN: dict[str, Writer] = {
    Codec.AUTO: lambda now, by: _json(message=SAYS, sent_by=by, time=clock.text(now)),
    Codec.JSON: lambda now, by: _json(message=SAYS, sent_by=by, time=clock.text(now)),
    Codec.SYSLOG: lambda now, by: f"<14>1 {clock.text(now)} lianfang test - - - {SAYS} sent by {by}",
    Codec.CEF: lambda now, by: f"CEF:0|Lianfang|Node|1|test|{SAYS}|1|rt={int(now.timestamp() * 1000)} suser={_quoted(by)} msg={SAYS}",
    Codec.LEEF: lambda now, by: f"LEEF:1.0|Lianfang|Node|1|test|devTime={now:%b %d %Y %H:%M:%S}\tusrName={_quoted(by)}\tmsg={SAYS}",
    Codec.KV: lambda now, by: f'date={now:%Y-%m-%d} time={now:%H:%M:%S} msg="{SAYS}" user="{_quoted(by)}"',
    Codec.ZEEK: lambda now, by: _json(ts=now.timestamp(), _path="notice", note="Lianfang::Test", msg=SAYS, sub=by),
    Codec.SURICATA: lambda now, by: _json(timestamp=f"{now:%Y-%m-%dT%H:%M:%S.%f%z}", event_type="stats", message=SAYS, sent_by=by),
    Codec.AUDITD: lambda now, by: f"type=USER_CMD msg=audit({now.timestamp():.3f}:1): pid=1 uid=0 msg='cmd=\"{SAYS}\" acct=\"{_quoted(by)}\" res=success'",
    Codec.WEB: lambda now, by: f'127.0.0.1 - - [{now:%d/%b/%Y:%H:%M:%S %z}] "GET /lianfang-test-line HTTP/1.1" 204 0 "-" "{SAYS}"',
    Codec.WINXML: lambda now, by: (
        f'<Event xmlns="http://schemas.microsoft.com/win/2004/08/events/event"><System><Provider Name="Lianfang"/><EventID>1</EventID><Level>4</Level><TimeCreated SystemTime="{clock.text(now)}"/>'
        f'<EventRecordID>1</EventRecordID><Channel>Application</Channel><Computer>lianfang</Computer></System><EventData><Data Name="Message">{SAYS}</Data><Data Name="SentBy">{_xml(by)}</Data></EventData></Event>'
    ),
    Codec.LINES: lambda now, by: f"{now:%Y-%m-%d %H:%M:%S}.000 INFO [lianfang] {SAYS} sent by {by}",
    Codec.MAIL: lambda now, by: f"From: lianfang@localhost\r\nTo: lianfang@localhost\r\nDate: {now:%a, %d %b %Y %H:%M:%S %z}\r\nMessage-ID: <{int(now.timestamp() * 1000)}@lianfang>\r\nSubject: {SAYS}\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{SAYS}\r\n",
}
"""A record of every format that needs no header."""
