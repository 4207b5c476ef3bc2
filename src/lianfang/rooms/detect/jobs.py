"""Time has come: see who gave no sign of life, which rules can fire. Long work: installing a pack that was uploaded, looking back over the lake."""

from __future__ import annotations

from typing import Any

from lianfang.commons.jobs.declare import every, job
from lianfang.rooms.detect import actions


@job(name="detect.install_pack", attempts=1)
def install_pack(path: str, asker: dict[str, str], *, run: Any) -> None:
    """An uploaded archive becomes a pack."""
    actions.install_kept(path, asker, progress=lambda done, total, text="": run.progress(100 * done / total, text))


@job(name="detect.look_back", attempts=3)
def look_back(hunt: str, *, run: Any) -> None:
    """Rules, or the watch list, over what the lake holds."""
    actions.hunt(hunt, step=lambda looked, total: run.progress(99.9 * looked / max(1, total), f"{looked:,} / {total:,}"))


@job(name="detect.preview_rule", attempts=1)
def preview_rule(preview: str, *, run: Any) -> None:
    """What a rule would have found in past data."""
    actions.preview(preview, tell=run.progress)


@every(seconds=5)
@job(name="detect.look_at_monitors", attempts=1)
def look_at_monitors() -> None:
    """Keyword alarms whose systems fell silent, or that are over because nothing was said for long."""
    actions.look_at_monitors()


@every(seconds=60, share=0.05)
@job(name="detect.look_at_logs", attempts=1)
def look_at_logs() -> None:
    """Log templates that are not as usual become alarms where somebody asked for it."""
    actions.look_at_logs()


@every(seconds=60, share=0.02)
@job(name="detect.mark_models", attempts=1)
def mark_models() -> None:
    """Which event models rules are about, worked out again when a mapping changed."""
    actions.mark_models()


@every(seconds=60)
@job(name="detect.end_exemptions", attempts=1)
def end_exemptions() -> None:
    """Exceptions whose time has come are said to have ended."""
    actions.end_exemptions()


@every(seconds=60, share=0.02)
@job(name="detect.survey", attempts=1)
def survey() -> None:
    """Which rules can fire on what came in, looked at again when rules or kinds of events changed."""
    actions.survey()


@every(seconds=5)
@job(name="detect.let_time_pass", attempts=1)
def let_time_pass() -> None:
    """Correlations that wait for time alone: what did not follow, and windows that are over."""
    actions.correlate()


@every(seconds=60)
@job(name="detect.judge_baselines", attempts=1)
def judge_baselines() -> None:
    """What came since the last look is counted, and what departs from the usual is found."""
    actions.judge_baselines()


@every(seconds=3600)
@job(name="detect.forget_signals", attempts=3)
def forget_signals() -> None:
    """Batches that were counted are remembered for a week, episodes for a year."""
    actions.forget_signals()
    actions.forget_previews()
    actions.forget_hunts()
