"""Errors that speak to a person: what happened, why, and what to do next.

Four families. ``Refused``: you may not. ``Invalid``: this cannot be right. ``Missing``: it is not here
(or not visible to you: the two are never told apart). ``Conflict``: somebody was faster, or it no longer fits.
"""

from __future__ import annotations

from typing import Any


class Fault(Exception):
    """Base of the four families. ``retry`` says whether the same call may succeed later."""

    status = 500
    code = "fault"

    def __init__(self, what: str, *, why: str = "", todo: str = "", retry: bool = False, details: dict[str, Any] | None = None):
        super().__init__(what)
        self.what, self.why, self.todo, self.retry = what, why, todo, retry
        self.details = details or {}

    def as_dict(self) -> dict[str, Any]:
        """The wire form, the same for pages, APIs and the command line."""
        return {"error": self.code, "what": self.what, "why": self.why, "todo": self.todo, "retry": self.retry, "details": self.details}

    def __str__(self) -> str:
        return sentences(self.what, self.why, self.todo)


def sentences(*parts: str) -> str:
    """Parts joined so that each reads as a sentence of its own; empty ones are left out, what ends a sentence already is kept.

    >>> sentences("The port is taken", "", "Choose another."), sentences("端口被占用", "换一个端口。")
    ('The port is taken. Choose another.', '端口被占用。换一个端口。')
    """
    said = [part.strip() for part in parts if part.strip()]
    ended = [part if part[-1] in _ENDS else part + ("。" if part[-1] > "\u2e7f" else ".") for part in said[:-1]] + said[-1:]
    return "".join(part if part[-1] in _WIDE or part is ended[-1] else part + " " for part in ended)


_WIDE = "。！？：；…"
_ENDS = ".!?:;" + _WIDE


class Refused(Fault):
    """The actor may not do this, or the label may not travel there."""

    status, code = 403, "refused"


class Invalid(Fault):
    """The input cannot be right; ``details`` may hold ``{"field": ["reason", …]}``."""

    status, code = 422, "invalid"


class Missing(Fault):
    """It does not exist, or this viewer may not know that it does."""

    status, code = 404, "missing"


class Conflict(Fault):
    """The state of the world does not allow it (any more)."""

    status, code = 409, "conflict"
