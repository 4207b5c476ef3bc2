"""The node as a whole: make it, say whether it is ready, and lend the console its name."""

from __future__ import annotations

import getpass
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from functools import partial
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.db import connection, connections
from django.db.migrations.executor import MigrationExecutor

from lianfang.kernel.errors import Conflict
from lianfang.kernel.labels import DataLevel
from lianfang.kernel.viewer import Viewer

Say = Callable[[str], Any]


@dataclass(frozen=True, slots=True)
class Prepared:
    """What ``prepare`` found: whether the node was fresh, and the first password if it made one."""

    fresh: bool
    password: str = ""


def home() -> Path:
    """The node's folder."""
    return settings.HOME


def console() -> Viewer:
    """Who acts when somebody types on this machine: all rights, under the name of the operating system's user."""
    return Viewer(id="console", name=f"console:{getpass.getuser()}", territory=("",), permissions=frozenset({"*"}), clearance=DataLevel.L4, kind="console")


def parts() -> list[str]:
    """The processes that the open rooms need."""
    return ["web", *(ingest_parts() if "lake" in settings.ROOMS else []), "worker"]


def ingest_parts() -> dict[str, str]:
    """The ingest processes by name, each with the part of the work that is its own: as many as ``LIANFANG_INGEST`` says. Raises ``Invalid``."""
    from lianfang.rooms.lake import actions as lake

    count = lake.shares()
    return {"ingest" if number == 1 else f"ingest{number}": f"{number}/{count}" for number in range(1, count + 1)}


def samples() -> Path:
    """The folder of the sample stream."""
    return settings.CONTENT / "samples"


def shipped_packs() -> list[Path]:
    """The folders of the rules that come with the node: the starter rules, the correlations, and the baselines."""
    return [settings.CONTENT / "rules" / name for name in ("starter", "correlations", "baselines")]


def pending() -> list[str]:
    """Migrations that have not been applied."""
    executor = MigrationExecutor(connection)
    return [f"{migration.app_label}.{migration.name}" for migration, _ in executor.migration_plan(executor.loader.graph.leaf_nodes())]


def must_be_ready() -> None:
    """Raise ``Conflict`` unless the node's tables are there and current."""
    waiting = pending()
    if waiting:
        raise Conflict("The node is not ready", why=f"{len(waiting)} changes of its tables are not applied in {home()}.", todo="Run: lianfang init")


def prepare(*, say: Say, sample: bool) -> Prepared:
    """Make or update the node: tables, keys, first administrator, starter rules; a fresh node gets the sample stream."""
    if pending():
        say("Creating tables …")
        call_command("migrate", verbosity=0)
    call_command("createcachetable", verbosity=0)
    say("Collecting static files …")
    call_command("collectstatic", verbosity=0, interactive=False)
    password = _found() if "people" in settings.ROOMS else ""
    if "detect" in settings.ROOMS:
        say("Installing the starter rules …")
        _install_starter()
    if password and sample and "lake" in settings.ROOMS:
        say("Feeding the sample stream …")
        from lianfang.rooms.lake import actions as lake

        lake.feed_sample(samples(), actor=console())
    return Prepared(fresh=bool(password), password=password)


def _found() -> str:
    from lianfang.commons.people import actions as people

    return people.found(settings.NODE_NAME) or ""


def _install_starter() -> None:
    from lianfang.rooms.detect import actions as detect
    from lianfang.rooms.detect import queries

    for pack in shipped_packs():
        if not queries.is_installed(pack):
            detect.install_pack(pack, actor=console())


def let_go() -> None:
    """Close what this process holds open before its children start."""
    connections.close_all()


def ensure_source(name: str, *, kind: str, zone: str = "") -> None:
    """The source called ``name``, made when missing. Raises ``Invalid`` for what is no zone, ``Conflict`` when the source has another one."""
    from lianfang.rooms.lake import actions as lake
    from lianfang.rooms.lake import queries
    from lianfang.rooms.lake.types import zone_of

    if zone:
        zone_of(zone)
    lake.ensure_source(name, actor=console(), kind=kind, **({"zone": zone} if zone else {}))
    has = queries.zones(viewer=console())[name]
    if zone and has != zone:
        raise Conflict(f"The source {name} reads times in the zone {has}", why="One zone is meant for all logs of a source.", todo="Leave out --zone, take another source, or change it on the page “log sources”.")


def ingest_paths(paths: Sequence[Path], *, source: str, step: Callable[..., None], wait: bool, zone: str = "") -> dict[str, int]:
    """Read files into the spool; with no ingest process running, store them here and now. Errors as of ``ensure_source``."""
    from lianfang.rooms.lake import actions as lake

    ensure_source(source, kind="upload", zone=zone)
    before = _rejects(source)
    report = {"files": 0, "events": 0, "rejects": 0}
    for path in paths:
        part = lake.ingest_path(path, source, actor=console(), progress=partial(step, text=path.name))
        for key in report:
            report[key] += part[key]
    if wait:
        lake.settle(progress=lambda left: step(0, left, "Storing"))
        report["rejects"] = _rejects(source) - before
    return report


def _rejects(source: str) -> int:
    from lianfang.rooms.lake import queries as lake

    return sum(group.count for group in lake.reject_groups(viewer=console()) if group.source == source)


def make_key(name: str, *, permissions: tuple[str, ...]) -> dict[str, str]:
    """An API key of the first administrator, for scripts on this machine."""
    from lianfang.commons.people import actions as people

    return people.make_console_key(name, permissions=permissions, actor=console())


def plain(value: Any) -> Any:
    """A frozen value of any room as plain data, ready for JSON."""
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
