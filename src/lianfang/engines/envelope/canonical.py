"""Canonical JSON (RFC 8785): one value, one sequence of bytes, whoever writes it.

orjson writes the same bytes as RFC 8785 for values without floats whose keys are ASCII, many times faster; everything
else goes to the reference implementation. A property test holds the two together.
"""

from __future__ import annotations

from typing import Any

import orjson
import rfc8785

from lianfang.kernel.errors import Invalid

_LARGEST = 2**53 - 1
"""RFC 8785 numbers are IEEE doubles: larger integers have no single reading."""


def _plain(value: Any) -> bool:
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return True
    if kind is int:
        return bool(-_LARGEST <= value <= _LARGEST)
    if kind is dict:
        return all(type(key) is str and key.isascii() and _plain(each) for key, each in value.items())
    return kind is list and all(map(_plain, value))


def canonical(value: Any) -> bytes:
    """Plain JSON values → their RFC 8785 bytes. Raises ``Invalid`` for what JSON cannot say.

    >>> canonical({"b": 1, "a": ["é", 1.0, True]})
    b'{"a":["\\xc3\\xa9",1,true],"b":1}'
    """
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS) if _plain(value) else rfc8785.dumps(value)
    except (rfc8785.CanonicalizationError, orjson.JSONEncodeError, UnicodeError, RecursionError) as error:
        raise Invalid("This value has no canonical form", why=str(error), todo="Use text, whole numbers up to 2⁵³, finite numbers, lists and objects only.") from error


def canonical_plain(value: dict[str, Any]) -> bytes:
    """The same bytes, unchecked and three times faster, for objects known to hold only text and whole numbers under ASCII keys.

    >>> canonical_plain({"b": "é", "a": 1}) == canonical({"b": "é", "a": 1})
    True
    """
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
