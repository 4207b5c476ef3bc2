"""Installing: a pack comes, or comes again. What people switched stays; rules that vanished are set aside, never deleted."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction

from lianfang.commons.jobs import actions as jobs
from lianfang.commons.jobs.types import JobRef
from lianfang.commons.ledger import actions as ledger
from lianfang.engines.rules.compiled import Compiled
from lianfang.engines.rules.types import Rule
from lianfang.kernel import clock
from lianfang.kernel.errors import Conflict, Invalid
from lianfang.kernel.ids import new_id
from lianfang.kernel.labels import Severity
from lianfang.kernel.viewer import SYSTEM, Viewer
from lianfang.rooms.detect import models
from lianfang.rooms.detect.actions import modelling
from lianfang.rooms.detect.actions.editions import next_edition
from lianfang.rooms.detect.actions.guarding import must_for_node
from lianfang.rooms.detect.queries import baselines, exemptions, framework, loading, pack_line, reading
from lianfang.rooms.detect.types import CORRELATION, NODE_RULES, OWN_PACK, PackLine, Problem

Step = Callable[..., Any]
LARGEST_UPLOAD = 64 << 20
_READ = ("pack", "path", "title", "title_zh", "level", "severity", "status", "author", "description", "description_zh", "references", "tags", "techniques", "tactics", "alarm", "product", "category", "service", "falsepositives", "falsepositives_zh", "fields", "text", "digest", "problem", "gone", "changed")


def _quiet(*_args: Any, **_named: Any) -> None:
    """Nobody is watching."""


def install_pack(path: str | Path, *, actor: Viewer, progress: Step = _quiet) -> PackLine:
    """Install or update the pack in a folder or archive. Rules that cannot be used are listed with their reason, the others work.

    Raises ``Missing`` or ``Invalid`` when the pack cannot be read at all.
    """
    must_for_node(actor, "detect.pack.add")
    progress(0, 3, "Reading")
    read = reading.read(path)
    if read.name in (OWN_PACK, NODE_RULES):
        raise Invalid(f"A pack cannot be called {OWN_PACK}", why="The node writes its own rules into the pack of this name.", todo="Give the pack another name.")
    progress(1, 3, "Compiling")
    compiled = loading.compile_pack(read.digest, read.texts)
    about = modelling.about_of(compiled)
    _rest_together([pack for pack in loading.packs() if pack.name != read.name], read.digest, compiled)
    progress(2, 3, "Writing")
    with transaction.atomic():
        pack = _write(read, compiled, about, actor)
    _rest_on_disk()
    progress(3, 3, "Done")
    return pack_line(pack)


def write_own(read: reading.PackText) -> models.Pack:
    """The node's own pack as it is to be now, in the caller's transaction; raises ``Invalid`` for a rule that cannot be compiled."""
    compiled = loading.compile_pack(read.digest, read.texts)
    if compiled.problems:
        raise Invalid("A rule of the node cannot be compiled", why=compiled.problems[0].reason, todo="Change what it looks for.")
    return _write(read, compiled, modelling.about_of(compiled), SYSTEM)


def install_upload(name: str, content: bytes, *, actor: Viewer, progress: Step = _quiet) -> PackLine:
    """Install an uploaded archive; the name of the archive names the pack."""
    if len(content) > LARGEST_UPLOAD:
        raise Invalid("The archive is too large", why=f"At most {LARGEST_UPLOAD >> 20} MB are taken.", todo="Install it on the node: lianfang rules install PATH.")
    place = Path(settings.HOME) / "tmp"
    place.mkdir(mode=0o700, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place) as folder:
        archive = Path(folder) / (Path(name).name or "pack.zip")
        archive.write_bytes(content)
        return install_pack(archive, actor=actor, progress=progress)


def keep_upload(name: str, content: bytes, *, actor: Viewer) -> JobRef:
    """Keep an uploaded archive and ask for its installation; returns the job, whose progress can be followed."""
    must_for_node(actor, "detect.pack.add")
    if len(content) > LARGEST_UPLOAD:
        raise Invalid("The archive is too large", why=f"At most {LARGEST_UPLOAD >> 20} MB are taken.", todo="Install it on the node: lianfang rules install PATH.")
    place = Path(settings.HOME) / "uploads" / f"{new_id()}"
    place.mkdir(mode=0o700, parents=True)
    archive = place / (Path(name).name[-100:] or "pack.zip")
    archive.write_bytes(content)
    asker = {"id": actor.id, "name": actor.name, "organisation": actor.organisation, "path": actor.path, "industry_path": actor.industry_path, "kind": actor.kind}
    return jobs.enqueue("detect.install_pack", {"path": str(archive), "asker": asker}, actor=actor)


def install_kept(path: str, asker: dict[str, str], *, progress: Step = _quiet) -> PackLine:
    """Install what ``keep_upload`` kept, in the name of whoever asked (their right was checked then), and let the archive go."""
    archive = Path(path)
    try:
        return install_pack(archive, actor=replace(SYSTEM, **asker), progress=progress)
    finally:
        shutil.rmtree(archive.parent, ignore_errors=True)


def _write(read: reading.PackText, compiled: Compiled, about: Mapping[str, set[str]], actor: Viewer) -> models.Pack:
    """The pack, its rules and its problems, as rows; one ledger record."""
    now = clock.now()
    pack = models.Pack.objects.filter(name=read.name).first() or models.Pack(name=read.name)
    fresh = pack._state.adding
    pack.version, pack.digest, pack.licence, pack.origin, pack.installed, pack.installed_by = read.version, read.digest, read.licence, read.origin, now, actor.name
    pack.save()
    rows, problems = _rows(pack, read, compiled)
    created, changed, gone = _merge(pack, rows, {problem.rule: problem.reason for problem in problems if problem.rule})
    modelling.mark(about, pack)
    pack.rules, pack.usable, pack.problems = len(rows), sum(not row.problem for row in rows), [asdict(problem) for problem in problems]
    pack.save()
    next_edition()
    detail = {"version": pack.version, "digest": pack.digest, "rules": len(rows), "new": created, "changed": changed, "gone": gone, "problems": len(problems)}
    ledger.record("detect.pack_installed" if fresh else "detect.pack_updated", pack.ref, actor=actor, label=pack.name, detail=detail)
    return pack


def _rows(pack: models.Pack, read: reading.PackText, compiled: Compiled) -> tuple[list[models.Rule], list[Problem]]:
    """The rules of a pack as rows, and what is wrong with those that cannot be used. A rule that another pack brought stays that pack's."""
    texts = {text.path: text.text for text in read.texts}
    fields = loading.fields_of(compiled)
    elsewhere = dict(models.Rule.objects.exclude(pack=pack).filter(gone=False).values_list("uid", "pack__name"))
    correlated, usual = {one.uid for one in compiled.correlations}, list[Rule]()
    rows, problems = dict[str, models.Rule](), [Problem(found.path, found.rule_uid, found.reason) for found in compiled.problems]
    for text in filter(baselines.is_one, read.texts):
        try:
            declared = baselines.read(text)
        except Invalid as error:
            problems.append(Problem(text.path, baselines.uid_of(text), error.why or error.what))
        else:
            fields[declared.rule.uid] = sorted({*declared.tally.entity, *declared.tally.value, *declared.tally.group})
            usual.append(declared.rule)
    for rule in (*compiled.rules, *(one.rule for one in compiled.correlations), *usual):
        if rule.uid in elsewhere:
            problems.append(Problem(rule.path, rule.uid, f"The pack {elsewhere[rule.uid]} holds this rule already."))
        elif rule.uid in rows:
            problems.append(Problem(rule.path, "", f"The file {rows[rule.uid].path} has the same ID."))
        else:
            rows[rule.uid] = _row(pack, rule, texts[rule.path], fields[rule.uid])
    for uid in correlated & rows.keys():
        rows[uid].category = CORRELATION
    return list(rows.values()), problems


