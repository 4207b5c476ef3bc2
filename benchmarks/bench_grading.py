"""Grading: distinct values judged per CPU second of one core, beside the usual way, one regular expression after another for each value.

Nine kinds of made-up values in equal parts, shuffled, half a million: numbers with right and wrong checks, addresses, contracts,
texts with a phone inside, paths. The peer asks less (it checks no digits) and still says what each value is.
"""

from __future__ import annotations

import gc
import random
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent / "src"), str(HERE.parent)]

from benchmarks import report  # noqa: E402

from lianfang.engines import grading  # noqa: E402
from lianfang.engines.grading.shapes import recognise  # noqa: E402

EACH, ROUNDS = 56_000, 3
PATTERNS = {
    "resident_id": re.compile(r"^[1-9]\d{5}(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}[\dXx]$"),
    "credit_code": re.compile(r"^[0-9A-HJ-NPQRTUWXY]{2}\d{6}[0-9A-HJ-NPQRTUWXY]{10}$"),
    "phone": re.compile(r"^(?:\+?86[- ]?)?1[3-9]\d[- ]?\d{4}[- ]?\d{4}$"),
    "bank_card": re.compile(r"^(?:62|4|5[1-5])\d{11,17}$"),
    "email": re.compile(r"^[\w.+-]+@(?:[\w-]+\.)+[A-Za-z]{2,}$"),
    "ip": re.compile(r"^(?:\d{1,3}\.){3}\d{1,3}$"),
    "mac": re.compile(r"^[0-9A-Fa-f]{2}(?:[:-][0-9A-Fa-f]{2}){5}$"),
    "contract": re.compile(r"^[A-Za-z]{1,2}\d{3,4}(?:-?[CPcp]-?\d+)?$"),
    "date": re.compile(r"^(?:19|20)\d{2}-\d{2}-\d{2}"),
    "inside": re.compile(r"(?<!\d)(?:1[3-9]\d{9}|[1-9]\d{5}(?:19|20)\d{9}[\dXx])(?!\d)"),
}


def made() -> list[str]:
    """Distinct values of nine kinds."""
    dice = random.Random(7)
    kinds: tuple[Callable[[int], str], ...] = (
        lambda n: f"110101{dice.randint(1950, 2005)}{dice.randint(1, 12):02d}{dice.randint(1, 28):02d}{dice.randrange(10**4):04d}",
        lambda n: f"1{dice.randrange(10**10):010d}",
        lambda n: f"62{dice.randrange(10**17):017d}",
        lambda n: f"user{n}@mail{n % 99}.example.cn",
        lambda n: f"10.{n // 65536}.{n // 256 % 256}.{n % 256}",
        lambda n: ":".join(f"{dice.randrange(256):02x}" for _ in range(6)),
        lambda n: f"{dice.choice(('cu', 'rb', 'SR', 'IF', 'm'))}26{n % 12 + 1:02d}-C-{n}",
        lambda n: f"客户{n}来电，回拨 13{dice.randrange(10**9):09d}，已处理",
        lambda n: rf"C:\Windows\System32\svchost{n}.exe -k netsvcs -p {n}",
    )
    values = list(dict.fromkeys(kind(n) for kind in kinds for n in range(EACH)))
    dice.shuffle(values)
    return values


def by_hand(values: list[str]) -> list[str]:
    """The peer: each value through the patterns until one fits."""
    return [next((kind for kind, pattern in PATTERNS.items() if pattern.search(value)), "") for value in values]


def rate(work: Callable[[list[str]], object], values: list[str]) -> float:
    """Values per CPU second, the best of some rounds."""
    best = 0.0
    for _ in range(ROUNDS):
        gc.collect()
        started = time.process_time()
        work(values)
        best = max(best, len(values) / (time.process_time() - started))
    return best


def main() -> None:
    values = made()
    classes = grading.load(HERE.parent / "content/taxonomies/data-classes.yaml")
    peer = rate(by_hand, values)
    ours = rate(recognise, values)
    whole = rate(lambda some: grading.judge(grading.Column("remark", "备注", some), classes), values)
    rows = [
        report.Row("grading: distinct values recognised", round(ours), "values/CPU-s", "one regex after another for each value", round(peer), round(ours / peer, 2), 500_000),
        report.Row("grading: a column judged, from texts to the level", round(whole), "values/CPU-s", "one regex after another for each value", round(peer), round(whole / peer, 2), 500_000),
    ]
    report.show(rows)
    report.merge(rows)


if __name__ == "__main__":
    main()
