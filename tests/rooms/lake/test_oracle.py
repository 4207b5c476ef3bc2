"""Oracle as a source, as far as it can be shown without a server: what the driver is asked, what becomes of its values, what its errors say.

No answer here comes from an Oracle database, and none pretends to: connections fail for real, statements and values are what our side makes of
the driver's own types. What needs a server (a login, a query) was not run; docs/rooms/lake.md says so.
"""

import json
import socket
import threading
from datetime import UTC, date, datetime
from decimal import Decimal
from types import SimpleNamespace

import oracledb
import pytest
from django.db.backends.oracle.base import DatabaseWrapper, FormatStylePlaceholderCursor
from tests.patience import free_port

from lianfang.kernel.errors import Conflict
from lianfang.rooms.lake.adapters import database
from lianfang.rooms.lake.adapters.database import Settings, Table

PEOPLE = Settings("oracle://db.example:2484/ORCLPDB1", "hr.audit", "entry_id", "reader", "s3cret")


class Heard:
    """The driver's cursor, which writes down what it is told and has the description and the rows that a test gives it."""

    def __init__(self, told, description, rows):
        self.told, self.description, self._rows = told, description, rows

    def execute(self, sql, values):
        self.told.append((sql, values))

    def setinputsizes(self, **sizes):
        self.told.append(("sizes", sizes))

    def fetchall(self):
        return self._rows

    def close(self):
        pass


def table_of(settings, monkeypatch, description=(), rows=()):
    """Our reader on Django's own Oracle backend, whose driver only listens; gives the reader and what the driver was told."""
    told = []

    def connect(settings):
        wrapper = DatabaseWrapper({"NAME": "x", "OPTIONS": {}, "TIME_ZONE": None, "CONN_MAX_AGE": None, "CONN_HEALTH_CHECKS": False, "AUTOCOMMIT": True, "ATOMIC_REQUESTS": False, "USER": "", "PASSWORD": "", "HOST": "", "PORT": ""}, alias="lake source")
        wrapper.connection = SimpleNamespace(cursor=lambda: Heard(told, description, rows))
        wrapper.ensure_connection = wrapper.close_if_health_check_failed = lambda: None
        wrapper.__dict__["oracle_version"] = (19, 0)
        return wrapper

    monkeypatch.setattr(database, "connect", connect)
    return Table(settings, page=100), told


def column(name, kind):
    return (name, kind, None, None, None, None, True)


@pytest.mark.parametrize(
    ("settings", "protocol", "host"),
    [(PEOPLE, "tcp", "db.example"), (Settings("oracle://db.example:2484/ORCLPDB1", "t", "c", tls=True), "tcps", "db.example"), (Settings("oracle://[2001:db8::1]:2484/ORCLPDB1", "t", "c"), "tcp", "2001:db8::1")],
)
def test_the_driver_is_led_to_the_service_and_encrypts_when_it_should(settings, protocol, host):
    params = oracledb.ConnectParams(tcp_connect_timeout=database.PATIENCE)
    params.parse_connect_string(database.oracle_address(settings))
    assert (params.protocol, params.host, params.port, params.service_name, params.sid) == (protocol, host, 2484, "ORCLPDB1", None)
    assert params.tcp_connect_timeout == database.PATIENCE


def test_a_page_is_one_select_in_the_words_of_oracle(monkeypatch):
    reader, told = table_of(PEOPLE, monkeypatch, [column("ENTRY_ID", oracledb.DB_TYPE_NUMBER)])
    reader.page({})
    reader.page({"at": ["whole", "41"], "ties": ["x"]})
    assert told == [
        ('SELECT * FROM "HR"."AUDIT" WHERE "ENTRY_ID" IS NOT NULL ORDER BY "ENTRY_ID" FETCH FIRST 100 ROWS ONLY', []),
        ('SELECT * FROM "HR"."AUDIT" WHERE "ENTRY_ID" IS NOT NULL AND "ENTRY_ID" >= :arg0 ORDER BY "ENTRY_ID" FETCH FIRST 101 ROWS ONLY', {":arg0": 41}),
    ]


