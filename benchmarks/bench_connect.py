"""Connect: frames decoded and rows mapped, per CPU second of one core, beside plain code that does the same for these events.

Needs ``windows-events-201k`` (and, for event logs, the regression part) in ``LIANFANG_DATA``. Batches of 1,000, as ingest
has them; the first pass has cold memos, the warm one is the best of three further passes. Rows are decoded afresh in
every pass: nothing is kept in a cache that a running node would not keep.
"""

from __future__ import annotations

import gc
import io
import json
import os
import sys
import tarfile
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent / "src"), str(HERE.parent)]

import evtx  # noqa: E402
import orjson  # noqa: E402
import zstandard  # noqa: E402

from lianfang.engines.connect import codecs, files  # noqa: E402
from lianfang.engines.connect.mapping import Templates  # noqa: E402

BATCH, ROUNDS = 1000, 3
NOW = datetime(2026, 11, 20, 9, tzinfo=UTC)
TEMPLATES = HERE.parent / "content/mappings"
SSHD = b"<38>Nov 20 08:00:%02d web%d sshd[%d]: Failed password for invalid user user%d from 198.51.100.%d port %d ssh2"


def spent(work: Callable[[], Any]) -> float:
    """CPU seconds of this process."""
    started = time.process_time()
    work()
    return time.process_time() - started


def batches(items: list[Any]) -> Iterable[list[Any]]:
    return (items[start : start + BATCH] for start in range(0, len(items), BATCH))


def decoding(frames: list[bytes], codec: str) -> float:
    """Frames per CPU second."""
    return len(frames) / sum(spent(lambda batch=batch: codecs.decode(codec, batch)) for batch in batches(frames))


def parsing(frames: list[bytes]) -> float:
    """The peer: the fastest JSON parser, and nothing else."""
    return len(frames) / sum(spent(lambda batch=batch: [orjson.loads(frame) for frame in batch]) for batch in batches(frames))


def mapping(frames: list[bytes], work: Callable[[list[dict[str, str]]], Any]) -> float:
    """Rows per CPU second of ``work`` on freshly decoded batches; decoding is not counted."""
    taken = 0.0
    for batch in batches(frames):
        rows = codecs.decode("json", batch).rows
        taken += spent(lambda rows=rows: work(rows))
    return len(frames) / taken


def by_hand(rows: list[dict[str, str]]) -> list[dict[str, Any]]:
    """The peer: what a careful person writes for Sysmon, row by row."""
    return [_event(row) for row in rows]


def _event(row: dict[str, str]) -> dict[str, Any]:
    domain, _, user = row.get("User", row.get("SourceUser", "")).rpartition("\\")
    used = ("UtcTime", "EventID", "Channel", "Computer", "Image", "SourceImage", "ProcessId", "SourceProcessId", "ProcessGuid", "SourceProcessGUID", "TargetFilename", "TargetImage", "TargetObject", "Details", "CommandLine")
    return {
        "time": datetime.fromisoformat(row.get("UtcTime") or row["SystemTime"]).replace(tzinfo=UTC), "event_code": row["EventID"], "log_name": row["Channel"], "host": row["Computer"], "product": "Sysmon",
        "process": row.get("Image") or row.get("SourceImage"), "process_pid": int(row.get("ProcessId") or row.get("SourceProcessId") or 0), "process_uid": row.get("ProcessGuid") or row.get("SourceProcessGUID"),
        "user": user, "user_domain": domain, "file": row.get("TargetFilename") or row.get("TargetImage"), "reg_key": row.get("TargetObject"), "reg_value": row.get("Details"), "process_cmd": row.get("CommandLine"),
        "hashes": [part.partition("=")[2].lower() for part in row.get("Hashes", "").split(",")], "unmapped": orjson.dumps({name: value for name, value in row.items() if name not in used}).decode(),
    }  # fmt: skip


def first_and_warm(measure: Callable[[], float]) -> tuple[float, float]:
    first = measure()
    return first, max(measure() for _ in range(ROUNDS))


def measure_json(folder: Path) -> list[dict[str, Any]]:
    frames = [frame for frame in files.frames(folder / "windows-events-201k.jsonl.zst") if isinstance(frame, bytes)]
    sysmon = [frame for frame in frames if b'"Microsoft-Windows-Sysmon/Operational"' in frame]
    gc.collect()
    gc.freeze()
    templates = Templates.load(TEMPLATES)
    plain = max(parsing(frames) for _ in range(ROUNDS))
    hand = max(mapping(sysmon, by_hand) for _ in range(ROUNDS))
    first, warm = first_and_warm(lambda: mapping(sysmon, lambda rows: templates.map(rows, received=NOW)))
    every_first, every_warm = first_and_warm(lambda: mapping(frames, lambda rows: templates.map(rows, received=NOW)))
    few = codecs.decode("json", sysmon[:250]).rows
    hot = 250 / min(spent(lambda: templates.map(few, received=NOW)) for _ in range(100))
    return [
        row("connect: flat JSON decoded to rows", max(decoding(frames, "json") for _ in range(ROUNDS)), "orjson alone", plain, 100_000),
        row("connect: Sysmon rows mapped, first pass", first, "row by row, by hand", hand, None),
        row("connect: Sysmon rows mapped, warm memos", warm, "row by row, by hand", hand, 500_000),
        row("connect: the same 250 Sysmon rows again", hot, "row by row, by hand", hand, 500_000),
        row("connect: all Windows rows mapped, first pass", every_first, "", None, None),
        row("connect: all Windows rows mapped, warm memos", every_warm, "", None, None),
    ]


