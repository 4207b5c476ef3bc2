"""Windows events of any JSON dialect → flat rows under the names that Sigma rules use.

Dialects: the nested ``{"Event": {"System": …, "EventData": …}}`` of EVTX and XML converters, Winlogbeat (``winlog.…``),
NXLog and flat forms. Who said what is decided by the header (``System``): data fields that bear a header's name cannot
replace it, they are kept as ``EventData.<name>``, because rules are chosen by channel and event number.
"""

from __future__ import annotations

from typing import Any

from lianfang.engines.connect.flatten import flat, leaf, lines, put
from lianfang.engines.connect.limits import Limits, Unreadable

IDENTITY = frozenset({"Channel", "EventID", "Provider_Name", "Computer", "SystemTime", "EventRecordID"})
_PLAIN = ("Version", "Level", "Task", "Opcode", "Keywords", "EventRecordID", "Channel", "Computer")
_ATTRIBUTES = (
    ("Provider", "Name", "Provider_Name"),
    ("Provider", "Guid", "ProviderGuid"),
    ("Provider", "EventSourceName", "EventSourceName"),
    ("EventID", "Qualifiers", "Qualifiers"),
    ("TimeCreated", "SystemTime", "SystemTime"),
    ("Correlation", "ActivityID", "ActivityID"),
    ("Correlation", "RelatedActivityID", "RelatedActivityID"),
    ("Execution", "ProcessID", "ExecutionProcessID"),
    ("Execution", "ThreadID", "ThreadID"),
    ("Security", "UserID", "UserID"),
)
_KNOWN = frozenset(_PLAIN) | {element for element, _, _ in _ATTRIBUTES} | {"#attributes"}
_BEAT = {
    "channel": "Channel", "event_id": "EventID", "provider_name": "Provider_Name", "computer_name": "Computer", "record_id": "EventRecordID",
    "provider_guid": "ProviderGuid", "version": "Version", "opcode": "Opcode", "task": "Task", "keywords": "Keywords", "level": "Level",
    "activity_id": "ActivityID", "related_activity_id": "RelatedActivityID",
}  # fmt: skip
_BEAT_DEEP = (("process", "pid", "ExecutionProcessID"), ("user", "identifier", "UserID"))
_NXLOG = (("SourceName", "Provider_Name"), ("Hostname", "Computer"), ("EventTime", "SystemTime"))


def is_event(value: dict[str, Any]) -> bool:
    """Whether a decoded object is ``{"Event": {"System": …}}``."""
    event = value.get("Event")
    return isinstance(event, dict) and isinstance(event.get("System"), dict)


def from_event(value: dict[str, Any], *, limits: Limits) -> dict[str, str]:
    """``{"Event": {"System": …, "EventData"|"UserData": …}}`` → flat native fields."""
    event = value["Event"]
    row = _header(event["System"])
    for section in ("EventData", "UserData", "ProcessingErrorData"):
        _data(row, event.get(section), limits, depth=1)
    rendering = event.get("RenderingInfo")
    if isinstance(rendering, dict) and isinstance(rendering.get("Message"), str):
        put(row, "Message", rendering["Message"])
    if len(row) > limits.fields:
        raise Unreadable(f"More than {limits.fields:,} fields", "Send one event per record.")
    return row


def _header(system: dict[str, Any]) -> dict[str, str]:
    row: dict[str, str] = {}
    for name in _PLAIN:
        value = system.get(name)
        if type(value) is str:
            row[name] = value
        elif (text := _text(value)) is not None:
            row[name] = text
    if (number := _text(system.get("EventID"))) is not None:
        row["EventID"] = number
    for element, attribute, name in _ATTRIBUTES:
        if (text := _attribute(system.get(element), attribute)) is not None:
            row[name] = text
    for name in system.keys() - _KNOWN:
        if (text := _text(system[name])) is not None:
            put(row, "System." + name, text)
    return row


def _attribute(element: Any, name: str) -> str | None:
    """An XML attribute as the dialects write it: under ``#attributes``, with ``@``, or plain."""
    if not isinstance(element, dict):
        return None
    attributes = element.get("#attributes")
    found = attributes.get(name) if isinstance(attributes, dict) else element.get("@" + name, element.get(name))
    return None if found is None or isinstance(found, dict | list) else leaf(found)