def _row(pack: models.Pack, rule: Rule, text: str, fields: list[str]) -> models.Rule:
    own = reading.beyond_sigma(text, rule.uid)
    tactics = framework.tactics_of(rule.tags, rule.attack)
    product, category, service = rule.logsource
    level = rule.level if rule.level in models.Level.values else models.Level.MEDIUM
    return models.Rule(
        uid=rule.uid, pack=pack, path=rule.path[:300], title=rule.title[:250], title_zh=str(own.get("title_zh", ""))[:250], level=level, severity=Severity.of_sigma(level),
        status=rule.status if rule.status in models.Status.values else models.Status.EXPERIMENTAL, author=rule.author[:400], description=rule.description, description_zh=str(own.get("description_zh", "")),
        references=list(rule.references), tags=list(rule.tags), techniques=list(rule.attack), tactics=list(tactics), alarm=framework.alarm_of(rule.tags, rule.attack, tactics)[:40],
        product=product[:60], category=category[:60], service=service[:60], falsepositives=list(rule.falsepositives), falsepositives_zh=[str(one) for one in own.get("falsepositives_zh", ())],
        fields=fields, text=text, digest=rule.digest, changed=clock.now(),
    )  # fmt: skip


def _merge(pack: models.Pack, rows: list[models.Rule], broken: dict[str, str]) -> tuple[int, int, int]:
    """Write the rows beside what is there; returns how many are new, changed, gone. A rule that no longer compiles (``broken``) stays, with the reason."""
    known = {rule.uid: rule for rule in models.Rule.objects.filter(uid__in=[row.uid for row in rows]).defer("text")} if len(rows) < 900 else {rule.uid: rule for rule in models.Rule.objects.defer("text")}
    new, changed = [], []
    for row in rows:
        old = known.get(row.uid)
        if old is None:
            new.append(row)
        elif old.digest != row.digest or old.gone or old.problem or old.pack_id != pack.pk or old.path != row.path:
            row.id, row.enabled, row.created, row.fired, row.last_fired = old.id, old.enabled, old.created, old.fired, old.last_fired
            changed.append(row)
    models.Rule.objects.bulk_create(new, batch_size=200)
    models.Rule.objects.bulk_update(changed, _READ, batch_size=100)
    _write_marks([*new, *changed])
    here = {row.uid for row in rows}
    absent = [(pk, uid) for pk, uid in models.Rule.objects.filter(pack=pack, gone=False).values_list("pk", "uid") if uid not in here]
    for pk, uid in absent:
        if uid in broken:
            models.Rule.objects.filter(pk=pk).update(problem=broken[uid][:400], changed=clock.now())
    vanished = [pk for pk, uid in absent if uid not in broken]
    for start in range(0, len(vanished), 500):
        models.Rule.objects.filter(pk__in=vanished[start : start + 500]).update(gone=True, changed=clock.now())
    return len(new), len(changed), len(vanished)