def measure_logs(folder: Path) -> list[dict[str, Any]]:
    with (folder / "sigma-regression-part.tar.zst").open("rb") as packed, tarfile.open(fileobj=zstandard.ZstdDecompressor().stream_reader(packed), mode="r|") as archive:
        logs = [archive.extractfile(member).read() for member in archive if member.name.endswith(".evtx")]  # type: ignore[union-attr]
    frames = [frame for log in logs for frame in files.stream_frames(io.BytesIO(log), size=len(log)) if isinstance(frame, bytes)] * 100
    clock = time.perf_counter()
    for log in logs * 5:
        list(files.stream_frames(io.BytesIO(log), size=len(log)))
    ours = 5 * len(logs) / (time.perf_counter() - clock)
    clock = time.perf_counter()
    for log in logs * 5:
        list(evtx.PyEvtxParser(io.BytesIO(log), number_of_threads=1).records_json())
    theirs = 5 * len(logs) / (time.perf_counter() - clock)
    return [
        row("connect: nested Windows JSON decoded to rows", max(decoding(frames, "json") for _ in range(ROUNDS)), "orjson alone", max(parsing(frames) for _ in range(ROUNDS)), None),
        row("connect: event logs opened, in a process apart", ours, "the parser in this process", theirs, None, unit="files/s"),
    ]


def measure_syslog() -> list[dict[str, Any]]:
    frames = [SSHD % (number % 60, number % 9, number, number % 500, number % 250, number % 60000) for number in range(50_000)]
    return [row("connect: sshd over syslog decoded to rows", max(decoding(frames, "syslog") for _ in range(ROUNDS)), "", None, None)]


FORMATS = {
    "cef": b"<134>Nov 20 08:00:%02d fw1 CEF:0|ACME|Wall|2.1|100|connection denied|7|src=198.51.100.%d spt=%d dst=10.0.0.8 dpt=22 proto=TCP act=deny msg=no rule",
    "kv": b'<189>date=2026-11-20 time=08:00:%02d devname="FG-1" devid="FG1" logid="13" type="traffic" subtype="forward" srcip=198.51.100.%d srcport=%d dstip=10.0.0.8 dstport=443 proto=6 action="deny"',
    "web": b'198.51.100.%d - - [20/Nov/2026:16:00:%02d +0800] "GET /a?b=%d HTTP/1.1" 200 12 "-" "curl/8"',
    "lines": b"2026-11-20 08:00:%02d,123 ERROR [http-%d] com.acme.Pay - payment %d refused",
}


def measure_formats() -> list[dict[str, Any]]:
    made = {codec: [text % ((number % 60, number % 250, number % 60000) if codec != "web" else (number % 250, number % 60, number)) for number in range(20_000)] for codec, text in FORMATS.items()}
    return [row(f"connect: {codec} decoded to rows", max(decoding(frames, codec) for _ in range(ROUNDS)), "", None, None) for codec, frames in made.items()]


def row(name: str, value: float, peer: str, beside: float | None, goal: int | None, *, unit: str = "events/CPU-s") -> dict[str, Any]:
    peers = {"peer_value": round(beside), "ratio": round(value / beside, 2)} if beside else {"peer_value": None, "ratio": None}
    return {"name": name, "value": round(value), "unit": unit, "peer": peer, **peers, "goal": goal}


def keep(rows: list[dict[str, Any]]) -> None:
    """Merge into ``latest.json``: one row per name."""
    path = HERE / "latest.json"
    known = {str(each["name"]): each for each in (json.loads(path.read_text("utf-8")) if path.exists() else [])}
    known.update({str(each["name"]): each for each in rows})
    path.write_text(json.dumps(list(known.values()), indent=1, ensure_ascii=False) + "\n", "utf-8")


def main() -> int:
    folder = Path(os.environ.get("LIANFANG_DATA", "../shared/data")) / "detection"
    rows = measure_syslog() + measure_formats()
    if folder.is_dir():
        rows += measure_logs(folder) + measure_json(folder)
    else:
        print("LIANFANG_DATA names no folder of field data: only syslog was measured.")
    for each in rows:
        goal = f"goal {each['goal']:,}" if each["goal"] else ""
        beside = f"{each['ratio']}× {each['peer']} ({each['peer_value']:,})" if each["peer"] else ""
        print(f"{each['name']:<50}{each['value']:>10,} {each['unit']:<14}{goal:<14}{beside}")
    keep(rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
