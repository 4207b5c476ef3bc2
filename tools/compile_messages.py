"""Compile every translation below src. Ends with 1 and a list when a sentence has none: the interface is complete or it is not ready.

In: */locale/*/LC_MESSAGES/*.po. Out: .mo files beside them, written only when they changed.
"""

from __future__ import annotations

import sys
from pathlib import Path

import polib

ROOT = Path(__file__).parents[1]


def main() -> int:
    """Compile all; complain about all."""
    problems: list[str] = []
    for path in sorted((ROOT / "src").rglob("locale/*/LC_MESSAGES/*.po")):
        target = path.with_suffix(".mo")
        try:
            book = polib.pofile(str(path), check_for_duplicates=True)
        except (OSError, ValueError) as error:
            problems.append(f"{path.relative_to(ROOT)}: {error}")
            continue
        problems += [f"{path.relative_to(ROOT)}:{entry.linenum}: {entry.msgid[:80]}" for entry in book if not entry.obsolete and (not entry.translated() or entry.fuzzy)]
        if not target.is_file() or target.stat().st_mtime_ns < path.stat().st_mtime_ns:
            book.save_as_mofile(str(target))
    if problems:
        print("Without a translation:", *problems, sep="\n  ", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
