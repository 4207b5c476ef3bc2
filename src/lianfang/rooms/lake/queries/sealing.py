"""Values that lie sealed in the event tables: sealed on their way in, opened for questions; each column under a key of its own.

In: columns of a batch with their levels; sealed texts. Out: the same sealed; the texts again. AES-SIV: the same value of a column has
the same seal, so that counts and joins hold; between columns nothing can be compared. The keys come of the node's own.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from time import monotonic
from typing import Any

import pyarrow as pa
from django.utils.translation import gettext

from lianfang.commons.people import queries as people
from lianfang.engines.columns.query import Opener
from lianfang.engines.envelope import STEADY, Steady, steady_generation
from lianfang.engines.policy.masks import HIDDEN
from lianfang.kernel.errors import Conflict, Fault, Invalid
from lianfang.rooms.lake import models

LOOK = 2.0
_known: list[tuple[float, bool]] = []
_lock = threading.Lock()


def may_be_sealed() -> bool:
    """Whether values may lie sealed in the tables: from the first switching on, for good."""
    with _lock:
        if not _known or _known[0][0] < monotonic():
            _known[:] = [(monotonic() + LOOK, models.Measure.objects.filter(sealed_once=True).exists())]
        return _known[0][1]


def forget_sealed() -> None:
    """Look again: after a measure was changed in this process."""
    with _lock:
        _known.clear()


def opened(name: str, values: Sequence[str | None]) -> list[str | None]:
    """Values of one column again, each by the generation that sealed it; what this node cannot open is shown as hidden."""
    try:
        ring = people.keyring()
    except Fault:
        return [HIDDEN if value and steady_generation(value) else value for value in values]
    keys, memo = dict[int, Steady | None](), dict[str, str]()
    for value in values:
        if value and value not in memo:
            number = steady_generation(value)
            if number and number not in keys:
                keys[number] = ring.steady(purpose(name), number) if number in ring.keys else None
            memo[value] = value if not number else _opened(keys[number], value)
    return [memo[value] if value else value for value in values]


def _opened(steady: Steady | None, value: str) -> str:
    try:
        return steady.open(value) if steady else HIDDEN
    except Invalid:
        return HIDDEN


def purpose(name: str) -> str:
    """What the key of a column is made for."""
    return f"lake column {name}"


def opener(columns: frozenset[str]) -> Opener | None:
    """How questions open these columns; ``None`` while nothing was ever sealed."""
    return Opener(columns, STEADY, opened) if may_be_sealed() else None


def columns_sealed(columns: Mapping[str, Sequence[Any]], rows: Sequence[int], names: frozenset[str]) -> dict[str, Sequence[Any]]:
    """Columns of a batch with the content of some rows sealed."""
    ring, done = people.keyring(), dict(columns)
    for name in names & columns.keys():
        steady, values, memo = ring.steady(purpose(name)), list(columns[name]), dict[str, str]()

        def seal(value: str, steady: Steady = steady, memo: dict[str, str] = memo) -> str:
            return memo.setdefault(value, memo.get(value) or steady.seal(value))

        for at in rows:
            value = values[at]
            values[at] = seal(value) if isinstance(value, str) and value else [seal(one) for one in value] if isinstance(value, list | tuple) else value
        done[name] = values
    return done


def rows_opened(rows: pa.Table, columns: frozenset[str], *, strict: bool = False) -> pa.Table:
    """Rows of the event tables with what lies sealed opened; what this node cannot open stays as it lies, or, ``strict``, raises ``Conflict``."""
    if not may_be_sealed():
        return rows
    for name in columns & set(rows.column_names):
        values = rows[name].to_pylist()
        if any(steady_generation(one) for value in values if value for one in (value if isinstance(value, list) else [value])):
            rows = rows.set_column(rows.column_names.index(name), rows.schema.field(name), pa.array(_all_opened(name, values, strict=strict), rows.schema.field(name).type))
    return rows


def _all_opened(name: str, values: Sequence[Any], *, strict: bool) -> list[Any]:
    ring, memo = people.keyring(), dict[str, str]()

    def one(value: str) -> str:
        number = steady_generation(value)
        if strict and number and number not in ring.keys:
            raise Conflict("Some of this cannot be opened", why=gettext("It lies sealed under generation %d of the sealing key, which is not here.") % number, todo="Restore the folder keys/ from a backup.")
        if value not in memo:
            try:
                memo[value] = ring.steady(purpose(name), number).open(value) if number in ring.keys else value
            except Invalid:
                memo[value] = value  # a text that only looks sealed
        return memo[value]

    return [[one(each) for each in value] if isinstance(value, list) else one(value) if value else value for value in values]
