"""The whole path: HTTP NDJSON → decoded, mapped, examined by every rule, stored, searchable; and from receipt to alert.

A fresh node in a temporary folder with all SigmaHQ rules, real processes (web, ingest, worker), 201,000 real Windows
events sent twice over HTTP: the first pass meets every value for the first time. What is sent must be found, each event
once. Then at half the rate of the slower pass one marked event every half second: when does it stand in the search with its rule,
when in the list of alerts? Beside the rate by the clock stands the rate per CPU second of web and ingest together. At last a second node,
whose work two ingest processes share (``LIANFANG_INGEST=2``), takes the same two passes.

The peer is the limit of this machine at this hour: what msgspec reaches when as many processes as there are cores read 20 fields of the same bytes and
do nothing else, measured before and after each pass. The node has come to rest before: what a worker does once after an installation is not measured. Shared machines differ by a factor of two from hour to hour; the ratio does so far less.
"""

from __future__ import annotations

import http.client
import json
import multiprocessing
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent / "src"), str(HERE.parent)]

import psutil  # noqa: E402
import zstandard  # noqa: E402
from benchmarks import bench_memory, bench_rules  # noqa: E402

DATA = Path(os.environ.get("LIANFANG_DATA", "")) / "detection"
BODY_LINES, SENDERS, PASSES = 1_000, 2, 2
MARKS, MARK_EVERY = int(os.environ.get("BENCH_MARKS", "60")), 0.5
PATIENCE = 900.0


KEY = """
import os, json; os.environ["DJANGO_SETTINGS_MODULE"] = "lianfang.site.settings"
import django; django.setup()
from lianfang.site import node
from lianfang.rooms.lake import actions
actions.ensure_source("bench", kind="http", codec="json", actor=node.console())
print(json.dumps(node.make_key("bench", permissions=("lake.event.add", "lake.event.view", "lake.source.view", "lake.reject.view", "respond.alert.view"))))
"""


PRODUCT = """
import sys

class Absent:  # what only the bench's own environment holds; Arrow would load it into every part
    def find_spec(self, name, path=None, target=None):
        if name == "pandas":
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent())
from lianfang.site.cli import main
sys.exit(main())
"""


