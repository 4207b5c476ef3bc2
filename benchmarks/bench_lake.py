"""The lake at ten million events: what people ask all day, beside embedded ClickHouse over the same rows in the same run.

A fresh node in a temporary folder, ten days of events appended as the writer appends them (batches in the order of
receipt, small files joined on the way, the hourly tidying at the end), then questions through the product's query door.
Each question is asked in turn here and there; the median of its repetitions counts, and the peer may not remember answers
(its condition cache is off: people rarely ask the same again). At last the search page itself over
HTTP, while the ingest process takes logs in.

``BENCH_EVENTS`` is the number of events (10,000,000), ``BENCH_LAKE_HOME`` keeps or finds the node, so that a second run
need not fill it again. Without ``chdb`` (dependency group ``lakebench``) there is no peer, and the bench says so.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from report import Row, merge, show

EVENTS = int(os.environ.get("BENCH_EVENTS", "10_000_000"))
DAYS, BATCH, REPEAT = 10, 50_000, 5
HOME = os.environ.get("BENCH_LAKE_HOME", "")
END = datetime.now(UTC).replace(second=0, microsecond=0)
BEGIN = END - timedelta(days=DAYS)
PAGES, FLOW = 120, 2_000
INDICATORS = 100_000


# ---- events ----------------------------------------------------------------------------------------------------


class World:
    """Who and what occurs in the logs: a sector of 3,000 hosts. Few values are frequent, most are rare."""

    def __init__(self) -> None:
        self.chance = np.random.default_rng(20261121)
        self.hosts = [f"{kind}-{number:04d}.corp{number % 12}.example" for number, kind in enumerate(self.chance.choice(["pc", "web", "db", "dc", "app"], 3_000, p=[0.8, 0.06, 0.05, 0.01, 0.08]))]
        self.users = [f"{name}{number}" for number, name in enumerate(self.chance.choice(["li", "wang", "zhang", "chen", "liu", "svc_", "adm_"], 5_000))]
        self.inside = [f"10.{a}.{b}.{c}" for a, b, c in self.chance.integers(1, 250, (6_000, 3))]
        self.outside = sorted({f"{a}.{b}.{c}.{d}" for a, b, c, d in self.chance.integers(11, 223, (200_000, 4))})
        self.domains = [f"{word}{number:x}.{end}" for number, (word, end) in enumerate(zip(self.chance.choice(["cdn", "api", "mail", "img", "upd", "trk"], 60_000), self.chance.choice(["example.com", "example.net", "example.cn", "example.org"], 60_000)))]
        self.hashes = [bytes(row).hex() for row in self.chance.integers(0, 256, (20_000, 32), dtype=np.uint8)]
        self.images = [f"C:\\\\Program Files\\\\{name}{number}\\\\{name}.exe" for number, name in enumerate(self.chance.choice(["Update", "Agent", "Office", "Chrome", "Backup", "Trade"], 1_500))]
        self.agents = [f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/{90 + number % 40}.0.{number}.0 Safari/537.36" for number in range(300)]
        self.owner_of = pa.array([f"00001{number % 12:05d}" for number in range(3_000)])
        self.address_of = pa.array([self.inside[number] for number in range(3_000)])
        self._arrays: dict[int, pa.Array] = {}

    def rank(self, values: list[str], count: int) -> pa.Array:
        """Places of ``count`` values; the n-th is as frequent as Zipf says."""
        return pa.array(np.minimum(len(values) * self.chance.random(count) ** 2.5, len(values) - 1).astype(np.int32))

    def pick(self, values: list[str], count: int) -> pa.Array:
        """``count`` values."""
        if id(values) not in self._arrays:
            self._arrays[id(values)] = pa.array(values)
        return self._arrays[id(values)].take(self.rank(values, count))


def _text(*parts: Any) -> pa.Array:
    return pc.binary_join_element_wise(*(part.cast(pa.string()) if isinstance(part, pa.Array) else part for part in parts), "")


def _lists(*columns: pa.Array) -> pa.Array:
    """Row by row, what the columns hold, as a list."""
    count, width = len(columns[0]), len(columns)
    values = pa.concat_arrays(columns).take(pa.array(np.arange(count * width).reshape(width, count).T.ravel()))
    return pa.ListArray.from_arrays(pa.array(np.arange(count + 1, dtype=np.int32) * width), values)


SHARES = {"system_activity": (0.45, 1007), "network_activity": (0.27, 4001), "iam": (0.13, 3002), "application_activity": (0.10, 6003), "findings": (0.02, 2004), "other": (0.03, 0)}


def batches(world: World, events: int) -> Iterator[dict[str, dict[str, Any]]]:
    """Columns by table, batch after batch in the order of receipt; working hours are busier than nights."""
    edges = np.linspace(0, 1, events // BATCH + 1)
    start, span = int(BEGIN.timestamp() * 1e6), int((END - BEGIN).total_seconds() * 1e6)
    for number, (low, high) in enumerate(pairwise(edges)):
        received = np.sort(low + (high - low) * world.chance.random(BATCH))
        received += 0.25 / DAYS / (2 * np.pi) * np.sin(received * DAYS * 2 * np.pi)
        sequence, moments = int((BEGIN.timestamp() + (END - BEGIN).total_seconds() * low) * 1000), start + (received * span).astype(np.int64)
        kinds = world.chance.choice(len(SHARES), BATCH, p=[share for share, _ in SHARES.values()])
        made = {}
        for at, (name, (_share, class_uid)) in enumerate(SHARES.items()):
            mine = np.flatnonzero(kinds == at)
            made[name] = _columns(world, name, class_uid, moments[mine], [f"{sequence:011x}-w000-{index:05x}" for index in mine])
        yield made
        if number % 20 == 19:
            print(f"\r   {(number + 1) * BATCH:,} events", end="", flush=True)
    print("\r", end="")


def _columns(world: World, name: str, class_uid: int, moments: Any, ids: list[str]) -> dict[str, Any]:
    count = len(ids)
    late = (world.chance.random(count) * 2e6).astype(np.int64)
    times = pa.array(moments - late, pa.timestamp("us", "UTC"))
    which = world.rank(world.hosts, count)  # a host has one address and one owner
    text, host, user, inside = pc.strftime(times, "%Y-%m-%dT%H:%M:%SZ"), pa.array(world.hosts).take(which), world.pick(world.users, count), world.address_of.take(which)
    sources = pa.array([f"{name}-{number % 12 % 4}" for number in range(3_000)]).take(which)
    number = pa.array(world.chance.integers(1_000, 60_000, count))
    made: dict[str, Any] = {
        "event_id": ids, "time": times, "received": pa.array(moments, pa.timestamp("us", "UTC")), "source": sources, "territory": world.owner_of.take(which), "industry": pa.array([""] * count),
        "level": pa.array(world.chance.choice([1, 2, 3], count, p=[0.3, 0.6, 0.1])), "class_uid": pa.array([class_uid] * count), "activity_id": pa.array(world.chance.integers(1, 5, count)), "severity_id": pa.array(world.chance.choice([1, 2, 3, 4], count, p=[0.9, 0.06, 0.03, 0.01])),
        "host": host, "host_ip": inside, "user": user, "product": pa.array(["Bench"] * count), "log_name": pa.array([name] * count), "event_code": pc.cast(pa.array(world.chance.integers(1, 30, count)), pa.string()),
    }  # fmt: skip
    head = ('{"ts":"', text, '","host":"', host, '","user":"', user, '","seq":', number)
    if name == "system_activity":
        image, hash_ = world.pick(world.images, count), world.pick(world.hashes, count)
        command = _text('\\"', image, '\\" --task ', number, " --profile default --session ", world.pick(world.users, count), " --quiet")
        made |= {"process": image, "process_cmd": command, "process_pid": number, "parent": world.pick(world.images, count), "ips": _lists(inside), "hashes": _lists(hash_), "raw": _text(*head, ',"Channel":"Microsoft-Windows-Sysmon/Operational","EventID":1,"Image":"', image, '","CommandLine":"', command, '","Hashes":"SHA256=', hash_, '","ip":"', inside, '","IntegrityLevel":"Medium","Company":"Example Corp"}')}
    elif name == "iam":
        made |= {"src_ip": inside, "status_id": pa.array(world.chance.choice([1, 2], count, p=[0.94, 0.06])), "logon_type": pa.array(world.chance.choice([2, 3, 10], count)), "ips": _lists(inside), "raw": _text(*head, ',"Channel":"Security","EventID":4624,"TargetUserName":"', user, '","IpAddress":"', inside, '","LogonType":3,"AuthenticationPackageName":"Kerberos","WorkstationName":"', host, '"}')}
    else:
        outside, domain, port = world.pick(world.outside, count), world.pick(world.domains, count), pa.array(world.chance.choice([80, 443, 53, 22, 3389, 8080], count))
        made |= {"src_ip": inside, "dst_ip": outside, "src_port": number, "dst_port": port, "domain": domain, "ips": _lists(inside, outside), "domains": _lists(domain)}
        url, agent = _text("https://", domain, "/v1/items/", number), world.pick(world.agents, count)
        made |= {"url": url, "user_agent": agent, "http_method": pa.array(["GET"] * count), "http_status": pa.array(world.chance.choice([200, 304, 404, 500], count, p=[0.85, 0.1, 0.04, 0.01]))} if name == "application_activity" else {}
        made["raw"] = _text(*head, ',"event_type":"', pa.array([name] * count), '","src_ip":"', inside, '","src_port":', number, ',"dest_ip":"', outside, '","dest_port":', port, ',"hostname":"', domain, '","url":"', url, '","agent":"', agent, '","proto":"TCP","in_iface":"eth0"}')
    return made


def fill(root: Path) -> None:
    """Append everything as the writer does; join small files on the way as it does."""
    from lianfang.engines.columns.shape import table
    from lianfang.engines.columns.store import LARGE, EventStore
    from lianfang.rooms.lake.actions.keeping import MANY

    store, world, started = EventStore(root), World(), time.perf_counter()
    for number, made in enumerate(batches(world, EVENTS)):
        for name, columns in made.items():
            store.append(name, table(columns), transactions={"w000": number})
            if store.small_files(name) >= MANY:
                store.compact(name)
    appended = time.perf_counter()
    for name in store.tables():
        store.compact(name)
        store.compact(name, target=LARGE)
    store.count_up(store.tables())
    for name in store.tables():
        store.vacuum(name, hours=0)
    stats = [store.stats(name) for name in store.tables()]
    print(f"   {sum(each.rows for each in stats):,} events in {sum(each.files for each in stats)} files, {sum(each.bytes for each in stats) / EVENTS:.0f} bytes each; appended in {appended - started:.0f} s, tidied in {time.perf_counter() - appended:.0f} s")


# ---- the peer --------------------------------------------------------------------------------------------------


class ClickHouse:
    """Embedded ClickHouse over the same rows: ordered by time, with Bloom filters where ours are."""

    def __init__(self, folder: Path):
        from chdb import session

        self.session = session.Session(str(folder))

    def fill(self, root: Path) -> None:
        """Load from the lake's own files."""
        from lianfang.engines.columns.shape import EVENTS as SHAPE

        kinds = {"string": "Nullable(String)", "int64": "Nullable(Int64)", "timestamp[us, tz=UTC]": "DateTime64(6, 'UTC')", "list<item: string>": "Array(String)", "list<element: string>": "Array(String)"}
        columns = ", ".join(f"`{field.name}` {'String' if field.name in ('event_id', 'event_day') else kinds[str(field.type)]}" for field in SHAPE)
        indices = ", ".join(f"INDEX {name}_bloom {name} TYPE bloom_filter(0.01) GRANULARITY 1" for name in ("event_id", "src_ip", "dst_ip", "ips"))
        self.ask("CREATE DATABASE IF NOT EXISTS bench ENGINE = Atomic")
        self.ask(f"CREATE TABLE bench.events ({columns}, {indices}) ENGINE = MergeTree PARTITION BY event_day ORDER BY (time, event_id)")
        names = ", ".join(f"`{field.name}`" for field in SHAPE)
        started = time.perf_counter()
        for path in sorted(root.glob("*/event_day=*")):
            there = names.replace("`event_day`", f"'{path.name[10:]}'")
            self.ask(f"INSERT INTO bench.events ({names}) SELECT {there} FROM file('{path}/*.parquet', Parquet) SETTINGS max_threads=2, max_insert_threads=1, input_format_null_as_default=1")
        self.ask("OPTIMIZE TABLE bench.events FINAL")
        print(f"   the peer took them in {time.perf_counter() - started:.0f} s")

    def ask(self, sql: str) -> Any:
        return self.session.query(sql, "JSONCompact")


