"""Which requirement rows are shown working, and by which tests: ``make coverage-of-mission``.

In: the committed list of rows and the ``covers`` marks in ``tests/``. Out: a table, and ``docs/reference/mission.json``.
A mark counts only on a test; whether the test passes is the suite's business.
"""

from __future__ import annotations

import ast
import json
import sys
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[1]
ROWS = ROOT / "docs/reference/requirements.json"
OUT = ROOT / "docs/reference/mission.json"


def marks(path: Path) -> dict[str, list[str]]:
    """``{row id: [test ids]}`` of one test module, read from its text."""
    found: dict[str, list[str]] = defaultdict(list)
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        for mark in node.decorator_list:
            if isinstance(mark, ast.Call) and isinstance(mark.func, ast.Attribute) and mark.func.attr == "covers":
                for row in mark.args:
                    found[ast.literal_eval(row)].append(f"{path.relative_to(ROOT)}::{node.name}")
    return found


def survey() -> tuple[dict[str, dict[str, str]], dict[str, list[str]]]:
    """All rows, and the tests that cover each."""
    rows = json.loads(ROWS.read_text("utf-8"))
    covered: dict[str, list[str]] = defaultdict(list)
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for row, tests in marks(path).items():
            covered[row] += tests
    return rows, covered


def main() -> int:
    rows, covered = survey()
    strange = sorted(set(covered) - set(rows))
    if strange:
        print(f"No such requirement row: {', '.join(strange)}. Rows are listed in {ROWS.relative_to(ROOT)}.")
        return 1
    OUT.write_text(json.dumps({row: {**facts, "tests": covered.get(row, [])} for row, facts in rows.items()}, ensure_ascii=False, indent=1) + "\n", "utf-8")
    for row, facts in rows.items():
        if covered.get(row):
            print(f"done  {row:5} {facts['title']}")
            for test in covered[row]:
                print(f"            {test}")
    lists = sorted({facts["list"] for facts in rows.values()})
    for name in lists:
        of_list = [row for row, facts in rows.items() if facts["list"] == name]
        print(f"{name}: {sum(row in covered for row in of_list)} of {len(of_list)} rows covered")
    print(f"rows covered: {len(covered)}, open: {len(rows) - len(covered)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