class Node:
    """A node of its own, and a key to it."""

    def __init__(self, ingest: int = 1) -> None:
        self.ingest = [f"ingest-{number}" for number in range(1, ingest + 1)] if ingest > 1 else ["ingest"]
        self.home = tempfile.mkdtemp(prefix="lianfang-bench-")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.env = {**os.environ, "LIANFANG_HOME": self.home, "LIANFANG_INGEST": str(ingest), "PYTHONPATH": os.pathsep.join([str(HERE.parent / "src"), str(HERE.parent)])}
        self.parts: dict[str, subprocess.Popen[bytes]] = {}

    def run(self, *command: str) -> str:
        """A command of ``lianfang`` to its end."""
        return subprocess.run([sys.executable, "-m", "lianfang.site", *command], env=self.env, check=True, capture_output=True, text=True).stdout

    def prepare(self) -> None:
        self.run("init", "--json")
        pack = json.loads(self.run("rules", "install", str(DATA / "sigma-rules.tar.zst"), "--json"))
        print(f"   {pack['rules']:,} rules of the field, and the starter pack")
        made = subprocess.run([sys.executable, "-c", KEY], env=self.env, check=True, capture_output=True, text=True).stdout
        key = json.loads(made.splitlines()[-1])
        self.headers = {"Authorization": f"Lianfang {key['id']}:{key['secret']}"}

    def start(self) -> None:
        shares = [(name, ["ingest", "--part", f"{number}/{len(self.ingest)}"]) for number, name in enumerate(self.ingest, 1)]
        for name, arguments in (("web", ["web", "--port", str(self.port)]), *shares, ("worker", ["worker"])):
            self.parts[name] = subprocess.Popen([sys.executable, "-c", PRODUCT, *arguments], env=self.env, stdout=subprocess.DEVNULL)
        self.wait(lambda: self.get("/healthz")["status"] == "ok", 120)
        self.post("/api/lake/ingest/bench", MARK.format(n="warm", rest="{}").encode())
        self.wait(lambda: self.count() == 1, 300)  # rules are loaded
        self.settle()

    def settle(self, *, most: float = 120.0) -> None:
        """Wait for what a worker does once after rules were installed, the survey of what they can reach among it: no node in use does that in every minute."""
        begun, before = time.monotonic(), self.spent()["worker"]
        while time.monotonic() - begun < most:
            time.sleep(3.0)
            now = self.spent()["worker"]
            if now - before < 0.3:
                break
            before = now
        print(f"   the worker came to rest after {time.monotonic() - begun:.0f} s")

    def stop(self) -> None:
        for part in self.parts.values():
            part.terminate()
        for part in self.parts.values():
            try:
                part.wait(30)
            except subprocess.TimeoutExpired:
                part.kill()
        shutil.rmtree(self.home, ignore_errors=True)

    def wait(self, condition: Any, seconds: float, *, every: float = 0.1) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                if condition():
                    return
            except (OSError, http.client.HTTPException, KeyError):
                pass
            time.sleep(every)
        raise SystemExit("the node did not do it in time")

    def ask(self, connection: http.client.HTTPConnection, method: str, path: str, body: bytes | None = None, content_type: str = "application/json") -> tuple[int, Any]:
        connection.request(method, path, body, {**self.headers, "Content-Type": content_type})
        answer = connection.getresponse()
        data = answer.read()
        return answer.status, json.loads(data) if data else None

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def get(self, path: str) -> Any:
        return self.ask(self.connect(), "GET", path)[1]

    def post(self, path: str, body: bytes) -> Any:
        return self.ask(self.connect(), "POST", path, body)[1]

    def count(self) -> int:
        """Events that can be found."""
        return int(self.post("/api/lake/query", json.dumps({"sql": "SELECT count(*) FROM events WHERE source = 'bench'"}).encode())["rows"][0][0])

    def concluded(self) -> int:
        """Events that the node says it has stored: cheaper to ask than to count them."""
        return int(self.get("/api/lake/source/?q=bench")["items"][0]["events"])

    def spent(self) -> dict[str, float]:
        """CPU seconds of each part so far, children included."""
        return {name: sum(sum(one.cpu_times()[:2]) for one in (root, *root.children(recursive=True))) for name, part in self.parts.items() if (root := psutil.Process(part.pid))}

    def memory(self, name: str, figure: str = "VmRSS") -> int:
        """Resident megabytes of a part now, or at its peak (``VmHWM``)."""
        status = Path(f"/proc/{self.parts[name].pid}/status").read_text()
        return int(status.partition(f"{figure}:")[2].split()[0]) >> 10


MARK = '{{"Channel": "Microsoft-Windows-Sysmon/Operational", "EventID": 1, "Computer": "mark-{n}", "Image": "C:\\\\Windows\\\\System32\\\\rundll32.exe", "OriginalFileName": "RUNDLL32.EXE", "CommandLine": "rundll32.exe comsvcs.dll, MiniDump 624 lsass.dmp full", "ParentImage": "C:\\\\Windows\\\\System32\\\\cmd.exe", "x": {rest}}}'


def bodies() -> list[bytes]:
    """The events as request bodies."""
    with (DATA / "windows-events-201k.jsonl.zst").open("rb") as file:
        lines = zstandard.ZstdDecompressor().stream_reader(file).read().splitlines()
    return [b"\n".join(lines[start : start + BODY_LINES]) for start in range(0, len(lines), BODY_LINES)]