def _text(value: Any) -> str | None:
    """The text of an element: plain, a list of texts as lines, or under ``#text``."""
    if isinstance(value, dict):
        return _text(value.get("#text"))
    if isinstance(value, list):
        parts = [part for part in map(_text, value) if part is not None]
        return lines(parts) if parts else None
    return None if value is None else leaf(value)


def _data(row: dict[str, str], value: Any, limits: Limits, *, depth: int) -> None:
    """Named data, unnamed ``Data`` lists, and the one element that wraps ``UserData``."""
    if depth > limits.depth:
        raise Unreadable(f"Nested deeper than {limits.depth} levels", "No Windows event looks like this: check the sender.")
    if isinstance(value, list):
        for part in value:
            _data(row, part, limits, depth=depth + 1)
    elif isinstance(value, dict):
        for name, item in value.items():
            if type(item) is str and name not in row and name not in IDENTITY and name[:1] not in "#@":
                row[name] = item
            else:
                _field(row, name, item, limits, depth)
    elif value not in (None, ""):
        put(row, "Data", leaf(value))


def _field(row: dict[str, str], name: str, item: Any, limits: Limits, depth: int) -> None:
    if name == "#attributes" or name.startswith("@xmlns"):
        return
    if not isinstance(item, dict | list):
        _put(row, name, item)
    elif _named(item):
        for part in item if isinstance(item, list) else [item]:
            _put(row, _attribute(part, "Name") or name, part.get("#text", part.get("Value", part.get("Text"))))
    elif (isinstance(item, dict) and "#text" not in item) or (isinstance(item, list) and any(isinstance(part, dict) and "#text" not in part for part in item)):
        _data(row, item, limits, depth=depth + 1)
    else:
        _put(row, name, item)


def _named(item: Any) -> bool:
    """``<Data Name="…">`` as XML converters write it, alone or as a list."""
    parts = item if isinstance(item, list) else [item]
    return bool(parts) and all(isinstance(part, dict) and ("#text" in part or "Value" in part or "Text" in part or len(part) == 1) and _attribute(part, "Name") for part in parts)


def _put(row: dict[str, str], name: str, value: Any) -> None:
    text = _text(value)
    if text is None:
        return
    if name in IDENTITY:
        put(row, "EventData." + name, text)
    elif name in ("Version", "Level", "Task", "Opcode", "Keywords", "ProviderGuid", "ActivityID", "ThreadID", "UserID") and name in row:
        row["System." + name], row[name] = row[name], text  # rules mean the data field
    else:
        put(row, name, text)


def from_beat(value: dict[str, Any], *, limits: Limits) -> dict[str, str]:
    """A Winlogbeat document → flat native fields; what is not of Windows keeps its dotted name."""
    winlog: dict[str, Any] = value["winlog"]
    row: dict[str, str] = {}
    for theirs, ours in _BEAT.items():
        if (text := _text(winlog.get(theirs))) is not None:
            row[ours] = text
    if (moment := _text(value.get("@timestamp"))) is not None:
        row["SystemTime"] = moment
    for element, attribute, name in _BEAT_DEEP:
        if (text := _attribute(winlog.get(element), attribute)) is not None:
            row[name] = text
    for section in ("event_data", "user_data"):
        _data(row, winlog.get(section), limits, depth=1)
    rest = {name: item for name, item in value.items() if name not in ("winlog", "@timestamp", "message")}
    if isinstance(value.get("message"), str):
        put(row, "Message", value["message"])
    return flat(rest, limits=limits, into=row)


def native(row: dict[str, str]) -> dict[str, str]:
    """A flat Windows row under NXLog's names gets Sigma's names; every other row is given back as it is.

    >>> native({"EventID": "1", "Channel": "System", "Hostname": "a", "SourceName": "b"})
    {'EventID': '1', 'Channel': 'System', 'Provider_Name': 'b', 'Computer': 'a'}
    """
    if "EventID" in row and "Channel" in row:
        for theirs, ours in _NXLOG:
            if ours not in row and theirs in row:
                row[ours] = row.pop(theirs)
    return row
