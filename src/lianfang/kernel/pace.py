"""How often a stranger may do something: counts of the running minute, in this process.

>>> pace = Pace()
>>> [pace.allows(("198.51.100.7", 2), ("all", 3)) for _ in range(3)]
[True, True, False]
"""

from __future__ import annotations

import threading
import time
from collections import Counter


class Pace:
    """Counts of the running minute, forgotten with it, so that nothing grows. Each process of the node counts for itself."""

    def __init__(self) -> None:
        self.minute, self.counts, self.lock = 0, Counter[str](), threading.Lock()

    def allows(self, *limits: tuple[str, int]) -> bool:
        """Count one more of each (name, most a minute), unless one of them has had its share."""
        with self.lock:
            if (now := int(time.monotonic() // 60)) != self.minute:
                self.minute, self.counts = now, Counter()
            if any(self.counts[name] >= most for name, most in limits):
                return False
            self.counts.update(name for name, _ in limits)
            return True