def flood(node: Node, parts: list[bytes]) -> int:
    """Send everything as fast as it is taken; returns how often the node asked for patience."""
    left, busy, lock = list(enumerate(parts)), [0], threading.Lock()

    def send() -> None:
        connection = node.connect()
        while True:
            with lock:
                if not left:
                    return
                _, body = left.pop(0)
            while True:
                status, _ = node.ask(connection, "POST", "/api/lake/ingest/bench", body, "application/x-ndjson")
                if status == 202:
                    break
                if status != 429:
                    raise SystemExit(f"the node answered {status}")
                busy[0] += 1
                time.sleep(0.2)

    threads = [threading.Thread(target=send) for _ in range(SENDERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return busy[0]


def limit(lines: list[bytes], seconds: float = 1.5) -> float:
    """Events per second by the clock that all cores together decode, 20 fields of each."""
    context = multiprocessing.get_context("fork")
    told: Any = context.Queue()

    def decode() -> None:
        run, rounds, begun = bench_rules.twenty_fields(lines), 0, time.perf_counter()
        while time.perf_counter() - begun < seconds:
            run()
            rounds += 1
        told.put(rounds * len(lines) / (time.perf_counter() - begun))

    workers = [context.Process(target=decode) for _ in range(os.cpu_count() or 1)]
    for worker in workers:
        worker.start()
    total = sum(told.get() for _ in workers)
    for worker in workers:
        worker.join()
    return total


def whole_path(node: Node, parts: list[bytes]) -> list[dict[str, Any]]:
    """Events per second from the first byte sent to the last event found, for each pass."""
    events, rows, there = sum(body.count(b"\n") + 1 for body in parts), [], node.count()
    sample = b"\n".join(parts[::8]).splitlines()
    limits = [limit(sample)]
    shared = f", {len(node.ingest)} ingest processes" if len(node.ingest) > 1 else ""
    for number in range(PASSES):
        before, started = node.spent(), time.perf_counter()
        busy = flood(node, parts)
        sent = time.perf_counter() - started
        wanted = there + events * (number + 1)
        node.wait(lambda wanted=wanted: node.concluded() >= wanted, PATIENCE, every=0.25)
        if node.count() < wanted:
            raise SystemExit("what was concluded cannot be found")
        took, after = time.perf_counter() - started, node.spent()
        limits.append(limit(sample))
        cpu = {name: after[name] - before[name] for name in after}
        label = "first pass" if number == 0 else "warm"
        print(f"   {label}: sent in {sent:.1f} s, searchable after {took:.1f} s; CPU s: {', '.join(f'{name} {value:.1f}' for name, value in cpu.items())}; 429: {busy}; memory of ingest {node.memory(node.ingest[0])} MB")
        rows.append(row(f"path: HTTP to searchable, {label}{shared}", events / took, "events/s", goal=20_000, peer=f"msgspec, 20 fields, {os.cpu_count()} cores", peer_value=round(sum(limits[-2:]) / 2), per_cpu_second=round(events / (cpu["web"] + sum(cpu[name] for name in node.ingest)))))
    answer = node.post("/api/lake/query", json.dumps({"sql": "SELECT count(*), count(DISTINCT event_id) FROM events WHERE source = 'bench'"}).encode())["rows"][0]
    rejects = sum(one["count"] for one in node.get("/api/lake/rejects/"))
    expected = there + PASSES * events
    print(f"   sent {expected:,}, stored {answer[0]:,}, distinct {answer[1]:,}, rejects {rejects}")
    if answer != [expected, expected] or rejects:
        raise SystemExit("events were lost or doubled")
    rows.append(row(f"path: events lost or doubled{shared}", 0, "events", goal=0))
    return rows


def haul(node: Node) -> list[dict[str, Any]]:
    """On to a million events, varied, every fourth batch hard; the peak of the ingest process."""
    there = node.count()
    for batch in bench_memory.batches(DATA):
        flood(node, [b"\n".join(batch[start : start + BODY_LINES]) for start in range(0, len(batch), BODY_LINES)])
        there += len(batch)
        if there >= bench_memory.EVENTS:
            break
    node.wait(lambda: node.concluded() >= there, PATIENCE, every=0.25)
    print(f"   {there:,} events: ingest holds {node.memory('ingest')} MB, at its peak {node.memory('ingest', 'VmHWM')} MB")
    if node.count() != there:
        raise SystemExit("events were lost or doubled")
    return [row("path: memory of the ingest process over a million events, peak", node.memory("ingest", "VmHWM"), "MB", goal=600)]


def latency(node: Node, parts: list[bytes], rate: float) -> list[dict[str, Any]]:
    """At ``rate`` events per second: from receipt to search and to the list of alerts."""
    stop, sent, seen, alerted = threading.Event(), {}, {}, {}

    def load() -> None:
        connection, started, count = node.connect(), time.perf_counter(), 0
        while not stop.is_set():
            body = parts[count % len(parts)]
            node.ask(connection, "POST", "/api/lake/ingest/bench", body, "application/x-ndjson")
            count += 1
            stop.wait(max(0.0, started + count * BODY_LINES / rate - time.perf_counter()))

    def watch(path: str, found: dict[str, float], names: Any) -> None:
        connection = node.connect()
        while not stop.is_set():
            _, answer = node.ask(connection, "GET", path)
            now = time.perf_counter()
            for name in names(answer):
                found.setdefault(name, now)
            stop.wait(0.05)

    since = quote(time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
    search = f"/api/lake/events/?since={since}&limit=500&filter=host:starts:mark-&filter=rules:filled:"
    threads = [
        threading.Thread(target=load),
        threading.Thread(target=watch, args=(search, seen, lambda answer: [event["host"] for event in answer["events"]])),
        threading.Thread(target=watch, args=("/api/respond/alerts/?q=mark-&sort=-raised&limit=100", alerted, lambda answer: [alert["host"] for alert in answer["items"]])),
    ]
    for thread in threads:
        thread.start()
    time.sleep(3)
    connection = node.connect()
    for number in range(MARKS):
        sent[f"mark-{number}"] = time.perf_counter()
        node.ask(connection, "POST", "/api/lake/ingest/bench", MARK.format(n=number, rest=number).encode(), "application/x-ndjson")
        time.sleep(MARK_EVERY)
    deadline = time.monotonic() + 60
    while (len(seen) < MARKS or len(set(alerted) & set(sent)) < MARKS) and time.monotonic() < deadline:
        time.sleep(0.1)
    stop.set()
    for thread in threads:
        thread.join()
    return [row(f"path: receipt to {label} at {rate:,.0f} events/s, p99", _p99([found[name] - sent[name] for name in sent if name in found]), "s", goal=2.0, missing=MARKS - len(set(sent) & set(found))) for label, found in (("search", seen), ("alert list", alerted))]


def _p99(values: list[float]) -> float:
    ordered = sorted(values)
    print(f"   {len(ordered)} marks: median {ordered[len(ordered) // 2]:.2f} s, greatest {ordered[-1]:.2f} s" if ordered else "   no mark was seen")
    return ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))] if ordered else float("inf")


