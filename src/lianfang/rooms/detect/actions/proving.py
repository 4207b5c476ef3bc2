"""Proving: for every rule of some packs an event that satisfies it and near misses, made from the rule itself and put to the engine.

Nothing is written. What the engine must answer is said by the reference interpreter, see ``engines.rules.proving``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from lianfang.engines.rules import proving
from lianfang.engines.rules.compiled import Compiled
from lianfang.kernel.errors import Missing
from lianfang.rooms.detect import models
from lianfang.rooms.detect.queries import loading, reading
from lianfang.rooms.detect.types import Disagreement, Problem, ProofReport, RuleProof

Step = Callable[..., Any]


def prove_packs(packs: Iterable[str | Path] = (), *, engine: str = "auto", progress: Step = lambda *_: None) -> ProofReport:
    """Prove all rules of ``packs``: folders, archives, or names of installed packs; none: every installed pack.

    Raises ``Missing`` or ``Invalid`` when one cannot be found or read.
    """
    parts = [_named(pack) for pack in packs] or [(pack.name, loading.load_pack(pack)) for pack in models.Pack.objects.order_by("installed", "id")]
    if not parts:
        raise Missing("No pack is installed", todo="Install one (lianfang rules install PATH), or name a folder of rules.")
    home = {rule.uid: name for name, compiled in reversed(parts) for rule in compiled.rules}
    whole = loading.joined([compiled for _name, compiled in parts])
    proofs = [_told(proof, home) for proof in proving.prove(whole, engine=engine, tell=lambda done, total: progress(done, total))]
    counted = Counter(proof.state for proof in proofs)
    problems = tuple(Problem(found.path, found.rule_uid, found.reason) for found in whole.problems)
    return ProofReport(
        packs=tuple(name for name, _compiled in parts), rules=len(proofs), events=sum(proof.silent + proof.firing for proof in proofs), near_misses=sum(proof.silent for proof in proofs),
        proven=counted["proven"], differing=counted["differs"], contradictory=counted["contradiction"], unbuilt=counted["unbuilt"], problems=problems, proofs=tuple(proofs),
    )  # fmt: skip


def _named(pack: str | Path) -> tuple[str, Compiled]:
    """A pack on disk, else an installed one of this name."""
    if Path(pack).exists():
        read = reading.read(pack)
        return read.name, loading.compile_texts(read.texts)
    return str(pack), loading.load_pack(installed(str(pack)))


def installed(name: str) -> models.Pack:
    """An installed pack by its name."""
    found = models.Pack.objects.filter(name=name).first()
    if found is None:
        known = ", ".join(models.Pack.objects.order_by("name").values_list("name", flat=True))
        raise Missing(f"There is no pack {name}", why=f"No folder or archive is called so, and installed are: {known or 'none'}.", todo="Check the name or the path.")
    return found


def _told(proof: proving.Proof, home: dict[str, str]) -> RuleProof:
    rule = proof.rule
    differences = tuple(Disagreement(one.uid, one.way, one.changed, one.engine, one.reference, one.row) for one in proof.differences)
    return RuleProof(rule.uid, rule.title, rule.path, home[rule.uid], proof.state, proof.reason, proof.event, proof.silent, proof.firing, differences)
