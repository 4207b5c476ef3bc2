"""Series: what programs say again and again (templates), and what is usual for whom (baselines); no training, one setting for all systems.

In: lines, or counted events, as they come. Out: for each line its template, with an identifier that follows from the template's text alone; departures from what
was usual, each with its numbers.
"""

from lianfang.engines.series.baselines import DAY, HOUR, Baseline, Kind, Spec
from lianfang.engines.series.counts import FAR, Unusual, strange_hours, unusual, usual_at
from lianfang.engines.series.folding import folded
from lianfang.engines.series.judging import Departure, Point, judge
from lianfang.engines.series.shapes import OPEN, shape
from lianfang.engines.series.templates import MEMORY, Miner, Template

__all__ = ["DAY", "FAR", "HOUR", "MEMORY", "OPEN", "Baseline", "Departure", "Kind", "Miner", "Point", "Spec", "Template", "Unusual", "folded", "judge", "shape", "strange_hours", "unusual", "usual_at"]
