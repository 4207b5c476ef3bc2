"""What a room says of a list: columns, filters, verbs. The rest follows from the model's own fields.

In: names and a few words. Out: a ``Sheet`` whose columns and filters know their label, their kind and how to sort.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from django.core.exceptions import FieldDoesNotExist
from django.db import models
from django.db.models.constants import LOOKUP_SEP
from django.urls import reverse_lazy
from django.utils.functional import lazy
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _

from lianfang.commons.frame.pages import Nav
from lianfang.commons.frame.scoped import Scoped
from lianfang.kernel.errors import Conflict
from lianfang.kernel.ref import Ref
from lianfang.kernel.viewer import Viewer

Text = Any
Row = Any
Rows = Callable[[Viewer], models.QuerySet]
RESERVED = {"q", "sort", "columns", "after", "limit", "view", "do", "row", "all", "confirm", "format", "next"}
"""Names in a list's address that no filter may take."""

SEVERITIES = ((5, _("critical")), (4, _("high")), (3, _("medium")), (2, _("low")), (1, _("informational")))
"""Choices of a filter on a ``kernel.labels.Severity`` column."""


def linked(about: Any, name: str, words: Any) -> Any:
    """A sentence above a list, and the page that goes with it."""
    return lazy(lambda: format_html('{} <a href="{}">{}</a>', about, reverse_lazy(name), words), SafeString)()


@dataclass(frozen=True, slots=True)
class Column:
    """One column. ``name`` is a field, a path (``owner__name``), an attribute, or a name of your own with ``value``.

    ``cell``: text, number, time, day, date, yesno, severity, badge, code, list, bytes; guessed from the field.
    ``tones``: for a badge, value → good, bad, warn, busy or quiet. ``sort``: a field to sort by, or False.
    ``shown=False`` keeps it for the column choice. ``plain``: what the API gives, where people read something else.
    """

    name: str
    label: Text = ""
    value: Callable[[Row], Any] | None = None
    cell: str = ""
    sort: str | bool | None = None
    shown: bool = True
    tones: Mapping[Any, str] = field(default_factory=dict)
    choices: Mapping[Any, Text] = field(default_factory=dict)
    nullable: bool = False
    link: Callable[[Row], str] | None = None
    plain: Callable[[Row], Any] | None = None


@dataclass(frozen=True, slots=True)
class Filter:
    """One condition a person may set. ``kind``: choice, boolean, time, number, text; guessed from the field.

    ``choices``: pairs, or a function of the viewer giving pairs. ``apply(queryset, values)`` replaces the plain lookup.
    """

    name: str
    label: Text = ""
    kind: str = ""
    choices: Sequence[tuple[Any, Text]] | Callable[[Viewer], Iterable[tuple[Any, Text]]] = ()
    lookup: str = ""
    apply: Callable[[models.QuerySet, list[str]], models.QuerySet] | None = None

    def options(self, viewer: Viewer) -> list[tuple[str, Text]]:
        """The choices for this viewer, as text values."""
        found = self.choices(viewer) if callable(self.choices) else self.choices
        return [(str(value), label) for value, label in found]


@dataclass(frozen=True, slots=True)
class Verb:
    """Something that can be done to a row: ``run(row, *, actor)``, an action of the room.

    ``bulk`` offers it for many rows too; ``confirm`` is the question asked before; ``when(row)`` says whether it fits.
    """

    name: str
    label: Text
    run: Callable[..., Any]
    permission: str = ""
    bulk: bool = False
    confirm: Text = ""
    icon: str = ""
    danger: bool = False
    when: Callable[[Row], bool] | None = None


@dataclass(frozen=True, slots=True)
class Onward:
    """A page that goes on with what the list shows: its address gets the list's conditions."""

    page: str
    label: Text
    icon: str = ""
    permission: str = ""


