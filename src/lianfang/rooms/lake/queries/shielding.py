"""Which rules of desensitising speak of a source or a recipient, and their keys.

In: the path of an organisation, a source, or where data goes and for whom. Out: rules of the engine; ``Shield`` is at work with them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from django.conf import settings

from lianfang.engines import masking
from lianfang.engines.envelope import SealingKey, derived
from lianfang.engines.masking import Rule, Shield, To
from lianfang.kernel.errors import Fault
from lianfang.kernel.ref import Ref
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.lake import models
from lianfang.rooms.lake.types import Way

log = logging.getLogger(__name__)

SPOOLED, REJECTED, LED_BACK = "lianfang spool", "lianfang reject", "lianfang pseudonym"
"""Purposes under which the node's sealing key is used here."""
MARK = b"\xc1lf1"
"""How sealed bytes of a reject begin: 0xC1 begins no text and no MessagePack."""


def key_file() -> Path:
    """Where the key of the pseudonyms lies. Whoever has it can try values out; without it nobody can."""
    return Path(settings.HOME) / "keys" / "pseudonyms.key"


def secret(domain: str) -> bytes:
    """The secret of one domain; raises ``Missing`` when the key is not there."""
    path = key_file()
    return derived(_key(path, path.stat().st_mtime_ns if path.exists() else 0), domain)


@lru_cache(maxsize=4)
def _key(path: Path, _changed: int) -> bytes:
    return SealingKey.load(path).secret


def shipped() -> Mapping[str, Mapping[str, Any]]:
    """The rules that ship, by name."""
    return masking.load(Path(settings.CONTENT / "masking/rules.yaml"))


def engine_rule(row: models.MaskRule) -> Rule:
    """A rule as the engine has it; data classes become the columns that reviewers graded so. Raises ``Invalid``."""
    told = row.definition()
    if told["classes"]:
        graded = models.Grade.objects.filter(dataset=models.EVENTS, territory__startswith=row.territory).exclude(state=models.Review.OPEN).values_list("column", "item")
        found = {column for column, item in graded if item.startswith(tuple(told["classes"]))}
        told["columns"] = sorted({*told["columns"], *(found - masking.rules.OURS)})
    return masking.rule_of(told)


def rules_in(source: str, territory: str, rows: Iterable[models.MaskRule] | None = None) -> tuple[Rule, ...]:
    """The rules on the way in for a source of an organisation."""
    rows = switched_on(Way.IN) if rows is None else rows
    found = (_safely(row) for row in rows if territory.startswith(row.territory))
    return tuple(rule for rule in found if rule.of_source(source))


def switched_on(way: Way) -> list[models.MaskRule]:
    """The rules of one way that work, those of the unit above first."""
    return list(models.MaskRule.objects.filter(enabled=True, way=way).order_by("territory", "name"))


def rules_out(to: To, viewer: Viewer) -> list[tuple[str, Rule]]:
    """The rules for what goes there, to this viewer: (organisation path in whose rows it works, rule)."""
    rows = ((row.territory, _safely(row)) for row in switched_on(Way.OUT))
    return [(path, rule) for path, rule in rows if rule.for_whom(to, viewer.clearance)]


def shield(rules: Iterable[Rule]) -> Shield:
    """Rules at work."""
    return _shield(tuple(rules), str(key_file()))


@lru_cache(maxsize=64)
def _shield(rules: tuple[Rule, ...], _key_file: str) -> Shield:
    return Shield(rules, secret)


def _safely(row: models.MaskRule) -> Rule:
    """A rule that no longer can be used (its content changed with a release) hides everything that it names, rather than nothing."""
    try:
        return engine_rule(row)
    except Fault as fault:
        log.error("rule of desensitising %s: %s; texts of its records are removed", row.name, fault)
        return masking.rule_of({"name": row.name, "way": row.way, "columns": ["raw", "message", "unmapped", "user", "actor_user", "process_cmd", "url"], "verb": "remove", "raw": "remove"})


def pseudonym_ref(row: models.Pseudonym) -> Ref:
    """What a pseudonym is called in the ledger."""
    return Ref("lake", "pseudonym", str(row.pk))
