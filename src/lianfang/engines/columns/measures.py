"""Measures: what every row of a data file is asked (is it filled, has it the right form …), counted once per file.

In: checks, which are values and never SQL. Out: conditions in SQL, and one Parquet file per table with how many rows a check
applied to and how many failed, by data file, hour and whatever decides who may see a row. As with roll-ups a data file never
changes, so what was counted of it holds for good, and a new check has only to be counted where it was not counted yet.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from lianfang.engines.columns.rollups import Rollup
from lianfang.engines.schema.events import BY_NAME, Kind
from lianfang.kernel import lazy
from lianfang.kernel.errors import Invalid

if TYPE_CHECKING:
    import duckdb
else:
    duckdb = lazy.Library("duckdb")

QUALITY = Rollup("quality", 3600, ("source", "territory", "industry", "level", "check"))
"""Where the counts lie: beside the roll-ups, with a name of their own."""
ROWS = ""
"""The key of the check that every row passes: how many rows there are."""
LONGEST, MOST = 500, 2_000
"""Characters of a pattern, and codes of a list."""
KINDS: dict[str, tuple[str, ...]] = {
    "filled": (), "format": ("pattern",), "length": ("least", "greatest"), "codes": ("codes",), "range": ("least", "greatest"),
    "order": ("other",), "same": ("other",), "member": ("other",), "together": ("other",), "delay": ("seconds",),
}  # fmt: skip
"""Kind → the parameters that it needs; ``least`` or ``greatest`` alone will do."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that a row can be asked. ``when`` names a column that must be filled (or, with ``value``, say this) for the row to be asked at all.

    ``filled``; ``format``: the whole text fits ``pattern`` (RE2); ``length``: signs; ``codes``: one of them; ``range``: a number;
    ``order``: not after ``other``; ``same``: as ``other``; ``member``: in the list ``other``; ``together``: ``other`` is filled too;
    ``delay``: a time at most ``seconds`` before the moment of receipt. Of a list every value is asked.
    """

    kind: str
    column: str
    pattern: str = ""
    codes: tuple[str, ...] = ()
    least: float | None = None
    greatest: float | None = None
    other: str = ""
    seconds: float | None = None
    when: str = ""
    value: str = ""

    @property
    def key(self) -> str:
        """The same for checks that ask the same, whoever asks."""
        said = (self.kind, self.column, self.pattern, sorted(self.codes), self.least, self.greatest, self.other, self.seconds, self.when, self.value)
        return hashlib.blake2b(json.dumps(said).encode(), digest_size=8).hexdigest()

    def columns(self) -> tuple[str, ...]:
        """Every column whose content the answer tells something of."""
        return tuple(dict.fromkeys(name for name in (self.column, self.other, self.when, "received" if self.kind == "delay" else "") if name))

    def checked(self) -> Check:
        """The same, if it can be asked; raises ``Invalid``."""
        if self.kind not in KINDS:
            raise _wrong("kind", f"“{self.kind[:20]}” is nothing that can be asked")
        for place, name in (("column", self.column), ("other", self.other), ("when", self.when)):
            if (name or place == "column" or place in KINDS[self.kind]) and name not in BY_NAME:
                raise _wrong(place, f"events have no column “{name[:40]}”")
        self._parameters()
        return self

    def _parameters(self) -> None:
        needs, kind = KINDS[self.kind], BY_NAME[self.column].kind
        if "pattern" in needs:
            _pattern(self.pattern)
        if "codes" in needs and not 0 < len(self.codes) <= MOST:
            raise _wrong("codes", f"a list has 1 to {MOST:,} codes")
        if "least" in needs and ((self.least is None and self.greatest is None) or (self.least is not None and self.greatest is not None and self.least > self.greatest)):
            raise _wrong("least", "a least, a greatest, or both in this order are needed")
        if self.kind == "range" and kind is not Kind.INT:
            raise _wrong("column", "only numbers have a range")
        if self.kind in ("format", "length") and kind is Kind.TIME:
            raise _wrong("column", "a time has no text to look at")
        if self.kind == "delay" and (kind is not Kind.TIME or self.seconds is None or self.seconds < 0):
            raise _wrong("seconds", "a time and a number of seconds are needed")
        if self.kind == "member" and (kind is not Kind.TEXT or BY_NAME[self.other].kind is not Kind.LIST):
            raise _wrong("other", "a text is looked for in a list")
        if self.kind in ("order", "same") and (kind is Kind.LIST or BY_NAME[self.other].kind is not kind):
            raise _wrong("other", "both columns must be of one kind, and no lists")

    # ---- as SQL ------------------------------------------------------------------------------------------------

    def applies(self) -> str:
        """The condition under which the row is asked."""
        asked = "TRUE" if self.kind == "filled" else " AND ".join(_filled(name) for name in ((self.column, self.other) if self.kind in ("order", "same") else (self.column,)))
        if not self.when:
            return asked
        return f"{asked} AND {_filled(self.when) if not self.value else f'{_text(self.when)} = {_quoted(self.value)}'}"

    def fails(self) -> str:
        """The condition under which a row that is asked fails; never null where ``applies`` holds."""
        of = {"filled": self._unfilled, "format": self._form, "length": self._length, "codes": self._codes, "range": self._range, "delay": self._delay}
        if self.kind in of:
            return of[self.kind]()
        one, other = f'"{self.column}"', f'"{self.other}"'
        return {"order": f"{one} > {other}", "same": f"{one} <> {other}", "member": f"NOT coalesce(list_contains({other}, {one}), FALSE)", "together": f"NOT ({_filled(self.other)})"}[self.kind]

    def _unfilled(self) -> str:
        return f"NOT ({_filled(self.column)})"

    def _form(self) -> str:
        return self._each(lambda value: f"NOT regexp_full_match({value}, {_quoted(self.pattern)})")

    def _length(self) -> str:
        return self._each(lambda value: _outside(f"length({value})", self.least, self.greatest))

    def _codes(self) -> str:
        codes = ", ".join(_quoted(code) for code in sorted(self.codes))
        return self._each(lambda value: f"{value} NOT IN ({codes})")

    def _range(self) -> str:
        return _outside(f'"{self.column}"', self.least, self.greatest)

    def _delay(self) -> str:
        return f'coalesce(epoch_us("received") - epoch_us("{self.column}") > {int((self.seconds or 0) * 1_000_000)}, TRUE)'

    def _each(self, condition: Callable[[str], str]) -> str:
        """The condition on a value; of a list, that one of its values meets it."""
        if BY_NAME[self.column].kind is Kind.LIST:
            return f'len(list_filter("{self.column}", lambda x: {condition("x")})) > 0'
        return condition(_text(self.column))


def _pattern(text: str) -> None:
    if not 0 < len(text) <= LONGEST:
        raise _wrong("pattern", f"a pattern has 1 to {LONGEST} signs")
    try:
        duckdb.execute("SELECT regexp_full_match('', ?)", [text]).fetchall()
    except duckdb.Error as error:
        raise _wrong("pattern", str(error).splitlines()[0]) from error


def _wrong(field: str, why: str) -> Invalid:
    return Invalid("Rows cannot be asked this", why=why[:1].upper() + why[1:] + ".", todo="Mend the rule.", details={field: [why]})


def _filled(name: str) -> str:
    kind = BY_NAME[name].kind
    if kind is Kind.LIST:
        return f'coalesce(len("{name}"), 0) > 0'
    return f'coalesce("{name}", \'\') <> \'\'' if kind is Kind.TEXT else f'"{name}" IS NOT NULL'


def _text(name: str) -> str:
    return f'"{name}"' if BY_NAME[name].kind is Kind.TEXT else f'"{name}"::VARCHAR'


def _outside(value: str, least: float | None, greatest: float | None) -> str:
    return " OR ".join(f"{value} {sign} {bound!r}" for sign, bound in (("<", least), (">", greatest)) if bound is not None)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def counting(checks: Sequence[Check], *, moment: str, relation: str) -> str:
    """One pass over ``relation`` (which has ``data_file``): a row per file, stretch, whoever may see it, and check."""
    keys = ", ".join(f'"{key}"' for key in QUALITY.keys if key != "check")
    asked = "".join(f", CASE WHEN {check.applies()} THEN CASE WHEN {check.fails()} THEN 2 ELSE 1 END ELSE 0 END::TINYINT AS q{at}" for at, check in enumerate(checks))
    sums = "".join(f", count(*) FILTER (q{at} > 0) AS a{at}, count(*) FILTER (q{at} = 2) AS f{at}" for at in range(len(checks)))
    names = ", ".join(_quoted(key) for key in (ROWS, *(check.key for check in checks)))
    applied = ", ".join(("n", *(f"a{at}" for at in range(len(checks)))))
    failed = ", ".join(("0", *(f"f{at}" for at in range(len(checks)))))
    inner = f"SELECT data_file AS file, {moment} AS time, {keys}{asked} FROM ({relation})"  # noqa: S608  (columns and values of ours)
    summed = f"SELECT file, time, {keys}, count(*) AS n{sums} FROM ({inner}) GROUP BY ALL"  # noqa: S608  (columns and values of ours)
    return f"SELECT file, time, {keys}, unnest([{names}]) AS \"check\", unnest([{applied}])::BIGINT AS n, unnest([{failed}])::BIGINT AS failed FROM ({summed})"  # noqa: S608  (columns and values of ours)


# ---- what was counted of which file ----------------------------------------------------------------------------

Done = Mapping[str, frozenset[str]]


@lru_cache(maxsize=16)
def done(path: Path) -> Done:
    """Name of a data file → keys of the checks that were counted of it; from the footer, as a file may hold no row."""
    groups = json.loads((pq.read_metadata(path).metadata or {}).get(b"done", b"[]"))
    return {file: frozenset(keys) for keys, files in groups for file in files}


def footer(counted: Done) -> str:
    """The same as text: files of which the same was counted stand together."""
    groups: dict[frozenset[str], list[str]] = {}
    for file, keys in counted.items():
        groups.setdefault(keys, []).append(file)
    return json.dumps([[sorted(keys), files] for keys, files in groups.items()])


def missing(checks: Iterable[Check], names: Iterable[str], counted: Done) -> dict[tuple[Check, ...], list[str]]:
    """What is still to be counted: checks → data files of which they were not counted yet (an empty tuple: of which nothing was)."""
    wanted, found = {check.key: check for check in checks}, dict[tuple[Check, ...], list[str]]()
    for name in names:
        have = counted.get(name)
        lack = tuple(wanted[key] for key in sorted(wanted) if have is None or key not in have)
        if have is None or lack:
            found.setdefault(lack, []).append(name)
    return found
