"""Sentences that were made below the pages, said in the reader's language: faults, reasons of rejects, what engines found.

In: the English sentence, values and all. Out: the same from the catalogue: as it is, or by the form that a room has named,
with the values where the catalogue wants them. A sentence that nobody translated stays as it is.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from django.utils.translation import gettext

from lianfang.kernel.errors import Fault, Refused, sentences

_PLACE = re.compile(r"%\((\w+)\)s")
_forms: list[tuple[re.Pattern[str], str]] = []
LONGEST = 2000


def sayable(*forms: str) -> None:
    """Name forms with places for values, each a msgid of the room's catalogue: ``sayable("There is no host %(name)s")``."""
    _forms.extend((_compiled(form), form) for form in forms)
    _form_of.cache_clear()


def said(text: Any) -> str:
    """A sentence in the reader's language.

    >>> sayable("There is no host %(name)s")
    >>> from django.utils.translation import override
    >>> with override("en"):
    ...     said("There is no host db.example")
    'There is no host db.example'

    Several sentences parted by semicolons are said one by one.
    """
    whole = str(text) if text else ""
    if not whole or len(whole) > LONGEST:
        return whole
    known = gettext(whole)
    if known != whole:
        return known
    found = _form_of(whole)
    if not found and "; " in whole:
        return gettext("; ").join(said(part) for part in whole.split("; "))
    return gettext(found[0]) % {name: said(value) if " " in value else value for name, value in found[1]} if found else whole


def parts_of(fault: Fault) -> tuple[str, str, str]:
    """What happened, why, and what to do, in the reader's language as far as the catalogue has it."""
    if isinstance(fault, Refused) and "permission" in fault.details:
        return gettext("You may not open this"), gettext("It needs a permission that your roles do not hold: %(permission)s") % fault.details, gettext("Ask an administrator of your organisation for it.")
    return said(fault.what), said(fault.why), said(fault.todo)


def told(fault: Fault) -> str:
    """The same as sentences."""
    return sentences(*parts_of(fault))


@lru_cache(maxsize=2048)
def _form_of(text: str) -> tuple[str, tuple[tuple[str, str], ...]] | None:
    for pattern, form in _forms:
        if hit := pattern.fullmatch(text):
            return form, tuple(hit.groupdict().items())
    return None


def _compiled(form: str) -> re.Pattern[str]:
    """Literal text around places; a place holds anything but a line feed."""
    parts = _PLACE.split(form)
    return re.compile("".join(f"(?P<{part}>.*?)" if at % 2 else re.escape(part) for at, part in enumerate(parts)))
