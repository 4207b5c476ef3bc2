"""What a template does with one row, for people to see: which field goes where, what is left over, what could not be read.

In: a template, a row, the columns it gave. Out: one line per field.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from lianfang.engines.connect.template import Case, Step, Template


@dataclass(frozen=True, slots=True)
class Told:
    """One field of a row. ``columns``: where it goes (none: it is kept unmapped); ``failed``: those that its text gave no value for."""

    field: str
    text: str
    columns: tuple[str, ...]
    failed: tuple[str, ...] = ()


def explain(template: Template, row: Mapping[str, str], columns: Mapping[str, Any], unmapped: Mapping[str, str]) -> list[Told]:
    """Every field of the row; ``columns`` are those that have a value, ``unmapped`` what the mapper kept beside.

    >>> from lianfang.engines.connect.template import parse
    >>> made = parse("{template: t, detect: {}, map: [{from: a, to: host}, {from: p, to: src_port}]}")
    >>> [(one.field, one.columns, one.failed) for one in explain(made, {"a": "x", "p": "y", "z": "1"}, {"host": "x"}, {"p": "y", "z": "1"})]
    [('a', ('host',), ()), ('p', ('src_port',), ('src_port',)), ('z', (), ())]
    """
    steps = steps_of(template, row)
    found = []
    for field, text in row.items():
        mine = [step for step in steps if field in step.fields]
        targets = tuple(dict.fromkeys(target for step in mine for target in step.targets))
        failed = tuple(target for target in targets if target not in columns) if says(text) and (field in unmapped or not any(step.faithful for step in mine)) else ()
        found.append(Told(field, text, targets, failed))
    return found


def says(text: str) -> bool:
    """Whether a text says anything: not nothing, and not ``-``."""
    return text not in ("", "-")


def case_of(template: Template, row: Mapping[str, str]) -> Case:
    """The case that holds for this row."""
    return next(case for case in template.cases if all(test.holds(row.get(test.field)) for test in case.when))


def steps_of(template: Template, row: Mapping[str, str]) -> list[Step]:
    """The steps that apply to this row."""
    return [step for step in (*case_of(template, row).steps, *template.steps) if all(test.holds(row.get(test.field)) for test in step.when)]


def coverage(rows: Iterable[Iterable[Told]]) -> float:
    """The share of fields with a text that go into a column and gave it a value, 0 to 1; nothing at all is 0."""
    told = [one for row in rows for one in row if says(one.text)]
    return sum(bool(one.columns) and not one.failed for one in told) / len(told) if told else 0.0


def suggestions(templates: Iterable[Template]) -> dict[str, str]:
    """Where fields of a name usually go, by the templates there are: plain name (``plain_name``) → column, the most frequent one."""
    votes: dict[str, Counter[str]] = {}
    for template in templates:
        for step in (*template.steps, *(step for case in template.cases for step in case.steps)):
            if step.faithful and len(step.targets) == 1 and not step.when:
                for field in step.fields:
                    votes.setdefault(plain_name(field), Counter())[step.targets[0]] += 1
    return {name: found.most_common(1)[0][0] for name, found in votes.items() if name}


def plain_name(field: str) -> str:
    """A field's name without capitals and marks.

    >>> plain_name("Src-IP"), plain_name("源IP")
    ('srcip', '源ip')
    """
    return "".join(letter for letter in field.lower() if letter.isalnum())
