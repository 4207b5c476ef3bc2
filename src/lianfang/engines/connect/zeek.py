"""Zeek rows know their log: ``_path`` is added by the fields that only this log has, where the writer left it out."""

from __future__ import annotations

_PATHS = (("conn", "conn_state"), ("dns", "qtype_name"), ("dns", "rcode_name"), ("http", "trans_depth"), ("ssl", "established"), ("files", "seen_bytes"), ("notice", "note"))


def native(row: dict[str, str]) -> dict[str, str]:
    """A row of a Zeek log with its ``_path``; every other row is given back as it is.

    >>> native({"ts": "1.5", "uid": "C1", "conn_state": "SF"})["_path"], native({"ts": "1.5", "note": "x"})
    ('conn', {'ts': '1.5', 'note': 'x'})
    """
    if "ts" in row and "_path" not in row and ("uid" in row or "fuid" in row or "::" in row.get("note", "")):
        path = next((path for path, name in _PATHS if name in row), "")
        if path:
            row["_path"] = path
    return row
