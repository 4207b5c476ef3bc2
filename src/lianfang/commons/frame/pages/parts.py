"""The parts of the design system, as functions: values in, safe HTML out; no inline script or style anywhere.

Templates say ``{% load frame %}{% badge_severity 4 %}``; Python says ``parts.badge_severity(4)``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

from django.contrib.staticfiles import finders
from django.template.loader import render_to_string
from django.templatetags.static import static
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext, ngettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from lianfang.commons.frame.pages.tongue import parts_of
from lianfang.kernel import clock
from lianfang.kernel.errors import Fault

SEVERITIES: dict[int, tuple[str, Any, str]] = {
    5: ("red", _("critical"), "sev-octagon"),
    4: ("orange", _("high"), "sev-triangle"),
    3: ("yellow", _("medium"), "sev-diamond"),
    2: ("blue", _("low"), "sev-circle"),
    1: ("grey", _("informational"), "sev-dot"),
}
"""Colour, word and shape of a ``kernel.labels.Severity``. The shape alone tells them apart."""

WARNINGS: dict[str, tuple[Any, str]] = {
    "red": (pgettext_lazy("warning", "extraordinarily serious"), "sev-octagon"),
    "orange": (pgettext_lazy("warning", "serious"), "sev-triangle"),
    "yellow": (pgettext_lazy("warning", "relatively serious"), "sev-diamond"),
    "blue": (pgettext_lazy("warning", "general"), "sev-circle"),
}
"""特别重大, 重大, 较大, 一般: the colours of the national response plan, for warnings and incidents."""


@lru_cache(maxsize=64)
def _digest(path: str) -> str:
    found = finders.find(path)
    return hashlib.blake2b(Path(found).read_bytes(), digest_size=5).hexdigest() if isinstance(found, str) else ""


def asset(path: str) -> str:
    """The address of a static file; it changes when the file does."""
    digest = _digest(path)
    return f"{static(path)}?{digest}" if digest else static(path)


def icon(name: str, label: Any = "") -> SafeString:
    """An icon of the sprite; with a label it speaks, without one it is decoration."""
    said = format_html('role="img" aria-label="{}"', label) if label else mark_safe('aria-hidden="true"')
    return format_html('<svg class="icon" {}><use href="{}#{}"></use></svg>', said, asset("vendor/icons.svg"), name)


def badge_severity(level: Any, short: bool = False) -> SafeString:
    """A severity (1–5) as colour, shape and word."""
    colour, word, shape = SEVERITIES.get(int(level or 1), SEVERITIES[1])
    said = format_html('<span class="visually-hidden">{}</span>', word) if short else word
    return format_html('<span class="sev sev-{}" title="{}">{}{}</span>', colour, word, icon(shape), said)


def badge_warning(colour: str) -> SafeString:
    """A warning level (red, orange, yellow, blue) as colour, shape and the plan's own word."""
    word, shape = WARNINGS[colour]
    return format_html('<span class="sev sev-{}">{}{}</span>', colour, icon(shape), word)


def badge(text: Any, tone: str = "quiet") -> SafeString:
    """A state: ``tone`` is good, bad, warn, busy or quiet."""
    return format_html('<span class="state state-{}">{}</span>', tone, text)


def form_fault(fault: Fault | None) -> SafeString | str:
    """Above a form that was refused: what is wrong, why, and what to do, in the reader's language; nothing where nothing is."""
    if fault is None or fault == "":
        return ""
    return format_html('<div class="form-fault" role="alert">{}<div><strong>{}</strong> {} {}</div></div>', icon("alert-triangle"), *parts_of(fault))


def local_time(moment: datetime | str | None, form: str = "full") -> SafeString | str:
    """A moment in local time, UTC on hover. ``form``: full, short (no year, no seconds), day, ago."""
    if not moment:
        return mark_safe('<span class="nothing">–</span>')
    when = clock.parse(moment) if isinstance(moment, str) else moment if timezone.is_aware(moment) else timezone.make_aware(moment)
    here = timezone.localtime(when)
    text = ago(when) if form == "ago" else here.strftime({"short": "%m-%d %H:%M", "day": "%Y-%m-%d"}.get(form, "%Y-%m-%d %H:%M:%S"))
    utc = when.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    title = f"{here:%Y-%m-%d %H:%M:%S %z} · {utc}" if form != "full" else utc
    return format_html('<time datetime="{}" title="{}">{}</time>', clock.text(when), title, text)


