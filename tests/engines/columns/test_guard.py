"""A person's SQL sees the views it was given and nothing else: no file, no setting, no other row."""

import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lianfang.engines.columns.query import Bounds, Query
from lianfang.engines.columns.shape import table
from lianfang.engines.columns.store import EventStore
from lianfang.kernel.errors import Conflict, Fault, Invalid, Refused

DAWN = datetime(2026, 11, 20, tzinfo=UTC)
VIEWS = {"events": "SELECT event_id, host, raw FROM stored WHERE territory = '00001'"}


@pytest.fixture(scope="module")
def query(tmp_path_factory) -> Query:
    root: Path = tmp_path_factory.mktemp("lake")
    (root / "secret.csv").write_text("a,b\n1,TOPSECRET\n")
    store = EventStore(root)
    store.append("iam", table({"event_id": ["mine", "theirs"], "time": [DAWN, DAWN], "territory": ["00001", "00002"], "host": ["web-01", "FOREIGN"], "raw": ["x", "FOREIGN"]}), transactions={})
    return Query(store, memory="256MB")


def ask(query: Query, text: str, **more):
    return query.guarded(text, bounds=Bounds(("iam",)), views=VIEWS, **more).to_pylist()


@pytest.mark.parametrize(
    "text",
    [
        "SELECT host FROM events",
        "FROM events SELECT host;",
        "WITH mine AS (FROM events) SELECT host FROM mine",
        "SELECT e.host FROM events e, (VALUES (1), (2)) v(x) WHERE v.x = 1",
        "SELECT host FROM events WHERE event_id IN (SELECT event_id FROM events) -- a remark",
        "SELECT host FROM events QUALIFY row_number() OVER (ORDER BY event_id) = 1",
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 3) SELECT host FROM events, n WHERE x = 2",
    ],
)
def test_questions_are_answered_within_scope(query, text):
    assert ask(query, text) == [{"host": "web-01"}]


def hostile(root: str, data: str) -> list[str]:
    return [
        f"SELECT * FROM read_csv('{root}/secret.csv')",
        f"SELECT * FROM '{root}/secret.csv'",
        f"SELECT * FROM \"{root}/secret.csv\"",
        f"SELECT * FROM read_text('{root}/secret.csv')",
        f"SELECT * FROM read_blob('{root}/secret.csv')",
        f"SELECT * FROM glob('{root}/*')",
        f"SELECT * FROM read_parquet('{data}')",
        f"SELECT * FROM parquet_scan('{data}')",
        f"SELECT * FROM '{data}'",
        f"SELECT * FROM parquet_metadata('{data}')",
        f"SELECT host FROM events WHERE host IN (SELECT content FROM read_text('{root}/secret.csv'))",
        f"SELECT (SELECT count(*) FROM '{data}')",
        f"SELECT * FROM events WHERE EXISTS (FROM '{data}')",
        f"WITH x AS (FROM '{data}') SELECT * FROM x",
        f"WITH \"{data}\" AS (SELECT 1) SELECT * FROM (SELECT * FROM \"{data}\")",
        f"WITH a AS (SELECT 1) SELECT list_transform([1], x -> (SELECT max(host) FROM '{data}')) FROM a",
        f"SELECT * FROM events UNION ALL SELECT event_id, host, raw FROM '{data}'",
        f"SELECT * FROM events ORDER BY (SELECT max(host) FROM '{data}')",
        f"SELECT * FROM events LIMIT (SELECT count(*) FROM '{data}')",
        f"SELECT * FROM query('SELECT * FROM ''{data}''')",
        f"SELECT * FROM query_table('{data}')",
        f"SELECT * FROM query_table(['{data}'])",
        f"SELECT * FROM sniff_csv('{root}/secret.csv')",
        f"COPY events TO '{root}/out.csv'",
        f"COPY (SELECT 1) TO '{root}/out.csv'",
        f"ATTACH '{root}/x.db'",
        f"EXPORT DATABASE '{root}/x'",
        f"IMPORT DATABASE '{root}/x'",
        "SELECT * FROM stored",
        "SELECT * FROM main.stored",
        "SELECT * FROM memory.main.events",
        "SELECT sql FROM duckdb_views()",
        "FROM duckdb_settings()",
        "FROM duckdb_secrets()",
        "FROM duckdb_tables",
        "FROM sqlite_master",
        "FROM information_schema.tables",
        "FROM pg_catalog.pg_views",
        "SELECT current_setting('allowed_paths')",
        "SELECT getvariable('x')",
        "SELECT getenv('HOME')",
        "SHOW TABLES",
        "SHOW ALL TABLES",
        "DESCRIBE events",
        "SUMMARIZE events",
        "SET enable_external_access = true",
        "RESET lock_configuration",
        "PRAGMA database_list",
        "CALL pragma_version()",
        "INSTALL httpfs",
        "LOAD httpfs",
        "CREATE TABLE t AS SELECT 1",
        "DROP VIEW events",
        "CREATE OR REPLACE VIEW events AS SELECT 1",
        "INSERT INTO events VALUES (1)",
        "DELETE FROM events",
        "EXPLAIN ANALYZE SELECT * FROM events",
        "EXECUTE x",
        "SELECT 1; SELECT 2",
        "SELECT 1; COPY events TO '/tmp/x'",
        "SELECT 1) UNION (SELECT 2",
        "",
        ";",
        "\0",
        "SELECT " + "(" * 5000 + "1" + ")" * 5000,
        "SELECT '" + "x" * 30000 + "'",
    ]