def peer_of(home: Path) -> ClickHouse | None:
    """The peer with the same rows, or nothing where it is not installed."""
    try:
        peer = ClickHouse(home / "peer")
    except ImportError:
        print("   chdb is not installed (dependency group lakebench): no peer is measured")
        return None
    there = json.loads(str(peer.ask("SELECT count() FROM system.tables WHERE database = 'bench' AND name = 'events'")))["data"][0][0]
    if not int(there):
        peer.fill(home / "lake")
    return peer


# ---- questions -------------------------------------------------------------------------------------------------


def questions(chance: random.Random) -> Iterator[tuple[str, float, Callable[[], int], str, Callable[[str], int]]]:
    """Each question: its name, its goal in seconds, how we ask, how the peer is asked, and how many answers the peer's are."""
    from lianfang.kernel.viewer import SYSTEM
    from lianfang.rooms.lake import queries
    from lianfang.rooms.lake.queries.searching import LISTED
    from lianfang.rooms.lake.types import Filter, Question

    end, begin = END + timedelta(minutes=1), BEGIN - timedelta(minutes=1)
    listed = ", ".join(f"`{name}`" for name in LISTED if name != "raw") + ", left(raw, 400)"
    found = lambda filters=(), since=begin, text="": len(queries.search(Question(since, end, filters, text), viewer=SYSTEM).events)  # noqa: E731

    def peer(where: str, since: datetime = begin) -> str:
        return f"SELECT {listed} FROM bench.events WHERE ({where}) AND time >= '{since:%Y-%m-%d %H:%M:%S}' AND time < '{end:%Y-%m-%d %H:%M:%S}' ORDER BY time DESC, event_id DESC LIMIT 50"

    rows = lambda text: len(json.loads(text)["data"])  # noqa: E731
    world = World()
    rare, frequent, number = world.outside[-50], world.inside[3], chance.randrange(1_000, 60_000)
    word = f"--task {number} --profile default --session {world.users[-7]}"
    quarter = END - timedelta(minutes=15)
    yield "last 15 minutes by class", 0.1, lambda: found((Filter("class_uid", "is", "3002"),), quarter), peer("class_uid = 3002", quarter), rows
    yield "one rare address, list columns", 0.5, lambda: found((Filter("ips", "is", rare),)), peer(f"has(ips, '{rare}')"), rows
    yield "one frequent address, list columns", 0.5, lambda: found((Filter("ips", "is", frequent),)), peer(f"has(ips, '{frequent}')"), rows
    yield "an address that never occurred", 0.5, lambda: found((Filter("ips", "is", "1.2.3.4"),)), peer("has(ips, '1.2.3.4')"), rows
    top = "SELECT {0}, count() AS n FROM bench.events WHERE {0} IS NOT NULL GROUP BY 1 ORDER BY n DESC, 1 LIMIT 20"
    whole = Question(begin, end)
    yield "top-20 of destinations", 0.6, lambda: len(queries.top(whole, "dst_ip", viewer=SYSTEM, limit=20)), top.format("dst_ip"), rows
    yield "top-20 of hosts", 0.6, lambda: len(queries.top(whole, "host", viewer=SYSTEM, limit=20)), top.format("host"), rows
    yield "a phrase in the raw log", 1.5, lambda: found(text=f'"{word}"'), peer(f"positionCaseInsensitive(raw, '{word}') > 0"), rows
    yield "a word that never occurred", 1.5, lambda: found(text="xyzzyplugh"), peer("positionCaseInsensitive(raw, 'xyzzyplugh') > 0"), rows
    some = queries.search(Question(begin, END - timedelta(days=4), limit=1), viewer=SYSTEM).events[0]["event_id"]
    yield "event by id", 0.05, lambda: len(queries.events([some], viewer=SYSTEM)), f"SELECT * FROM bench.events WHERE event_id = '{some}' LIMIT 1", rows
    yield "events per bar over all days", 0.6, lambda: len(queries.histogram(whole, viewer=SYSTEM).counts), "SELECT intDiv(toUnixTimestamp(time), 10800) AS bar, count() FROM bench.events GROUP BY bar", rows
    wanted = [f"{a}.{b}.{c}.{d}" for a, b, c, d in np.random.default_rng(7).integers(11, 223, (INDICATORS - 200, 4))] + world.outside[::1000][:200]
    yield "retro-match of 100,000 indicators", 0.5, lambda: len(queries.seen(wanted, "ips", since=begin, until=end, viewer=SYSTEM)), "SELECT ip, count() FROM (SELECT arrayJoin(ips) AS ip FROM bench.events) WHERE ip IN (SELECT ip FROM bench.wanted) GROUP BY ip", rows


