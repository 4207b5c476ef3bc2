"""What a column's name and comment say: whole words of the dictionary, however the name is written.

In: ``custMobileNo``, ``CUST_MOBILE_NO``, ``khsjh``, ``客户手机号``. Out: the roots of the dictionary that stand in it, and how
much of the name they explain. A root counts as whole words only, so that YEAR_CODE does not speak of a card's code.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[\u4e00-\u9fff]+")
_CHINESE = re.compile(r"[\u4e00-\u9fff]")
LONGEST = 4
"""Words of the longest root."""
_PLAIN = frozenset(("no", "num", "number", "id", "code", "the", "of", "value", "text", "col", "column", "field", "t", "f", "c"))
"""Words that explain nothing alone and cost nothing when unexplained."""
_ABOUT = frozenset(("flag", "type", "status", "state", "count", "cnt", "len", "length", "format", "kind", "is", "has", "verified", "updated", "lx", "zt", "bz"))
_ABOUT_ZH = ("类型", "类别", "标志", "状态", "数量", "个数", "长度", "格式", "是否", "说明", "方式")
"""A name that ends so tells something about the thing, not the thing itself: phone_type, 证件类型."""


@dataclass(frozen=True, slots=True)
class Said:
    """An item that a name speaks of: by which root, and how much of the name the root explains (0 … 1)."""

    item: str
    root: str
    share: float


def words(name: str) -> list[str]:
    """The words of a name in small letters.

    >>> words("custMobileNo"), words("CUST_ID2"), words("客户ID")
    (['cust', 'mobile', 'no'], ['cust', 'id', '2'], ['客户', 'id'])
    """
    return [word.lower() for word in _WORD.findall(name)]


class Dictionary:
    """Roots → items. Chinese roots may stand anywhere, others must be whole words."""

    def __init__(self, roots: Mapping[str, Iterable[str]]):
        """``roots``: item → its roots; the words of one root are joined by ``_``."""
        self._words: dict[tuple[str, ...], list[str]] = {}
        self._chinese: dict[str, list[str]] = {}
        for item, each in roots.items():
            for root in each:
                if _CHINESE.search(root):
                    self._chinese.setdefault(root, []).append(item)
                else:
                    self._words.setdefault(tuple(words(root)), []).append(item)

    def look(self, name: str) -> list[Said]:
        """What the name speaks of, the best explained first; a longer root hides a shorter one inside it."""
        said = words(name)
        found = [*self._by_words(said), *self._by_text(name)]
        about = bool(said and (said[-1] in _ABOUT or said[0] in ("is", "has"))) or name.rstrip("（()）").endswith(_ABOUT_ZH) or name.startswith("是否")
        return sorted((Said(one.item, one.root, one.share * (0.25 if about else 1)) for one in found), key=lambda one: (-one.share, one.item))

    def _by_words(self, said: list[str]) -> list[Said]:
        told = max(1, sum(1 for word in said if word not in _PLAIN and not word.isdigit()))
        taken: set[int] = set()
        found: list[Said] = []
        for width in range(min(LONGEST, len(said)), 0, -1):
            for start in range(len(said) - width + 1):
                places = range(start, start + width)
                items = self._words.get(tuple(said[start : start + width]), ())
                if items and not taken.issuperset(places):
                    taken.update(places)
                    own = sum(1 for at in places if said[at] not in _PLAIN) or 1
                    found += [Said(item, "_".join(said[start : start + width]), min(1.0, own / told)) for item in items]
        return found

    def _by_text(self, name: str) -> list[Said]:
        signs = len(_CHINESE.findall(name))
        roots = sorted((root for root in self._chinese if root in name), key=len, reverse=True) if signs else []
        kept: list[str] = []
        for root in roots:
            if not any(root in longer for longer in kept):
                kept.append(root)
        return [Said(item, root, min(1.0, len(_CHINESE.findall(root)) / signs)) for root in kept for item in self._chinese[root]]