def test_everything_else_is_refused(query):
    (data,) = (path for path in query.store.files(["iam"]))
    for text in hostile(str(query.store.root), data):
        try:
            answer = f"{text[:80]} answered {ask(query, text, seconds=3.0)}"
        except (Refused, Invalid, Conflict) as refusal:
            assert not any(word in str(refusal) for word in ("TOPSECRET", "FOREIGN"))
        else:
            pytest.fail(answer)
    assert not list(query.store.root.glob("out*"))


def test_the_locked_connection_alone_opens_no_other_file(query):
    """The second wall, without the first: what if the guard were fooled."""
    bounds = Bounds(("iam",))
    with query._cell(query._pieces(bounds), bounds, VIEWS) as cell:
        for text in (f"SELECT * FROM read_csv('{query.store.root}/secret.csv')", "SELECT * FROM read_text('/etc/passwd')", "COPY events TO '/tmp/lianfang-out.csv'", "SET enable_external_access=true", "SET allowed_paths=['/']", "INSTALL httpfs"):
            with pytest.raises(Exception, match=r"(?i)permission|cannot|disabled|locked"):
                cell.execute(text).fetchall()


def test_a_question_without_end_is_stopped(query):
    started = time.monotonic()
    with pytest.raises(Conflict, match="longer than"):
        ask(query, "SELECT count(*) FROM range(1000000000000) a, range(1000) b", seconds=0.5)
    assert time.monotonic() - started < 5


def test_a_greedy_question_is_stopped(query):
    with pytest.raises(Conflict, match="memory"):
        ask(query, "SELECT string_agg(repeat('x', 1000000), '') FROM range(100000)")


def test_no_more_rows_than_asked_plus_one(query):
    assert len(ask(query, "SELECT * FROM range(1000000000)", limit=10)) == 11


@settings(deadline=None, max_examples=60)
@given(st.text(max_size=60) | st.lists(st.sampled_from(["SELECT", "FROM", "events", "stored", "'", '"', "(", ")", ";", "--", "/*", "*/", "*", "$$", "WITH", "AS", "1", "UNION", "FOREIGN"]), max_size=12).map(" ".join))
def test_any_text_is_an_answer_or_a_spoken_refusal(query, text):
    try:
        rows = ask(query, text, seconds=2.0)
    except Fault:
        return
    assert "theirs" not in {row.get("event_id") for row in rows}
