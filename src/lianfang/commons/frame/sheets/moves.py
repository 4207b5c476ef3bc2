"""The default verbs of a sheet: save or delete, and tell the journal, in one transaction. A room's own verbs replace them.

In: values that a form has checked, and the actor. Out: the row, or a fault.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import ProtectedError, QuerySet
from django.utils.translation import gettext

from lianfang.commons.frame import journal
from lianfang.commons.frame.scoped import Scoped, whose
from lianfang.commons.frame.sheets import differences
from lianfang.commons.frame.sheets.declare import Row, Sheet, Verb
from lianfang.kernel.errors import Conflict, Fault, Missing, sentences
from lianfang.kernel.viewer import Viewer


def fetch(sheet: Sheet, pk: Any, viewer: Viewer) -> Row:
    """One row in the viewer's scope; ``Missing`` when it is elsewhere or nowhere."""
    try:
        row = sheet.seen_by(viewer).filter(pk=pk).first()
    except (ValueError, TypeError, ValidationError):
        row = None
    if row is None:
        raise Missing("There is no such entry", why="It does not exist, or it lies outside your scope.", todo="Check the address, or ask its owner.")
    return row


def create(sheet: Sheet, values: Mapping[str, Any], *, actor: Viewer) -> Row:
    """A new row of the actor's own organisation."""
    actor.must(sheet.permission("add"))
    if callable(sheet.create):
        return sheet.create(dict(values), actor=actor)
    row = sheet.model(**(whose(actor) if issubclass(sheet.model, Scoped) else {}))
    return _save(sheet, row, values, verb="added", actor=actor)


def change(sheet: Sheet, row: Row, values: Mapping[str, Any], *, actor: Viewer) -> Row:
    """The row with new values; nothing is written or told when nothing differs."""
    actor.must(sheet.permission("change"))
    if callable(sheet.change):
        return sheet.change(row, dict(values), actor=actor) or row
    return _save(sheet, row, values, verb="changed", actor=actor)


def remove(sheet: Sheet, row: Row, *, actor: Viewer) -> None:
    """The row is gone, unless something still needs it (``Conflict``)."""
    actor.must(sheet.permission("delete"))
    if callable(sheet.remove):
        sheet.remove(row, actor=actor)
        return
    ref, label, paths, before = sheet.ref(row), str(row), _paths(row), differences.values_of(sheet, row)
    try:
        with transaction.atomic():
            row.delete()
            journal.tell(f"{sheet.room}.{sheet.kind}_removed", ref, actor=actor, label=label, detail=differences.detail(sheet, before, {}), **paths)
    except ProtectedError as error:
        raise Conflict(gettext("“%s” is still in use") % label, why=", ".join(str(one) for one in list(error.protected_objects)[:3]), todo="Remove or change those first.") from error


def apply(sheet: Sheet, verb: Verb, row: Row, *, actor: Viewer) -> Any:
    """A verb of the sheet on one row."""
    actor.must(verb.permission or sheet.permission(verb.name))
    if verb.when is not None and not verb.when(row):
        raise Conflict(gettext("%(verb)s: this does not fit “%(row)s”") % {"verb": verb.label, "row": row}, why="Its state has changed, or never allowed it.", todo="Reload the list.")
    return verb.run(row, actor=actor)


def apply_to_all(sheet: Sheet, verb: Verb | None, rows: Sequence[Row], *, actor: Viewer) -> tuple[int, list[str]]:
    """A verb (``None``: remove) on many rows, each in its own transaction. Gives how many were done, and why others were not."""
    done, refused = 0, []
    for row in rows:
        try:
            if verb is None:
                remove(sheet, row, actor=actor)
            else:
                apply(sheet, verb, row, actor=actor)
            done += 1
        except Fault as fault:
            refused.append(f"{row}: {sentences(gettext(str(fault.what)), gettext(str(fault.why)) if fault.why else '')}")
    return done, refused


def _save(sheet: Sheet, row: Row, values: Mapping[str, Any], *, verb: str, actor: Viewer) -> Row:
    many = {field.name for field in row._meta.many_to_many}
    values = {name: None if value == "" and _holds_nothing(sheet, name) else value for name, value in values.items()}
    old = differences.values_of(sheet, row, values) if verb == "changed" else {}
    differs = sorted(name for name, value in values.items() if verb == "added" or not _same(old.get(name), value))
    if not differs and verb == "changed":
        return row
    for name in differs:
        if name not in many:
            setattr(row, name, values[name])
    try:
        with transaction.atomic():
            row.save()
            for name in many & set(differs):
                getattr(row, name).set(values[name])
            said = differences.detail(sheet, {name: old[name] for name in differs if name in old}, {name: values[name] for name in differs})
            journal.tell(f"{sheet.room}.{sheet.kind}_{verb}", sheet.ref(row), actor=actor, label=str(row), detail=said, **_paths(row))
    except IntegrityError as error:
        raise Conflict(gettext("“%s” clashes with another entry") % row, why="Somebody was faster, or a value must be unique.", todo="Reload and compare.") from error
    return row


def _same(old: Any, new: Any) -> bool:
    """Whether a field would stay as it is; many-to-many in any order."""
    return set(old) == set(new) if isinstance(old, list) and isinstance(new, QuerySet) else old == new


def _holds_nothing(sheet: Sheet, name: str) -> bool:
    """Whether an empty field is stored as NULL, not as empty text."""
    field = sheet.model_field(name)
    return field is not None and field.null and not field.empty_strings_allowed


def _paths(row: Row) -> dict[str, str]:
    return {"territory": getattr(row, "territory", ""), "industry": getattr(row, "industry", "")}
