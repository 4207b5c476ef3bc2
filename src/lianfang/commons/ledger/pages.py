"""What auditors see: the audit records, each with its seal and its proof; the checkpoints; whether the whole log still holds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from lianfang.commons.frame import pages, sheets
from lianfang.commons.frame.pages import Nav
from lianfang.commons.frame.queries import path_of
from lianfang.commons.frame.sheets import Column, Filter, Sheet
from lianfang.commons.jobs import actions as jobs
from lianfang.commons.ledger import models, queries
from lianfang.commons.ledger.models.wording import words
from lianfang.commons.ledger.types import CHECK
from lianfang.kernel.errors import Conflict
from lianfang.kernel.ref import Ref
from lianfang.kernel.viewer import Viewer

LOOKED_AT = 2_000
"""How many of the newest records are looked at for the choices of a filter."""

SEALS = {"sealed": _("sealed"), "waiting": _("waiting to be sealed"), "forgotten": _("forgotten")}

ACTORS = {
    "user": pgettext_lazy("actor", "person"), "key": pgettext_lazy("actor", "API key"), "restricted": pgettext_lazy("actor", "person who has not finished logging in"),
    "console": pgettext_lazy("actor", "command line"), "system": pgettext_lazy("actor", "the node itself"), "anonymous": pgettext_lazy("actor", "nobody known"),
}  # fmt: skip


# -- words -----------------------------------------------------------------------------------------------------------


def verbs(viewer: Viewer) -> list[tuple[str, str]]:
    """The verbs of the newest records, for the filter."""
    found = set(queries.seen(viewer).order_by("-time").values_list("verb", flat=True)[:LOOKED_AT])
    return sorted(((verb, words(verb)) for verb in found), key=lambda pair: pair[1])


def organisations(viewer: Viewer) -> list[tuple[str, str]]:
    """Organisations by the names under which they were last recorded: the ledger itself knows them. An export of their list is of none."""
    rows = queries.seen(viewer).filter(ref__startswith="people:organisation:").exclude(ref="people:organisation:list").order_by("time").values_list("ref", "label")[:LOOKED_AT]
    return sorted({ref.rpartition(":")[2]: label for ref, label in rows if label}.items(), key=lambda pair: pair[1])


def _seal(row: models.Record) -> str:
    return "forgotten" if row.detail is None else "sealed" if row.seq is not None else "waiting"


# -- records ---------------------------------------------------------------------------------------------------------

sheets.register(
    Sheet(
        model=models.Record,
        title=_("Audit records"),
        columns=(
            Column("verb", value=lambda row: words(row.verb), plain=lambda row: row.verb),
            Column("object", label=_("Object"), value=lambda row: row.label or row.ref, sort="label", link=lambda row: path_of(Ref.parse(row.ref))),
            "actor_name",
            "time",
            Column("seal", label=_("Seal"), value=_seal, cell="badge", choices=SEALS, tones={"sealed": "good", "waiting": "busy"}),
            Column("seq", shown=False),
            Column("ref", label=_("Object ID"), cell="code", shown=False),
            Column("actor_kind", choices=ACTORS, shown=False),
        ),
        filters=(
            "time",
            Filter("verb", kind="choice", choices=verbs),
            "actor_name",
            Filter("object", label=_("Object’s name"), kind="text", lookup="label"),
            Filter("ref", label=_("Object ID"), kind="text"),
            Filter("organisation", label=_("Organisation"), kind="choice", choices=organisations),
        ),
        search=("label", "ref", "actor_name", "verb"),
        order="-time",
        path="records",
        nav=Nav("trust", _("Audit records"), order=10, icon="history"),
        create=False,
        change=False,
        remove=False,
        rows=queries.seen,
        found=False,
        template="ledger/record.html",
        facts=(
            Column("verb", value=lambda row: words(row.verb), plain=lambda row: row.verb),
            Column("object", label=_("Object"), value=lambda row: row.label or row.ref),
            "time",
            "actor_name",
            Column("actor_kind", choices=ACTORS),
            Column("organisation", label=_("Organisation"), value=lambda row: queries.name_of(Ref("people", "organisation", row.organisation)) if row.organisation else ""),
            Column("ref", label=_("Object ID"), cell="code"),
            Column("pk", label=_("Record ID"), cell="code"),
        ),
        about=_("Everything that was done on this node, sealed into one signed log. Nothing here can be changed."),
    )
)


@pages.panel("ledger.record.main", title=_("What changed"), order=10, permission="ledger.record.view")
def what_changed(request: HttpRequest, row: models.Record) -> str:
    if row.detail is None:
        return render_to_string("ledger/part/forgotten.html", {"row": row}, request)
    said = json.loads(row.detail)
    before, after = (said.pop(side) if isinstance(said.get(side), Mapping) else {} for side in ("before", "after"))
    return render_to_string("ledger/part/changed.html", {"changes": _changes(before, after), "rest": _flat(said), "address": path_of(Ref.parse(row.ref))}, request)


def _changes(before: Any, after: Any) -> list[tuple[str, str, str]]:
    """Field, before, after; only where they differ."""
    one, other = dict(_flat(before or {})), dict(_flat(after or {}))
    return [(name, one.get(name, ""), other.get(name, "")) for name in sorted(one | other) if one.get(name) != other.get(name)]


def _flat(value: Any, name: str = "") -> list[tuple[str, str]]:
    """Nested detail → dotted names and texts."""
    if isinstance(value, Mapping):
        return [pair for key, each in value.items() for pair in _flat(each, f"{name}.{key}" if name else str(key))]
    if isinstance(value, list) and any(isinstance(each, Mapping | list) for each in value):
        return [pair for place, each in enumerate(value) for pair in _flat(each, f"{name}[{place}]")]
    return [(name, ", ".join(map(str, value)) if isinstance(value, list) else "" if value is None else str(value))]


@pages.panel("ledger.record.side", title=_("Seal"), order=10, permission="ledger.record.view")
def seal(request: HttpRequest, row: models.Record) -> str:
    try:
        proof = queries.proof(row.pk, request.viewer)  # type: ignore[attr-defined]
    except Conflict as waiting:
        return render_to_string("ledger/part/seal.html", {"row": row, "waiting": waiting}, request)
    return render_to_string("ledger/part/seal.html", {"row": row, "proof": proof, "holds": queries.holds(proof), "leaf": json.dumps(json.loads(proof.leaf), ensure_ascii=False, indent=1)}, request)


@pages.panel("ledger.record.main", title=_("The story of this object"), order=20, permission="ledger.record.view")
def story(request: HttpRequest, row: models.Record) -> str:
    others = [entry for entry in queries.timeline(Ref.parse(row.ref), request.viewer, limit=30) if entry.id != row.pk]  # type: ignore[attr-defined]
    items = [{"at": entry.time, "title": words(entry.verb), "who": entry.actor_name, "url": reverse("ledger:record", kwargs={"pk": entry.id})} for entry in others]
    return render_to_string("ledger/part/story.html", {"items": items}, request) if items else ""


@pages.page("records/<uuid:pk>/proof/", name="proof", permission="ledger.record.view", title=_("Proof"), parent="record")
def proof(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The proof file of one record, to be checked anywhere with the node's verification key."""
    answer = HttpResponse(queries.proof(pk, request.viewer).file, content_type="text/plain; charset=utf-8")  # type: ignore[attr-defined]
    answer["Content-Disposition"] = f'attachment; filename="{pk}.tlog-proof"'
    return answer


