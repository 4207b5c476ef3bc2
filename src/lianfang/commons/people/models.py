"""Tables of people: organisations in two trees, users, roles, grants, keys, and what guards a login.

Paths are digits only, ``WIDTH`` per level. A seat (the last ``WIDTH`` digits) is handed out by the parent's counter and
never again, so that a path which somebody still remembers can never come to mean another organisation.
"""

from __future__ import annotations

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.db import models
from django.utils.translation import gettext_lazy as _

from lianfang.commons.frame.scoped import Scoped, ScopedQuerySet
from lianfang.commons.people.types import Axis, Kind
from lianfang.kernel import clock
from lianfang.kernel.ids import new_id
from lianfang.kernel.labels import DataLevel
from lianfang.kernel.ref import Ref

LEVELS = [(level.value, level.name) for level in DataLevel]


class Organisation(Scoped):
    """A unit with its seat in the territorial tree, and perhaps one in the industry tree (条块结合)."""

    name = models.CharField(_("name"), max_length=120)
    short_name = models.CharField(_("short name"), max_length=40, blank=True)
    kind = models.CharField(_("kind"), max_length=20, choices=[(kind.value, kind.label) for kind in Kind], default=Kind.MEMBER.value)
    code = models.CharField(_("organisation code"), max_length=40, blank=True, help_text=_("Unified social credit code, or another number it is known by."))
    parent = models.ForeignKey("self", models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("above it, by territory"))
    industry_parent = models.ForeignKey("self", models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("above it, by industry"))
    territory_seats = models.PositiveIntegerField(default=0, editable=False)
    industry_seats = models.PositiveIntegerField(default=0, editable=False)
    created = models.DateTimeField(_("created"), default=clock.now, editable=False)

    class Meta:
        verbose_name = _("organisation")
        verbose_name_plural = _("organisations")
        ordering = ("territory",)
        constraints = (models.UniqueConstraint(fields=["territory"], name="people_organisation_seat"),)

    def __str__(self) -> str:
        return self.short_name or self.name

    @property
    def ref(self) -> Ref:
        return Ref("people", "organisation", str(self.pk))


class Former(models.Model):
    """A path that an organisation had before it was moved. What was recorded under it stays visible to the organisation and those above it now."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation = models.ForeignKey(Organisation, models.CASCADE, related_name="+")
    axis = models.CharField(max_length=10)
    path = models.CharField(max_length=60)
    created = models.DateTimeField(default=clock.now)

    class Meta:
        ordering = ("created", "id")


class UserManager(BaseUserManager.from_queryset(ScopedQuerySet)):  # type: ignore[misc]
    """Users, narrowed by scope like every other row; a user name means the same in any case."""

    def get_by_natural_key(self, username: str | None) -> User:
        return self.get(username=(username or "").strip().lower())


class User(AbstractBaseUser, Scoped):
    """A person, or a service account that only ever comes with a key. It belongs to one organisation."""

    PERSON, SERVICE = "person", "service"

    organisation = models.ForeignKey(Organisation, models.PROTECT, related_name="+", verbose_name=_("organisation"))
    username = models.CharField(_("user name"), max_length=60, unique=True)
    name = models.CharField(_("name"), max_length=80)
    email = models.EmailField(_("email"), blank=True)
    phone = models.CharField(_("phone"), max_length=32, blank=True)
    kind = models.CharField(_("kind"), max_length=10, choices=[(PERSON, _("person")), (SERVICE, _("service account"))], default=PERSON)
    language = models.CharField(_("language"), max_length=10, choices=[("zh-hans", "简体中文"), ("en", "English")], default="zh-hans")
    is_active = models.BooleanField(_("active"), default=True)
    must_change_password = models.BooleanField(_("must change password"), default=False, editable=False)
    password_changed = models.DateTimeField(_("password changed"), null=True, editable=False)
    created = models.DateTimeField(_("created"), default=clock.now, editable=False)

    USERNAME_FIELD = "username"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS = ("name", "organisation")

    objects = UserManager()

    class Meta:
        verbose_name = _("user")
        verbose_name_plural = _("users")
        ordering = ("username",)

    def __str__(self) -> str:
        return self.name or self.username

    @property
    def ref(self) -> Ref:
        return Ref("people", "user", str(self.pk))


class PastPassword(models.Model):
    """A password that was in use, hashed; it may not come back soon."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    user = models.ForeignKey(User, models.CASCADE, related_name="+")
    encoded = models.CharField(max_length=128)
    created = models.DateTimeField(default=clock.now)

    class Meta:
        ordering = ("-created", "-id")


class Attempt(models.Model):
    """Failed logins under one name, whether or not anybody is called so: the answer must not tell."""

    digest = models.CharField(primary_key=True, max_length=64)
    failures = models.PositiveIntegerField(default=0)
    since = models.DateTimeField(db_index=True)
    locked_until = models.DateTimeField(null=True)


