"""What may leave the room of learning: the words of its states, what a learner is given and gives back.

In: nothing. Out: frozen values with plain fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

GRADING = "grading"
"""The learner that the node brings: which class of data a column holds."""


class Origin(TextChoices):
    """What the rows of a data set are."""

    EVENTS = "events", _("events of the lake")
    LESSONS = "lessons", _("columns that reviewers graded")


class Pace(TextChoices):
    """How often something is made by itself."""

    NEVER = "never", pgettext_lazy("pace", "only when asked")
    HOURLY = "hourly", pgettext_lazy("pace", "every hour")
    DAILY = "daily", pgettext_lazy("pace", "every day")
    WEEKLY = "weekly", pgettext_lazy("pace", "every week")


PACES: Mapping[str, timedelta] = {Pace.HOURLY: timedelta(hours=1), Pace.DAILY: timedelta(days=1), Pace.WEEKLY: timedelta(days=7)}
"""Pace → how long until the next time."""


class Period(TextChoices):
    """Which events a version holds, counted from when it is made."""

    DAY = "24h", _("last 24 hours")
    WEEK = "7d", _("last 7 days")
    MONTH = "30d", _("last 30 days")
    HALF = "180d", _("last 180 days")
    FIXED = "fixed", pgettext_lazy("period", "from … until …")


PERIODS: Mapping[str, timedelta] = {Period.DAY: timedelta(hours=24), Period.WEEK: timedelta(days=7), Period.MONTH: timedelta(days=30), Period.HALF: timedelta(days=180)}
"""Period → how far back it reaches."""


class Made(TextChoices):
    """Where a version of a data set stands."""

    WAITING = "waiting", pgettext_lazy("version", "being made")
    READY = "ready", pgettext_lazy("version", "ready")
    FAILED = "failed", pgettext_lazy("version", "failed")
    REMOVED = "removed", pgettext_lazy("version", "removed")


class Stand(TextChoices):
    """Where a model stands."""

    PROPOSED = "proposed", pgettext_lazy("model", "proposed")
    APPROVED = "approved", pgettext_lazy("model", "approved")
    USED = "used", pgettext_lazy("model", "in use")
    RETIRED = "retired", pgettext_lazy("model", "retired")


class Form(TextChoices):
    """What an artefact is written in: forms that are data and nothing else, so that reading one runs no code."""

    JSON = "json", "JSON"
    NPZ = "npz", "NumPy (npz)"
    ONNX = "onnx", "ONNX"
    SAFETENSORS = "safetensors", "safetensors"


class Ended(TextChoices):
    """How a run of a training ended."""

    RUNNING = "running", pgettext_lazy("run", "running")
    DONE = "done", pgettext_lazy("run", "done")
    SAME = "same", pgettext_lazy("run", "learned nothing new")
    FAILED = "failed", pgettext_lazy("run", "failed")


@dataclass(frozen=True, slots=True)
class Whose:
    """An organisation as a row carries it."""

    organisation: str
    territory: str
    industry: str


@dataclass(frozen=True, slots=True)
class Learned:
    """What a learner gives back: the artefact, its form, metrics by name (numbers), parameters, how many rows taught and how many were held out to measure."""

    artefact: bytes
    form: str
    metrics: Mapping[str, float]
    rows: int
    held: int
    parameters: Mapping[str, Any] = field(default_factory=dict)
