"""Which kinds of events a mapping template can make, and what is certain about the native fields of each.

In: a template. Out: one ``Kind`` for each combination of values that its conditions tell apart, found by mapping a row made
of those values: the mapper itself says what becomes of it, nothing is read out of the template a second time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice, product

from lianfang.engines.connect.mapping import Logsource, Row, Templates
from lianfang.engines.connect.template import Case, Step, Template, Test

MOST_ROWS = 600
"""Combinations of one case that are looked at; those of the templates that ship stay below it."""
SOMETHING = "something"
_MOMENT = datetime(2000, 1, 1, tzinfo=UTC)

Said = tuple[str | None, bool]
"""What a field says (``None``: it is absent), and whether it always says exactly this in such a row."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of event: its class and activity, the log source that rules know it by, and what is certain of its native fields (``None``: absent)."""

    class_uid: int
    activity_id: int
    template: str
    logsource: Logsource
    known: Mapping[str, str | None]


def kinds(template: Template) -> list[Kind]:
    """Every kind of event that ``template`` makes; events of no class are none.

    >>> from lianfang.engines.connect.template import parse
    >>> [(kind.activity_id, kind.known) for kind in kinds(parse("{template: t, detect: {a: '*'}, class: authentication, cases: [{when: {b: [x, y]}, activity: Logon}]}"))]
    [(1, {'b': 'x'}), (1, {'b': 'y'}), (0, {})]
    """
    mapper = Templates([template], cache_bytes=1 << 20)
    found: dict[tuple[object, ...], Kind] = {}
    for case in template.cases:
        rows = list(islice(_rows(template, case), MOST_ROWS))
        mapped = mapper.map([_row(one) for one in rows], received=_MOMENT)
        for at, one in enumerate(rows):
            known = {name: text for name, (text, certain) in one.items() if certain}
            kind = Kind(int(mapped.columns["class_uid"][at] or 0), int(mapped.columns["activity_id"][at] or 0), template.name, mapped.logsources[at], known)
            if kind.class_uid and mapped.template[at] == template.name:
                found.setdefault((kind.class_uid, kind.activity_id, kind.logsource, tuple(sorted(known.items(), key=str))), kind)
    return list(found.values())


def _row(one: Mapping[str, Said]) -> Row:
    return {name: text for name, (text, _) in one.items() if text is not None}


def _rows(template: Template, case: Case) -> Iterator[dict[str, Said]]:
    """What the fields may say that the template asks about: those it is found by, those of the case, those that decide the activity."""
    tests: dict[str, list[Test]] = {}
    for test in (*template.detect, *case.when):
        tests.setdefault(test.field, []).append(test)
    fields = {name: _said(asked) for name, asked in tests.items()}
    for step in (*template.steps, *case.steps):
        if {"class_uid", "activity_id"} & set(step.targets):
            _add_deciding(fields, tests, step)
    for values in product(*fields.values()):
        yield dict(zip(fields, values, strict=True))


def _add_deciding(fields: dict[str, list[Said]], tests: Mapping[str, list[Test]], step: Step) -> None:
    """What the field may say by which an activity is looked up, beside what conditions ask of it."""
    for test in step.when:
        fields.setdefault(test.field, [*_said([test]), (None, True)])
    for name in step.fields[:1]:
        asked, whole = tests.get(name, ()), not (step.split or step.take is not None or step.regex)
        keys = [(key, whole) if key != "*" else (SOMETHING, False) for key, _ in step.table]
        found = fields.setdefault(name, [(None, True)])
        found += [(text, certain) for text, certain in keys if all(test.holds(text) for test in asked) and (text, certain) not in found]


def _said(tests: Sequence[Test]) -> list[Said]:
    """Texts that fit the last of the tests and all before it: those of its patterns, or put together with theirs."""
    *before, last = tests
    found = [_witness(pattern) for pattern in _unique(last.patterns)]
    for test in before:
        joined = [(f"{_witness(test.patterns[0])[0]}{text}", False) if text is not None and not test.holds(text) else (text, certain) for text, certain in found]
        found = [(text, certain) for text, certain in joined if test.holds(text) and last.holds(text)]
    return found


def _witness(pattern: str | None) -> Said:
    """A text that fits a pattern."""
    if pattern is None or "*" not in pattern:
        return pattern, True
    return (pattern.replace("*", "") or SOMETHING), False


def _unique(patterns: Iterable[str | None]) -> list[str | None]:
    return list(dict.fromkeys(patterns))
