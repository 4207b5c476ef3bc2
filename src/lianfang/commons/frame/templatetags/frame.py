"""The design system in templates: ``{% load frame %}``. The parts themselves are functions in ``pages.parts``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import template
from django.template.loader import render_to_string
from django.utils.safestring import SafeString, mark_safe

from lianfang.commons.frame.pages import parts, registry

register = template.Library()

for part in (parts.asset, parts.icon, parts.badge_severity, parts.badge_warning, parts.badge, parts.local_time, parts.facts, parts.progress, parts.timeline, parts.empty, parts.form_fault, parts.chart, parts.reasons):
    register.simple_tag(part)


@register.simple_tag(takes_context=True)
def panels(context: template.Context, slot: str, subject: Any = None) -> SafeString:
    """What higher rooms put into this slot, in order."""
    request = context["request"]
    filled = ((panel.title, panel.fill(request, subject)) for panel in registry.panels(slot, request.viewer))
    return mark_safe("".join(render_to_string("frame/part/panel.html", {"title": title, "body": mark_safe(body)}) for title, body in filled if body))  # noqa: S308  (panels give HTML)


@register.simple_tag(takes_context=True)
def doors(context: template.Context, slot: str, subject: Any = None) -> SafeString:
    """The same without a card around each: links and buttons beside a line of a list."""
    request = context["request"]
    return mark_safe("".join(str(panel.fill(request, subject)) for panel in registry.panels(slot, request.viewer)))  # noqa: S308  (panels give HTML)


@register.filter
def lookup(mapping: Mapping[Any, Any], key: Any) -> Any:
    """``mapping[key]``, nothing when it is not there."""
    return mapping.get(key)
