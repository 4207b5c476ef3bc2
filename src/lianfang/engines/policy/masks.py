"""Masks: what a viewer sees of a value above their clearance. Enough to recognise a repetition, not enough to use it."""

from __future__ import annotations

HIDDEN = "●●●"


def mask(value: str | None, kind: str = "text") -> str | None:
    """``value`` so far as it may be shown. Kinds: ``name`` (first character), ``ip`` (its network), ``text`` (nothing).

    >>> mask("zhang.wei", "name"), mask("192.0.2.17", "ip"), mask("2001:db8::17", "ip"), mask("net use …")
    ('z●●●', '192.0.●●●', '2001:db8:●●●', '●●●')
    >>> mask(None) is None
    True
    """
    if not value:
        return value
    if kind == "name":
        return value[0] + HIDDEN
    if kind == "ip":
        separator = ":" if ":" in value else "."
        return separator.join([*value.split(separator)[:2], HIDDEN])
    return HIDDEN