def measure(peer: ClickHouse | None) -> list[Row]:
    """Every question, here and there in turn."""
    rows = []
    for name, goal, ours, sql, count in questions(random.Random(5)):
        if peer and "bench.wanted" in sql:
            _hand_over(peer)
        mine, theirs, answers = [], [], (0, 0)
        for _ in range(REPEAT + 1):
            started = time.perf_counter()
            got = ours()
            mine.append(time.perf_counter() - started)
            if peer:
                started = time.perf_counter()
                said = str(peer.ask(sql + " SETTINGS max_threads=2, use_query_condition_cache=0"))
                theirs.append(time.perf_counter() - started)
                answers = (got, count(said))
                if got != answers[1]:
                    raise SystemExit(f"{name}: {got} answers here, {answers[1]} there: these are not the same rows")
        value, other = statistics.median(mine[1:]), statistics.median(theirs[1:]) if theirs else None
        print(f"   {name}: {value:.3f} s (first {mine[0]:.3f})" + (f", peer {other:.3f} s (first {theirs[0]:.3f}); answers {answers[0]} and {answers[1]}" if other else f"; {got} answers"), flush=True)
        rows.append(Row(f"lake: {name}, {EVENTS // 1_000_000} M events", round(value, 4), "s", "ClickHouse (chdb)" if other else "", other and round(other, 4), other and round(value / other, 2), goal))
    return rows


