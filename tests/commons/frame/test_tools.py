"""The tools that prepare the interface: translations are complete or refused, the sprite knows every icon that is named."""

from __future__ import annotations

import pytest
from tools import assets, compile_messages

HEAD = 'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=UTF-8\\n"\n\n'


@pytest.fixture
def book(tmp_path, monkeypatch):
    monkeypatch.setattr(compile_messages, "ROOT", tmp_path)
    folder = tmp_path / "src/room/locale/zh_Hans/LC_MESSAGES"
    folder.mkdir(parents=True)
    return folder / "django.po"


def test_a_complete_catalogue_is_compiled(book):
    book.write_text(HEAD + 'msgid "alert"\nmsgstr "告警"\n', "utf-8")
    assert compile_messages.main() == 0
    assert book.with_suffix(".mo").stat().st_size > 0


@pytest.mark.parametrize("entry", ['msgid "alert"\nmsgstr ""\n', '#, fuzzy\nmsgid "alert"\nmsgstr "告警"\n', 'msgid "a"\nmsgid_plural "b"\nmsgstr[0] ""\n'])
def test_a_sentence_without_a_translation_is_named_and_fails(book, capsys, entry):
    book.write_text(HEAD + entry, "utf-8")
    assert compile_messages.main() == 1
    assert "django.po" in capsys.readouterr().err


def test_icons_are_found_where_they_are_named():
    text = """{% icon "radar-2" %} Nav("alerts", _("x"), icon="bell") {"icon": "check"} Section("trust", _("Trust"), "certificate")"""
    assert {name for pair in assets.NAMED.findall(text) for name in pair if name} == {"radar-2", "bell", "check", "certificate"}


def test_the_lock_file_names_no_registry():
    lock = (assets.ROOT / "package-lock.json").read_text("utf-8")
    assert "resolved" not in lock
    assert lock.count('"integrity"') >= 7
