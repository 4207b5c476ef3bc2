"""Tables of other people's databases, by a watermark: MySQL, MariaDB, PostgreSQL, Oracle and SQLite through Django's own backends.

In: an address, a table or view, a column that only grows. Out: rows as JSON, in pages, in the order of that column. Only
``SELECT`` is ever said, in sessions that are told to be read-only where the database can be told. Rows that share the
last watermark are remembered by fingerprints, so that one which comes later is taken and none is taken twice. A row
that is committed later with a *smaller* watermark is not seen: choose a column that does not run backwards.
"""

from __future__ import annotations

import re
import ssl
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from uuid import UUID

import msgspec
from django.db import DatabaseError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.utils import load_backend
from django.utils.module_loading import import_string

from lianfang.kernel.errors import Conflict, Invalid
from lianfang.rooms.lake.adapters import Page, names_of
from lianfang.rooms.lake.adapters.reaching import parted, wrong

PAGE = 1000
TIES = 20_000
"""Most rows that may share one watermark."""
PATIENCE = 10
SLOW = 120
ENGINES = {"postgresql": "postgresql", "mysql": "mysql", "mariadb": "mysql", "oracle": "oracle", "sqlite": "sqlite3"}
NO_ADDRESS = "This is no address of a database"
NAME = re.compile(r"[^\W\d][\w$#]*(\.[^\W\d][\w$#]*){0,2}")

_json = msgspec.json.Encoder(enc_hook=str, decimal_format="number").encode


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the rows are. ``address`` has the form ``scheme://host:port/name``; ``authority`` is a file with certificates, or ""."""

    address: str
    table: str
    column: str
    user: str = ""
    secret: str = field(default="", repr=False)
    tls: bool = False
    authority: str = ""
    first: bool = True

    def checked(self) -> Settings:
        """Itself; raises ``Invalid`` when it can be no table of a database."""
        parts = parted(self.address, NO_ADDRESS)
        if parts.scheme not in ENGINES or (parts.scheme != "sqlite" and not parts.hostname) or len(parts.path) < 2:
            raise wrong(NO_ADDRESS, "Write it like postgresql://db.example:5432/name; mysql, mariadb, oracle and sqlite are known as well.")
        if parts.username or parts.password:
            raise wrong("User and password do not belong in the address", "Write them into their own fields; the password is sealed there.")
        for name, value in (("table", self.table), ("column", self.column)):
            if not NAME.fullmatch(value):
                raise wrong(f"“{value[:60]}” names no {name}", "Write its name, with the schema before a dot where it needs one.", name=name)
        return self