def row(name: str, value: float, unit: str, *, goal: float | None, **more: Any) -> dict[str, Any]:
    found = {"name": name, "value": round(value) if value >= 100 else round(value, 2), "unit": unit, "peer": "", "peer_value": None, "ratio": None, "goal": goal, **more}
    return found | ({"ratio": float(f"{value / found['peer_value']:.3g}")} if found["peer_value"] else {})


def keep(rows: list[dict[str, Any]]) -> None:
    """Merge into ``latest.json``: one row per name."""
    path = HERE / "latest.json"
    known = {str(each["name"]): each for each in (json.loads(path.read_text("utf-8")) if path.exists() else [])}
    known = {name: each for name, each in known.items() if not name.startswith("path: ")}
    known.update({str(each["name"]): each for each in rows})
    path.write_text(json.dumps(list(known.values()), ensure_ascii=False, indent=1) + "\n", "utf-8")


def main() -> None:
    if not (DATA / "windows-events-201k.jsonl.zst").is_file():
        print("LIANFANG_DATA names no folder of field data: nothing is measured")
        return
    print(f"   load of the machine before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    node, parts = Node(), bodies()
    try:
        node.prepare()
        node.start()
        rows = whole_path(node, parts)
        rows += haul(node)
        rate = float(os.environ.get("BENCH_RATE", "0")) or min(each["value"] for each in rows[:PASSES]) / 2
        rows += latency(node, parts, rate)
    finally:
        node.stop()
    node = Node(2)
    try:
        node.prepare()
        node.start()
        rows += whole_path(node, parts)
    finally:
        node.stop()
    for each in rows:
        print(f"{each['name']:<64}{each['value']:>12,} {each['unit']:<9} goal {each['goal']}" + (f"   {each['per_cpu_second']:,} per CPU s; {each['ratio']} of {each['peer_value']:,} ({each['peer']})" if "per_cpu_second" in each else "") + (f"   {each['missing']} missing" if each.get("missing") else ""))
    keep(rows)


if __name__ == "__main__":
    main()
