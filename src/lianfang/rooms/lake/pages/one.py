"""One event, whole: what happened, who, where, the raw log, and the rules that fired."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from lianfang.commons.frame.pages import page, show
from lianfang.engines.schema.events import BY_NAME, Kind
from lianfang.kernel import clock
from lianfang.kernel.labels import DataLevel
from lianfang.rooms.lake import actions, queries
from lianfang.rooms.lake.pages.asking import SEVERITIES, activity_name, class_name, said, status_name, title
from lianfang.rooms.lake.types import Touched

GROUPS: tuple[tuple[Any, tuple[str, ...]], ...] = (
    (_("What"), ("class_uid", "activity_id", "severity_id", "status_id", "event_code", "message", "service", "logon_type")),
    (_("Who"), ("user", "user_domain", "user_uid", "actor_user")),
    (_("Process"), ("process", "process_cmd", "process_pid", "process_uid", "parent", "parent_cmd", "script")),
    (_("Network"), ("src_ip", "src_port", "src_host", "dst_ip", "dst_port", "dst_host", "protocol", "domain", "url", "http_method", "http_status", "user_agent")),
    (_("Things"), ("file", "reg_key", "reg_value", "hashes", "ips", "domains")),
    (_("Where from"), ("host", "host_ip", "source", "product", "log_name", "time", "received", "template", "event_id", "level")),
)
NEARBY = timedelta(minutes=5)
PIVOTS = frozenset({"host", "host_ip", "user", "actor_user", "src_ip", "dst_ip", "src_host", "dst_host", "process", "domain", "url", "file", "source", "event_code", "class_uid", "hashes", "ips", "domains", "parent", "reg_key"})


@page("events/<str:event_id>/", name="event", permission="lake.event.view", title=_("Event"), parent="search")
def event(request: HttpRequest, event_id: str) -> HttpResponse:
    """The whole page, or what stands in the drawer when htmx asks for it."""
    found = queries.event(event_id, viewer=request.viewer)  # type: ignore[attr-defined]
    levels, masked = queries.levels_of([found])
    actions.touch(Touched.EVENT, levels, masked=masked, asked=event_id, actor=request.viewer)  # type: ignore[attr-defined]
    context = {
        "event": found, "name": class_name(found["class_uid"]), "groups": groups(found), "raw": pretty(found["raw"] or ""), "unmapped": pretty(found["unmapped"] or ""),
        "rules": found["rules"] or [], "nearby": nearby(found), "level": DataLevel(found["level"] or 4).name, "clearance": request.viewer.clearance.name,  # type: ignore[attr-defined]
    }  # fmt: skip
    template = "lake/event_part.html" if request.htmx.target == "drawer-content" else "lake/event.html"  # type: ignore[attr-defined]
    return show(request, template, context, title=f"{class_name(found['class_uid'])} · {found['host'] or found['source']}")


def groups(found: dict[str, Any]) -> list[dict[str, Any]]:
    """Filled columns under a few headings; a value that can be searched for leads there."""
    made = []
    words = spoken(found)
    for label, columns in GROUPS:
        rows = [{"label": title(name), "values": [{"text": words[name]}] if words.get(name) else values(name, found[name]), "name": name} for name in columns if found.get(name) not in (None, "", [])]
        if rows:
            made.append({"label": label, "rows": rows})
    return made


def spoken(found: dict[str, Any]) -> dict[str, str]:
    """Numbers of the schema that have a name."""
    return {
        "activity_id": activity_name(found["class_uid"], found["activity_id"]), "status_id": status_name(found["status_id"]),
        "severity_id": str(SEVERITIES.get(found["severity_id"] or 0, "")), "level": DataLevel(found["level"]).name if found["level"] else "",
    }  # fmt: skip


def values(name: str, value: Any) -> list[dict[str, Any]]:
    """The value, or each of a list, with the address that finds its like."""
    if BY_NAME[name].kind is Kind.TIME:
        return [{"moment": value}]
    return [{"text": said(name, one), "url": _pivot(name, one) if name in PIVOTS else "", "code": name not in ("class_uid", "message", "source")} for one in (value if isinstance(value, list) else [value])]


def _pivot(name: str, value: Any) -> str:
    return f"{reverse('lake:search')}?{urlencode({'f': f'{name}:is:{value}', 'span': '7d'})}"


def nearby(found: dict[str, Any]) -> str:
    """The search for what the same host told around that time."""
    bounds = {"since": clock.text(found["time"] - NEARBY), "until": clock.text(found["time"] + NEARBY)}
    about = ("host", found["host"]) if found["host"] else ("source", found["source"])
    return f"{reverse('lake:search')}?{urlencode({'f': f'{about[0]}:is:{about[1]}', **bounds})}"


def pretty(text: str) -> str:
    """JSON laid out, anything else as it is; the words stay the same."""
    if text[:1] not in ("{", "["):
        return text
    try:
        return json.dumps(json.loads(text), ensure_ascii=False, indent=1)
    except (ValueError, RecursionError):
        return text
