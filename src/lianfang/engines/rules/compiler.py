"""Sigma texts → ``Compiled``: pySigma parses and applies its pipelines, this module turns conditions into atoms and trees.

Nothing is dropped in silence: what cannot be compiled faithfully is a ``Problem`` with its path and reason. Windows rules are
tied to channel and event id by pySigma's Sysmon and Windows pipelines; a rule that no pipeline ties to a channel is *gated*:
it asks which product, category and service the event comes from.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import re2
import yaml
from sigma.collection import SigmaCollection
from sigma.conditions import ConditionAND, ConditionFieldEqualsValueExpression, ConditionNOT, ConditionOR, ConditionValueExpression
from sigma.correlations import SigmaCorrelationRule
from sigma.exceptions import SigmaError
from sigma.filters import SigmaFilter
from sigma.pipelines.sysmon import sysmon_pipeline
from sigma.pipelines.windows import windows_audit_pipeline, windows_logsource_pipeline
from sigma.processing.pipeline import ProcessingPipeline
from sigma.rule import SigmaRule
from sigma.types import (
    SigmaBool,
    SigmaCasedString,
    SigmaCIDRExpression,
    SigmaCompareExpression,
    SigmaExists,
    SigmaExpansion,
    SigmaFieldReference,
    SigmaNull,
    SigmaNumber,
    SigmaRegularExpression,
    SigmaString,
    SigmaTimestampPart,
    SigmaType,
    SpecialChars,
)

from lianfang.engines.rules import correlation, patterns
from lianfang.engines.rules.compiled import Compiled
from lianfang.engines.rules.correlation import Correlation
from lianfang.engines.rules.sources import RuleText
from lianfang.engines.rules.trees import AND, KEYWORDS, LOGSOURCE, NOT, OR, Atom, Tree, join, necessary
from lianfang.engines.rules.types import LogSource, Problem, Rule

PIPELINES: dict[str, Callable[[], ProcessingPipeline]] = {
    "sysmon": sysmon_pipeline,
    "windows-logsources": windows_logsource_pipeline,
    "windows-audit": windows_audit_pipeline,
}

DEFAULT = ("sysmon", "windows-logsources")

_MOST_ALIASES = 200
_COMPARISONS = {"LT": "lt", "LTE": "lte", "GT": "gt", "GTE": "gte"}


class Uncompilable(ValueError):
    """A rule that this engine will not run, and why."""


@dataclass(slots=True)
class _Workshop:
    """What grows while rules are compiled: atoms by content, rules with their trees, problems, uids already taken, names by which correlations may call them."""

    atoms: dict[Atom, int] = field(default_factory=dict)
    listed: list[Atom] = field(default_factory=list)
    rules: list[Rule] = field(default_factory=list)
    trees: list[Tree] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    taken: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    correlations: list[Correlation] = field(default_factory=list)

    def atom(self, name: str, op: str, pattern: str = "", *, cased: bool = False) -> int:
        atom = Atom(name, op, pattern, cased)
        if atom not in self.atoms:
            self.atoms[atom] = len(self.listed)
            self.listed.append(atom)
        return self.atoms[atom]

    def forget(self, length: int) -> None:
        """Drop the atoms of a rule that turned out to be a problem."""
        while len(self.listed) > length:
            del self.atoms[self.listed.pop()]

    def finish(self) -> Compiled:
        correlations = self._resolved()
        return Compiled(tuple(self.rules), tuple(self.trees), tuple(self.listed), tuple(self.problems), tuple(correlations))

    def _resolved(self) -> list[Correlation]:
        """Correlations with their rules by uid, without those whose rules are not there, as long as others fall with them. An id may be another pack's."""
        left = self.correlations
        while True:
            known = {**self.names, **{uid: uid for uid in self.taken}}
            kept = []
            for one in left:
                missing = [ref for ref in one.refs if ref not in known and not _is_id(ref)]
                if missing:
                    self._set_aside(one, f"There is no rule called {missing[0]} that can be used.")
                else:
                    kept.append(one)
            if len(kept) == len(left):
                break
            left = kept
        resolved = [correlation.resolved(one, lambda written: known.get(written, written)) for one in left]
        return [one for one in resolved if self._stands(one, {each.uid: each for each in resolved})]

    def _set_aside(self, one: Correlation, reason: str) -> None:
        self.problems.append(Problem(one.rule.path, one.uid, reason))
        self.taken.pop(one.uid, None)
        self.names = {name: uid for name, uid in self.names.items() if uid != one.uid}

    def _stands(self, one: Correlation, all_: dict[str, Correlation]) -> bool:
        try:
            correlation.in_order({one.uid: one, **all_})
        except correlation.Unfit as error:
            self._set_aside(one, str(error))
            return False
        return True