# -- checkpoints and the whole log -----------------------------------------------------------------------------------

sheets.register(
    Sheet(
        model=models.Checkpoint,
        columns=("size", "time", Column("root", cell="code")),
        facts=("size", "time", Column("root", cell="code"), Column("note", cell="code")),
        filters=("time",),
        order="-size",
        path="checkpoints",
        nav=Nav("trust", _("Checkpoints"), order=30, icon="rosette-discount-check"),
        rows=lambda viewer: models.Checkpoint.objects.all(),
        found=False,
        about=_("The log's root, signed by this node. A copy that lies elsewhere proves later that nothing was taken back."),
    )
)


@pages.page("integrity/", name="integrity", permission="ledger.checkpoint.view", nav=Nav("trust", _("Integrity"), order=20, icon="shield-check"), title=_("Integrity"))
def integrity(request: HttpRequest) -> HttpResponse:
    """The state of the log; ``POST`` verifies all of it in the background."""
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    if request.method == "POST":
        viewer.must("ledger.record.verify")
        asked = jobs.enqueue(CHECK, key=CHECK, actor=viewer)
        return HttpResponseRedirect(reverse("jobs:work", kwargs={"pk": asked.id}))
    size, checkpoint = queries.latest()
    last = queries.last_verification()
    return pages.show(request, "ledger/integrity.html", {"node": queries.node(), "size": size, "checkpoint": checkpoint, "waiting": queries.waiting(), "last": last, "may_verify": viewer.may("ledger.record.verify")})
