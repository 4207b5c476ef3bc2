"""Values against a JSON Schema, with messages that say where: forms, templates, settings.

In: a schema (draft 2020-12 unless it says otherwise) and a value. Out: nothing, or ``Invalid`` whose ``details`` map a path
to its reasons. Schemas are written by users, so nothing is fetched, and patterns run in linear time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jsonschema_rs
import msgspec

from lianfang.kernel.errors import Invalid

MOST_FAULTS = 200


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong at one place; ``path`` is dotted, empty for the whole."""

    path: str
    reason: str


def faults(schema: Mapping[str, Any], value: Any) -> list[Fault]:
    """Everything that is wrong; at most ``MOST_FAULTS``. Raises ``Invalid`` for a schema that is none.

    >>> faults({"properties": {"port": {"maximum": 65535}}, "required": ["host"]}, {"port": 70000})
    [Fault(path='host', reason='is required'), Fault(path='port', reason='70000 is greater than the maximum of 65535')]
    """
    found = []
    for error in _validator(msgspec.json.encode(schema, order="sorted")).iter_errors(value):
        found.append(_fault(error))
        if len(found) >= MOST_FAULTS:
            break
    return found


def _fault(error: Any) -> Fault:
    """A missing property is said at its own place, not at its parent's."""
    path = ".".join(map(str, error.instance_path))
    if error.kind.name == "required":
        name = str(error.kind.property)
        return Fault(f"{path}.{name}" if path else name, "is required")
    return Fault(path, str(error.message))


def check(schema: Mapping[str, Any], value: Any) -> None:
    """Nothing, or ``Invalid`` with ``details = {path: [reasons]}``.

    >>> check({"type": "string"}, "fine")
    """
    found = faults(schema, value)
    if not found:
        return
    details: dict[str, list[str]] = {}
    for fault in found:
        details.setdefault(fault.path, []).append(fault.reason)
    first = found[0]
    raise Invalid(f"{first.path or 'The value'}: {first.reason}", why=f"{len(found)} {'thing does' if len(found) == 1 else 'things do'} not fit the form.", todo="Correct the fields that are named.", details=details)


@lru_cache(maxsize=512)
def _validator(schema: bytes) -> Any:
    try:
        return jsonschema_rs.validator_for(msgspec.json.decode(schema), validate_formats=True, offline=True, pattern_options=jsonschema_rs.RegexOptions())
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError, TypeError) as error:
        raise Invalid("This is not a usable JSON Schema", why=str(getattr(error, "message", error)).partition("\n")[0][:300], todo="References to other documents and patterns with look-around are not possible.") from error
