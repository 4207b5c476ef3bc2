"""The form of a source: each kind is asked for what it needs, and for nothing else. The secret is written, never shown."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from lianfang.commons.frame.sheets import SheetForm
from lianfang.kernel.errors import Fault
from lianfang.kernel.viewer import SYSTEM
from lianfang.rooms.lake import models, queries
from lianfang.rooms.lake.types import Kind

ASKED = (Kind.KAFKA, Kind.DATABASE, Kind.POLL)
_PORT = {Kind.SYSLOG_UDP, Kind.SYSLOG_TCP, Kind.SYSLOG_TLS}
_ASKED = set(ASKED)
OF_KIND: dict[str, set[Kind]] = {
    "host": _PORT, "port": _PORT, "path": {Kind.FOLDER}, "pattern": {Kind.FOLDER},
    "address": _ASKED, "table": {Kind.KAFKA, Kind.DATABASE}, "column": {Kind.DATABASE}, "consumer_group": {Kind.KAFKA}, "begin": {Kind.KAFKA, Kind.DATABASE},
    "user": _ASKED, "login": {Kind.KAFKA, Kind.POLL}, "tls": {Kind.KAFKA, Kind.DATABASE}, "authority": _ASKED | {Kind.SYSLOG_TLS},
    "paging": {Kind.POLL}, "items": {Kind.POLL}, "next": {Kind.POLL}, "parameter": {Kind.POLL}, "every": {Kind.DATABASE, Kind.POLL}, "times": {Kind.DATABASE, Kind.POLL},
}  # fmt: skip
"""Fields that only some kinds have."""
READ = ("codec", "encoding", "header", "start", "zone", "template")
"""How the bytes of a source are read."""


class SourceForm(SheetForm):
    """Fields of other kinds are left out, unless somebody sends something in them: then the action says what is wrong."""

    secret = forms.CharField(label=_("password or token"), required=False, max_length=1000, strip=False, widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}), help_text=_("Kept sealed and never shown. Empty: as it was."))

    class Meta:
        model = models.Source
        fields = ("name", "kind", *OF_KIND, "layer", "note", *READ, "silent_after", "hold")

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        kind = self.data.get("kind") or self.initial.get("kind") or Kind.HTTP
        for name, kinds in (*OF_KIND.items(), ("secret", _ASKED)):
            if kind not in kinds and not self.data.get(name):
                del self.fields[name]
        if kind == Kind.DECOY:  # its script writes what is read
            for name in (*READ, "hold"):
                del self.fields[name]
        if "template" in self.fields:
            self._choose_template()
        if "port" in self.fields and self.instance._state.adding and not self.initial.get("port"):
            with suppress(Fault):
                self.initial["port"] = queries.next_port(kind)
        if "header" in self.fields:
            self.fields["header"].widget = forms.Textarea(attrs={"rows": 2, "class": "form-control mono", "spellcheck": "false", "aria-describedby": "id_header_help"})
        if "secret" in self.fields and "user" in self.fields:
            names = [name for name in self.fields if name != "secret"]
            names.insert(names.index("user") + 1, "secret")
            self.order_fields(names)
        if self.instance._state.adding:
            self.fields["kind"].widget.attrs |= {"hx-get": ".", "hx-trigger": "change", "hx-include": "#id_name, #id_note", "hx-target": "closest form", "hx-select": "form.form-card", "hx-swap": "outerHTML"}
        else:
            self.fields["kind"].disabled = True

    def _choose_template(self) -> None:
        """Templates are chosen by their title; one that is set and lies outside the scope stays."""
        found = queries.template_choices(viewer=self.viewer or SYSTEM)
        if (now := self.instance.template) and now not in dict(found):
            found.insert(0, (now, now))
        field = self.fields["template"]
        self.fields["template"] = forms.ChoiceField(choices=[("", _("found by itself, record by record")), *found], label=field.label, required=False, widget=forms.Select(attrs={"class": "form-select"}))
