"""The library of event models: the tree of all of them with what feeds them here, and one with its sources, days, rules and level."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import groupby
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as translate
from django.utils.translation import gettext_lazy as _

from lianfang.commons.frame.language import either
from lianfang.commons.frame.pages import Nav, page, sayable, show
from lianfang.engines.schema import ocsf
from lianfang.kernel import clock
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.detect import queries
from lianfang.rooms.detect.queries import incidents, library
from lianfang.rooms.detect.queries.library import Standing

FED = (("", _("fed or not")), ("1", _("fed here")), ("0", _("not fed here")))
USED = (("", _("with or without rules")), ("1", _("with rules")), ("0", _("without rules")))
RULES_SHOWN = 30

sayable("OCSF %(release)s has no class and activity “%(key)s”.")


@page("event-models/", name="event_models", permission="detect.rule.view", nav=Nav("detection", _("Event models"), order=38, icon="binary-tree"), title=_("Event models"))
def event_models(request: HttpRequest) -> HttpResponse:
    """All of them as a tree of category, class and activity; narrowed by words, by what feeds them, by rules, by kind of incident."""
    everything = library.standings(request.viewer)  # type: ignore[attr-defined]
    asked = {name: request.GET.get(name, "").strip()[:80] for name in ("q", "category", "fed", "rules", "kind")}
    found = [one for one in everything if _fits(one, asked)]
    narrowed = any(value for name, value in asked.items() if name != "category")
    context = {
        "classes": [_branch(list(ones), open=narrowed and len(found) <= 120) for _uid, ones in groupby(found, key=lambda one: one.model.class_uid)],
        "categories": [_category(uid, either(zh, en), everything, asked) for uid, zh, en in library.categories()], "all_url": _address(asked | {"category": ""}),
        "asked": asked, "fed": FED, "used": USED, "kinds": _kinds(), "found": len(found), "all": len(everything), "all_fed": sum(bool(one.sources) for one in everything), "all_used": sum(bool(one.rules) for one in everything),
        "days": library.DAYS, "release": ocsf.RELEASE, "standard": incidents.standard(),
    }  # fmt: skip
    return show(request, "detect/event_models.html", context)


def _fits(one: Standing, asked: dict[str, str]) -> bool:
    model, words = one.model, asked["q"].casefold().split()
    said = f"{model.key} {model.name_zh} {model.name_en} {ocsf.CLASSES[model.class_uid].name} {model.place.kind.zh} {model.place.kind.en}".casefold()
    return (
        all(word in said for word in words)
        and asked["category"] in ("", str(model.category_uid))
        and asked["fed"] in ("", str(int(bool(one.sources))))
        and asked["rules"] in ("", str(int(bool(one.rules))))
        and asked["kind"] in ("", model.place.kind.key, model.place.category.key)
    )


def _branch(ones: list[Standing], *, open: bool) -> dict[str, Any]:
    head = ocsf.CLASSES[ones[0].model.class_uid]
    lines = [{"standing": one, "url": reverse("detect:event_model", kwargs={"key": one.model.key})} for one in ones]
    return {"uid": head.uid, "name": either(head.zh, head.caption), "code": head.name, "deprecated": head.deprecated, "lines": lines, "events": sum(one.events for one in ones), "fed": sum(bool(one.sources) for one in ones), "open": open}


def _category(uid: int, name: str, everything: list[Standing], asked: dict[str, str]) -> dict[str, Any]:
    own = [one for one in everything if one.model.category_uid == uid]
    return {"name": name, "models": len(own), "fed": sum(bool(one.sources) for one in own), "on": asked["category"] == str(uid), "url": _address(asked | {"category": str(uid)})}


def _address(asked: dict[str, str]) -> str:
    return "?" + urlencode({name: value for name, value in asked.items() if value})


def _kinds() -> list[tuple[str, list[tuple[str, str]]]]:
    """Kinds of incidents under their category."""
    grouped: dict[str, list[tuple[str, str]]] = {}
    for category, kind in incidents.kinds().values():
        grouped.setdefault(str(category), [(category.key, translate("%(category)s: all of it") % {"category": category})]).append((kind.key, str(kind)))
    return list(grouped.items())


@page("event-models/<str:key>/", name="event_model", permission="detect.rule.view", title=_("Event model"), parent="event_models")
def event_model(request: HttpRequest, key: str) -> HttpResponse:
    """One model: what it is, what brings it here and how often, which rules are about it, where it stands among incidents."""
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    one = library.standing(key, viewer)
    model, rules = one.model, queries.rule_rows(viewer).filter(marks__kind="model", marks__value=key)
    said = {name: request.GET.get(name, "") for name in incidents.ASKED}
    context = {
        "one": one, "model": model, "place": model.place, "standard": incidents.standard(), "days": library.DAYS, "chart": _chart(one.days), "release": ocsf.RELEASE,
        "category": either(ocsf.CATEGORIES_ZH[model.category_uid], ocsf.CATEGORIES[model.category_uid]), "code": ocsf.CLASSES[model.class_uid].name,
        "sources": [(name, count, _search(model, ("source", name))) for name, count in sorted(one.sources.items(), key=lambda pair: -pair[1])], "search": _search(model), "may_search": viewer.may("lake.event.view"),
        "mappings": library.titles(one.mappings), "rules": rules[:RULES_SHOWN], "more_rules": max(0, one.rules - RULES_SHOWN), "rules_url": f"{reverse('detect:rule_list')}?model={key}",
        "asks": [(name, ASKS[name], incidents.choices(name), said[name]) for name in incidents.ASKED], "grade": incidents.graded(**said) if all(said.values()) else None,
    }  # fmt: skip
    return show(request, "detect/event_model.html", context, title=model.name)


ASKS = {"importance": _("What is affected is"), "loss": _("Loss of business"), "harm": _("Harm to society")}


def _search(model: library.EventModel, *more: tuple[str, str]) -> str:
    """Its events in the log search."""
    about = [("class_uid", str(model.class_uid)), ("activity_id", str(model.activity_id)), *more]
    return f"{reverse('lake:search')}?{urlencode([('span', '30d'), *(('f', f'{name}:is:{value}') for name, value in about)])}"


def _chart(days: Any) -> dict[str, Any] | None:
    if not days:
        return None
    today: date = clock.now().date()
    shown = [today - timedelta(days=ago) for ago in range(library.DAYS - 1, -1, -1)]
    bars = {"name": translate("events"), "type": "bar", "data": [days.get(day, 0) for day in shown]}
    return {"animation": False, "xAxis": {"type": "category", "data": [f"{day:%m-%d}" for day in shown]}, "yAxis": {"type": "value", "minInterval": 1, "splitNumber": 2}, "series": [bars]}
