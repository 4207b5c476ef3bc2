"""Detection: Sigma rules and watch lists over streams of events, by the distinct-value kernel.

In: rule texts (``sources.load``), compiled once (``compiler.compile_rules``), and events as rows, JSON lines or Arrow
tables. Out: for each event the uids of the rules that fired, and on demand the explanation why. ``README.md`` tells how.
"""

from typing import TYPE_CHECKING

from lianfang.kernel import lazy

if TYPE_CHECKING:
    from lianfang.engines.rules.compiled import Compiled
    from lianfang.engines.rules.examiner import Examiner, prepared
    from lianfang.engines.rules.types import Explanation, Hits, LogSource, Match, Problem, Rule, Stats, WatchSets

    __all__ = ["Compiled", "Examiner", "Explanation", "Hits", "LogSource", "Match", "Problem", "Rule", "Stats", "WatchSets", "prepared"]
else:
    __getattr__, __all__ = lazy.door(__name__, {"compiled": "Compiled", "examiner": "Examiner prepared", "types": "Explanation Hits LogSource Match Problem Rule Stats WatchSets"})
