"""A lake of its own for each test, in a small real tree of organisations, with the same three people as everywhere."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lianfang.commons.people import actions as people_actions
from lianfang.commons.people import models as people_models
from lianfang.kernel.labels import DataLevel
from lianfang.kernel.viewer import SYSTEM
from lianfang.rooms.lake import actions, queries
from lianfang.rooms.lake.actions import listening, receiving
from lianfang.rooms.lake.queries import sealing
from lianfang.rooms.lake.types import Question


@pytest.fixture
def role():
    return "administrator"


@pytest.fixture
def home(home):
    """A node's folder of its own, doors that are not open yet, and nothing known of levels that another test sealed."""
    receiving.forget_doors()
    sealing.forget_sealed()
    yield home
    receiving.seal()


@pytest.fixture
def source(viewers):
    """An HTTP source of the member's organisation."""
    actions.create_source("edr", codec="json", actor=viewers.member)
    return "edr"


@pytest.fixture
def put(source, viewers):
    """``put(row, …)``: receive JSON rows into the source and store them."""

    def put(*rows, source=source, actor=viewers.member, **more):
        ref = actions.receive(source, [row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows], actor=actor, **more)
        actions.drain()
        return ref

    return put


def sysmon(n: int = 1, *, at: datetime | None = None, **more) -> dict:
    """A process creation as Sysmon writes it."""
    moment = at or datetime.now(UTC)
    return {
        "Channel": "Microsoft-Windows-Sysmon/Operational", "EventID": 1, "Computer": f"pc-{n:02d}.harbour.example", "UtcTime": f"{moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond // 1000:03d}",
        "Image": r"C:\Windows\System32\whoami.exe", "CommandLine": f"whoami /all {n}", "User": r"HARBOUR\li", "ProcessId": str(1000 + n), "ParentImage": r"C:\Windows\System32\cmd.exe", **more,
    }  # fmt: skip


@contextmanager
def doors() -> Iterator[None]:
    """The doors of the sources, open as the ingest process opens them."""
    stop = threading.Event()
    with listening.open_doors(stop):
        yield


def dying(moment: str) -> Callable[..., Any]:
    """``receiving.receive`` of a process that dies just ``before`` the spool has the frames, or just ``after``."""
    real = receiving.receive

    def receive(*args: Any, **more: Any) -> None:
        if moment == "after":
            real(*args, **more)
        raise SystemExit

    return receive


@pytest.fixture
def last_hour():
    """A question about the last hour and a little ahead."""

    def ask(**more):
        now = datetime.now(UTC)
        return Question(now - timedelta(hours=1), now + timedelta(minutes=5), **more)

    return ask


@pytest.fixture
def all_events(last_hour):
    """Everything the node holds of the last hour, for whoever may see all."""
    return lambda **more: queries.search(last_hour(limit=500, **more), viewer=SYSTEM).events


def cleared(user, level=DataLevel.L4):
    """Give a person a role of their own with this clearance."""
    role = people_models.Role.objects.filter(key="cleared").first() or people_models.Role.objects.create(key="cleared", name="Cleared", permissions=["*"], clearance=int(level))
    people_actions.grant(str(user.pk), role="cleared", over=str(user.organisation_id), actor=SYSTEM)
    return role
