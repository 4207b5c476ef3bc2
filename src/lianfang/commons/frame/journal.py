"""The port through which ``frame`` and ``jobs`` tell that a row was changed. ``ledger`` plugs in; alone, nobody listens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lianfang.kernel.ref import Ref
from lianfang.kernel.viewer import Viewer

Recorder = Callable[..., Any]
_recorders: list[Recorder] = []


def plug(recorder: Recorder) -> None:
    """Called once by ``ledger`` when it is ready: ``recorder(verb, ref, *, actor, label, detail, territory, industry)``."""
    if recorder not in _recorders:
        _recorders.append(recorder)


def tell(verb: str, ref: Ref, *, actor: Viewer, label: str = "", detail: dict[str, Any] | None = None, territory: str = "", industry: str = "") -> None:
    """Say what was done, inside the transaction that did it."""
    for recorder in _recorders:
        recorder(verb, ref, actor=actor, label=label, detail=detail or {}, territory=territory, industry=industry)
