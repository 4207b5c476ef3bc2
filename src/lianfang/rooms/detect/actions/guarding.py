"""Who may change what belongs to the whole node: rules and packs look at everybody's logs."""

from __future__ import annotations

from django.utils.translation import gettext as _

from lianfang.kernel.errors import Refused
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.lake import queries as lake


def must_for_node(actor: Viewer, permission: str) -> None:
    """Raise ``Refused`` unless the actor holds ``permission`` and sees the whole node."""
    actor.must(permission)
    if not actor.sees_node:
        raise Refused(_("You may not change this for the whole node"), why=_("Rules and packs serve every organisation; your scope is a part of it."), todo=_("Switch rules for your own sources, or ask an administrator of the whole node."))


def must_for_source(actor: Viewer, permission: str, source: str) -> None:
    """Raise ``Refused`` unless the actor holds ``permission`` and the source lies in their scope."""
    actor.must(permission)
    if not actor.sees_node and source not in lake.source_names(viewer=actor):
        raise Refused(_("This source is not yours"), why=_("It does not exist, or it lies outside your scope."), todo=_("Choose one of your own sources."))
