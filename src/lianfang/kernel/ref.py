"""A reference to a thing in any room: ``room:kind:id``. Pointing costs no import and no foreign key."""

from __future__ import annotations

import re
from dataclasses import dataclass

from lianfang.kernel.errors import Invalid

_PATTERN = re.compile(r"[a-z_]+:[a-z_]+:[0-9A-Za-z._~-]{1,80}")


@dataclass(frozen=True, slots=True, order=True)
class Ref:
    """What a thing is called outside its own room.

    >>> str(Ref("respond", "alert", "018f3c00-0000-7000-8000-000000000000"))
    'respond:alert:018f3c00-0000-7000-8000-000000000000'
    """

    room: str
    kind: str
    id: str

    def __str__(self) -> str:
        return f"{self.room}:{self.kind}:{self.id}"

    @classmethod
    def parse(cls, text: str) -> Ref:
        """``room:kind:id`` → ``Ref``; raises ``Invalid`` on any other shape."""
        if not _PATTERN.fullmatch(text):
            raise Invalid(f"“{text[:60]}” is not a reference", todo="References look like room:kind:id.")
        return cls(*text.split(":", 2))