def _hand_over(peer: ClickHouse) -> None:
    """The indicators as a table of the peer's."""
    world = World()
    wanted = [f"{a}.{b}.{c}.{d}" for a, b, c, d in np.random.default_rng(7).integers(11, 223, (INDICATORS - 200, 4))] + world.outside[::1000][:200]
    peer.ask("CREATE TABLE IF NOT EXISTS bench.wanted (ip String) ENGINE = Memory")
    peer.ask("TRUNCATE TABLE bench.wanted")
    peer.ask("INSERT INTO bench.wanted VALUES " + ", ".join(f"('{one}')" for one in wanted))


# ---- the page, while logs come in ------------------------------------------------------------------------------

READY = """
import json, os; os.environ["DJANGO_SETTINGS_MODULE"] = "lianfang.site.settings"
import django; django.setup()
from django.test import Client
from lianfang.commons.people.models import User
from lianfang.rooms.lake import actions
from lianfang.site import node
actions.ensure_source("bench", kind="http", codec="json", actor=node.console())
key = node.make_key("bench", permissions=("lake.event.add",))
user = User.objects.filter(is_active=True).first()
user.must_change_password = False
user.save()
client = Client()
client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
print(json.dumps({"key": f"{key['id']}:{key['secret']}", "cookies": {name: one.value for name, one in client.cookies.items()}}))
"""


