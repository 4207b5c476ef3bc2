"""What the pages of elements and policies share: the steps of a version, and all versions of one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from lianfang.commons.frame.pages import panel
from lianfang.commons.frame.sheets import Verb
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.standards.actions.versions import Versions
from lianfang.rooms.standards.types import State

TONES = {State.DRAFT: "quiet", State.SUBMITTED: "warn", State.APPROVED: "good", State.RETIRED: "quiet"}


def steps(of: Versions[Any], *, retire: Any) -> tuple[Verb, ...]:
    """What may be done with a version where it stands; ``retire``: the question asked before that."""

    def at(*states: State) -> Callable[[Any], bool]:
        return lambda row: row.state in states

    kind = f"standards.{of.model.kind()}"
    return (
        Verb("submit", pgettext_lazy("element", "Submit"), of.submit, permission=f"{kind}.change", bulk=True, icon="send", when=at(State.DRAFT)),
        Verb("approve", pgettext_lazy("element", "Approve"), of.approve, permission=f"{kind}.approve", bulk=True, icon="check", when=at(State.SUBMITTED)),
        Verb("return", pgettext_lazy("element", "Send back"), of.send_back, permission=f"{kind}.approve", bulk=True, icon="arrow-back-up", when=at(State.SUBMITTED)),
        Verb("version", _("New version"), of.begin, permission=f"{kind}.change", icon="versions", when=at(State.APPROVED, State.RETIRED)),
        Verb("retire", pgettext_lazy("element", "Retire"), of.retire, permission=f"{kind}.approve", icon="archive", danger=True, confirm=retire, when=at(State.APPROVED)),
    )


def panel_of_versions(kind: str, rows: Callable[[Viewer], QuerySet[Any]]) -> None:
    """Beside one of them: every version that the viewer may read, newest first."""

    @panel(f"standards.{kind}.side", title=_("Versions"), order=10)
    def versions(request: HttpRequest, row: Any) -> str:
        found = rows(request.viewer).filter(organisation=row.organisation, code=row.code).order_by("-version")  # type: ignore[attr-defined]
        lines = [{"row": one, "tone": TONES[one.state], "url": reverse(f"standards:{kind}", args=[one.pk])} for one in found]
        return render_to_string("standards/part_versions.html", {"row": row, "versions": lines}, request=request)
