"""Testing: every sample of a pack through the real decoder, mapper and engine. Nothing is written.

A sample file (``samples/*.yaml``) names its rule, a codec and what all its frames share, then frames on which the rule
must fire and frames on which it must stay silent::

    rule: windows/webshell_file_written.yml
    codec: json
    base: {Channel: Microsoft-Windows-Sysmon/Operational, EventID: 11}
    fires: [{note: An upload handler stored a script., frame: {Image: ..., TargetFilename: ...}}]
    silent: [{note: The same handler stores a picture., frame: {...}}]

A sample of a correlation has several ``frames``, one after the other. Each may be of a codec of its own, come ``after`` so many
seconds (1), and ``repeat`` itself ``every`` so many seconds (1); ``{n}`` in it becomes the number of the repetition, ``{time}``,
``{utc}``, ``{clf}``, ``{epoch}`` and ``{rfc}`` the time as ISO 8601, Sysmon, web servers, counters and mail write it. ``each`` says a frame
once for every value of a list, as ``{each}``. A sample of a baseline is the same, told over weeks; it is judged two hours after its last frame.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import groupby
from pathlib import Path
from typing import Any

import orjson
import yaml

from lianfang.engines.rules.compiled import Compiled
from lianfang.engines.rules.correlator import Correlator, Marks
from lianfang.engines.rules.examiner import Examiner
from lianfang.engines.series import HOUR, Baseline, judge
from lianfang.kernel.errors import Missing
from lianfang.rooms.detect.actions.marking import Marker
from lianfang.rooms.detect.actions.proving import installed
from lianfang.rooms.detect.queries import baselines, explaining, loading, reading
from lianfang.rooms.detect.types import Failure, Problem, TestReport
from lianfang.rooms.lake import queries as lake
from lianfang.rooms.lake.types import Batch

Step = Callable[..., Any]
BEGINNING = datetime(2026, 11, 20, 8, tzinfo=UTC)
WEEKS = timedelta(days=70)
"""Samples that go over weeks begin so much before, so that they are over by now."""
AFTERWARDS = 30 * 86_400_000
WEEK = 7 * 86_400.0


@dataclass(frozen=True, slots=True)
class Sample:
    """One frame, or ``several`` that belong together, and whether the rule in ``path`` must fire on them."""

    file: str
    path: str
    frames: tuple[tuple[str, bytes], ...]
    """Codec and bytes of each."""
    fires: bool
    note: str
    several: bool = False

    @property
    def name(self) -> str:
        """What the report calls it."""
        return f"{self.file}: {self.note}" if self.note else self.file


def test_pack(path: str | Path, *, progress: Step = lambda *_: None) -> TestReport:  # noqa: PT028  (a verb of the command line, not a test)
    """Run all samples of the pack in ``path``. Raises ``Missing`` or ``Invalid`` when it cannot be read."""
    read = reading.read(path)
    compiled = loading.compile_pack(read.digest, read.texts)
    samples = list(_samples(Path(path)))
    usual = [baselines.read(text) for text in read.texts if baselines.is_one(text)]
    paths = [rule.path for rule in (*compiled.rules, *(one.rule for one in compiled.correlations), *(one.rule for one in usual))]
    failures = [*_failures(compiled, {one.rule.path: one for one in usual}, samples, progress), *_untested(paths, samples)]
    problems = tuple(Problem(found.path, found.rule_uid, found.reason) for found in compiled.problems)
    return TestReport(rules=len(paths), samples=len(samples), failures=tuple(failures), problems=problems)


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
                    frames = tuple(_timed(said, one["frames"])) if "frames" in one else ((str(said.get("codec", "json")), _frame(said.get("base"), one["frame"])),)
                    yield Sample(file.name, str(said["rule"]), frames, kind == "fires", str(one.get("note", "")), "frames" in one)


def _frame(base: Any, frame: Any) -> bytes:
    """A mapping laid over the base becomes JSON; text stands as it is."""
    if isinstance(frame, dict):
        return orjson.dumps((base or {}) | frame, default=str)
    return str(frame).encode()


def _timed(said: Mapping[str, Any], frames: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, bytes]]:
    """Frames with their times, each as often as it says."""
    frames = list(frames)
    lasts = sum(float(one.get("after", 1)) + float(one.get("every", 1)) * (int(one.get("repeat", 1)) - 1) for one in frames)
    moment = BEGINNING - (WEEKS if lasts > WEEK else timedelta(0))
    for one in frames:
        base = one["base"] if "base" in one else said.get("base")
        frame = _frame(base, one["frame"]).decode()
        moment += timedelta(seconds=float(one.get("after", 1)))
        for number in range(int(one.get("repeat", 1))):
            moment += timedelta(seconds=float(one.get("every", 1)) if number else 0)
            for each in one.get("each", ("",)):
                text = frame.replace("{each}", str(each))
                for name, value in (("n", str(number)), ("time", f"{moment:%Y-%m-%dT%H:%M:%S}Z"), ("utc", f"{moment:%Y-%m-%d %H:%M:%S}.000"), ("clf", f"{moment:%d/%b/%Y:%H:%M:%S} +0000"), ("epoch", str(int(moment.timestamp()))), ("rfc", format_datetime(moment))):
                    text = text.replace(f"{{{name}}}", value)
                yield str(one.get("codec", said.get("codec", "json"))), text.encode()


def _failures(compiled: Compiled, usual: Mapping[str, baselines.Declared], samples: list[Sample], progress: Step) -> Iterator[Failure]:
    uids = {rule.path: rule.uid for rule in (*compiled.rules, *(one.rule for one in compiled.correlations))}
    watchman = Examiner(compiled)
    for done, sample in enumerate(samples, 1):
        progress(done, len(samples), sample.file)
        uid = uids.get(sample.path)
        if sample.path in usual:
            fired, reason = _departed(usual[sample.path], sample)
            if reason or fired != sample.fires:
                yield Failure(sample.path, sample.name, reason or ("The rule did not fire." if sample.fires else "The rule fired, but must not."))
        elif uid is None:
            yield Failure(sample.path, sample.name, "The rule is not in the pack, or could not be compiled.")
        else:
            yield from _failure(watchman, uid, sample)


def _failure(watchman: Examiner, uid: str, sample: Sample) -> Iterator[Failure]:
    if sample.several:
        fired, reason = _correlated(watchman, uid, sample)
    else:
        (codec, frame), *_ = sample.frames
        rows, sources, reason = explaining.read_again(codec, frame)
        fired = not reason and any(uid in uids for _row, uids in watchman.rows(rows, sources))
    if reason:
        yield Failure(sample.path, sample.name, reason)
        return
    if fired != sample.fires:
        yield Failure(sample.path, sample.name, "The rule did not fire." if sample.fires else "The rule fired, but must not.")


def _correlated(watchman: Examiner, uid: str, sample: Sample) -> tuple[bool, str]:
    """All frames through decoder, mapper and engine, what they match through the correlator, until no window is open any more; and why there is nothing."""
    compiled = watchman.compiled
    marker, marks = Marker(compiled.correlations, compiled.rules), []
    for number, (codec, frame) in enumerate(sample.frames):
        rows, columns, sources, reason = explaining.read_whole(codec, frame)
        if reason:
            return False, reason
        if not all(columns.get("time") or [None]):
            return False, "A log of this sample has no time."
        names = [f"{number}.{row}" for row in range(len(rows))]
        batch = Batch("sample", codec, rows, [frame] * len(rows), sources, {**columns, "event_id": names, "source": [codec] * len(rows)})
        found = dict(watchman.rows(rows, sources))
        if any(uid in uids for uids in found.values()):
            return True, ""
        hits = marker.referred(found)
        if hits:
            marks.append(Marks("sample", "", marker.table(batch.columns, batch.rows, [(row, uid) for row, uids in hits.items() for uid in uids])))
    if not marks:
        return False, ""
    work, last = Correlator(compiled.correlations), max(int(one.table["time"][-1].as_py()) for one in marks)
    firings = [*work.advance(marks, last), *work.advance([], last + AFTERWARDS)]
    return any(firing.rule == uid for firing in firings), ""


def _departed(declared: baselines.Declared, sample: Sample) -> tuple[bool, str]:
    """All frames through decoder and mapper into an empty baseline; whether something departs two hours after the last, and why nothing could."""
    base, counted, last = Baseline(declared.spec), [], 0
    for codec, frames in groupby(sample.frames, key=lambda one: one[0]):
        texts = [frame for _codec, frame in frames]
        rows, columns, _sources, reason = explaining.read_whole(codec, *texts)
        if reason or len(rows) != len(texts) or not all(columns.get("time") or [None]):
            return False, reason or "A log of this sample cannot be read, or has no time."
        last = max(last, *(int(moment.timestamp() * 1000) for moment in columns["time"]))
        counted.append(lake.tallied(declared.tally, columns))
    judge(base, now=last - 2 * HOUR)
    for events in counted:
        base.take(events, now=last)
    return bool(judge(base, now=last + 2 * HOUR)), ""


def _untested(paths: Iterable[str], samples: Iterable[Sample]) -> Iterator[Failure]:
    """A pack that brings samples brings both kinds for every rule."""
    samples = list(samples)
    if not samples:
        return
    for kind, wanted in ((True, "has no sample on which it fires"), (False, "has no sample on which it stays silent")):
        tested = {sample.path for sample in samples if sample.fires == kind}
        yield from (Failure(path, "", f"The rule {wanted}.") for path in paths if path not in tested)