def compile_rules(texts: Iterable[RuleText], *, pipelines: Sequence[str] = DEFAULT) -> Compiled:
    """Compile all texts; a text may hold several documents.

    ``pipelines`` are names of ``PIPELINES``, applied in order. Rules keep their uid; a rule without one gets an id derived
    from its text. Of two rules with the same uid the first, by the order of ``texts``, is kept and the other is a problem.
    """
    workshop = _Workshop()
    pipeline = sum((PIPELINES[name]() for name in pipelines), ProcessingPipeline())
    for text in texts:
        _compile_text(text, workshop, pipeline)
    return workshop.finish()


def _compile_text(text: RuleText, workshop: _Workshop, pipeline: ProcessingPipeline) -> None:
    try:
        refuse_alias_bomb(text.text)
        collection = _collection(text.text)
    except (SigmaError, yaml.YAMLError, Uncompilable, correlation.Unfit, ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
        workshop.problems.append(Problem(text.path, "", _reason(error)))
        return
    for fault in collection.errors:
        if not any(fault in rule.errors for rule in collection.rules):
            workshop.problems.append(Problem(text.path, "", _reason(fault)))
    if not collection.rules and not collection.errors:
        workshop.problems.append(Problem(text.path, "", "The file holds no rule."))
    for rule in collection.rules:
        if isinstance(rule, SigmaCorrelationRule):
            _compile_correlation(text, rule, workshop)
        else:
            _compile_rule(text, rule, workshop, pipeline)


def _collection(text: str) -> SigmaCollection:
    """The documents of a text as pySigma parses them; absences, a kind of ours, are marked as such."""
    if "\ncorrelation:" not in f"\n{text}":
        return SigmaCollection.from_yaml(text, collect_errors=True)
    documents = [document for document in yaml.safe_load_all(text) if document is not None]
    ready = [correlation.prepared(document) if isinstance(document, dict) and "correlation" in document else document for document in documents]
    return SigmaCollection.from_dicts(ready, collect_errors=True, resolve_references=False)


def refuse_alias_bomb(text: str) -> None:
    """YAML aliases multiply what is walked later; rules have a handful at most."""
    if "&" in text and sum(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=yaml.SafeLoader)) > _MOST_ALIASES:
        raise Uncompilable("The text repeats itself by more YAML aliases than any rule needs.")


def _compile_rule(text: RuleText, rule: object, workshop: _Workshop, pipeline: ProcessingPipeline) -> None:
    uid = str(getattr(rule, "id", None) or "")
    before = len(workshop.listed)
    try:
        described, tree = _understand(text, rule, workshop, pipeline)
    except (SigmaError, Uncompilable, patterns.Unportable, ValueError, TypeError, AttributeError, KeyError, NotImplementedError, RecursionError) as error:
        workshop.forget(before)
        workshop.problems.append(Problem(text.path, uid, _reason(error)))
        return
    _take(described, rule, workshop)
    workshop.rules.append(described)
    workshop.trees.append(tree)


def _compile_correlation(text: RuleText, rule: SigmaCorrelationRule, workshop: _Workshop) -> None:
    try:
        if rule.errors:
            raise Uncompilable("; ".join(_reason(error) for error in rule.errors))
        described = _describe(text, rule)
        _refuse_twin(described, workshop)
        found = correlation.understood(described, rule, absence=bool(rule.custom_attributes.get(correlation.ABSENCE)))
    except (SigmaError, Uncompilable, correlation.Unfit, ValueError, TypeError, AttributeError, KeyError) as error:
        workshop.problems.append(Problem(text.path, str(rule.id or ""), _reason(error)))
        return
    _take(described, rule, workshop)
    workshop.correlations.append(found)


def _take(described: Rule, rule: SigmaRule | SigmaCorrelationRule, workshop: _Workshop) -> None:
    workshop.taken[described.uid] = described.path
    if rule.name:
        workshop.names.setdefault(str(rule.name), described.uid)


