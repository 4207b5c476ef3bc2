"""The house keeps its shape: what import contracts cannot see is asked here."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from django.apps import apps

from lianfang.site.house import ROOMS, closure, opened

SRC = Path(__file__).parents[2] / "src/lianfang"
SHAPE = {"__init__", "apps", "types", "models", "queries", "actions", "handlers", "jobs", "api", "pages", "adapters", "templates", "static", "locale", "migrations", "__pycache__"}
EXTRA = {"frame": {"middleware", "context", "templatetags"}, "people": {"middleware", "policy"}}


def test_the_map_has_no_cycle_and_floors_point_down():
    rank = {"commons": 0, "rooms": 1}
    for name, room in ROOMS.items():
        for below in room["needs"]:
            assert name not in closure(below)
            assert rank[ROOMS[below]["floor"]] <= rank[room["floor"]]


def test_the_map_is_written_lowest_room_first():
    seen = set()
    for name, room in ROOMS.items():
        assert set(room["needs"]) <= seen, f"{name} stands before a room it needs"
        seen.add(name)


def test_a_profile_opens_a_room_with_all_below_it():
    assert opened("intel") == ("frame", "jobs", "ledger", "people", "lake", "intel")


def test_every_room_is_on_the_map_and_has_the_shape():
    found = {p.name for floor in ("commons", "rooms") for p in (SRC / floor).iterdir() if p.is_dir() and p.name != "__pycache__"}
    assert found == set(ROOMS)
    for name, room in ROOMS.items():
        strange = {p.stem for p in (SRC / room["floor"] / name).iterdir()} - SHAPE - EXTRA.get(name, set()) - set(room.get("doors", ()))
        assert not strange, f"{name} has {strange}: code with no name of its own has not found its room"


def test_every_engine_has_a_readme_that_says_what_it_is():
    for engine in (p for p in (SRC / "engines").iterdir() if p.is_dir() and p.name != "__pycache__"):
        assert (engine / "README.md").is_file(), f"{engine.name} has no README.md"


def test_references_point_down_and_leave_no_trace():
    for model in apps.get_models():
        here = model._meta.app_label
        if here not in ROOMS:
            continue
        for field in model._meta.get_fields():
            if not field.is_relation or field.auto_created or field.related_model is None:
                continue
            there = field.related_model._meta.app_label
            if there == here or there not in ROOMS:
                continue
            assert there in ROOMS[here]["needs"], f"{model.__name__}.{field.name}: {here} does not name {there}"
            assert ROOMS[there]["floor"] == "commons", f"{model.__name__}.{field.name}: point at {there} with a Ref"
            assert field.remote_field.related_name == "+", f"{model.__name__}.{field.name} leaves a reverse name on {there}"


def test_names_in_strings_point_down_too():
    """get_model("room", …) and {% url "room:…" %} leave no import; read them from the text."""
    spoken = re.compile(r"""get_model\(\s*["'](\w+)|\{%\s*url\s+["'](\w+):|reverse\(\s*["'](\w+):""")
    for name, room in ROOMS.items():
        for path in (SRC / room["floor"] / name).rglob("*"):
            if path.suffix in {".py", ".html"}:
                for hit in spoken.findall(path.read_text("utf-8")):
                    there = next(filter(None, hit))
                    assert there == name or there not in ROOMS or there in ROOMS[name]["needs"], f"{path}: speaks of {there}"


def test_every_borrowed_library_is_a_declared_dependency():
    homes = tomllib.loads((SRC / "libraries.toml").read_text("utf-8"))
    for library, home in homes.items():
        assert (SRC.parent / home.replace(".", "/")).exists(), f"{library} lives in {home}, which does not exist"


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_stands_on_its_needs_alone(room, tmp_path):
    env = {**os.environ, "LIANFANG_ROOMS": room, "LIANFANG_HOME": str(tmp_path), "PYTHONPATH": str(SRC.parent), "DJANGO_SETTINGS_MODULE": "lianfang.site.settings"}
    env.pop("LIANFANG_DATABASE", None)
    code = "import django; django.setup(); from django.core.management import call_command as c; c('check'); c('migrate', verbosity=0); c('makemigrations', check=True, dry_run=True, verbosity=0)"
    result = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-2000:]
