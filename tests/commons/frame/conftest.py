"""The stage of frame's tests: its table, its addresses, its people."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.db import connection
from django.test import Client
from django.urls import clear_url_caches

from lianfang.commons.frame import pages, sheets
from lianfang.commons.frame.pages import registry

from . import stage

MIDDLEWARE = "tests.commons.frame.stage.Someone"


@pytest.fixture(scope="module")
def _table(django_db_setup, django_db_blocker):
    with django_db_blocker.unblock():
        with connection.schema_editor() as editor:
            editor.create_model(stage.Device)
            editor.create_model(stage.Plate)
        yield
        with connection.schema_editor() as editor:
            editor.delete_model(stage.Device)
            editor.delete_model(stage.Plate)


@pytest.fixture
def sheet(_table, db, settings):
    """The sheet, open at /stage/device/, with no other room in the way."""
    before = pages.mark()
    registry.known.shell, registry.known.finders, registry.known.panels = registry.Shell(), [], []
    made = stage.declare()
    plain = [name for name in settings.MIDDLEWARE if "allauth" not in name and "people" not in name]
    settings.MIDDLEWARE = [*plain[:-1], MIDDLEWARE, plain[-1]]
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": [Path(__file__).parent / "templates"]}]
    settings.LOGIN_URL = "/accounts/login/"
    settings.ROOT_URLCONF = "tests.commons.frame.stage"
    stage.addresses()
    clear_url_caches()
    yield made
    sheets.forget(made)
    pages.forget_since(before)
    clear_url_caches()


@pytest.fixture
def as_(sheet):
    """``as_("member")``: a client of that person."""

    def client(someone: str, **kwargs) -> Client:
        made = Client(**kwargs)
        if someone:
            made.cookies["someone"] = someone
        return made

    return client
