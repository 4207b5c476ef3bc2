"""Templates of logs: what programs say again and again, found in their lines; no rules, no training, one setting for all systems.

In: lines, as they come. Out: for each its template, with an identifier that follows from the template's text alone.
"""

from lianfang.engines.series.counts import Unusual, unusual
from lianfang.engines.series.folding import folded
from lianfang.engines.series.shapes import OPEN, shape
from lianfang.engines.series.templates import MEMORY, Miner, Template

__all__ = ["MEMORY", "OPEN", "Miner", "Template", "Unusual", "folded", "shape", "unusual"]
