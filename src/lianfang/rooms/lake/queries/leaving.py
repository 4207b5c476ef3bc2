"""Events on their way out: what the rules of desensitising leave of them for a recipient, in rows and in SQL.

In: where they go, the viewer who asks, and rows as that viewer may see them. Out: rows without what the rules hide. In SQL each
column of the view passes through the rules together with the columns whose values it may repeat, so that no expression leads around them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from lianfang.engines.columns.query import Function
from lianfang.engines.masking import Rule, Shield, To
from lianfang.engines.masking.rules import OURS
from lianfang.engines.schema.events import BY_NAME, COLUMNS, Kind
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.lake.queries import scope, shielding
from lianfang.rooms.lake.types import Count

SQL = {Kind.TEXT: "VARCHAR", Kind.LIST: "VARCHAR[]"}


def left(rows: Sequence[dict[str, Any]], to: To, viewer: Viewer) -> list[dict[str, Any]]:
    """Rows as they may leave, in their order."""
    rules = shielding.rules_out(to, viewer)
    if not rules or not rows:
        return list(rows)
    new: list[dict[str, Any]] = [{} for _ in rows]
    for chosen, places in _parts([str(row.get("territory") or "") for row in rows], rules).items():
        done = shielding.shield(chosen).run({name: [rows[at][name] for at in places] for name in rows[0]}).columns if chosen else {name: [rows[at][name] for at in places] for name in rows[0]}
        for number, at in enumerate(places):
            new[at] = {name: values[number] for name, values in done.items()}
    return new


def left_counts(column: str, counts: list[Count], to: To, viewer: Viewer) -> list[Count]:
    """The most frequent values of a column as they may leave; rules of any organisation in scope count, as nothing says whose a value is."""
    rules = tuple(rule for _path, rule in shielding.rules_out(to, viewer))
    if not rules or BY_NAME[column].kind not in SQL:
        return counts
    shield, listed, found = shielding.shield(rules), BY_NAME[column].kind is Kind.LIST, dict[Any, int]()
    for one in counts:
        value = shield.run({column: [[one.value] if listed else one.value]}).columns[column][0]
        value = (value or [None])[0] if listed else value
        if value is not None:
            found[value] = found.get(value, 0) + one.count
    return [Count(value, count) for value, count in found.items()]


def view(viewer: Viewer, to: To | None, *, below: int = 0) -> tuple[str, dict[str, Function]]:
    """The relation ``events`` for this viewer on the way there (``below``: without rows of this level and above), and the functions that it uses."""
    inner = scope.view(viewer, below=below)
    rules = shielding.rules_out(to, viewer) if to else []
    if not rules:
        return inner, {}
    paths = sorted({path for path, _rule in rules}, key=lambda path: (-len(path), path))
    functions: dict[str, Function] = {}
    cells = [_cell(column.name, paths, rules, functions) for column in COLUMNS]
    return f"SELECT {', '.join(cells)}, masked FROM ({inner})", functions  # noqa: S608  (columns of ours; paths are digits)


def _parts(territories: Sequence[str], rules: Sequence[tuple[str, Rule]]) -> dict[tuple[Rule, ...], list[int]]:
    """Numbers of rows by the rules that speak of them."""
    found: dict[tuple[Rule, ...], list[int]] = {}
    for at, territory in enumerate(territories):
        found.setdefault(_of(territory, rules), []).append(at)
    return found


def _of(territory: str, rules: Sequence[tuple[str, Rule]]) -> tuple[Rule, ...]:
    return tuple(rule for path, rule in rules if territory.startswith(path))


def _cell(name: str, paths: Sequence[str], rules: Sequence[tuple[str, Rule]], functions: dict[str, Function]) -> str:
    """One column; rows of the deepest organisation that has rules are looked for first."""
    kind = BY_NAME[name].kind
    if name in OURS - {"time"}:
        return f'"{name}"'
    cases = []
    for number, path in enumerate(paths):
        chosen = _of(path, rules)
        within = "TRUE" if not path else f"starts_with(territory, '{scope.digits(path)}')"
        if kind in SQL:
            beside = sorted({each for rule in chosen for each in (*rule.columns, *(("unmapped",) if rule.fields else ())) if each in BY_NAME and BY_NAME[each].kind in SQL} | {name})
            made = f"left_{number}_{name}"
            functions[made] = Function(_work(shielding.shield(chosen), name, beside), tuple(SQL[BY_NAME[each].kind] for each in beside), SQL[kind])
            listed = ", ".join(f'"{each}"' for each in beside)
            shut = any(rule.columns and any(BY_NAME[each].kind not in SQL for each in rule.columns) for rule in chosen) and name in ("raw", "unmapped", "message")
            cases.append(f"WHEN {within} THEN {'NULL' if shut else f'{made}({listed})'}")
        elif any(name in rule.columns for rule in chosen):
            cases.append(f"WHEN {within} THEN " + ("date_trunc('hour', time)" if kind is Kind.TIME else "NULL"))
    return f'CASE {" ".join(cases)} ELSE "{name}" END AS "{name}"' if cases else f'"{name}"'


def _work(shield: Shield, name: str, beside: Sequence[str]) -> Any:
    def work(*columns: Any) -> pa.Array:
        given = {each: column.to_pylist() for each, column in zip(beside, columns)}
        return pa.array(shield.run(given).columns[name], pa.list_(pa.string()) if BY_NAME[name].kind is Kind.LIST else pa.string())

    return work