def test_a_time_is_bound_as_a_timestamp_and_kept_to_the_microsecond(monkeypatch):
    reader, told = table_of(PEOPLE, monkeypatch, [column("ENTRY_ID", oracledb.DB_TYPE_TIMESTAMP)])
    last = datetime(2026, 11, 20, 8, 0, 0, 123456)
    reader.page({"at": database._said(last), "ties": []})
    assert told[0] == ("sizes", {":arg0": oracledb.DB_TYPE_TIMESTAMP})
    assert told[1][1] == {":arg0": last}


def test_values_of_every_type_become_json(monkeypatch):
    kinds = {"ENTRY_ID": (oracledb.DB_TYPE_NUMBER, 7), "AMOUNT": (oracledb.DB_TYPE_NUMBER, Decimal("12.50")), "DAY": (oracledb.DB_TYPE_DATE, datetime(2026, 11, 20, 8, 0)), "BORN": (oracledb.DB_TYPE_DATE, date(2026, 1, 2)),
             "SEEN": (oracledb.DB_TYPE_TIMESTAMP_TZ, datetime(2026, 11, 20, 8, 0, 0, 5, tzinfo=UTC)), "BODY": (oracledb.DB_TYPE_CLOB, SimpleNamespace(read=lambda: "登录失败")), "RAW": (oracledb.DB_TYPE_BLOB, SimpleNamespace(read=lambda: b"\x01\xff")), "GONE": (oracledb.DB_TYPE_VARCHAR, None)}  # fmt: skip
    reader, _ = table_of(PEOPLE, monkeypatch, [column(name, kind) for name, (kind, _) in kinds.items()], [tuple(value for _, value in kinds.values())])
    page = reader.page({})
    assert page.after["at"] == ["whole", "7"]
    assert json.loads(page.frames[0]) == {"ENTRY_ID": 7, "AMOUNT": 12.5, "DAY": "2026-11-20T08:00:00", "BORN": "2026-01-02", "SEEN": "2026-11-20T08:00:00.000005Z", "BODY": "登录失败", "RAW": "Af8=", "GONE": None}


@pytest.mark.parametrize(("text", "value"), [("7", 7), ("12.5", Decimal("12.5")), ("1234567890123456789012", 1234567890123456789012)])
def test_a_number_keeps_all_its_digits(text, value):
    """Django fetches NUMBER as text and has it read by this function."""
    found = FormatStylePlaceholderCursor._output_number_converter(text)
    assert found == value
    assert database._marked(database._said(found)) == value


def test_a_time_with_a_zone_is_refused_as_a_watermark(monkeypatch):
    reader, _ = table_of(PEOPLE, monkeypatch, [column("ENTRY_ID", oracledb.DB_TYPE_TIMESTAMP_TZ)], [(datetime(2026, 11, 20, 16, 0),)])
    with pytest.raises(Conflict, match="entry_id can be no watermark") as refused:
        reader.page({})
    assert "SYS_EXTRACT_UTC" in refused.value.todo


@pytest.mark.parametrize("tls", [False, True])
def test_nobody_there_is_said_in_the_drivers_own_words(tls):
    with pytest.raises(Conflict, match=r"The database cannot be reached: .*DPY-\d+") as told:
        database.connect(Settings(f"oracle://127.0.0.1:{free_port()}/ORCLPDB1", "t", "c", "reader", "s3cret", tls=tls))
    assert told.value.retry
    assert "s3cret" not in str(told.value)


def test_somebody_who_speaks_no_oracle_is_said():
    """The driver's real first words name the service; what is no answer to them is told, and nothing hangs."""
    heard = bytearray()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer():
            connection, _ = server.accept()
            with connection:
                while b"ORCLPDB1" not in heard and (said := connection.recv(4096)):
                    heard.extend(said)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        talker = threading.Thread(target=answer)
        talker.start()
        with pytest.raises(Conflict, match="The database cannot be reached"):
            database.connect(Settings(f"oracle://127.0.0.1:{server.getsockname()[1]}/ORCLPDB1", "t", "c", "reader", "s3cret"))
        talker.join()
    assert b"(SERVICE_NAME=ORCLPDB1)" in heard
    assert b"s3cret" not in heard