class Table:
    """A table that is read. Opened when first needed; not for two threads at once."""

    def __init__(self, settings: Settings, *, page: int = PAGE):
        self.settings, self.size = settings.checked(), page
        self._connection = connect(settings)
        quote = self._connection.ops.quote_name
        self._from = f"FROM {'.'.join(map(quote, settings.table.split('.')))}"
        self._column = quote(settings.column)
        self._label = self._column.strip('"`')

    def close(self) -> None:
        self._connection.close()

    def page(self, position: dict[str, Any], *, until: dict[str, Any] | None = None) -> Page:
        """The next rows; with ``until`` all rows up to that position."""
        if not position and not self.settings.first and until is None:
            return Page([], self._end())
        seen = Counter(position.get("ties", ()))
        limit = self.size + seen.total() + (TIES if until else 0)
        where, values = self._where(position, until)
        found = self._rows(f"SELECT * {self._from} WHERE {where} ORDER BY {self._column} {self._first(limit)}", values)
        names, fresh = names_of([frame for _, frame in found]), []
        for place, name in enumerate(names):
            if seen[name] > 0:
                seen[name] -= 1
            else:
                fresh.append(place)
        known = len(found) - len(fresh)
        fresh = fresh if until else fresh[: self.size]
        if not fresh:
            return Page([], position, known=known)
        last = found[fresh[-1]][0]
        ties = [names[place] for place in fresh if found[place][0] == last]
        if "at" in position and _marked(position["at"]) == last:
            ties = [*position["ties"], *ties]
        if len(ties) > TIES:
            raise Conflict(f"More than {TIES:,} rows share one value of {self.settings.column}", why=f"The value is {last}.", todo="Choose a column that tells rows apart better, such as an identity.")
        return Page([found[place][1] for place in fresh], {"at": _said(last), "ties": ties}, more=len(found) >= limit, names=[names[place] for place in fresh], known=known)

    def _end(self) -> dict[str, Any]:
        """The position after everything that is there now."""
        ((last, _),) = self._rows(f"SELECT MAX({self._column}) AS {self._column} {self._from}", []) or [(None, b"")]
        if last is None:
            return {"begun": True}
        there = self._rows(f"SELECT * {self._from} WHERE {self._column} >= %s ORDER BY {self._column} {self._first(TIES)}", [last])
        return {"at": _said(last), "ties": names_of([frame for _, frame in there])}

    def _where(self, position: Mapping[str, Any], until: Mapping[str, Any] | None) -> tuple[str, list[Any]]:
        said, values = [f"{self._column} IS NOT NULL"], []
        for bound, sign in ((position, ">="), (until or {}, "<=")):
            if "at" in bound:
                said.append(f"{self._column} {sign} %s")
                values.append(_marked(bound["at"]))
        return " AND ".join(said), values

    def _first(self, limit: int) -> str:
        return f"FETCH FIRST {limit} ROWS ONLY" if self._connection.vendor == "oracle" else f"LIMIT {limit}"

    def _rows(self, sql: str, values: Sequence[Any]) -> list[tuple[Any, bytes]]:
        """(watermark, the row as JSON) of each row; raises ``Conflict`` with what the database said."""
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(sql, values)
                names = [column[0] for column in cursor.description]
                at = next((place for place, name in enumerate(names) if name.lower() == self._label.lower()), None)
                if at is not None and _zoned(cursor.description[at][1]):
                    raise Conflict(
                        f"{self.settings.column} can be no watermark", why="Oracle's driver gives a TIMESTAMP WITH TIME ZONE without its zone, so that rows would be passed over.",
                        todo="Choose a number, a DATE or a TIMESTAMP, or a view that has SYS_EXTRACT_UTC of the column.",
                    )  # fmt: skip
                if at is None:
                    raise Conflict(f"The table has no column {self.settings.column}", why=f"Its columns are {', '.join(names)[:200]}.", todo="Mend the name of the watermark column.")
                return [(row[at], _json(dict(zip(names, map(_read, row))))) for row in cursor.fetchall()]
        except DatabaseError as error:
            raise Conflict(f"The database refuses: {_short(error)}", todo="Check table, column and rights; it is tried again.", retry=True) from error


def connect(settings: Settings) -> BaseDatabaseWrapper:
    """A connection of its own, outside the node's; raises ``Conflict`` in the words of the driver."""
    parts = parted(settings.address, NO_ADDRESS)
    engine = ENGINES[parts.scheme]
    if engine == "mysql":
        import_string("pymysql.install_as_MySQLdb")()  # under this name Django's backend looks for its driver
    said = {
        "ENGINE": f"django.db.backends.{engine}", "NAME": _name(engine, parts.path), "USER": settings.user, "PASSWORD": settings.secret, "HOST": parts.hostname or "", "PORT": str(parts.port or ""),
        "OPTIONS": _options(engine, settings), "TIME_ZONE": None, "CONN_MAX_AGE": None, "CONN_HEALTH_CHECKS": False, "AUTOCOMMIT": True, "ATOMIC_REQUESTS": False, "TEST": {},
    }  # fmt: skip
    if engine == "oracle":
        said |= {"NAME": oracle_address(settings), "HOST": "", "PORT": ""}
    try:
        connection: BaseDatabaseWrapper = load_backend(said["ENGINE"]).DatabaseWrapper(said, alias="lake source")
        connection.check_database_version_supported = lambda: None  # type: ignore[method-assign]  # Django asks for versions that its ORM needs; SELECT is older
        connection.connect()
        if engine == "oracle":
            connection.connection.call_timeout = SLOW * 1000
    except Exception as error:
        raise Conflict(f"The database cannot be reached: {_short(error)}", todo="Check address, user, password and network; it is tried again.", retry=True) from error
    return connection