def paging(home: Path) -> list[Row]:
    """The search page over HTTP, again and again with other questions, while ``FLOW`` events come in each second."""
    said = json.loads(subprocess.run([sys.executable, "-c", READY], check=True, capture_output=True, text=True).stdout.splitlines()[-1])
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    parts = [subprocess.Popen([sys.executable, "-m", "lianfang.site", *command], stdout=subprocess.DEVNULL) for command in (("web", "--port", str(port)), ("ingest",))]
    stop, sent = threading.Event(), [0]
    try:
        _await(port)
        flow = threading.Thread(target=_flow, args=(port, said["key"], stop, sent))
        flow.start()
        time.sleep(5)
        times = _ask_pages(port, said["cookies"])
    finally:
        stop.set()
        for part in parts:
            part.terminate()
        for part in parts:
            part.wait(30)
    times.sort()
    value = times[int(len(times) * 0.95)]
    print(f"   search page while {sent[0]:,} events came in: median {times[len(times) // 2]:.3f} s, p95 {value:.3f} s, greatest {times[-1]:.3f} s")
    return [Row(f"lake: search page while ingesting {FLOW:,} events/s, p95, {EVENTS // 1_000_000} M events", round(value, 3), "s", goal=1.0)]


def _await(port: int) -> None:
    for _ in range(600):
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/healthz")
            connection.getresponse().read()
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("the node did not start")


