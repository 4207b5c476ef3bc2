"""What operators see of work: jobs, schedules, facts that could not be delivered; and for everybody, how far their own work is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from lianfang.commons.frame import pages, sheets
from lianfang.commons.frame.pages import Nav
from lianfang.commons.frame.sheets import Column, Filter, Sheet, Verb
from lianfang.commons.jobs import actions, models, queries
from lianfang.commons.jobs.types import State
from lianfang.kernel.viewer import Viewer

TONES = {State.WAITING: "quiet", State.RUNNING: "busy", State.DONE: "good", State.DEAD: "bad", State.CANCELLED: "warn"}


def words(name: str) -> str:
    """A job's name as a person says it, where its room has words for it."""
    return gettext(name)


def period_words(period: str) -> str:
    """``every 60 s`` and ``at 02:30`` in the reader's language."""
    kind, _gap, rest = period.partition(" ")
    return gettext("every %s seconds") % rest.removesuffix(" s") if kind == "every" else gettext("daily at %s") % rest


def owner_words(row: models.Job) -> str:
    """Who asked for it: a person by name, or the node's own schedule."""
    return gettext("schedule") if row.owner_name == "schedule" else row.owner_name


JOB = Column("name", label=_("Job"), value=lambda row: words(row.name), sort="name")
OWNER = Column("owner_name", value=owner_words, sort="owner_name")
FAILED = (State.DEAD, State.CANCELLED)


def whole_node(rows: Any) -> Callable[[Viewer], QuerySet]:
    """Rows that belong to the node as a whole: for those who see all of it."""

    def seen(viewer: Viewer) -> QuerySet:
        return rows.all() if viewer.sees_node else rows.none()

    return seen


sheets.register(
    Sheet(
        model=models.Job,
        title=_("Jobs"),
        columns=(JOB, Column("state", tones=TONES), Column("percent", label=_("Progress %")), "message", OWNER, "created", "finished", Column("attempts", shown=False), Column("due", shown=False)),
        facts=(JOB, Column("id", label=_("Name"), value=lambda row: row.name, cell="code"), Column("state", tones=TONES), "percent", "message", "error", "attempts", "arguments", OWNER, "created", "due", "started", "finished"),
        filters=(Filter("state"), Filter("name", kind="text"), "created", Filter("owner_name", kind="text")),
        search=("name", "message"),
        order="-created",
        nav=Nav("operations", _("Jobs"), order=80, icon="list-check"),
        rows=queries.visible,
        found=False,
        poll=5,
        verbs=(
            Verb("retry", _("Try again"), actions.retry, permission="jobs.job.change", bulk=True, icon="reload", when=lambda row: row.state in FAILED),
            Verb("cancel", _("Cancel"), actions.cancel, permission="jobs.job.change", bulk=True, icon="ban", danger=True, when=lambda row: row.state in (State.WAITING, State.RUNNING), confirm=_("Cancel these jobs?")),
        ),
        about=_("Work that goes on by itself. What failed for good waits here for a person."),
    )
)

sheets.register(
    Sheet(
        model=models.Schedule,
        title=_("Schedules"),
        columns=(JOB, Column("period", label=_("Period"), value=lambda row: period_words(row.period)), "enabled", "last_run", "next_run", "runs", Column("skipped", shown=False)),
        filters=("enabled",),
        search=("name",),
        order="name",
        nav=Nav("operations", _("Schedules"), order=82, icon="calendar-time"),
        rows=whole_node(models.Schedule.objects),
        found=False,
        verbs=(
            Verb("pause", _("Pause"), lambda row, *, actor: actions.set_schedule(row, enabled=False, actor=actor), permission="jobs.schedule.change", bulk=True, icon="player-pause", when=lambda row: row.enabled),
            Verb("resume", _("Resume"), lambda row, *, actor: actions.set_schedule(row, enabled=True, actor=actor), permission="jobs.schedule.change", bulk=True, icon="player-play", when=lambda row: not row.enabled),
        ),
    )
)

sheets.register(
    Sheet(
        model=models.Delivery,
        title=_("Facts on their way"),
        columns=(Column("fact__name", label=_("Fact")), "listener", Column("state", tones=TONES), "attempts", "created", "finished", Column("due", shown=False)),
        facts=(Column("fact__name", label=_("Fact")), Column("fact__body", label=_("Content")), "listener", Column("state", tones=TONES), "error", "attempts", "created", "due", "finished"),
        filters=(Filter("state"), Filter("listener", kind="text"), "created"),
        search=("listener",),
        order="-created",
        path="deliveries",
        nav=Nav("operations", _("Facts on their way"), order=84, icon="arrows-split-2"),
        rows=whole_node(models.Delivery.objects),
        found=False,
        verbs=(
            Verb("retry", _("Deliver again"), actions.retry_delivery, permission="jobs.delivery.change", bulk=True, icon="reload", when=lambda row: row.state in FAILED),
            Verb("skip", _("Give up"), actions.skip_delivery, permission="jobs.delivery.change", bulk=True, icon="ban", danger=True, when=lambda row: row.state == State.DEAD, confirm=_("Give these facts up? Their listeners will never hear of them.")),
        ),
        about=_("What one room tells another. A fact that could not be handled waits here for a person; the others go on."),
    )
)


@pages.page("work/<uuid:pk>/", name="work", title=_("Work in progress"))
def work(request: HttpRequest, pk: UUID) -> HttpResponse:
    """How far one piece of work is: for who asked for it, and for operators. It can be left and found again."""
    found = queries.progress(pk, request.viewer)  # type: ignore[attr-defined]
    template = "jobs/part/progress.html" if getattr(request, "htmx", False) else "jobs/work.html"
    return pages.show(request, template, {"work": found, "tone": TONES[found.state]}, title=words(found.name))
