"""Where a thing is shown: from a reference to the path of its page.

Apart from the pages, which need every room's doors loaded: whoever only points at a thing keeps the reference, and whoever shows it asks here.
"""

from __future__ import annotations

from uuid import UUID

from django.urls import NoReverseMatch, reverse

from lianfang.kernel.ref import Ref


def path_of(ref: Ref) -> str:
    """The path of its page on this node; empty where it has none."""
    try:
        return reverse(f"{ref.room}:{ref.kind}", kwargs={"pk": UUID(ref.id)})
    except (NoReverseMatch, ValueError):
        return ""
