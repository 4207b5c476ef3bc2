"""The guard before SQL that a person wrote: it may read the views it was given, and nothing else.

In: one statement. Out: the same statement, or ``Invalid``/``Refused``. DuckDB parses the text itself; the tree is walked
and every source of rows must be a view, a name of the statement's own ``WITH``, or one of three row makers. The
connection that then runs it is locked as well (``query.Query.guarded``): two walls, each sufficient against files.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any

from lianfang.kernel.errors import Invalid, Refused

if TYPE_CHECKING:
    import duckdb

MAKERS = frozenset({"unnest", "range", "generate_series"})
SECRETIVE = frozenset({"current_setting", "getenv", "getvariable", "current_catalog", "current_schemas", "version", "pragma_version", "write_log", "add_parquet_key", "in_search_path"})
"""Functions that tell about the node instead of about events."""
LONGEST = 20_000


def check(connection: duckdb.DuckDBPyConnection, text: str, *, views: Collection[str]) -> str:
    """``text`` without its closing semicolon, when it is one SELECT over ``views``; otherwise ``Invalid`` or ``Refused``."""
    text = text.strip().rstrip(";").strip()
    if not text or len(text) > LONGEST or "\0" in text:
        raise Invalid("This is not a query", why=f"It is empty, holds a zero byte, or is longer than {LONGEST:,} characters.", todo="Write one SELECT.")
    tree = json.loads(connection.execute("SELECT json_serialize_sql(?)", [text]).fetchall()[0][0])
    if tree.get("error"):
        raise Invalid("The query cannot be read", why=str(tree.get("error_message", "")).replace(" can be serialized to json!", " are understood."), todo="Only one SELECT is understood here.", details={"position": tree.get("position")})
    if len(tree["statements"]) != 1:
        raise Invalid("There is more than one statement", todo="Ask one question at a time.")
    nodes = list(_nodes(tree["statements"]))
    _sources(nodes, set(views) | set(_names_of_with(nodes)))
    return text


def _sources(nodes: list[dict[str, Any]], known: Collection[str]) -> None:
    for node in nodes:
        kind = node.get("type")
        if kind == "BASE_TABLE" and (node["table_name"] not in known or node.get("schema_name") or node.get("catalog_name")):
            raise Refused(f"“{node['table_name'][:60]}” is not a table of this lake", why="A query reads the views it is given, never files or system tables.", todo="Use: " + ", ".join(sorted(known)))
        if kind == "TABLE_FUNCTION" and _called(node) not in MAKERS:
            raise Refused(f"{_called(node)}() may not be used here", why="A query reads the views it is given, never files or settings.", todo="Use the tables of the catalogue.")
        if kind in _FOREIGN:
            raise Refused("Only tables may be asked", why=f"{kind} shows the node's inside.", todo="The catalogue page lists tables and columns.")
        if node.get("class") == "FUNCTION" and _function(node) in SECRETIVE:
            raise Refused(f"{_function(node)}() may not be used here", why="It tells about the node, not about events.")


_FOREIGN = frozenset({"SHOW_REF", "COLUMN_DATA", "DELIM_GET", "BOUND_TABLE_REF"})


def _called(node: dict[str, Any]) -> str:
    return _function(node.get("function") or {})


def _function(node: dict[str, Any]) -> str:
    return str(node.get("function_name", "")).lower()


_NAME = re.compile(r"(?!duckdb_|sqlite_|pg_|pragma_|information_schema)\w{1,60}", re.IGNORECASE)


def _names_of_with(nodes: list[dict[str, Any]]) -> Iterator[str]:
    """Names that the statement defines itself; a name that looks like a file or a system table is refused."""
    for node in nodes:
        for entry in (node.get("cte_map") or {}).get("map", ()):
            name = str(entry["key"])
            if not _NAME.fullmatch(name):
                raise Refused(f"“{name[:60]}” cannot name a part of a query", todo="Use letters, digits and underscores.")
            yield name


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """All objects of the tree, without recursion: depth is the writer's choice, not ours."""
    waiting = [tree]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            yield item
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)
