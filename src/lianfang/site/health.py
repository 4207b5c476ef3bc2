"""Is the node well? ``/healthz`` for machines that restart it, ``/metrics`` for machines that watch it.

A room that has something to say offers ``queries.lag() -> {name: seconds}`` and ``queries.gauges() -> {name: value}``.
Both are computed from the database when asked, so that every web process gives the same answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from types import ModuleType

from django.conf import settings
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily

from lianfang import __version__
from lianfang.kernel.errors import Refused
from lianfang.site import house

SLOW = 60.0
"""Seconds of lag above which the node calls itself degraded."""


def _queries() -> Iterator[tuple[str, ModuleType]]:
    for room in settings.ROOMS:
        try:
            yield room, import_module(f"{house.package(room)}.queries")
        except ModuleNotFoundError as error:
            if error.name != f"{house.package(room)}.queries":
                raise


def _gather(question: str) -> dict[str, float]:
    """``question`` put to every room that knows it: ``{"room.name": value}``."""
    return {f"{room}.{name}": value for room, module in _queries() if hasattr(module, question) for name, value in getattr(module, question)().items()}


def healthz(request: HttpRequest) -> JsonResponse:
    """200 while the database answers (``ok``, or ``degraded`` when something lags), 503 otherwise."""
    body: dict[str, object] = {"status": "ok", "version": __version__, "rooms": list(settings.ROOMS)}
    try:
        connection.ensure_connection()
        lag = _gather("lag")
    except DatabaseError:
        return JsonResponse({**body, "status": "down"}, status=503)
    if any(seconds > SLOW for seconds in lag.values()):
        body["status"] = "degraded"
    return JsonResponse({**body, "lag": {name: round(seconds, 3) for name, seconds in lag.items()}})


class _Rooms:
    """What the rooms measure, as a Prometheus collector."""

    def collect(self) -> Iterator[GaugeMetricFamily | InfoMetricFamily]:
        yield InfoMetricFamily("lianfang_node", "This node", value={"version": __version__})
        lag = GaugeMetricFamily("lianfang_lag_seconds", "How far a part is behind", labels=["what"])
        for name, seconds in _gather("lag").items():
            lag.add_metric([name], seconds)
        yield lag
        for name, value in _gather("gauges").items():
            yield GaugeMetricFamily(f"lianfang_{name.replace('.', '_')}", f"{name}, as the room counts it", value=value)


def metrics(request: HttpRequest) -> HttpResponse:
    """Prometheus text, to this machine itself or to whoever holds ``site.metrics.view``."""
    at_home = request.META.get("REMOTE_ADDR") in {"127.0.0.1", "::1"} and "HTTP_X_FORWARDED_FOR" not in request.META
    viewer = getattr(request, "viewer", None)
    if not at_home and not (viewer and viewer.may("site.metrics.view")):
        raise Refused("Metrics are not public", why="They tell how busy the node is, and with what.", todo="Ask from this machine, or with a key that has site.metrics.view.")
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Rooms())
    return HttpResponse(generate_latest(registry), content_type="text/plain; version=0.0.4; charset=utf-8")