def _flow(port: int, key: str, stop: threading.Event, sent: list[int]) -> None:
    connection, started, chance = http.client.HTTPConnection("127.0.0.1", port, timeout=60), time.perf_counter(), random.Random(1)
    headers = {"Authorization": f"Lianfang {key}", "Content-Type": "application/x-ndjson"}
    while not stop.is_set():
        now = datetime.now(UTC)
        lines = [json.dumps({"Channel": "Security", "EventID": 4624, "Computer": f"dc-{chance.randrange(9)}", "TargetUserName": f"li{chance.randrange(900)}", "IpAddress": f"10.0.0.{chance.randrange(250)}", "UtcTime": f"{now:%Y-%m-%d %H:%M:%S}.000", "n": number}) for number in range(500)]
        connection.request("POST", "/api/lake/ingest/bench", "\n".join(lines).encode(), headers)
        answer = connection.getresponse()
        answer.read()
        if answer.status not in (202, 429):
            raise SystemExit(f"the node answered {answer.status}")
        sent[0] += 500 if answer.status == 202 else 0
        stop.wait(max(0.0, started + sent[0] / FLOW - time.perf_counter()))


def _ask_pages(port: int, cookies: dict[str, str]) -> list[float]:
    world, chance, times = World(), random.Random(3), []
    makers = (
        lambda: "span=24h", lambda: "span=15m&f=class_uid:is:3002", lambda: "span=7d", lambda: f"span=7d&f=host:is:{chance.choice(world.hosts)}", lambda: f"span=24h&f=ips:is:{chance.choice(world.inside)}",
        lambda: f"span=24h&f=user:is:{chance.choice(world.users)}&f=class_uid:is:3002", lambda: "span=24h&f=severity_id:above:3", lambda: f"span=4h&q={chance.choice(world.users)}",
    )  # fmt: skip
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())}
    for number in range(PAGES):
        started = time.perf_counter()
        connection.request("GET", f"/lake/search/?{makers[number % len(makers)]()}", headers=headers)
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise SystemExit(f"the search page answered {answer.status}: {body[:300]!r}")
        times.append(time.perf_counter() - started)
    return times


def main() -> None:
    global BEGIN, END
    home = Path(HOME or tempfile.mkdtemp(prefix="lianfang-bench-lake-"))
    here = Path(__file__).parents[1]
    os.environ |= {"LIANFANG_HOME": str(home), "DJANGO_SETTINGS_MODULE": "lianfang.site.settings", "PYTHONPATH": os.pathsep.join([str(here / "src"), os.environ.get("PYTHONPATH", "")])}
    sys.path.insert(0, str(here / "src"))
    print(f"   load of the machine before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores", flush=True)
    try:
        subprocess.run([sys.executable, "-m", "lianfang.site", "init", "--json"], check=True, stdout=subprocess.DEVNULL)
        if not (home / "lake").exists():
            import django

            django.setup()
            fill(home / "lake")
            (home / "span.json").write_text(json.dumps([BEGIN.isoformat(), END.isoformat()]))
        else:
            BEGIN, END = map(datetime.fromisoformat, json.loads((home / "span.json").read_text()))  # what came in later, the peer does not have
            import django

            django.setup()
        rows = measure(peer_of(home))
        rows += paging(home)
    finally:
        if not HOME:
            shutil.rmtree(home, ignore_errors=True)
    show(rows)
    if EVENTS >= 10_000_000:
        merge(rows)


if __name__ == "__main__":
    main()
