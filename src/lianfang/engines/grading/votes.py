"""Who says what a column is, and what follows: votes with reasons, weighed into an item and a confidence.

In: a column's name, comment and distinct values. Out: a ``Verdict`` that keeps every vote. Voters are the recognisers of
values, the name, the comment, and the model that learned from reviewers; each may also speak against an item.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lianfang.engines.grading import names
from lianfang.engines.grading.learn import Model
from lianfang.engines.grading.levels import Known, Step, level_of
from lianfang.engines.grading.shapes import CHECKED, KINDS, recognise
from lianfang.engines.grading.taxonomy import Taxonomy
from lianfang.kernel.labels import DataLevel

PURE = 0.5
"""Of the values with the shape of a checked kind at least so many pass the check, else it is another number of that length."""
HELD, LEAST = 0.02, 3
"""A column holds a kind when at least this share, and this many, of its values are or contain it."""
MOSTLY = 0.6
CROWDED, SERIES = 100, 20
"""At least ``SERIES`` numbers whose neighbours lie ``CROWDED`` or less apart are counted, not given out: a counter, no phones."""
WEAK = {"person_name": 0.5, "date": 0.3, "year": 0.2, "digest": 0.2, "contract": 0.75, "ip": 0.9}
"""How far the values alone are trusted, where less than for a check digit (0.95)."""
SOFT = frozenset(("person_name", "date", "year", "digest", "contract"))
"""Kinds whose absence says nothing against a name."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What the values of a column look like. Shares are of the distinct, filled values; ``held`` are kinds that values are or contain, checked."""

    values: int
    whole: dict[str, float] = field(default_factory=dict)
    held: dict[str, float] = field(default_factory=dict)
    counter: bool = False
    length: float = 0.0
    digits: float = 0.0
    spread: float = 0.0

    def features(self) -> list[str]:
        """How the values look, in words that a model can count."""
        if not self.values:
            return ["values:none"]
        kinds = [f"kind:{kind}" for kind, share in self.whole.items() if share >= MOSTLY]
        size = int(math.log2(self.length)) if self.length >= 1 else 0
        return [*kinds, f"length:{size}{'=' if self.spread < 0.1 else ''}", f"digits:{round(self.digits * 4) / 4:g}", *(["counter"] if self.counter else [])]


@dataclass(frozen=True, slots=True)
class Vote:
    """One voter's word: ``by`` recogniser, context, name, comment or model; ``weight`` −1 … 1, below nought against the item."""

    by: str
    item: str
    weight: float
    why: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a column is taken for. ``contained``: every item found in it with its level; ``steps``: how the level came about; ``features``: what the model learns from."""

    item: str
    level: DataLevel
    confidence: float
    votes: tuple[Vote, ...]
    contained: dict[str, DataLevel]
    steps: tuple[Step, ...]
    features: tuple[str, ...]
    profile: Profile


@dataclass(frozen=True, slots=True)
class Column:
    """A column to be judged: distinct values (texts), and how many rows they stand for."""

    name: str
    comment: str = ""
    values: Sequence[str | None] | pa.Array = ()
    records: int = 0


def profiled(values: Sequence[str | None] | pa.Array) -> Profile:
    """Look at distinct values, each once."""
    array = values if isinstance(values, pa.Array) else pa.array(values, pa.string())
    array = array.filter(pc.greater(pc.fill_null(pc.binary_length(array), 0), 0))
    count = len(array)
    if not count:
        return Profile(0)
    found = recognise(array)
    counter = _counted(array.filter(pa.array(found.whole["phone"])))
    kinds = {}
    for kind in KINDS:
        hits = int(found.whole[kind].sum())
        pure = kind not in CHECKED or hits >= PURE * int(found.shaped[kind].sum())
        if hits and pure and not (kind == "phone" and counter):
            kinds[kind] = hits / count
    held = {kind: kinds.get(kind, 0.0) + int(found.inside[kind].sum()) / count for kind in CHECKED}
    lengths = pc.utf8_length(array).to_numpy(zero_copy_only=False)
    digits = int(np.sum(pc.binary_length(pc.replace_substring_regex(array.slice(0, 2000), r"[^0-9]", "")).to_numpy(zero_copy_only=False)))
    mean = float(lengths.mean())
    kept = {kind: share for kind, share in {**kinds, **held}.items() if share >= HELD and share * count >= LEAST}
    return Profile(count, kinds, kept, counter, mean, digits / max(1.0, float(lengths[:2000].sum())), float(lengths.std()) / max(mean, 1.0))


def _counted(phones: pa.Array) -> bool:
    """Whether numbers that could be phones follow each other like the numbers of a counter."""
    plain = pc.replace_substring_regex(phones, r"\D", "")
    plain = plain.filter(pc.equal(pc.binary_length(plain), 11))
    if len(plain) < SERIES:
        return False
    return bool(np.median(np.diff(np.sort(pc.cast(plain, pa.int64()).to_numpy(zero_copy_only=False)))) <= CROWDED)


def judge(column: Column, taxonomy: Taxonomy, *, model: Model | None = None, known: Known | None = None) -> Verdict:
    """What one column is, and its level."""
    profile = profiled(column.values)
    features = (*dict.fromkeys(f"name:{word}" for word in names.words(column.name)), *dict.fromkeys(f"comment:{said.root}" for said in taxonomy.dictionary.look(column.comment)), *profile.features())
    votes = [*_by_values(profile, taxonomy), *_by_name("name", column.name, 0.8, taxonomy), *_by_name("comment", column.comment, 0.75, taxonomy), *_by_model(features, taxonomy, model)]
    votes += _by_context(votes, column, profile, taxonomy)
    item, confidence = weighed(votes)
    contained = {taxonomy.of_kind[kind][0]: taxonomy.items[taxonomy.of_kind[kind][0]].level for kind, share in profile.held.items() if kind in CHECKED and kind in taxonomy.of_kind}
    if item:
        alike = {code for kind in taxonomy.items[item].kinds for code in taxonomy.of_kind[kind]}
        contained = {code: level for code, level in contained.items() if code not in alike} | {item: taxonomy.items[item].level}
    facts = known or Known()
    facts = replace(facts, records=max(facts.records, column.records), masked=max(facts.masked, profile.whole.get("masked", 0.0)))
    level, steps = level_of(item, contained, facts, taxonomy.rules)
    return Verdict(item, level, confidence, tuple(sorted(votes, key=lambda vote: (-vote.weight, vote.item))), contained, steps, features, profile)


def judge_table(columns: Iterable[Column], taxonomy: Taxonomy, *, model: Model | None = None, age: int = 0) -> list[Verdict]:
    """All columns of one table: first each alone, then with what lies beside it. The table's own level is the highest of these."""
    columns = list(columns)
    alone = [judge(column, taxonomy, model=model, known=Known(age=age)) for column in columns]
    beside = [frozenset(code for other in alone if other is not verdict for code in other.contained) for verdict in alone]
    levels = [level_of(verdict.item, verdict.contained, Known(column.records, verdict.profile.whole.get("masked", 0.0), age, near), taxonomy.rules) for column, verdict, near in zip(columns, alone, beside)]
    return [replace(verdict, level=level, steps=steps) for verdict, (level, steps) in zip(alone, levels)]


