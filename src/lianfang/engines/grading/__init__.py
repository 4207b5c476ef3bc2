"""What data is and how well it must be kept: columns judged by their values, names and comments, with every vote kept.

In: columns (name, comment, distinct values) and a taxonomy that experts edit. Out: for each column an item of the
taxonomy, a level (JR/T 0158-2018, our reading), a confidence, and the reasons. A model learns from reviewers.
"""

from lianfang.engines.grading.learn import Guess, Model
from lianfang.engines.grading.levels import Known, Rules, Step, level_of
from lianfang.engines.grading.shapes import KINDS, Found, recognise
from lianfang.engines.grading.taxonomy import Group, Item, Taxonomy, load
from lianfang.engines.grading.votes import Column, Profile, Verdict, Vote, judge, judge_table, profiled

__all__ = [
    "KINDS", "Column", "Found", "Group", "Guess", "Item", "Known", "Model", "Profile", "Rules", "Step", "Taxonomy", "Verdict", "Vote",
    "judge", "judge_table", "level_of", "load", "profiled", "recognise",
]  # fmt: skip
