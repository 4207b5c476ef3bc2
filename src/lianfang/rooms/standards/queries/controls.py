"""Controls: real settings and rules of the node that keep a clause, each looked at now; and the policies that ship.

In: the viewer. Out: for each control whether it is in force, what was seen, and where to look. A control that the node cannot
see says so: it is never counted as kept.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import yaml
from django.conf import settings
from django.db.models import F
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from lianfang.commons.ledger import queries as ledger
from lianfang.engines.masking import To
from lianfang.kernel import clock
from lianfang.kernel.errors import Fault, Invalid
from lianfang.kernel.labels import DataLevel
from lianfang.kernel.ref import Ref
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.lake import queries as lake
from lianfang.rooms.lake.queries import grading, scope, shielding
from lianfang.rooms.lake.queries.retention import LEVELS, retention
from lianfang.rooms.lake.types import EVENT_TABLES
from lianfang.rooms.standards import models
from lianfang.rooms.standards.queries.elements import elements_for
from lianfang.rooms.standards.types import Control, Deed, Progress, State

HALF_YEAR = 180
"""Days for which network logs are to be kept at least (Cybersecurity Law, article 23)."""
Seen = tuple[bool | None, str]


def _taxonomy(viewer: Viewer) -> Seen:
    items = grading.classes().items
    return bool(items), gettext("%d items with a level") % len(items)


def _grades(viewer: Viewer) -> Seen:
    number = grading.reviewed(viewer=viewer)
    return number > 0, gettext("%d columns reviewed") % number


def _masking(viewer: Viewer) -> Seen:
    low = Viewer(id="", name="", clearance=DataLevel.L1)
    return scope.readable(low, "raw") != "TRUE", gettext("content above the clearance is not shown")


def _leaving(viewer: Viewer) -> Seen:
    number = len(shielding.rules_out(To.EXPORT, viewer)) + len(shielding.rules_out(To.API, viewer))
    return number > 0, gettext("%d rules of desensitising on the way out") % number


def _retention(viewer: Viewer) -> Seen:
    policy = retention()
    least = min(policy.days(table, level) for table in EVENT_TABLES for level in LEVELS)
    return least >= HALF_YEAR, gettext("at least %d days") % least


def _transit(viewer: Viewer) -> Seen:
    ways = [way for way in lake.ways_in(viewer=viewer) if way.remote]
    plain = [way.name for way in ways if not way.encrypted]
    return not plain, gettext("not encrypted: %s") % ", ".join(plain[:5]) if plain else gettext("%d ways in over the network") % len(ways)


def _https(viewer: Viewer) -> Seen:
    return settings.PUBLIC_URL.startswith("https://"), settings.PUBLIC_URL or gettext("no public address is set")


def _exports(viewer: Viewer) -> Seen:
    return True, gettext("%d exports on record") % len(ledger.timeline(Ref("lake", "event", "search"), viewer))


def _archives(viewer: Viewer) -> Seen:
    number = models.Disposal.objects.seen_by(viewer).filter(deed=Deed.ARCHIVE, state=Progress.DONE).count()
    return number > 0, gettext("%d archives, each verified") % number


def _backup(viewer: Viewer) -> Seen:
    return None, gettext("kept outside the node; nothing here shows it")


def _keys(viewer: Viewer) -> Seen:
    loose = [path.name for path in (settings.HOME / "keys").glob("*.key") if os.stat(path).st_mode & 0o077]
    return not loose, gettext("readable by others: %s") % ", ".join(loose) if loose else gettext("keys are readable by the node alone")


def _passwords(viewer: Viewer) -> Seen:
    number = len(settings.AUTH_PASSWORD_VALIDATORS)
    return number > 0, gettext("%d rules for passwords") % number


def _elements(viewer: Viewer) -> Seen:
    number = elements_for(viewer).filter(state=State.APPROVED).count()
    return number > 0, gettext("%d elements approved") % number


def _quality(viewer: Viewer) -> Seen:
    done = models.Measuring.objects.filter(pk=1).values_list("done", flat=True).first()
    return bool(done and clock.now() - done < timedelta(hours=1)), gettext("measured within the hour") if done else gettext("never measured")


def _two_people(viewer: Viewer) -> Seen:
    done = models.Disposal.objects.seen_by(viewer).filter(state=Progress.DONE)
    alone = done.filter(asked_by=F("decided_by")).count()
    return not alone, gettext("%d deeds, each by two people") % done.count()


def _ledger(viewer: Viewer) -> Seen:
    last = ledger.last_verification()
    return bool(last and last.detail.get("ok")) if last else None, gettext("the whole record was verified") if last else gettext("the record was never verified as a whole")


def _roles(viewer: Viewer) -> Seen:
    return True, gettext("roles, scopes and clearances are asked at every question")


CONTROLS: Mapping[str, tuple[Any, Callable[[Viewer], Seen], str]] = {
    "taxonomy": (_("Classes of data"), _taxonomy, "lake:data_classes"), "grades": (_("Reviewed grades"), _grades, "lake:grade_list"), "masking": (_("Masks by level"), _masking, ""), "leaving": (_("Desensitising on the way out"), _leaving, ""),
    "retention": (_("Retention"), _retention, "lake:catalogue"), "roles": (_("Roles and scopes"), _roles, ""), "passwords": (_("Passwords"), _passwords, ""), "transit": (_("Encrypted ways in"), _transit, "lake:source_list"),
    "https": (_("Encrypted connection of users"), _https, ""), "exports": (_("Exports on record"), _exports, ""), "archives": (_("Archives"), _archives, "standards:disposal_list"), "backup": (_("Backup of the node"), _backup, ""),
    "keys": (_("Keys of the node"), _keys, ""), "elements": (_("Data elements"), _elements, "standards:element_list"), "quality": (_("Data quality"), _quality, "standards:quality"), "two_people": (_("Two people for every end"), _two_people, "standards:disposal_list"),
    "ledger": (_("The ledger holds"), _ledger, "ledger:record_list"),
}  # fmt: skip
"""Key → name, what looks, and the page where it is kept."""


def control(key: str, *, viewer: Viewer) -> Control:
    """A control as it stands now; one that cannot be looked at is not in force, and says why."""
    label, look, page = CONTROLS[key]
    try:
        holds, said = look(viewer)
    except Fault as fault:
        holds, said = False, str(fault)
    return Control(key, str(label), holds, said, page)


def shipped_policies() -> list[dict[str, Any]]:
    """The policies that ship with the node, as values of ``models.Policy``; raises ``Invalid``."""
    path = settings.CONTENT / "standards/policies.yaml"
    try:
        return list(yaml.safe_load(path.read_text("utf-8"))["policies"])
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise Invalid("The policies cannot be read", why=str(error), todo=f"Mend {path.name}.") from error
