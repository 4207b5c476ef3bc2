"""The lists: organisations, users, roles, grants, keys."""

from __future__ import annotations

from typing import Any

from django import forms
from django.db import transaction
from django.urls import reverse_lazy
from django.utils.functional import lazy
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from lianfang.commons.frame import sheets
from lianfang.commons.frame.pages import Nav
from lianfang.commons.frame.sheets import Column, Filter, Sheet, SheetForm, Verb
from lianfang.commons.people import actions, models
from lianfang.kernel.labels import DataLevel
from lianfang.kernel.viewer import Viewer


class Lines(forms.CharField):
    """A list of short texts, one per line."""

    widget = forms.Textarea(attrs={"rows": 6, "class": "form-control font-monospace", "spellcheck": "false"})

    def clean(self, value: Any) -> list[str]:
        text = "\n".join(value) if isinstance(value, list) else value
        return sorted({line.strip() for line in str(super().clean(text)).replace(",", "\n").splitlines() if line.strip()})

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list) else value


def _linked(about: Any, page: str, words: Any) -> Any:
    """A sentence above a list, and the page that makes what is in it."""
    return lazy(lambda: format_html('{} <a href="{}">{}</a>', about, reverse_lazy(page), words), SafeString)()


# ---- organisations ---------------------------------------------------------------------------------------------


def _add_organisation(values: dict[str, Any], *, actor: Viewer) -> models.Organisation:
    parent, beside = values.pop("parent", None), values.pop("industry_parent", None)
    unit = actions.create_organisation(values.pop("name"), parent=parent.pk if parent else actor.organisation, industry_parent=beside.pk if beside else None, actor=actor, **values)
    return models.Organisation.objects.get(pk=unit.id)


class OrganisationForm(SheetForm):
    """A place in a tree that lies outside the viewer's scope is not theirs to change: it is left out."""

    class Meta:
        model = models.Organisation
        fields = ("name", "short_name", "kind", "code", "parent", "industry_parent")

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        for name in ("parent", "industry_parent"):
            held = getattr(self.instance, f"{name}_id")
            if not self.instance._state.adding and (self.instance.parent_id is None or (held and not self.fields[name].queryset.filter(pk=held).exists())):
                del self.fields[name]


@transaction.atomic
def _change_organisation(row: models.Organisation, values: dict[str, Any], *, actor: Viewer) -> models.Organisation:
    """The form shows both places in the trees; changing one moves the organisation with everything below it."""
    for field, axis in (("parent", "territory"), ("industry_parent", "industry")):
        if field in values:
            target = values.pop(field)
            if (target.pk if target else None) != getattr(row, f"{field}_id"):
                actions.move_organisation(row.pk, under=target.pk if target else None, axis=axis, actor=actor)
    if values:
        actions.change_organisation(row.pk, actor=actor, **values)
    return models.Organisation.objects.get(pk=row.pk)


sheets.register(
    Sheet(
        model=models.Organisation,
        title=_("Organisations"),
        columns=("name", "short_name", "kind", "code", "parent", "industry_parent", "created"),
        filters=("kind", "created"),
        search=("name", "short_name", "code"),
        fields=("name", "short_name", "kind", "code", "parent", "industry_parent"),
        order="territory",
        nav=Nav("administration", _("Organisations"), order=10, icon="sitemap"),
        create=_add_organisation,
        change=_change_organisation,
        remove=lambda row, *, actor: actions.remove_organisation(row.pk, actor=actor),
        form=OrganisationForm,
        template="people/detail.html",
        about=_("Every organisation has a seat in the territorial tree and may have one in the industry tree; who holds a role over one sees everything below it."),
    )
)


# ---- users -----------------------------------------------------------------------------------------------------


def _change_user(row: models.User, values: dict[str, Any], *, actor: Viewer) -> None:
    home = values.pop("organisation", None)
    actions.change_user(row.pk, actor=actor, organisation=home.pk if home else None, **values)


sheets.register(
    Sheet(
        model=models.User,
        title=_("Users"),
        columns=("name", "username", "organisation", "email", "kind", "is_active", "last_login", Column("phone", shown=False), Column("created", shown=False)),
        filters=("organisation", "kind", "is_active", "last_login"),
        search=("name", "username", "email"),
        fields=("name", "organisation", "email", "phone", "language"),
        order="username",
        nav=Nav("administration", _("Users"), order=20, icon="users"),
        create=False,
        template="people/detail.html",
        about=_linked(_("Who may come in. A user without a role sees nothing."), "people:user_invite", _("Invite a user")),
        change=_change_user,
        remove=False,
        verbs=(
            Verb("deactivate", _("Deactivate"), lambda row, *, actor: actions.deactivate(row.pk, actor=actor), permission="people.user.change", bulk=True, danger=True, icon="user-off", when=lambda row: row.is_active,
                 confirm=_("The user loses all access at once. Go on?")),
            Verb("activate", _("Activate"), lambda row, *, actor: actions.activate(row.pk, actor=actor), permission="people.user.change", bulk=True, icon="user-check", when=lambda row: not row.is_active),
        ),
    )
)  # fmt: skip


