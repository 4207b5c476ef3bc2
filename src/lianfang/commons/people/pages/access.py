"""Invite a user, give a new one-time password, make a key, and see which role may do what."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from django import forms
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache

from lianfang.commons.frame import pages, sheets
from lianfang.commons.people import actions, models, queries
from lianfang.commons.people.pages.lists import Lines
from lianfang.commons.people.types import Axis, covers
from lianfang.kernel.errors import Fault
from lianfang.kernel.viewer import Viewer

VERBS = {"view": _("see"), "add": _("add"), "change": _("change"), "delete": _("delete"), "export": _("export")}
OURS = {"sealing.change": _("make a new key, retire an older one"), "organisation.move": _("move in the tree"), "user.add": _("invite"), "user.reset": _("give a new one-time password"), "key.add": _("make"), "key.delete": _("revoke")}
"""What our actions ask for beside the sheets."""


class Narrowed(forms.Form):
    """A form whose choices are what the viewer sees."""

    def __init__(self, *args: Any, viewer: Viewer, **kwargs: Any):
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            field.widget.attrs.setdefault("class", "form-select" if isinstance(field.widget, forms.Select) else "form-control")
            if hasattr(getattr(field, "queryset", None), "seen_by"):
                field.queryset = field.queryset.seen_by(viewer)


class Invitation(Narrowed):
    name = forms.CharField(label=_("Name"), max_length=80)
    username = forms.CharField(label=_("User name"), max_length=60, help_text=_("Letters, digits and . _ @ + -; never to be changed."))
    organisation = forms.ModelChoiceField(models.Organisation.objects.all(), label=_("Organisation"))
    email = forms.EmailField(label=_("Email"), required=False)
    phone = forms.CharField(label=_("Phone"), max_length=32, required=False)
    role = forms.ModelChoiceField(models.Role.objects.all(), label=_("Role"), required=False)
    over = forms.ModelChoiceField(models.Organisation.objects.all(), label=_("Scope"), required=False, help_text=_("Empty: over the user's own organisation and everything below it."))
    axis = forms.ChoiceField(label=_("Which tree"), choices=[(axis.value, axis.label) for axis in Axis])
    kind = forms.ChoiceField(label=_("Kind"), choices=[(models.User.PERSON, _("person")), (models.User.SERVICE, _("service account"))], help_text=_("A service account never logs in; it comes with a key."))


class NewKeyForm(Narrowed):
    name = forms.CharField(label=_("Name"), max_length=80, help_text=_("What it is for: the program and the machine."))
    user = forms.ModelChoiceField(models.User.objects.filter(is_active=True), label=_("Acts for"))
    over = forms.ModelChoiceField(models.Organisation.objects.all(), label=_("Scope"), required=False, help_text=_("Empty: over the user's own organisation and everything below it."))
    permissions = Lines(label=_("Permissions"), initial="lake.event.add", help_text=_("One per line: room.kind.verb; any part may be *. Example: detect.*.view"))
    until = forms.DateTimeField(label=_("Until"), required=False, widget=forms.DateTimeInput(attrs={"type": "datetime-local", "class": "form-control"}))


@pages.page("users/invite/", name="user_invite", permission="people.user.add", title=_("Invite a user"), parent="user_list")
@never_cache
def user_invite(request: HttpRequest) -> HttpResponse:
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    form = Invitation(request.POST or None, viewer=viewer, initial={"organisation": request.GET.get("organisation", viewer.organisation)})
    invited = _told(form, lambda: _invite(form.cleaned_data, actor=viewer)) if request.method == "POST" and form.is_valid() else None
    return pages.show(request, "people/invite.html", {"form": form, "invited": invited}, status=422 if form.errors else 200)


@pages.page("users/<uuid:pk>/reset/", name="user_reset", permission="people.user.reset", title=_("New one-time password"), parent="user_list")
@never_cache
def user_reset(request: HttpRequest, pk: Any) -> HttpResponse:
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    person = queries.person(pk, viewer)
    password = actions.reset_password(pk, actor=viewer) if request.method == "POST" else ""
    return pages.show(request, "people/reset.html", {"person": person, "password": password})


@pages.page("users/<uuid:pk>/drop-factor/", name="user_drop_factor", permission="people.user.reset", title=_("Drop second factor"), parent="user_list")
def user_drop_factor(request: HttpRequest, pk: Any) -> HttpResponse:
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    if request.method == "POST":
        actions.drop_second_factor(pk, actor=viewer)
        return redirect("people:user", pk=pk)
    return pages.show(request, "people/drop_factor.html", {"person": queries.person(pk, viewer)})


@pages.page("keys/new/", name="key_new", permission="people.key.add", title=_("New key"), parent="key_list")
@never_cache
def key_new(request: HttpRequest) -> HttpResponse:
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    form = NewKeyForm(request.POST or None, viewer=viewer, initial={"user": request.GET.get("user", viewer.id)})
    key = _told(form, lambda: _make_key(form.cleaned_data, actor=viewer)) if request.method == "POST" and form.is_valid() else None
    return pages.show(request, "people/key_new.html", {"form": form, "key": key, "header": f"Authorization: {key.header}" if key else ""}, status=422 if form.errors else 200)


@pages.page("permissions/", name="permissions", permission="people.role.view", title=_("Who may do what"), nav=pages.Nav("administration", _("Who may do what"), order=35, icon="table-options"))
def permissions(request: HttpRequest) -> HttpResponse:
    """Every permission of the open rooms against every role."""
    roles = list(models.Role.objects.all())
    groups = [(title, [(said, permission, [covers(role.permissions, permission) for role in roles]) for permission, said in found]) for title, found in known_permissions()]
    return pages.show(request, "people/permissions.html", {"roles": roles, "groups": groups, "columns": len(roles) + 1})


def known_permissions() -> list[tuple[Any, list[tuple[str, Any]]]]:
    """What pages, sheets and their verbs of the open rooms ask for, in words: ``[(kind, [(permission, words)])]``."""
    found: dict[str, Any] = {f"people.{deed}": said for deed, said in OURS.items()}
    titles: dict[str, Any] = {}
    for sheet in sheets.registered():
        titles[sheet.name] = sheet.title
        possible = {"view": True, "add": sheet.creates, "change": sheet.changes, "delete": sheet.removes, "export": True}
        found |= {sheet.permission(verb): VERBS[verb] for verb, can in possible.items() if can}
        found |= {name: verb.label for verb in sheet.verbs if (name := verb.permission or sheet.permission(verb.name)) not in found}
    for page in pages.registered():
        if page.nav and page.permission:
            titles.setdefault(page.permission.rpartition(".")[0], page.title)
        if page.permission and page.permission not in found:
            found[page.permission] = page.label or VERBS.get(page.permission.rsplit(".", 1)[-1], "")
    kinds: dict[str, list[tuple[str, Any]]] = defaultdict(list)
    for permission, said in found.items():
        kinds[permission.rpartition(".")[0]].append((permission, said))
    return [(titles.get(kind, kind), kinds[kind]) for kind in sorted(kinds)]


@transaction.atomic
def _invite(values: dict[str, Any], *, actor: Viewer) -> Any:
    """The user and the first grant together, or neither."""
    role, over, axis = values.pop("role"), values.pop("over"), values.pop("axis")
    home = values.pop("organisation")
    invited = actions.create_user(values.pop("username"), organisation=home.pk, actor=actor, **values)
    if role is not None:
        actions.grant(invited.person.id, role=role.pk, over=(over or home).pk, axis=axis, actor=actor)
    return invited


def _make_key(values: dict[str, Any], *, actor: Viewer) -> Any:
    over = values["over"]
    return actions.make_key(values["name"], permissions=values["permissions"], user=values["user"].pk, over=over.pk if over else None, until=values["until"], actor=actor)


def _told(form: forms.Form, deed: Any) -> Any:
    """The deed's value; a fault becomes an error of the form, beside its field when it names one."""
    try:
        return deed()
    except Fault as fault:
        field = next((name for name in fault.details if name in form.fields), None)
        form.add_error(field, str(fault))
        return None
