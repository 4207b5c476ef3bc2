"""Loading rules: from the cache on disk in well under a second, from their texts when the cache does not fit.

``LIANFANG_HOME/rules`` holds one file per pack, and one over all packs with the pattern databases in it. The tables are
the truth: every file can be deleted and is made again.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from django.conf import settings

from lianfang.engines.rules.compiled import Compiled
from lianfang.engines.rules.correlation import Correlation
from lianfang.engines.rules.examiner import prepared
from lianfang.engines.rules.sources import RuleText
from lianfang.engines.rules.trees import KEYWORDS, LOGSOURCE, Atom, Tree, atoms_of
from lianfang.kernel.errors import Invalid
from lianfang.rooms.detect import models
from lianfang.rooms.detect.queries import baselines
from lianfang.rooms.detect.types import CORRELATION, NODE_RULES, OWN_PACK

log = logging.getLogger("lianfang.detect")


def folder() -> Path:
    """Where compiled rules rest."""
    return Path(settings.HOME) / "rules"


def pack_file(digest: str) -> Path:
    """The compiled rules of the pack with this digest."""
    return folder() / f"pack-{digest[:32]}.rules"


def compile_texts(texts: Iterable[RuleText]) -> Compiled:
    """Rules compiled here and now, with their problems."""
    from lianfang.engines.rules import compiler  # brings pySigma, which whoever loads compiled rules need not have in memory

    return compiler.compile_rules([text for text in texts if not baselines.is_one(text)])


def compile_pack(digest: str, texts: Iterable[RuleText]) -> Compiled:
    """The compiled rules of a pack, from the cache where it fits."""
    return compile_lazily(digest, lambda: texts)


def compile_lazily(digest: str, texts: Callable[[], Iterable[RuleText]]) -> Compiled:
    """The same where the texts themselves cost something to make."""
    path = pack_file(digest)
    try:
        return Compiled.load(path)
    except (FileNotFoundError, Invalid):
        compiled = compile_texts(texts())
        compiled.save(path)
        return compiled


def load_pack(pack: models.Pack) -> Compiled:
    """The compiled rules of an installed pack."""
    try:
        return Compiled.load(pack_file(pack.digest))
    except (FileNotFoundError, Invalid):
        log.info("Compiling the rules of %s again", pack.name)
        rows = models.Rule.objects.filter(pack=pack, gone=False).order_by("path").values_list("path", "text")
        return compile_pack(pack.digest, [RuleText(path, text) for path, text in dict(rows).items()])


def whole_file(digests: Iterable[str]) -> Path:
    """The compiled rules of the packs with these digests together."""
    key = hashlib.sha256("\n".join(sorted(digests)).encode()).hexdigest()
    return folder() / f"all-{key[:32]}.rules"


def packs() -> list[models.Pack]:
    """The packs that were installed: all but the node's own two, which have engines of their own, so that a change of one rule compiles no other."""
    return list(models.Pack.objects.exclude(name__in=(OWN_PACK, NODE_RULES)).order_by("installed", "id"))


def load_all() -> Compiled:
    """The compiled rules of these packs, whether they are on or not."""
    installed = packs()
    try:
        return Compiled.load(whole_file(pack.digest for pack in installed))
    except (FileNotFoundError, Invalid):
        return joined([load_pack(pack) for pack in installed])


def load_written() -> Compiled:
    """The compiled rules that people of this node wrote and that are in force."""
    pack = models.Pack.objects.filter(name=NODE_RULES).first()
    return load_pack(pack) if pack is not None else Compiled((), (), ())


def correlations() -> list[Correlation]:
    """The correlations of all packs, also the node's own; packs without any are not looked into."""
    with_some = set(models.Rule.objects.filter(category=CORRELATION, gone=False).values_list("pack", flat=True))
    found = {one.uid: one for pack in models.Pack.objects.filter(pk__in=with_some).order_by("installed", "id") for one in load_pack(pack).correlations}
    return list(found.values())


def only(uids: Iterable[str]) -> Compiled:
    """Some rules of any packs, as examiners have them."""
    wanted = set(uids)
    some = models.Pack.objects.filter(pk__in=models.Rule.objects.filter(uid__in=wanted, gone=False).values("pack")).order_by("installed", "id")
    parts = [load_pack(pack).only(wanted) for pack in some]
    return joined(parts) if parts else Compiled((), (), ())


def with_databases(compiled: Compiled) -> Compiled:
    """The same with its pattern databases built for this machine."""
    return compiled if compiled.databases.by_field else prepared(compiled)


def forget_old_files(keep: set[Path]) -> None:
    """Remove compiled rules that no installed pack uses."""
    for path in folder().glob("*.rules"):
        if path not in keep:
            path.unlink(missing_ok=True)


def joined(parts: Sequence[Compiled]) -> Compiled:
    """Several sets of compiled rules as one; of rules with the same uid the first is kept."""
    if len(parts) == 1:
        return parts[0]
    numbers: dict[Atom, int] = {}
    rules, trees, seen = [], [], set()
    for part in parts:
        place = [numbers.setdefault(atom, len(numbers)) for atom in part.atoms]
        for rule, tree in zip(part.rules, part.trees, strict=True):
            if rule.uid not in seen:
                seen.add(rule.uid)
                rules.append(rule)
                trees.append(_renumbered(tree, place))
    correlations = {one.uid: one for part in reversed(parts) for one in part.correlations}
    return Compiled(tuple(rules), tuple(trees), tuple(numbers), tuple(problem for part in parts for problem in part.problems), tuple(correlations.values()))


def _renumbered(tree: Tree, place: Sequence[int]) -> Tree:
    return place[tree] if isinstance(tree, int) else (tree[0], tuple(_renumbered(branch, place) for branch in tree[1]))


def fields_of(compiled: Compiled) -> dict[str, list[str]]:
    """The event fields that each rule looks at, by uid; whole-event keywords and log sources are not fields."""
    names = [atom.field for atom in compiled.atoms]
    looked = {one.uid: sorted({*one.group_by, *one.fields}) for one in compiled.correlations}
    return looked | {rule.uid: sorted({names[atom] for atom in atoms_of(tree)} - {KEYWORDS, LOGSOURCE}) for rule, tree in zip(compiled.rules, compiled.trees, strict=True)}


def one(rule: models.Rule) -> Compiled:
    """One rule alone, compiled from its text; for explaining."""
    compiled = compile_texts([RuleText(rule.path, rule.text)])
    return replace(compiled.only({rule.uid}), problems=compiled.problems)