def ago(moment: datetime) -> str:
    """How long since, in one unit."""
    passed = clock.now() - moment
    seconds = int(abs(passed) / timedelta(seconds=1))
    if seconds < 60:
        return gettext("just now")
    number, words = (
        (seconds // 60, ngettext("%d minute", "%d minutes", seconds // 60)) if seconds < 3600
        else (seconds // 3600, ngettext("%d hour", "%d hours", seconds // 3600)) if seconds < 172800
        else (seconds // 86400, ngettext("%d day", "%d days", seconds // 86400))
    )  # fmt: skip
    return (gettext("%s ago") if passed > timedelta(0) else gettext("in %s")) % (words % number)


def facts(pairs: Iterable[Sequence[Any]] | Mapping[Any, Any]) -> SafeString:
    """Label and value, one below the other: a mapping or pairs. Values that are safe HTML stay HTML."""
    rows = pairs.items() if isinstance(pairs, Mapping) else pairs
    return format_html('<dl class="facts">{}</dl>', format_html_join("", "<div><dt>{}</dt><dd>{}</dd></div>", ((label, _fact(value)) for label, value in rows)))


def _fact(value: Any) -> Any:
    if value is None or value == "":
        return mark_safe('<span class="nothing">–</span>')
    return local_time(value) if isinstance(value, datetime) else value


def timeline(items: Iterable[Mapping[str, Any]]) -> SafeString:
    """A story: mappings with ``at``, ``title`` and perhaps ``who``, ``text``, ``icon``, ``tone``, ``url``."""
    return render_to_string("frame/part/timeline.html", {"items": list(items)})


def empty(title: Any, text: Any = "", action_url: str = "", action_label: Any = "", icon: str = "inbox") -> SafeString:
    """Nothing here: say so, say what to do next, one button."""
    return render_to_string("frame/part/empty.html", {"title": title, "text": text, "action_url": action_url, "action_label": action_label, "icon": icon})


def progress(value: float, of: float = 100, label: Any = "") -> SafeString:
    """How far it is; readable without the bar."""
    share = round(100 * float(value) / float(of)) if of else 0
    return format_html('<span class="measure"><progress max="100" value="{}" aria-label="{}"></progress><span class="number">{} %</span></span>', share, label or gettext("progress"), share)


def chart(spec: Mapping[str, Any], height: str = "m", label: Any = "") -> SafeString:
    """An ECharts option, carried as JSON. ``height``: s, m, l, xl. ``label`` is what a screen reader says.

    Colours come from the palette unless the option says ``"severity"`` on a series (``{"severity": 4}``).
    """
    number = hashlib.blake2b(json.dumps(spec, sort_keys=True, default=str).encode(), digest_size=6).hexdigest()
    return render_to_string("frame/part/chart.html", {"spec": spec, "id": f"chart-{number}", "height": height, "label": label})


def reasons(score: Any, open: bool = False) -> SafeString:
    """A score opened to its terms: ``value`` and ``terms`` with ``name``, ``value``, ``weight``, ``points``, ``reason``."""
    terms = [{key: _part(term, key) for key in ("name", "value", "weight", "points", "reason")} for term in _part(score, "terms") or ()]
    most = max((abs(float(term["points"] or 0)) for term in terms), default=0) or 1
    for term in terms:
        term["share"] = round(100 * abs(float(term["points"] or 0)) / most)
    return render_to_string("frame/part/reasons.html", {"value": _part(score, "value"), "terms": terms, "open": open})


def _part(thing: Any, name: str) -> Any:
    return thing.get(name) if isinstance(thing, Mapping) else getattr(thing, name, None)
