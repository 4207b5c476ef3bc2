"""Sources that are asked, by kind: what each needs to be right, how it is opened, and what one try of it says.

In: a source. Out: a door for the ingest process, or a sentence for whoever pressed “try”. Each kind's library is loaded
when a source of the kind is first opened.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.utils.translation import gettext

from lianfang.kernel.errors import Invalid
from lianfang.rooms.lake import models
from lianfang.rooms.lake.actions import secrets
from lianfang.rooms.lake.types import Begin, Kind

if TYPE_CHECKING:
    from lianfang.rooms.lake.adapters import Page
    from lianfang.rooms.lake.adapters.database import Table
    from lianfang.rooms.lake.adapters.poll import Poll

TRIED = 10
"""Rows that a try reads at most."""


def open_kafka(row: models.Source) -> Any:
    """One member of its consumer group."""
    from lianfang.rooms.lake.actions.consuming import Consume

    return Consume(row)


def open_database(row: models.Source) -> Any:
    """One reader of its table."""
    from lianfang.rooms.lake.actions.pulling import Pull

    return Pull(row, f"{row.address}|{row.table}|{row.column}", lambda: table(row))


def open_poll(row: models.Source) -> Any:
    """One that asks its address."""
    from lianfang.rooms.lake.actions.pulling import Pull

    return Pull(row, f"{row.address}|{row.paging}|{row.items}|{row.next}|{row.parameter}", lambda: poll(row))


KINDS: dict[str, Callable[[models.Source], Any]] = {Kind.KAFKA: open_kafka, Kind.DATABASE: open_database, Kind.POLL: open_poll}


def table(row: models.Source) -> Table:
    """The table of a source, opened."""
    from lianfang.rooms.lake.adapters.database import Table

    return Table(_table(row))


def poll(row: models.Source) -> Poll:
    """The HTTP address of a source."""
    from lianfang.rooms.lake.adapters.poll import Poll

    return Poll(_poll(row))


def _table(row: models.Source, *, secret: str | None = None) -> Any:
    from lianfang.rooms.lake.adapters.database import Settings

    return Settings(row.address, row.table, row.column, row.user, secrets.unseal(row) if secret is None else secret, row.tls, _authority(row), row.begin != Begin.LAST)


def _poll(row: models.Source, *, secret: str | None = None) -> Any:
    from lianfang.rooms.lake.adapters.poll import Settings

    return Settings(row.address, row.user, secrets.unseal(row) if secret is None else secret, row.login, row.paging, row.items, row.next, row.parameter, row.authority)


def sqlite_file(row: models.Source) -> Path:
    """The file of a SQLite source."""
    from lianfang.rooms.lake.adapters.database import file_of

    return file_of(row.address.removeprefix("sqlite://"))


def _authority(row: models.Source) -> str:
    """Certificates as a file: database drivers want a path. Named by what is in it."""
    if not row.authority:
        return ""
    path = Path(settings.HOME) / "keys" / f"authority-{blake2b(row.authority.encode(), digest_size=8).hexdigest()}.pem"
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = path.with_suffix(".draft")
        draft.write_text(row.authority)
        draft.rename(path)
    return str(path)


# ---- what must be right ----------------------------------------------------------------------------------------


def fits(row: models.Source, secret: str | None) -> None:
    """Raise ``Invalid`` for settings that can be no source of its kind; ``secret`` is the one just typed, if any."""
    if row.kind == Kind.KAFKA:
        for name, todo in (("address", "Write host:port, several parted by commas."), ("table", "Name the topic.")):
            if not getattr(row, name):
                raise Invalid("A Kafka source needs brokers and a topic", todo=todo, details={name: [todo]})
    elif row.kind == Kind.DATABASE:
        _table(row, secret=secret or "").checked()
    elif row.kind == Kind.POLL:
        _poll(row, secret=secret or ("sealed" if row.sealed else "")).checked()


# ---- one try ---------------------------------------------------------------------------------------------------


def try_kafka(row: models.Source) -> str:
    """Whether brokers and topic are there."""
    from lianfang.rooms.lake.actions.consuming import settings_of
    from lianfang.rooms.lake.adapters import kafka

    return gettext("The brokers answer; the topic %(topic)s has %(number)d partitions.") % {"topic": row.table, "number": kafka.partitions(settings_of(row))}


def try_database(row: models.Source) -> str:
    """Whether the table can be read."""
    from lianfang.rooms.lake.adapters.database import Table

    found = _first_page(Table(replace(_table(row), first=True), page=TRIED))
    words = gettext("The table can be read: at least %d rows.") if found.more else gettext("The table can be read: %d rows.")
    return words % len(found.frames)


def try_poll(row: models.Source) -> str:
    """Whether the address answers with records."""
    found = _first_page(poll(row))
    words = gettext("The address answers: %d records on the first page, and there are more.") if found.more else gettext("The address answers: %d records.")
    return words % len(found.frames)


def _first_page(reader: Table | Poll) -> Page:
    with closing(reader):
        return reader.page({})
