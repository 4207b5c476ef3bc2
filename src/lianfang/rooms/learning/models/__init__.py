"""Tables of learning: data sets and their versions, models, trainings and their runs."""

from lianfang.rooms.learning.models.registry import Model
from lianfang.rooms.learning.models.sets import DataSet, Version
from lianfang.rooms.learning.models.trainings import Run, Training

__all__ = ["DataSet", "Model", "Run", "Training", "Version"]
