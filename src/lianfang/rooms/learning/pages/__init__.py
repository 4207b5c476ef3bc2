"""Pages of learning: one door in the navigation, behind it data sets with their versions, the registry of models, trainings with their runs."""

from lianfang.rooms.learning.pages import overview, registry, sets, trainings

__all__ = ["overview", "registry", "sets", "trainings"]
