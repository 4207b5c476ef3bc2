"""Addresses: each open room's pages and APIs, the way in, plus health and metrics."""

from django.conf import settings
from django.urls import include, path

from lianfang.commons.frame import middleware, pages
from lianfang.site import health, house

urlpatterns = [
    path("healthz", health.healthz),
    path("metrics", health.metrics),
    *([path("accounts/", include("lianfang.commons.people.pages"))] if "people" in settings.ROOMS else []),
    *pages.urlpatterns({room: house.package(room) for room in settings.ROOMS}),
]

handler400, handler403, handler404, handler500 = middleware.bad, middleware.refused, middleware.missing, middleware.failed
