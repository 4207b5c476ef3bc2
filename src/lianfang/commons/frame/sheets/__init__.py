"""Sheets: declare a kind of thing in a few lines; list, detail, form, bulk verbs, import, export and API follow.

    sheets.register(Sheet(
        model=models.Rule, title=_("Rules"),
        columns=("title", Column("level", cell="severity"), "enabled", "updated"),
        filters=("level", "enabled", "updated"), search=("title", "uid"), fields=("enabled",),
        order="-updated", nav=Nav("operations", _("Rules"), icon="list-check"),
        verbs=(Verb("enable", _("Enable"), actions.enable, permission="detect.rule.change", bulk=True),),
    ))

In: a ``Sheet``. Out: pages ``<room>:<kind>_list``, ``<room>:<kind>`` and their sisters, ``/api/<room>/<kind>/``;
all guarded by ``<room>.<kind>.view|add|change|delete|export`` and narrowed by ``seen_by``.
"""

from __future__ import annotations

from lianfang.commons.frame.sheets import exchange, imports, registry, rest, views
from lianfang.commons.frame.sheets.declare import SEVERITIES, Column, Filter, Onward, Sheet, Verb, linked
from lianfang.commons.frame.sheets.forms import SheetForm
from lianfang.commons.frame.sheets.question import Question
from lianfang.commons.frame.sheets.registry import forget, of, registered

__all__ = ["SEVERITIES", "Column", "Filter", "Onward", "Question", "Sheet", "SheetForm", "Verb", "forget", "linked", "of", "register", "registered"]


def register(sheet: Sheet) -> Sheet:
    """Open the pages and the API of a sheet."""
    registry.add(sheet)
    exchange.open_pages(sheet)
    imports.open_pages(sheet)
    views.open_pages(sheet)
    rest.open_api(sheet)
    return sheet
