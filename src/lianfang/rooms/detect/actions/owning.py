"""Owning: what the node finds out about itself becomes a finding like any other, so that somebody looks at it."""

from __future__ import annotations

from lianfang.kernel import clock
from lianfang.kernel.labels import DataLevel, Severity
from lianfang.rooms.detect.actions import folding, storing
from lianfang.rooms.detect.types import READING_LIMIT, THIS_NODE
from lianfang.rooms.lake.types import ReadingStopped


def note_reading_stopped(fact: ReadingStopped) -> bool:
    """Somebody was stopped at a reading limit: one finding for each time, folded by person. ``False``: it was noted before."""
    now = clock.now()
    uid = f"{READING_LIMIT}:{fact.person}"
    fold = folding.Fold(uid, THIS_NODE, fact.territory, fact.industry, folding.window_of(now), now, now, user=fact.who, level=int(DataLevel.L1), count=1, entities={"users": {fact.who: None}})
    said = {
        "title": f"{fact.who} was stopped at a limit: {fact.limit:,} rows of level {fact.level} and above in an hour"[:250],
        "title_zh": f"{fact.who} 读取受保护数据超限被中止：{fact.level} 级及以上每小时 {fact.limit:,} 行"[:250],
        "severity": Severity.CRITICAL if fact.level >= DataLevel.L4 else Severity.HIGH, "status": "stable", "author": THIS_NODE, "alarm": "exfiltration",
    }  # fmt: skip
    return storing.note(f"reading-{fact.touch or int(now.timestamp())}", fold, said, source=THIS_NODE, organisation=fact.organisation)
