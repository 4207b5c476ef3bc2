"""Tables of jobs: jobs, schedules, the outbox of facts with one delivery per listener, and leases.

``due`` says when somebody may next take a row: the moment to run it, or, while it runs, the moment its worker's lease
ends. Rows that have ended have none. Whoever takes a row writes a fresh ``token``; all later writes name that token, so a
worker that lost its lease can no longer change anything. No database needs SKIP LOCKED for this.
"""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from lianfang.commons.jobs.types import State
from lianfang.kernel import clock
from lianfang.kernel.ids import new_id
from lianfang.kernel.ref import Ref


class Job(models.Model):
    """One piece of work that outlives the request that asked for it."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    name = models.CharField(_("job"), max_length=120, db_index=True)
    arguments = models.JSONField(_("arguments"), default=dict)
    key = models.CharField(_("key"), max_length=190, null=True, unique=True, editable=False)  # noqa: DJ001  (NULL: many rows may have none)
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.WAITING)
    due = models.DateTimeField(_("due"), null=True, db_index=True)
    token = models.UUIDField(null=True, editable=False)
    attempts = models.PositiveIntegerField(_("attempts"), default=0)
    percent = models.PositiveSmallIntegerField(_("progress"), default=0)
    message = models.CharField(_("message"), max_length=200, default="", blank=True)
    error = models.TextField(_("error"), default="", blank=True)
    cancel = models.BooleanField(_("cancellation asked"), default=False)
    owner = models.CharField(max_length=60, default="", editable=False)
    owner_name = models.CharField(_("asked by"), max_length=120, default="", editable=False)
    created = models.DateTimeField(_("created"), default=clock.now, editable=False)
    started = models.DateTimeField(_("started"), null=True)
    finished = models.DateTimeField(_("finished"), null=True)

    class Meta:
        verbose_name = _("job")
        verbose_name_plural = _("jobs")
        ordering = ("-created", "-id")
        indexes = (
            models.Index(fields=["-created", "-id"], name="jobs_job_newest"),
            models.Index(fields=["state", "-created"], name="jobs_job_state"),
        )

    def __str__(self) -> str:
        return self.name

    @property
    def ref(self) -> Ref:
        return Ref("jobs", "job", str(self.pk))


class Schedule(models.Model):
    """When a declared job is due next. Moved by conditional update, so that one worker alone starts a period."""

    name = models.CharField(_("job"), max_length=120, primary_key=True)
    period = models.CharField(_("period"), max_length=60)
    next_run = models.DateTimeField(_("next run"), db_index=True)
    last_run = models.DateTimeField(_("last run"), null=True)
    enabled = models.BooleanField(_("enabled"), default=True)
    runs = models.PositiveBigIntegerField(_("runs"), default=0)
    skipped = models.PositiveBigIntegerField(_("periods skipped"), default=0)

    class Meta:
        verbose_name = _("schedule")
        verbose_name_plural = _("schedules")
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name

    @property
    def ref(self) -> Ref:
        return Ref("jobs", "schedule", self.pk)


class OutboxFact(models.Model):
    """What happened, kept until every listener has handled it (and a while longer)."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    name = models.CharField(_("fact"), max_length=120)
    body = models.JSONField(_("content"), default=dict)
    created = models.DateTimeField(_("created"), default=clock.now, editable=False, db_index=True)

    class Meta:
        verbose_name = _("fact")
        verbose_name_plural = _("facts")
        ordering = ("-created", "-id")

    def __str__(self) -> str:
        return self.name


class Delivery(models.Model):
    """One fact on its way to one listener. Set to done in the transaction of the listener's own effect."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    fact = models.ForeignKey(OutboxFact, models.CASCADE, related_name="deliveries", verbose_name=_("fact"))
    listener = models.CharField(_("listener"), max_length=120)
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.WAITING)
    due = models.DateTimeField(_("due"), null=True, db_index=True)
    attempts = models.PositiveIntegerField(_("attempts"), default=0)
    error = models.TextField(_("error"), default="", blank=True)
    created = models.DateTimeField(_("created"), default=clock.now, editable=False)
    finished = models.DateTimeField(_("finished"), null=True)

    class Meta:
        verbose_name = _("delivery")
        verbose_name_plural = _("deliveries")
        ordering = ("-created", "-id")
        constraints = (models.UniqueConstraint(fields=["fact", "listener"], name="jobs_delivery_once"),)
        indexes = (
            models.Index(fields=["listener", "state", "fact"], name="jobs_delivery_queue"),
            models.Index(fields=["-created", "-id"], name="jobs_delivery_newest"),
            models.Index(fields=["state", "-created"], name="jobs_delivery_state"),
        )

    def __str__(self) -> str:
        return f"{self.fact} → {self.listener}"

    @property
    def ref(self) -> Ref:
        return Ref("jobs", "delivery", str(self.pk))


class Lease(models.Model):
    """Who does a thing that only one may do at a time, and until when unless they say more."""

    name = models.CharField(max_length=190, primary_key=True)
    token = models.UUIDField()
    until = models.DateTimeField()

    def __str__(self) -> str:
        return self.name
