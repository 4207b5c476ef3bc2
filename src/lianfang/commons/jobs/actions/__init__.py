"""The verbs of jobs: ask for work, tell a fact, work, and mend what failed.

``enqueue`` and ``publish`` write in the caller's transaction: if it is rolled back, nobody was asked and nothing was told.
"""

from lianfang.commons.jobs.actions.asking import cancel, enqueue, publish, retry, retry_delivery, set_schedule, skip_delivery, sweep
from lianfang.commons.jobs.actions.leasing import leased
from lianfang.commons.jobs.actions.running import Run
from lianfang.commons.jobs.actions.working import work

__all__ = ["Run", "cancel", "enqueue", "leased", "publish", "retry", "retry_delivery", "set_schedule", "skip_delivery", "sweep", "work"]
