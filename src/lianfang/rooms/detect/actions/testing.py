"""Testing: every sample of a pack through the real decoder, mapper and engine. Nothing is written.

A sample file (``samples/*.yaml``) names its rule, a codec and what all its frames share, then frames on which the rule
must fire and frames on which it must stay silent::

    rule: windows/webshell_file_written.yml
    codec: json
    base: {Channel: Microsoft-Windows-Sysmon/Operational, EventID: 11}
    fires: [{note: An upload handler stored a script., frame: {Image: ..., TargetFilename: ...}}]
    silent: [{note: The same handler stores a picture., frame: {...}}]
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import yaml

from lianfang.engines.rules.compiled import Compiled
from lianfang.engines.rules.examiner import Examiner
from lianfang.kernel.errors import Missing
from lianfang.rooms.detect.actions.proving import installed
from lianfang.rooms.detect.queries import explaining, loading, reading
from lianfang.rooms.detect.types import Failure, Problem, TestReport

Step = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Sample:
    """One frame, and whether the rule in ``path`` must fire on it."""

    file: str
    path: str
    codec: str
    frame: bytes
    fires: bool
    note: str

    @property
    def name(self) -> str:
        """What the report calls it."""
        return f"{self.file}: {self.note}" if self.note else self.file


def test_pack(path: str | Path, *, progress: Step = lambda *_: None) -> TestReport:  # noqa: PT028  (a verb of the command line, not a test)
    """Run all samples of the pack in ``path``. Raises ``Missing`` or ``Invalid`` when it cannot be read."""
    read = reading.read(path)
    compiled = loading.compile_pack(read.digest, read.texts)
    samples = list(_samples(Path(path)))
    failures = [*_failures(compiled, samples, progress), *_untested(compiled, samples)]
    problems = tuple(Problem(found.path, found.rule_uid, found.reason) for found in compiled.problems)
    return TestReport(rules=len(compiled.rules), samples=len(samples), failures=tuple(failures), problems=problems)


def samples_of(pack: str) -> Path:
    """Where the samples of a pack lie: the pack itself, or what an installed pack of this name came from.

    Raises ``Missing`` when that is gone.
    """
    if Path(pack).exists():
        return Path(pack)
    origin = Path(installed(pack).origin)
    if not origin.exists():
        raise Missing(f"The samples of {pack} are not here", why=f"It was installed from {origin.name}, which is gone; samples are not kept on the node.", todo="Name the folder of the pack, or prove its rules without samples: lianfang rules test --proof.")
    return origin


def _samples(folder: Path) -> Iterator[Sample]:
    for file in sorted((folder / reading.SAMPLES).rglob("*.yaml")) if folder.is_dir() else ():
        for said in yaml.safe_load_all(file.read_text("utf-8")):
            for kind in ("fires", "silent"):
                for one in said.get(kind) or ():
                    yield Sample(file.name, str(said["rule"]), str(said.get("codec", "json")), _frame(said.get("base"), one["frame"]), kind == "fires", str(one.get("note", "")))


def _frame(base: Any, frame: Any) -> bytes:
    """A mapping laid over the base becomes JSON; text stands as it is."""
    if isinstance(frame, dict):
        return orjson.dumps((base or {}) | frame, default=str)
    return str(frame).encode()


def _failures(compiled: Compiled, samples: list[Sample], progress: Step) -> Iterator[Failure]:
    uids = {rule.path: rule.uid for rule in compiled.rules}
    watchman = Examiner(compiled)
    for done, sample in enumerate(samples, 1):
        progress(done, len(samples), sample.file)
        uid = uids.get(sample.path)
        if uid is None:
            yield Failure(sample.path, sample.name, "The rule is not in the pack, or could not be compiled.")
        else:
            yield from _failure(watchman, uid, sample)


def _failure(watchman: Examiner, uid: str, sample: Sample) -> Iterator[Failure]:
    rows, sources, reason = explaining.read_again(sample.codec, sample.frame)
    if reason:
        yield Failure(sample.path, sample.name, reason)
        return
    fired = any(uid in uids for _row, uids in watchman.rows(rows, sources))
    if fired != sample.fires:
        yield Failure(sample.path, sample.name, "The rule did not fire." if sample.fires else "The rule fired, but must not.")


def _untested(compiled: Compiled, samples: Iterable[Sample]) -> Iterator[Failure]:
    """A pack that brings samples brings both kinds for every rule."""
    samples = list(samples)
    if not samples:
        return
    for kind, wanted in ((True, "has no sample on which it fires"), (False, "has no sample on which it stays silent")):
        tested = {sample.path for sample in samples if sample.fires == kind}
        yield from (Failure(rule.path, "", f"The rule {wanted}.") for rule in compiled.rules if rule.path not in tested)
