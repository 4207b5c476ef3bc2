"""Mappings that people of this node made, every version of them, and samples of logs that somebody is looking at."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from lianfang.commons.frame.scoped import Scoped
from lianfang.kernel import clock
from lianfang.kernel.ids import new_id
from lianfang.kernel.ref import Ref


class Mapping(Scoped):
    """A mapping template of the node's own; ``text`` is the YAML of ``content/mappings``, with its samples. It maps the sources that name it, and no others."""

    name = models.CharField(_("name"), max_length=80, unique=True)
    title = models.CharField(_("title"), max_length=200, blank=True)
    text = models.TextField(_("template"))
    version = models.PositiveIntegerField(_("version"), default=1)
    samples = models.PositiveIntegerField(_("samples"), default=0)
    changed = models.DateTimeField(_("changed"), default=clock.now)
    changed_by = models.CharField(_("changed by"), max_length=120, blank=True)

    class Meta:
        verbose_name = _("mapping")
        verbose_name_plural = _("mappings")
        ordering = ("name",)

    def __str__(self) -> str:
        return self.title or self.name

    @property
    def ref(self) -> Ref:
        return Ref("lake", "mapping", str(self.pk))


class MappingVersion(models.Model):
    """What a mapping was; versions are never changed."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    mapping = models.ForeignKey(Mapping, models.CASCADE, related_name="versions")
    version = models.PositiveIntegerField()
    text = models.TextField()
    moment = models.DateTimeField(default=clock.now)
    by = models.CharField(max_length=120, blank=True)

    class Meta:
        ordering = ("-version",)
        constraints = (models.UniqueConstraint(fields=["mapping", "version"], name="lake_mapping_version_once"),)


class Trial(Scoped):
    """Bytes that a person pasted or uploaded to make a source of, and what was chosen so far; forgotten after a day.

    ``person`` is the id of whoever brought it: nobody else sees it. ``source`` names the source that is mended with it.
    """

    person = models.CharField(max_length=40, db_index=True)
    name = models.CharField(max_length=120, blank=True)
    content = models.BinaryField()
    setup = models.JSONField(default=dict)
    source = models.CharField(max_length=60, blank=True, default="")
    created = models.DateTimeField(default=clock.now, db_index=True)
