"""Devices that looked at decoy pages, as far as their events may be read.

In: the viewer and since when. Out: one line for each digest, the latest first.
"""

from __future__ import annotations

from datetime import datetime

from lianfang.kernel.viewer import Viewer
from lianfang.rooms.lake.queries import searching
from lianfang.rooms.lake.types import Device

TEMPLATE = "honeypot.decoy"
ASKED = f"""SELECT event_code AS device, min(time) AS first, max(time) AS last, count(*) AS visits,
list(DISTINCT src_ip) AS addresses, list(DISTINCT url) AS pages, list(DISTINCT source) AS sources, arg_max(message, time) AS summary, arg_max(user_agent, time) AS agent
FROM events WHERE template = '{TEMPLATE}' AND event_code IS NOT NULL GROUP BY event_code ORDER BY last DESC, device"""  # noqa: S608 - a constant
MOST = 200


def devices(*, viewer: Viewer, since: datetime) -> tuple[list[Device], bool]:
    """At most ``MOST`` devices, and whether there are more."""
    answer = searching.sql(ASKED, viewer=viewer, since=since, limit=MOST)
    return [Device(name, first, last, visits, _sorted(addresses), _sorted(pages), _sorted(sources), summary or "", agent or "") for name, first, last, visits, addresses, pages, sources, summary, agent in answer.rows], answer.cut


def _sorted(values: list[str | None] | None) -> tuple[str, ...]:
    return tuple(sorted(filter(None, values or ())))
