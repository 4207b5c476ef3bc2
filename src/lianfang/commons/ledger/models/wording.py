"""What was done, in words: by the verb's translation, or by the words of the sheet it tells of.

In: the verb of a record. Out: text in the reader's language; the verb itself where nobody has words for it.
"""

from __future__ import annotations

from django.utils.translation import gettext, pgettext_lazy

DEEDS = {
    "created": pgettext_lazy("record", "created"), "added": pgettext_lazy("record", "created"), "changed": pgettext_lazy("record", "changed"),
    "removed": pgettext_lazy("record", "removed"), "exported": pgettext_lazy("record", "exported"), "imported": pgettext_lazy("record", "imported"),
}  # fmt: skip


def words(verb: str) -> str:
    """A verb as a person says it."""
    said = gettext(verb)
    if said != verb:
        return said
    from lianfang.commons.frame import sheets  # a worker writes records and reads none: it need not load the pages

    room, _dot, deed = verb.partition(".")
    kind, _line, what = deed.rpartition("_")
    sheet = next((sheet for sheet in sheets.registered() if (sheet.room, sheet.kind) == (room, kind)), None)
    return f"{sheet.singular} · {DEEDS[what]}" if sheet and what in DEEDS else verb