def _options(engine: str, settings: Settings) -> dict[str, Any]:
    """Short patience, and nothing but reading."""
    if engine == "postgresql":
        tls = {"sslmode": "verify-full" if settings.authority else "require", **({"sslrootcert": settings.authority} if settings.authority else {})} if settings.tls else {}
        return {"connect_timeout": PATIENCE, "options": f"-c default_transaction_read_only=on -c statement_timeout={SLOW * 1000}", **tls}
    if engine == "mysql":
        tls = {"ssl": {"ca": settings.authority} if settings.authority else {"check_hostname": False, "verify_mode": "none"}} if settings.tls else {}
        return {"charset": "utf8mb4", "connect_timeout": PATIENCE, "read_timeout": SLOW, "init_command": "SET SESSION TRANSACTION READ ONLY", **tls}
    if engine == "oracle":
        return {"tcp_connect_timeout": PATIENCE, **({"ssl_context": ssl.create_default_context(cafile=settings.authority)} if settings.tls and settings.authority else {})}
    return {"timeout": PATIENCE}


def oracle_address(settings: Settings) -> str:
    """The address in Oracle's own form (“Easy Connect”). Django's host and port would ask for a SID, and leave TLS out.

    >>> oracle_address(Settings("oracle://db.example/ORCLPDB1", "t", "c", tls=True))
    'tcps://db.example:1521/ORCLPDB1'
    """
    parts = parted(settings.address, NO_ADDRESS)
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{'tcps' if settings.tls else 'tcp'}://{host}:{parts.port or 1521}/{unquote(parts.path[1:])}"


def _name(engine: str, path: str) -> str:
    name = unquote(path[1:])
    return f"{file_of(path).as_uri()}?mode=ro" if engine == "sqlite3" else name


def file_of(path: str) -> Path:
    """The file that a SQLite address means; always an absolute one."""
    return Path("/", unquote(path).lstrip("/"))


def _zoned(kind: Any) -> bool:
    """Whether it is Oracle's TIMESTAMP WITH TIME ZONE, which thin ``oracledb`` gives as a naive local time (its issue 373)."""
    return getattr(kind, "name", "") == "DB_TYPE_TIMESTAMP_TZ"


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]


# ---- values ----------------------------------------------------------------------------------------------------


def _read(value: Any) -> Any:
    """Large objects (Oracle) as what they hold."""
    return value.read() if hasattr(value, "read") else value


_KINDS: dict[str, tuple[type, Any]] = {"whole": (int, int), "number": (Decimal, Decimal), "float": (float, float), "time": (datetime, datetime.fromisoformat), "date": (date, date.fromisoformat), "clock": (time, time.fromisoformat), "id": (UUID, UUID), "text": (str, str)}


def _said(mark: Any) -> list[str]:
    """A watermark as it is kept: its kind and its text."""
    for kind, (known, _) in _KINDS.items():
        if isinstance(mark, known) and not isinstance(mark, bool):
            return [kind, mark.isoformat() if hasattr(mark, "isoformat") else str(mark)]
    raise Invalid("This column can be no watermark", why=f"Its values are of the kind {type(mark).__name__}.", todo="Choose a number or a time.")


def _marked(said: Sequence[str]) -> Any:
    """The watermark again."""
    return _KINDS[said[0]][1](said[1])