def weighed(votes: Iterable[Vote]) -> tuple[str, float]:
    """The item most is said for, and how sure that is: votes for it add up like chances, votes against it multiply it down.

    >>> weighed([Vote("name", "0101", 0.8, ""), Vote("recogniser", "0101", 0.5, ""), Vote("name", "0202", 0.4, "")])
    ('0101', 0.78)
    """
    scores: dict[str, float] = {}
    for item in {vote.item for vote in votes}:
        own = [vote.weight for vote in votes if vote.item == item]
        scores[item] = (1 - math.prod(1 - weight for weight in own if weight > 0)) * math.prod(1 + weight for weight in own if weight < 0)
    ranked = sorted(scores.items(), key=lambda pair: (-pair[1], pair[0]))
    if not ranked or ranked[0][1] < 0.25:
        return "", 0.0
    second = ranked[1][1] if len(ranked) > 1 else 0.0
    return ranked[0][0], round(max(0.05, ranked[0][1] - 0.3 * second), 2)


def _by_values(profile: Profile, taxonomy: Taxonomy) -> list[Vote]:
    """For every item whose values these are; of several the first is meant a little more."""
    votes = []
    for kind, share in profile.whole.items():
        if share >= MOSTLY:
            for place, code in enumerate(taxonomy.of_kind.get(kind, ())):
                votes.append(Vote("recogniser", code, round(WEAK.get(kind, 0.95) * share * (1 if place == 0 else 0.8), 3), f"{kind} {share:.0%} / {profile.values}"))
    return votes


def _by_name(by: str, text: str, trust: float, taxonomy: Taxonomy) -> list[Vote]:
    """One vote per item, from its best root."""
    best: dict[str, names.Said] = {}
    for said in taxonomy.dictionary.look(text):
        best.setdefault(said.item, said)
    return [Vote(by, said.item, round(trust * (0.3 + 0.7 * said.share) * (1 if said.share >= 0.3 else said.share), 3), said.root) for said in best.values()]


def _by_model(features: tuple[str, ...], taxonomy: Taxonomy, model: Model | None) -> list[Vote]:
    guesses = model.guess(features) if model else []
    return [Vote("model", guess.item, round(0.9 * guess.probability, 3), ", ".join(guess.because)) for guess in guesses if guess.probability >= 0.3 and guess.item in taxonomy.items]


def _by_context(votes: list[Vote], column: Column, profile: Profile, taxonomy: Taxonomy) -> list[Vote]:
    """Where a name says an item, its values must look like it: they strengthen the name or speak against it."""
    if not profile.values:
        return []
    said = {vote.item for vote in votes if vote.by in ("name", "comment")}
    return [vote for code in sorted(said) if (vote := _checked(code, column, profile, taxonomy))]


def _checked(code: str, column: Column, profile: Profile, taxonomy: Taxonomy) -> Vote | None:
    item = taxonomy.items[code]
    if item.shape:
        share = _fitting(column.values, item.shape)
        look = f"{item.shape} {share:.0%}"
        years = profile.whole.get("year", 0.0) >= MOSTLY or profile.counter
        return Vote("context", code, -0.7, f"counter, year {profile.whole.get('year', 0.0):.0%}") if years and "year" not in item.kinds else Vote("context", code, 0.5, look) if share >= 0.9 else Vote("context", code, -0.6, look) if share < 0.3 else None
    asked = [kind for kind in item.kinds if kind not in SOFT]
    masked = profile.whole.get("masked", 0.0)
    if asked and masked < HELD:
        share = max(profile.whole.get(kind, 0.0) for kind in asked)
        return Vote("context", code, -0.6, f"{asked[0]} {share:.0%} / {profile.values}") if share < 0.05 else None
    return None


def _fitting(values: Any, shape: str) -> float:
    array = values if isinstance(values, pa.Array) else pa.array(values, pa.string())
    array = array.filter(pc.greater(pc.fill_null(pc.binary_length(array), 0), 0))
    return float(pc.mean(pc.cast(pc.match_substring_regex(array, shape), pa.float64())).as_py() or 0.0)