class Role(models.Model):
    """What a function may do: permissions ``room.kind.verb`` with ``*`` parts, and the page it lands on."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    key = models.SlugField(_("identifier"), max_length=40, unique=True)
    name = models.CharField(_("name"), max_length=80)
    about = models.CharField(_("what it is for"), max_length=300, blank=True)
    permissions = models.JSONField(_("permissions"), default=list)
    landing = models.CharField(_("landing page"), max_length=80, blank=True)
    clearance = models.PositiveSmallIntegerField(_("clearance"), choices=LEVELS, default=DataLevel.L2.value)
    second_factor = models.BooleanField(_("second factor required"), default=False)
    built_in = models.BooleanField(_("built in"), default=False, editable=False)

    class Meta:
        verbose_name = _("role")
        verbose_name_plural = _("roles")
        ordering = ("key",)

    def __str__(self) -> str:
        return str(_(self.name)) if self.built_in else self.name

    def said_about(self) -> str:
        """What it is for, in the reader's language as far as we wrote it."""
        return str(_(self.about)) if self.built_in and self.about else self.about

    @property
    def ref(self) -> Ref:
        return Ref("people", "role", str(self.pk))


class Grant(Scoped):
    """A user holds a role over one organisation and everything below it on one axis. The row is the user's organisation's."""

    user = models.ForeignKey(User, models.CASCADE, related_name="+", verbose_name=_("user"))
    role = models.ForeignKey(Role, models.PROTECT, related_name="+", verbose_name=_("role"))
    over = models.ForeignKey(Organisation, models.PROTECT, related_name="+", verbose_name=_("scope"))
    axis = models.CharField(_("axis"), max_length=10, choices=[(axis.value, axis.label) for axis in Axis], default=Axis.TERRITORY.value)
    until = models.DateTimeField(_("until"), null=True, blank=True)
    created = models.DateTimeField(_("created"), default=clock.now, editable=False)

    class Meta:
        verbose_name = _("grant")
        verbose_name_plural = _("grants")
        ordering = ("-created", "-id")
        constraints = (models.UniqueConstraint(fields=["user", "role", "over", "axis"], name="people_grant_once"),)

    def __str__(self) -> str:
        return f"{self.user} · {self.role} · {self.over}"

    @property
    def ref(self) -> Ref:
        return Ref("people", "grant", str(self.pk))


class Key(Scoped):
    """An API key. The secret is shown once; the row holds its keyed digest only."""

    user = models.ForeignKey(User, models.CASCADE, related_name="+", verbose_name=_("acts for"))
    code = models.CharField(_("key ID"), max_length=20, unique=True, editable=False)
    name = models.CharField(_("name"), max_length=80)
    digest = models.CharField(max_length=64, editable=False)
    permissions = models.JSONField(_("permissions"), default=list)
    over = models.ForeignKey(Organisation, models.PROTECT, related_name="+", verbose_name=_("scope"))
    axis = models.CharField(_("axis"), max_length=10, choices=[(axis.value, axis.label) for axis in Axis], default=Axis.TERRITORY.value)
    until = models.DateTimeField(_("until"), null=True, blank=True)
    created = models.DateTimeField(_("created"), default=clock.now, editable=False)
    last_used = models.DateTimeField(_("last used"), null=True, editable=False)
    revoked = models.DateTimeField(_("revoked"), null=True, editable=False)

    class Meta:
        verbose_name = _("API key")
        verbose_name_plural = _("API keys")
        ordering = ("-created", "-id")

    def __str__(self) -> str:
        return f"{self.name} ({self.code})"

    @property
    def ref(self) -> Ref:
        return Ref("people", "key", str(self.pk))


class Reach(models.Model):
    """How a person wants to be told beyond the bell: by mail to their own address, by a webhook, from which severity on.

    ``webhook`` lies sealed: such addresses carry a token.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    user = models.OneToOneField(User, models.CASCADE, related_name="reach")
    mail = models.BooleanField(_("by mail"), default=False)
    webhook = models.CharField(max_length=1000, blank=True, default="", editable=False)
    place = models.CharField(max_length=200, blank=True, default="", editable=False)
    least = models.PositiveSmallIntegerField(_("from this severity on"), choices=((5, _("critical")), (4, _("high")), (3, _("medium")), (2, _("low"))), default=4)
    sent = models.DateTimeField(_("last sent"), null=True, editable=False)
    failed = models.CharField(_("last failure"), max_length=300, blank=True, default="", editable=False)
    changed = models.DateTimeField(default=clock.now, editable=False)

    def __str__(self) -> str:
        return str(self.user)


class Generation(models.Model):
    """One generation of the node's sealing key: the file lies beside the database, this row says since when and what became of it. Numbers are given once."""

    number = models.PositiveIntegerField(_("generation"), primary_key=True)
    key = models.CharField(_("key"), max_length=8, editable=False)
    made = models.DateTimeField(_("made"), default=clock.now, editable=False)
    made_by = models.CharField(_("made by"), max_length=120, default="", editable=False)
    retired = models.DateTimeField(_("retired"), null=True, editable=False)
    forgotten = models.DateTimeField(_("given up"), null=True, editable=False)
    ended_by = models.CharField(max_length=120, default="", editable=False)

    class Meta:
        verbose_name = _("sealing key")
        verbose_name_plural = _("sealing keys")
        ordering = ("-number",)

    def __str__(self) -> str:
        return str(self.number)

    @property
    def ref(self) -> Ref:
        return Ref("people", "generation", str(self.number))
