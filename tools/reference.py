"""docs/reference, generated from the code: ``make docs`` writes it, a house test holds it against the code.

In: the map, the event columns, the command line, the registered pages and sheets. Out: Markdown, the same on every run.
"""

from __future__ import annotations

import ast
import json
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from tools import province

ROOT = Path(__file__).parents[1]
OUT = ROOT / "docs/reference"


def table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """A Markdown table; bars inside cells are escaped."""
    head = list(head)
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def first_words(package: Path) -> str:
    """The docstring of a package, its first paragraph, on one line."""
    text = ast.get_docstring(ast.parse((package / "__init__.py").read_text("utf-8"))) or ""
    return " ".join(text.split("\n\n")[0].split())


def rooms() -> str:
    """The map: rooms and engines."""
    from lianfang.site.house import ROOMS

    src = ROOT / "src/lianfang"
    houses = table(["room", "floor", "leans on", "doors", "what it is"], [(name, room["floor"], ", ".join(room["needs"]) or "nothing", ", ".join(room.get("doors", ("types", "queries", "actions"))), first_words(src / room["floor"] / name)) for name, room in ROOMS.items()])
    engines = table(["engine", "what it is"], [(path.name, first_words(path)) for path in sorted((src / "engines").iterdir()) if (path / "__init__.py").is_file()])
    return f"# Rooms and engines\n\n{houses}\n## Engines\n\n{engines}"


def events() -> str:
    """The columns of an event at rest."""
    from lianfang.engines.schema.events import COLUMNS, TABLES

    columns = table(["column", "kind", "OCSF path", "中文", "English"], [(c.name, c.kind, c.path or "ours", c.zh, c.en) for c in COLUMNS])
    return f"# Event tables\n\nOne table per OCSF category: {', '.join(f'`{name}`' for name in TABLES.values())}. The view `events` joins them all.\n\n{columns}"


def command_line() -> str:
    """Every command with its options."""
    import typer

    from lianfang.site.cli import app

    def walk(command: object, name: str) -> Iterable[str]:
        for child_name, child in getattr(command, "commands", {}).items():
            yield from walk(child, f"{name} {child_name}")
        if not getattr(command, "commands", None):
            options = [(", ".join(option.opts), option.help or "", "" if option.default is None or callable(option.default) else option.default) for option in command.params if option.name != "help"]  # type: ignore[attr-defined]
            yield f"## `{name}`\n\n{command.help}\n\n" + (table(["option", "meaning", "default"], options) if options else "")  # type: ignore[attr-defined]

    return "# Command line\n\nExit codes: 0 done, 1 problems were found, 2 wrong usage, 3 refused, 4 invalid input, 5 not found, 6 conflict, 7 not ready.\n\n" + "\n".join(walk(typer.main.get_command(app), "lianfang"))


def permissions() -> str:
    """What may be granted, and what it opens."""
    from lianfang.commons.frame import pages, sheets

    rows = {(page.permission, f"page `{page.room}:{page.name}`") for page in pages.registered() if page.permission}
    rows |= {(f"{sheet.room}.{sheet.kind}.{verb}", f"sheet `{sheet.room}.{sheet.kind}`") for sheet in sheets.registered() for verb in ("view", "add", "change", "delete", "export")}
    return "# Permissions\n\n`*` grants all of a part: `detect.*`.\n\n" + table(["permission", "opens"], sorted(rows))


def figures() -> str:
    """The headline figures of the last bench, as the READMEs show them."""
    path = ROOT / "benchmarks/latest.json"
    rows = json.loads(path.read_text("utf-8")) if path.is_file() else []
    shown = [(row["name"], f"{_said(row['value'])} {row['unit']}", f"{row['peer']}: {_said(row['peer_value'])}" if row["peer"] and row["peer_value"] else "", _said(row["ratio"]), _said(row["goal"])) for row in rows]
    return table(["figure", "measured", "beside, in the same run", "ratio", "goal"], shown)


def _said(value: float | str | None) -> str:
    return str(value or "") if not isinstance(value, int | float) else f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.2f}"


def sizes() -> str:
    """What loads ask for, reckoned from the last bench."""
    return province.table([50, 500, 5_000, 20_000, 100_000])


def filled() -> dict[Path, str]:
    """Pages written by hand with their figures as they are now, between ``<!-- name -->`` and ``<!-- /name -->``."""
    return {ROOT / name: _fill((ROOT / name).read_text("utf-8"), block.__name__, block()) for name, block in (("README.md", figures), ("README.zh.md", figures), ("docs/scale.md", sizes))}


def _fill(page: str, name: str, text: str) -> str:
    return re.sub(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", lambda found: found[1] + text + found[2], page, flags=re.DOTALL)


WRITERS: dict[str, Callable[[], str]] = {"rooms.md": rooms, "events.md": events, "command-line.md": command_line, "permissions.md": permissions}


def main() -> int:
    """Write, or with ``--check`` say what is out of date."""
    with tempfile.TemporaryDirectory() as home:
        os.environ.setdefault("LIANFANG_HOME", home)
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "lianfang.site.settings")
        import django

        django.setup()
        from django.utils import translation

        import lianfang.site.urls  # noqa: F401  (registers pages and sheets)

        with translation.override("en"):
            texts = {OUT / name: write() for name, write in WRITERS.items()} | filled()
    stale = [path for path, text in texts.items() if not path.is_file() or path.read_text("utf-8") != text]
    if "--check" in sys.argv:
        print("\n".join(f"{path.relative_to(ROOT)} is out of date: run make docs" for path in stale))
        return bool(stale)
    for path in stale:
        path.write_text(texts[path], "utf-8")
        print(f"wrote {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
