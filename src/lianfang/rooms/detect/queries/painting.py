"""A rule's text with its parts marked: keys, values, comments, modifiers. For reading, not for editing."""

from __future__ import annotations

import re

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

_KEY = re.compile(r"^(\s*(?:- )*)([^\s#'\"\[\]{}:][^:#]*?)(:)(\s.*|)$")
_ITEM = re.compile(r"^(\s*(?:- )+)(.*)$")
_COMMENT = re.compile(r"^(\s*)(#.*)$")


def painted(text: str) -> SafeString:
    """YAML as safe HTML, line by line.

    >>> print(painted("level: high"))
    <span class="y-key">level</span>: <span class="y-value">high</span>
    """
    return format_html_join("\n", "{}", ((_line(line),) for line in text.strip("\n").split("\n")))


def _line(line: str) -> SafeString | str:
    if found := _COMMENT.match(line):
        return format_html('{}<span class="y-comment">{}</span>', *found.groups())
    if found := _KEY.match(line):
        before, key, colon, value = found.groups()
        return format_html("{}{}{}{}", before, _key(key), colon, _value(value))
    if found := _ITEM.match(line):
        return format_html("{}{}", found[1], _value(found[2]))
    return _value(line)


def _key(key: str) -> SafeString:
    """``CommandLine|contains|all``: the field, then its modifiers."""
    name, *modifiers = key.split("|")
    return format_html('<span class="y-key">{}</span>{}', name, format_html_join("", '<span class="y-modifier">|{}</span>', ((one,) for one in modifiers)))


def _value(value: str) -> SafeString | str:
    spaces = value[: len(value) - len(value.lstrip())]
    rest = value[len(spaces) :]
    return format_html('{}<span class="y-value">{}</span>', spaces, rest) if rest else value