def _write_marks(rows: list[models.Rule]) -> None:
    for start in range(0, len(rows), 500):
        part = rows[start : start + 500]
        models.RuleMark.objects.filter(rule__in=[row.pk for row in part]).exclude(kind="model").delete()
        models.RuleMark.objects.bulk_create([mark for row in part for mark in _marks(row)], batch_size=1000)


def _marks(rule: models.Rule) -> Iterable[models.RuleMark]:
    techniques = dict.fromkeys(name for id in rule.techniques for name in (id, id.split(".")[0]))
    pairs = [*(("technique", name) for name in techniques), *(("tactic", tactic) for tactic in rule.tactics)]
    return [models.RuleMark(rule=rule, kind=kind, value=value[:60]) for kind, value in pairs]


def _rest_together(others: Sequence[models.Pack], digest: str = "", compiled: Compiled | None = None) -> None:
    """Put the rules that will be installed into one file, before anybody learns of the change: examiners then only load it, and compile nothing."""
    whole = loading.whole_file([*(pack.digest for pack in others), *([digest] if digest else [])])
    if not whole.exists():
        loading.with_databases(loading.joined([*map(loading.load_pack, others), *([compiled] if compiled else [])])).save(whole)


def _rest_on_disk() -> None:
    """Put all rules into one file, so that the next start loads one file; remove what no pack uses."""
    installed = loading.packs()
    whole = loading.whole_file(pack.digest for pack in installed)
    if not whole.exists():
        loading.with_databases(loading.load_all()).save(whole)
    spared = [exemptions.digest_of(row) for row in exemptions.in_force()]
    for row in exemptions.in_force():
        exemptions.compiled(row)  # where a rule now looks elsewhere: the ingest process need not do it
    loading.forget_old_files({whole, *(loading.pack_file(digest) for digest in [*models.Pack.objects.values_list("digest", flat=True), *spared])})


def remove_pack(pack: models.Pack, *, actor: Viewer) -> None:
    """Remove a pack with its rules. Findings and alerts that came of them stay."""
    must_for_node(actor, "detect.pack.delete")
    if models.Pack.objects.filter(pk=pack.pk).first() is None:
        raise Conflict("This pack is gone already", todo="Look at the list again.")
    if pack.name in (OWN_PACK, NODE_RULES):
        raise Conflict("This pack is the node's own", why="It holds what people of this node wrote.", todo="Remove or switch off the keyword alarms, or withdraw the rules, themselves.")
    rules = models.Rule.objects.filter(pack=pack).count()
    _rest_together([other for other in loading.packs() if other.pk != pack.pk])
    with transaction.atomic():
        ledger.record("detect.pack_removed", pack.ref, actor=actor, label=pack.name, detail={"version": pack.version, "rules": rules})
        models.Pack.objects.filter(pk=pack.pk).delete()
        next_edition()
        transaction.on_commit(_rest_on_disk)
