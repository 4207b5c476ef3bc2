"""Samples of a template: what a record must become, told and tried again.

In: a compiled template with its ``tests``, or one record. Out: where they differ; or a test that says what the record
becomes now. A sample is ``{name, codec, raw | row, expect}`` and, where it needs them, ``encoding header start received
zone logsource unmapped``; ``zone`` is an IANA name or an offset like ``+08:00``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from lianfang.engines.connect import codecs
from lianfang.engines.connect.mapping import Mapped, Templates
from lianfang.engines.connect.template import NOT_OURS, Template
from lianfang.engines.schema.events import COLUMNS
from lianfang.kernel import clock
from lianfang.kernel.errors import Fault, Invalid

USUAL = datetime(2026, 11, 20, 9, tzinfo=UTC)
"""The time of receipt of a sample that names none."""
MANNER = ("encoding", "header", "start")


@dataclass(frozen=True, slots=True)
class Difference:
    """One column of one sample that is no longer what it should be; ``column`` is empty where the whole record is at fault."""

    test: str
    column: str
    expected: Any
    got: Any


def differences(template: Template, tests: Iterable[Mapping[str, Any]] | None = None) -> list[Difference]:
    """Where the template (alone) does not do what its samples, or those given, say.

    >>> from lianfang.engines.connect.template import parse
    >>> text = "{template: t, detect: {}, map: [{from: a, to: host}], tests: [{name: one, codec: json, raw: '{\\"a\\": \\"x\\"}', expect: {host: y}}]}"
    >>> differences(parse(text))
    [Difference(test='one', column='host', expected='y', got='x')]
    """
    templates = Templates([template], cache_bytes=1 << 20)
    return [difference for test in (template.tests if tests is None else tests) for difference in _of(test, templates, template.name)]


def _of(test: Mapping[str, Any], templates: Templates, name: str) -> list[Difference]:
    said = str(test.get("name", ""))
    try:
        mapped = _mapped(test, templates)
    except Fault as fault:
        return [Difference(said, "", "", str(fault))]
    if mapped.template != [name]:
        return [Difference(said, "", name, ", ".join(mapped.template))]
    got = {column: plain(mapped.columns[column][0]) if column in mapped.columns else None for column in test.get("expect", {})}
    found = [Difference(said, column, wanted, got[column]) for column, wanted in test.get("expect", {}).items() if got[column] != wanted]
    if "logsource" in test and list(mapped.logsources[0]) != list(test["logsource"]):
        found.append(Difference(said, "logsource", list(test["logsource"]), list(mapped.logsources[0])))
    rest = json.loads(mapped.columns["unmapped"][0] or "{}")
    found += [Difference(said, f"unmapped.{field}", wanted, rest.get(field)) for field, wanted in test.get("unmapped", {}).items() if rest.get(field) != wanted]
    return found


def _mapped(test: Mapping[str, Any], templates: Templates) -> Mapped:
    """A sample through the codec and the mapper; raises ``Invalid`` when it is no longer one record."""
    rows = [dict(test["row"])] if "row" in test else _rows(test)
    received = clock.parse(test["received"]) if "received" in test else USUAL
    return templates.map(rows, received=received, zone=zone_of(str(test.get("zone", ""))))


def _rows(test: Mapping[str, Any]) -> list[dict[str, str]]:
    how = {name: str(test[name]) for name in MANNER if test.get(name)}
    done = codecs.decode(str(test.get("codec", "auto")), [str(test.get("raw", "")).encode(how.get("encoding", "utf-8"), "replace")], **how)  # type: ignore[arg-type]
    if len(done.rows) != 1:
        why = done.rejects[0].reason if done.rejects else f"{len(done.rows)} records"
        raise Invalid("The sample is not one record", why=why, todo="Read it with the codec, header and start that it was stored with.")
    return done.rows


def zone_of(text: str) -> tzinfo:
    """An IANA name, an offset like ``+08:00``, or nothing (UTC); raises ``Invalid``.

    >>> zone_of("+08:00").utcoffset(None), zone_of("")
    (datetime.timedelta(seconds=28800), datetime.timezone.utc)
    """
    try:
        if text[:1] in ("+", "-"):
            sign = -1 if text[0] == "-" else 1
            return timezone(sign * timedelta(hours=int(text[1:3]), minutes=int(text[4:6])))
        return ZoneInfo(text) if text else UTC
    except (KeyError, ValueError, OSError) as error:
        raise Invalid(f"There is no time zone {text[:40]}", todo="Write a name like Asia/Shanghai, or an offset like +08:00.") from error


def sample_of(name: str, template: Template, *, codec: str, raw: str, received: datetime, zone: str = "", **manner: str) -> dict[str, Any]:
    """What the template makes of a record now, as a sample; raises ``Invalid`` when it is not one record."""
    said = {"name": name, "codec": codec, **{key: manner[key] for key in MANNER if manner.get(key) and manner[key] != "utf-8"}, "received": clock.text(received), **({"zone": zone} if zone else {}), "raw": raw}
    mapped = _mapped(said, Templates([template], cache_bytes=1 << 20))
    if mapped.template != [template.name]:
        raise Invalid(f"The mapping {template.name} does not fit its sample", why="The conditions under “detect” do not hold for it.", todo="Choose a record that they hold for.")
    return {**said, "expect": {column: plain(value) for column, value in filled(mapped, 0, received=received).items()}}


def filled(mapped: Mapped, row: int, *, received: datetime) -> dict[str, Any]:
    """The columns that the template gave this row; the time only where the record has one."""
    found = {column.name: mapped.columns[column.name][row] for column in COLUMNS if column.name in mapped.columns and column.name not in NOT_OURS}
    return {name: value for name, value in found.items() if value not in (None, (), "") and not (name == "time" and value == received)}


def plain(value: Any) -> Any:
    """A value as YAML holds it."""
    if isinstance(value, datetime):
        return clock.text(value)
    return list(value) if isinstance(value, tuple) else value
