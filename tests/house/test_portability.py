"""The same node on SQLite, PostgreSQL, MariaDB and TiDB: what one of them cannot do is refused before it is written."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.apps import apps
from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.core.management import call_command
from django.db import migrations, models
from tools.migration_linter import lint, lint_rooms
from tools.real_parts import fresh_database

from lianfang.site.house import ROOMS

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src/lianfang"
SERVERS = ["LIANFANG_POSTGRESQL", "LIANFANG_MARIADB"]


def table(*fields, **options):
    return migrations.CreateModel("Thing", [("id", models.UUIDField(primary_key=True)), *fields], options=options)


# -- migrations ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("room", settings.ROOMS)
def test_no_migration_asks_for_what_a_database_cannot_do(room):
    assert not lint_rooms(room), "\n".join(map(str, lint_rooms(room)))


@pytest.mark.django_db
@pytest.mark.parametrize("room", settings.ROOMS)
def test_every_change_of_a_table_has_its_migration(room):
    call_command("makemigrations", room, check=True, dry_run=True, verbosity=0)


REFUSED = {
    "a primary key that is altered": migrations.AlterField("thing", "id", models.BigAutoField(primary_key=True)),
    "a primary key that comes later": migrations.AddField("thing", "key", models.UUIDField(primary_key=True)),
    "a primary key that goes": migrations.RemoveField("thing", "id"),
    "a column together with its unique key": migrations.AddField("thing", "code", models.CharField(max_length=9, unique=True)),
    "a check that guards nothing": table(("n", models.IntegerField()), constraints=[models.CheckConstraint(condition=models.Q(n__gt=0), name="c")]),
    "a check that comes later": migrations.AddConstraint("thing", models.CheckConstraint(condition=models.Q(n__gt=0), name="c")),
    "a partial unique key": migrations.AddConstraint("thing", models.UniqueConstraint(fields=["a"], condition=models.Q(b=1), name="u")),
    "a unique key over an expression": migrations.AddConstraint("thing", models.UniqueConstraint(models.functions.Lower("a"), name="u")),
    "a deferred unique key": migrations.AddConstraint("thing", models.UniqueConstraint(fields=["a"], deferrable=models.Deferrable.DEFERRED, name="u")),
    "a partial index": migrations.AddIndex("thing", models.Index(fields=["a"], condition=models.Q(b=1), name="i")),
    "an index over an expression": migrations.AddIndex("thing", models.Index(models.functions.Lower("a"), name="i")),
    "an index of one database": migrations.AddIndex("thing", GinIndex(fields=["a"], name="i")),
    "a field of one database": migrations.AddField("thing", "tags", ArrayField(models.TextField())),
    "a unique long text": table(("text", models.TextField(unique=True))),
    "an indexed long text": table(("text", models.TextField()), indexes=[models.Index(fields=["text"], name="i")]),
    "an index key too wide": table(("a", models.CharField(max_length=500)), ("b", models.CharField(max_length=500)), indexes=[models.Index(fields=["a", "b"], name="i")]),
    "a column too wide for its index": table(("a", models.CharField(max_length=800, db_index=True))),
    "SQL by hand": migrations.RunSQL("SELECT 1"),
    "SQL by hand, hidden": migrations.SeparateDatabaseAndState(database_operations=[migrations.RunSQL("SELECT 1")]),
    "an order by a counted id alone": migrations.CreateModel("Thing", [("id", models.BigAutoField(primary_key=True))], options={"ordering": ["-id"]}),
    "a collation": table(("a", models.CharField(max_length=9, db_collation="C"))),
}

ALLOWED = {
    "a plain table": table(("n", models.PositiveIntegerField()), ("a", models.CharField(max_length=190, unique=True)), ("detail", models.JSONField()), ordering=["-n", "-id"]),
    "a unique key in its own operation": migrations.AddConstraint("thing", models.UniqueConstraint(fields=["a", "b"], name="u")),
    "a plain index": migrations.AddIndex("thing", models.Index(fields=["a", "-b"], name="i")),
    "a plain column": migrations.AddField("thing", "code", models.CharField(max_length=9, default="")),
    "a Python step": migrations.RunPython(migrations.RunPython.noop),
}


@pytest.mark.parametrize("operation", list(REFUSED.values()), ids=list(REFUSED))
def test_the_linter_refuses(operation):
    found = lint("thing/0001", [operation])
    assert len(found) == 1
    assert "thing/0001" in str(found[0])


@pytest.mark.parametrize("operation", list(ALLOWED.values()), ids=list(ALLOWED))
def test_the_linter_lets_pass(operation):
    assert lint("thing/0001", [operation]) == []


# -- queries -------------------------------------------------------------------------------------------------------

FORBIDDEN = {
    r"\.distinct\(\s*[\"']": "DISTINCT ON exists on PostgreSQL only",
    r"nowait\s*=\s*True": "NOWAIT is not everywhere",
    r"skip_locked\s*=\s*True": "SKIP LOCKED is not everywhere",
    r"\bRETURNING\b": "RETURNING is not everywhere",
    r"django\.contrib\.postgres": "fields and functions of one database",
}


def sources(room):
    folder = SRC / ROOMS[room]["floor"] / room
    return [path for path in folder.rglob("*.py") if "migrations" not in path.parts]


@pytest.mark.parametrize("room", ROOMS)
def test_no_query_speaks_one_dialect(room):
    for path in sources(room):
        code = "\n".join(line for line in path.read_text("utf-8").splitlines() if not line.lstrip().startswith("#"))
        code = re.sub(r'"""(?s:.*?)"""', "", code)
        for pattern, why in FORBIDDEN.items():
            assert not re.search(pattern, code), f"{path.relative_to(ROOT)}: {why}"


@pytest.mark.parametrize("room", settings.ROOMS)
def test_no_query_filters_inside_json(room):
    """TiDB and MariaDB read every row for that: what is asked for often has a column of its own."""
    names = {field.name for model in apps.get_app_config(room).get_models() for field in model._meta.fields if isinstance(field, models.JSONField)}
    asked = re.compile(rf"\b({'|'.join(map(re.escape, names))})__(?!isnull)\w+\s*=") if names else None
    for path in sources(room) if asked else ():
        assert not asked.search(path.read_text("utf-8")), f"{path.relative_to(ROOT)} filters inside a JSON column"


# -- real servers --------------------------------------------------------------------------------------------------


@pytest.fixture(params=SERVERS)
def server(request):
    address = os.environ.get(request.param) or pytest.skip(f"{request.param} names no server; use tools/real_parts.py")
    with fresh_database(address) as database:
        yield database


def run(*command, database, **environment):
    known = {**os.environ, "LIANFANG_DATABASE": database, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]), "DJANGO_SETTINGS_MODULE": "lianfang.site.settings", **environment}
    return subprocess.run([sys.executable, "-m", *command], env=known, cwd=ROOT, capture_output=True, text=True)


@pytest.mark.realparts
def test_a_whole_node_migrates_on_a_real_server(server, tmp_path):
    for verb in (("migrate", "--verbosity=0"), ("createcachetable",), ("check", "--database=default", "--fail-level=ERROR")):
        ran = run("django", *verb, database=server, LIANFANG_HOME=str(tmp_path), LIANFANG_ROOMS="all")
        assert ran.returncode == 0, ran.stderr[-3000:]


FLOORS = sorted(str(path.relative_to(ROOT)) for floor in ("commons", "rooms") for path in (ROOT / "tests" / floor).iterdir() if path.is_dir() and list(path.glob("test_*.py")))


LARGE = ("tests/rooms/detect", "tests/rooms/lake", "tests/rooms/respond")
"""Minutes each: the servers share their files, so that CI stays within the hour. ``LIANFANG_SERVERS=each`` runs all of them on each."""


@pytest.mark.realparts
@pytest.mark.slow
@pytest.mark.parametrize("folder", FLOORS)
def test_a_rooms_tests_pass_on_a_real_server(server, folder, request):
    tests = sorted(str(path.relative_to(ROOT)) for path in (ROOT / folder).glob("test_*.py"))
    if folder in LARGE and os.environ.get("LIANFANG_SERVERS") != "each":
        tests = tests[SERVERS.index(request.node.callspec.params["server"]) :: len(SERVERS)]
    ran = run("pytest", *tests, "-q", "-p", "no:cacheprovider", "-m", "not realparts and not slow and not data", "-n", "0", database=server, LIANFANG_ROOMS=Path(folder).name)
    assert ran.returncode in (0, 5), ran.stdout[-5000:]