# ---- roles -----------------------------------------------------------------------------------------------------


class RoleForm(SheetForm):
    permissions = Lines(label=_("Permissions"), help_text=_("One per line: room.kind.verb; any part may be *. Example: detect.*.view"))

    class Meta:
        model = models.Role
        fields = ("key", "name", "about", "permissions", "landing", "clearance", "second_factor")


def _add_role(values: dict[str, Any], *, actor: Viewer) -> models.Role:
    ref = actions.create_role(values.pop("key"), actor=actor, **values)
    return models.Role.objects.get(pk=ref.id)


sheets.register(
    Sheet(
        model=models.Role,
        title=_("Roles"),
        columns=(Column("name", label=_("name"), value=str), Column("about", label=_("what it is for"), value=models.Role.said_about), "key", "clearance", "second_factor", "built_in", Column("permissions", shown=False)),
        filters=("built_in",),
        search=("name", "key"),
        fields=("key", "name", "about", "permissions", "landing", "clearance", "second_factor"),
        order="key",
        nav=Nav("administration", _("Roles"), order=30, icon="id-badge-2"),
        create=_add_role,
        change=lambda row, values, *, actor: actions.change_role(row.pk, actor=actor, **values),
        remove=lambda row, *, actor: actions.remove_role(row.pk, actor=actor),
        rows=lambda viewer: models.Role.objects.all() if viewer.permissions else models.Role.objects.none(),
        form=RoleForm,
        verbs=(Verb("copy", _("Copy"), lambda row, *, actor: copy_role(row, actor=actor), permission="people.role.add", icon="copy"),),
        importable=False,
        about=_("Built-in roles mean the same on every node. Copy one to make another of it."),
    )
)


def copy_role(row: models.Role, *, actor: Viewer) -> None:
    """A role of this node's own, to be changed."""
    number = models.Role.objects.filter(key__startswith=f"{row.key}_").count() + 1
    actions.create_role(f"{row.key}_{number}", name=f"{row} {number}", about=row.about, permissions=row.permissions, landing=row.landing, clearance=DataLevel(row.clearance), second_factor=row.second_factor, actor=actor)


# ---- grants ----------------------------------------------------------------------------------------------------


def _add_grant(values: dict[str, Any], *, actor: Viewer) -> models.Grant:
    ref = actions.grant(values["user"].pk, role=values["role"].pk, over=values["over"].pk, axis=values["axis"], until=values.get("until"), actor=actor)
    return models.Grant.objects.get(pk=ref.id)


sheets.register(
    Sheet(
        model=models.Grant,
        title=_("Grants"),
        columns=("user", "role", "over", "axis", "until", "created"),
        filters=("user", "role", "over", "axis"),
        search=("user__name", "user__username", "over__name"),
        fields=("user", "role", "over", "axis", "until"),
        order="-created",
        nav=Nav("administration", _("Grants"), order=40, icon="key"),
        create=_add_grant,
        change=False,
        remove=lambda row, *, actor: actions.revoke(row.pk, actor=actor),
        about=_("A user holds a role over one organisation and everything below it."),
    )
)


# ---- keys ------------------------------------------------------------------------------------------------------


sheets.register(
    Sheet(
        model=models.Key,
        title=_("API keys"),
        columns=("name", "code", "user", "over", Column("permissions", sort=False), "until", "last_used", "created", Column("revoked", label=_("Revoked"))),
        filters=("user", Filter("revoked", label=_("Revoked"), kind="time"), "until"),
        search=("name", "code", "user__name"),
        order="-created",
        about=_linked(_("A key lets a program act for a user, within what both may."), "people:key_new", _("New key")),
        nav=Nav("administration", _("API keys"), order=50, icon="api"),
        verbs=(Verb("revoke", _("Revoke"), lambda row, *, actor: actions.revoke_key(row.pk, actor=actor), permission="people.key.delete", bulk=True, danger=True, icon="ban", when=lambda row: row.revoked is None,
                    confirm=_("Whoever uses this key is refused within five seconds. Go on?")),),
        empty=(_("No keys yet"), _("Programs send data and ask questions with an API key."), reverse_lazy("people:key_new"), _("New key")),
    )
)  # fmt: skip
