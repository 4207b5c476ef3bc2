"""One word for one thing: all catalogues together are one dictionary, because Django merges them and the lowest room wins."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import polib
import pytest

ROOT = Path(__file__).parents[3]
BOOKS = {path: polib.pofile(str(path)) for path in sorted((ROOT / "src").rglob("locale/*/LC_MESSAGES/*.po"))}
OTHERS = ("观察名单", "监视名单", "数据来源", "数据源", "日志来源", "命中记录", "机构路径")
"""Words that were once used beside those of the glossary."""


def told(language: str) -> dict[tuple[str, str], dict[str, list[str]]]:
    """(context, sentence) → translation → the rooms that say so."""
    found: dict[tuple[str, str], dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for path, book in BOOKS.items():
        if path.parts[-3] == language:
            for entry in book:
                found[entry.msgctxt or "", entry.msgid][" | ".join(entry.msgstr_plural.values()) or entry.msgstr].append(path.parts[-5])
    return found


@pytest.mark.parametrize("language", sorted({path.parts[-3] for path in BOOKS}))
def test_no_sentence_is_translated_in_two_ways(language):
    two = {said: dict(ways) for said, ways in told(language).items() if len(ways) > 1}
    assert not two, "\n".join(f"{said}: {ways}" for said, ways in two.items())


@pytest.mark.parametrize("english", ["alert", "event", "finding", "log source", "reject", "rule", "rule pack", "severity", "watch list"])
def test_the_catalogues_use_the_word_of_the_glossary(english):
    row = re.search(rf"^\| {english} \| ([^|（]+)", (ROOT / "docs/glossary.md").read_text("utf-8"), re.MULTILINE)
    assert row
    book = told("zh_Hans")
    ways = {way for said in (english, english.capitalize(), f"{english}s", f"{english}s".capitalize()) for way in book.get(("", said), ())}
    assert ways
    assert {way for way in ways if row[1].strip() not in way} <= {"拒收"}  # a heading of numbers


def test_no_catalogue_program_or_page_uses_a_word_that_was_given_up():
    texts = [*BOOKS, *(ROOT / "src").rglob("*.py"), *(ROOT / "docs").rglob("*.md"), ROOT / "README.zh.md"]
    assert not [f"{path.relative_to(ROOT)}: {word}" for path in texts for word in OTHERS if word in path.read_text("utf-8")]