def _refuse_twin(described: Rule, workshop: _Workshop) -> None:
    if described.uid in workshop.taken:
        raise Uncompilable(f"The id {described.uid} is already used by {workshop.taken[described.uid]}.")


def _is_id(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False


def _understand(text: RuleText, rule: object, workshop: _Workshop, pipeline: ProcessingPipeline) -> tuple[Rule, Tree]:
    if isinstance(rule, SigmaFilter) or not isinstance(rule, SigmaRule):
        raise Uncompilable("This is a filter, not a rule: make an exception of it.")
    if rule.errors:
        raise Uncompilable("; ".join(_reason(error) for error in rule.errors))
    described = _describe(text, rule)
    _refuse_twin(described, workshop)
    pipeline.apply(rule)
    return described, _gated(_tree_of(rule, workshop), described.logsource, workshop)


def _tree_of(rule: SigmaRule, workshop: _Workshop) -> Tree:
    conditions = tuple(_condition(parsed.parsed, workshop) for parsed in rule.detection.parsed_condition)
    if not conditions:
        raise Uncompilable("The rule has no condition.")
    return join(OR, conditions)


def _gated(tree: Tree, logsource: LogSource, workshop: _Workshop) -> Tree:
    """A rule that asks for no channel asks where the event comes from instead."""
    listed = workshop.listed
    if necessary(tree, lambda atom: 1.0 if listed[atom].field == "Channel" and listed[atom].op != "null" else None):
        return tree
    gate = workshop.atom(LOGSOURCE, "gate", "|".join(part.lower() for part in logsource))
    return (AND, (gate, tree))


def _describe(text: RuleText, rule: SigmaRule | SigmaCorrelationRule) -> Rule:
    digest = hashlib.sha256(text.text.encode("utf-8", "replace")).hexdigest()
    source = getattr(rule, "logsource", None)
    return Rule(
        uid=str(rule.id or uuid.uuid5(uuid.NAMESPACE_URL, f"sigma:{digest}:{rule.title}")),
        title=str(rule.title or ""),
        level=rule.level.name.lower() if rule.level else "medium",
        status=rule.status.name.lower() if rule.status else "",
        author=str(rule.author or ""),
        description=str(rule.description or ""),
        references=tuple(str(reference) for reference in rule.references),
        tags=tuple(str(tag) for tag in rule.tags),
        attack=_techniques(rule),
        logsource=(source.product or "", source.category or "", source.service or "") if source else ("", "", ""),
        falsepositives=tuple(str(reason) for reason in rule.falsepositives),
        digest=digest,
        path=text.path,
    )


def _techniques(rule: SigmaRule | SigmaCorrelationRule) -> tuple[str, ...]:
    names = (tag.name for tag in rule.tags if tag.namespace == "attack")
    return tuple(name.upper() for name in names if name[:1].lower() == "t" and name[1:5].isdigit())


def _condition(node: object, workshop: _Workshop) -> Tree:
    if isinstance(node, ConditionAND):
        return join(AND, tuple(_condition(part, workshop) for part in node.args))
    if isinstance(node, ConditionOR):
        return join(OR, tuple(_condition(part, workshop) for part in node.args))
    if isinstance(node, ConditionNOT):
        return (NOT, (_condition(node.args[0], workshop),))
    if isinstance(node, ConditionFieldEqualsValueExpression):
        return _value(node.field, node.value, workshop)
    if isinstance(node, ConditionValueExpression):
        return _keyword(node.value, workshop)
    raise Uncompilable(f"The condition {type(node).__name__} is not supported.")


def _keyword(value: SigmaType, workshop: _Workshop) -> Tree:
    """A value without a field is looked for inside every value of the event."""
    if isinstance(value, SigmaExpansion):
        return join(OR, tuple(_keyword(each, workshop) for each in value.values))
    if isinstance(value, SigmaNumber | SigmaBool):
        value = SigmaString(str(value))
    if isinstance(value, SigmaString):
        return _text(KEYWORDS, _parts(value, around=True), isinstance(value, SigmaCasedString), workshop)
    if isinstance(value, SigmaRegularExpression):
        return _value(KEYWORDS, value, workshop)
    raise Uncompilable(f"A {type(value).__name__} without a field is not supported.")


def _value(name: str, value: SigmaType, workshop: _Workshop) -> Tree:
    match value:
        case SigmaExpansion():
            return join(OR, tuple(_value(name, each, workshop) for each in value.values))
        case SigmaString():
            return _text(name, _parts(value), isinstance(value, SigmaCasedString), workshop)
        case SigmaTimestampPart():
            raise Uncompilable("Parts of a timestamp are not supported.")
        case SigmaNumber():
            return workshop.atom(name, "eq", str(value.number))
        case SigmaBool():
            return workshop.atom(name, "eq", str(value.boolean).lower())
        case SigmaNull():
            return workshop.atom(name, "null")
        case SigmaExists():
            present = workshop.atom(name, "any")
            return present if value.exists else (NOT, (present,))
        case SigmaRegularExpression():
            return workshop.atom(name, "re", _regex(value))
        case SigmaCIDRExpression():
            return workshop.atom(name, "cidr", str(value.network))
        case SigmaCompareExpression():
            return _comparison(name, value, workshop)
        case SigmaFieldReference():
            op = "ref_start" if value.starts_with else "ref_end" if value.ends_with else "ref"
            return workshop.atom(name, op, value.field)
    raise Uncompilable(f"A value of the kind {type(value).__name__} is not supported.")


def _comparison(name: str, value: SigmaCompareExpression, workshop: _Workshop) -> Tree:
    if value.op.name not in _COMPARISONS or isinstance(value.number, SigmaTimestampPart):
        raise Uncompilable(f"The comparison {value.op.name} is not supported.")
    return workshop.atom(name, _COMPARISONS[value.op.name], str(value.number.number))


def _parts(value: SigmaString, *, around: bool = False) -> list[str | SpecialChars]:
    parts: list[str | SpecialChars] = []
    for part in value.s:
        if not isinstance(part, str | SpecialChars):
            raise Uncompilable(f"The placeholder %{getattr(part, 'name', part)}% has no values on this node.")
        if not (part == SpecialChars.WILDCARD_MULTI and parts and parts[-1] == part):
            parts.append(part)
    if around:
        inner = [SpecialChars.WILDCARD_MULTI, *parts, SpecialChars.WILDCARD_MULTI]
        return [part for at, part in enumerate(inner) if not (at and part == SpecialChars.WILDCARD_MULTI and inner[at - 1] == part)]
    return parts


def _text(name: str, parts: list[str | SpecialChars], cased: bool, workshop: _Workshop) -> Tree:
    """The simplest atom that says what the wildcards say."""
    literals = [part for part in parts if isinstance(part, str)]
    stars = [part == SpecialChars.WILDCARD_MULTI for part in parts]
    if SpecialChars.WILDCARD_SINGLE in parts or len(literals) > 1 or (literals and sum(stars) > 2):
        return workshop.atom(name, "like", _like(parts, cased), cased=cased)
    if not literals:
        return workshop.atom(name, "any") if any(stars) else workshop.atom(name, "eq", "", cased=cased)
    op = {(True, True): "contains", (True, False): "endswith", (False, True): "startswith", (False, False): "eq"}[(stars[0], stars[-1])]
    return workshop.atom(name, op, literals[0] if cased else patterns.lower(literals[0]), cased=cased)


def _like(parts: list[str | SpecialChars], cased: bool) -> str:
    signs = {SpecialChars.WILDCARD_MULTI: patterns.MULTI, SpecialChars.WILDCARD_SINGLE: patterns.SINGLE}
    text = "".join(patterns.escape_like(part) if isinstance(part, str) else signs[part] for part in parts)
    return text if cased else patterns.lower(text)


def _regex(value: SigmaRegularExpression) -> str:
    flags = "".join(sorted(flag.name[0].lower() for flag in value.flags))
    pattern = f"(?{flags})" * bool(flags) + str(value.regexp)
    try:
        options = re2.Options()
        options.log_errors = False
        re2.compile(patterns.portable(pattern), options)
    except (re2.error, patterns.Unportable, ValueError, IndexError) as error:
        raise Uncompilable(f"The regular expression {pattern} cannot run in linear time: {error}") from error
    return pattern


def _reason(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return (text[0] if text else type(error).__name__)[:500]
