"""What the ledger does by itself: seal what was recorded, sign the head, verify the whole log every night."""

from __future__ import annotations

from typing import Any

from lianfang.commons.jobs.declare import at, every, job
from lianfang.commons.ledger import actions
from lianfang.commons.ledger.types import CHECK
from lianfang.kernel.viewer import SYSTEM


@every(seconds=2)
@job(name="ledger.sequence")
def sequence() -> None:
    actions.sequence()


@every(seconds=60)
@job(name="ledger.checkpoint")
def checkpoint() -> None:
    actions.cut_checkpoint()


@at("03:40")
@job(name=CHECK, attempts=2)
def verify(*, run: Any) -> None:
    actions.check(actor=SYSTEM, progress=lambda done, total: run.progress(99 * done / total, f"{done} / {total}"))