@dataclass(eq=False, kw_only=True)
class Sheet:
    """A kind of thing as list, detail, form, import, export and API. Declare, then ``register``.

    ``create(values, *, actor)``, ``change(row, values, *, actor)``, ``remove(row, *, actor)`` replace the default verbs
    (save, tell the journal, one transaction); ``False`` takes one away. ``rows(viewer)`` replaces ``objects.seen_by``
    and is required where the model is not ``Scoped``. ``fields``: what the form and the import write; none: read only.
    ``sensitive``: fields whose values no record of the journal shows. ``onward``: buttons that take what the list shows elsewhere.
    """

    model: type[models.Model]
    title: Text = ""
    columns: Sequence[str | Column]
    filters: Sequence[str | Filter] = ()
    search: Sequence[str] = ()
    fields: Sequence[str] = ()
    sensitive: Sequence[str] = ()
    order: str = ""
    nav: Nav | None = None
    verbs: Sequence[Verb] = ()
    create: Callable[..., Any] | bool | None = None
    change: Callable[..., Any] | bool | None = None
    remove: Callable[..., Any] | bool | None = None
    rows: Rows | None = None
    form: Any = None
    kind: str = ""
    path: str = ""
    parent: str = ""
    link: Callable[[Row], str] | None = None
    template: str = "frame/sheet/detail.html"
    form_template: str = "frame/sheet/form.html"
    facts: Sequence[str | Column] = ()
    about: Text = ""
    onward: Sequence[Onward] = ()
    empty: tuple[Text, Text, str, Text] | None = None
    poll: int = 30
    found: bool = True
    importable: bool = True
    room: str = ""

    def __post_init__(self) -> None:
        meta = self.model._meta
        self.room = self.room or meta.app_label
        self.kind = self.kind or str(meta.model_name)
        self.path = (self.path or self.kind).strip("/")
        self.title = self.title or capfirst(meta.verbose_name_plural)
        self.order = self.order or "-pk"
        if self.rows is None and not issubclass(self.model, Scoped):
            raise Conflict(f"{meta.label} has no scope", why="Its rows belong to no organisation, so everybody would see them.", todo="Give the sheet rows=function(viewer).")
        if unknown := [name for name in self.sensitive if self.model_field(name) is None]:
            raise Conflict(f"{meta.label} has no field {', '.join(unknown)}", why="A misspelt name would show what should stay hidden.", todo="Correct sensitive= of the sheet.")
        self.columns = tuple(self._column(column) for column in self.columns)
        self.facts = tuple(self._column(column) for column in self.facts) or self.columns
        self.filters = tuple(self._filter(one) for one in self.filters)

    # -- names ---------------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """``room.kind``."""
        return f"{self.room}.{self.kind}"

    @property
    def singular(self) -> Text:
        return self.model._meta.verbose_name

    def permission(self, verb: str) -> str:
        """``room.kind.verb``."""
        return f"{self.room}.{self.kind}.{verb}"

    def ref(self, row: Row) -> Ref:
        return Ref(self.room, self.kind, str(row.pk))

    # -- what is possible ----------------------------------------------------------------------------------------

    @property
    def creates(self) -> bool:
        return self.create is not False and bool(self.fields)

    @property
    def changes(self) -> bool:
        return self.change is not False and bool(self.fields)

    @property
    def removes(self) -> bool:
        return self.remove is not False and (bool(self.fields) or self.remove is not None)

    def may(self, viewer: Viewer, verb: str) -> bool:
        """Whether it can be done at all, and by this viewer."""
        possible = {"add": self.creates, "change": self.changes, "delete": self.removes, "import": self.creates and self.importable}.get(verb, True)
        return possible and viewer.may(self.permission("add" if verb == "import" else verb))

    def verbs_of(self, viewer: Viewer, *, row: Row = None, bulk: bool = False) -> list[Verb]:
        """The verbs this viewer may use, on this row or on many."""
        return [v for v in self.verbs if viewer.may(v.permission or self.permission(v.name)) and (v.bulk or not bulk) and (row is None or v.when is None or v.when(row))]

    def seen_by(self, viewer: Viewer) -> models.QuerySet:
        """The rows in this viewer's scope, with what the columns need from other tables."""
        found = self.rows(viewer) if self.rows else self.model.objects.seen_by(viewer)  # type: ignore[attr-defined]
        related = [column.name.rsplit(LOOKUP_SEP, 1)[0] for column in self.columns if LOOKUP_SEP in column.name and column.value is None]  # type: ignore[union-attr]
        related += [column.name for column in self.columns if self._is_key(column.name)]  # type: ignore[union-attr]
        return found.select_related(*dict.fromkeys(related)) if related else found

    # -- guessing from fields ------------------------------------------------------------------------------------

    def model_field(self, name: str) -> models.Field | None:
        """The field at the end of a path, ``None`` when there is none."""
        model, found = self.model, None
        for part in name.split(LOOKUP_SEP):
            try:
                found = model._meta.pk if part == "pk" else model._meta.get_field(part)
            except FieldDoesNotExist:
                return None
            model = found.related_model or model  # type: ignore[union-attr]
        return found  # type: ignore[return-value]

    def _is_key(self, name: str) -> bool:
        found = self.model_field(name)
        return bool(found is not None and found.is_relation and (found.many_to_one or found.one_to_one))

    def _column(self, said: str | Column) -> Column:
        column = Column(said) if isinstance(said, str) else said
        found = self.model_field(column.name) if column.value is None else None
        named = self.model_field(column.name)
        label = capfirst(column.label or (named.verbose_name if named is not None else column.name.replace("_", " ")))
        sortable = found is not None and not found.is_relation and not isinstance(found, models.JSONField | models.TextField | models.BinaryField)
        sort = column.sort if column.sort is not None else (column.name if sortable else False)
        source = self.model_field(sort) if isinstance(sort, str) else None
        choices = column.choices or (dict(found.flatchoices) if found is not None and getattr(found, "choices", None) else {})
        return replace(column, label=label, sort=sort, cell=column.cell or _cell(found), choices=choices, nullable=bool(source is not None and (source.null or (isinstance(sort, str) and LOOKUP_SEP in sort))))

    def _filter(self, said: str | Filter) -> Filter:
        one = Filter(said) if isinstance(said, str) else said
        if one.name in RESERVED:
            raise Conflict(f"{self.name} has a filter called {one.name}", why="The list's address uses that name itself.", todo="Give the filter another name and its lookup.")
        found = self.model_field(one.lookup or one.name)
        label = capfirst(one.label or (found.verbose_name if found is not None else one.name.replace("_", " ")))
        choices = one.choices
        if not choices and found is not None:
            choices = tuple(found.flatchoices) if getattr(found, "choices", None) else self._related(found) if found.is_relation else ()
        return replace(one, label=label, choices=choices, kind=one.kind or ("choice" if choices else _filter_kind(found)), lookup=one.lookup or one.name)

    def _related(self, found: models.Field) -> Callable[[Viewer], list[tuple[Any, Text]]]:
        target = found.related_model

        def options(viewer: Viewer) -> list[tuple[Any, Text]]:
            rows = target._default_manager.all()  # type: ignore[union-attr]
            rows = rows.seen_by(viewer) if hasattr(rows, "seen_by") else rows
            return [(row.pk, str(row)) for row in rows[:200]]

        return options


STATES = {"state", "status"}
"""Fields whose choices are states, shown with a mark."""

CELLS: tuple[tuple[type[models.Field], str], ...] = (
    (models.BooleanField, "yesno"), (models.DateTimeField, "time"), (models.DateField, "date"), (models.IntegerField, "number"), (models.FloatField, "number"),
    (models.DecimalField, "number"), (models.UUIDField, "code"), (models.GenericIPAddressField, "code"), (models.JSONField, "list"),
)  # fmt: skip


def _cell(found: models.Field | None) -> str:
    if found is None or getattr(found, "choices", None):
        return "badge" if found is not None and found.name in STATES else "text"
    return next((cell for kind, cell in CELLS if isinstance(found, kind)), "text")


def _filter_kind(found: models.Field | None) -> str:
    kinds = ((models.BooleanField, "boolean"), (models.DateField, "time"), (models.IntegerField, "number"), (models.FloatField, "number"), (models.DecimalField, "number"))
    return next((kind for field, kind in kinds if isinstance(found, field)), "text")
