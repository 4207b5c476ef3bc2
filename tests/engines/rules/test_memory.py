"""Caches are bounded by bytes: endless unique values cost speed, not memory."""

import tracemalloc

from lianfang.engines.rules import Examiner
from lianfang.engines.rules.memory import HUGE, LONG, Budget, KeyMemo, ValueMemo

SYSMON = "Microsoft-Windows-Sysmon/Operational"


def memo(limit: int = 1 << 20) -> tuple[ValueMemo, list[bytes]]:
    asked: list[bytes] = []

    def learn(raw: bytes) -> int:
        asked.append(raw)
        return len(raw)

    return ValueMemo(learn, Budget(limit)), asked


def test_a_value_is_learned_once():
    values, asked = memo()
    assert [values[value] for value in ("a", "bb", "a", "系", None)] == [1, 2, 1, 3, 0]
    assert asked == [b"a", b"bb", "系".encode()]


def test_what_is_used_survives_two_generations_what_is_not_does_not():
    values, asked = memo()
    values["used"], values["unused"]
    for _ in range(3):
        values.turn()
        values["used"]
    values["unused"]
    assert asked == [b"used", b"unused", b"unused"]


def test_long_values_are_not_kept_until_they_return():
    values, asked = memo()
    long, huge = "l" * (LONG + 1), "h" * (HUGE + 1)
    values[long], values[huge]
    assert len(values) == 1, "only the absent value"
    assert len(values.digests) == 1
    for _ in range(3):
        values[long], values[huge]
    assert len(asked) == 3, "the huge one twice"
    assert {long, huge} <= set(values)


def test_numbers_and_booleans_are_never_confused():
    values, asked = memo()
    for value in (1, True, 1.0, "1"):
        values[value]
    assert asked == [b"1", b"true", b"1.0", b"1"]


def test_lone_surrogates_are_question_marks():
    values, asked = memo()
    values["\ud800x"]
    assert asked == [b"?x"]


def test_verdicts_grow_old_too():
    judged: list[tuple[int, ...]] = []
    keys = KeyMemo(lambda key: judged.append(key) or ("hit",), Budget(1000))
    assert (keys[1, 2], keys[1, 2]) == (("hit",), ("hit",))
    keys.turn()
    keys.turn()
    keys[1, 2]
    assert judged == [(1, 2), (1, 2)]


def test_endless_unique_values_are_bounded(own):
    examiner = Examiner(own, cache_bytes=2_000_000)

    def flood(start: int) -> None:
        rows = [{"Channel": SYSMON, "EventID": "1", "CommandLine": f"{start + number} " + "x" * 300, "Image": f"C:\\{start + number}.exe", "ParentImage": "p"} for number in range(2000)]
        examiner.rows(rows)

    flood(0)
    tracemalloc.start()
    for turn in range(1, 8):
        flood(turn * 2000)
    grown = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert examiner.stats().turns > 3
    assert examiner.stats().cached_bytes <= 4_000_000, "two generations, each at most a chunk over its half"
    assert grown < 5_000_000


def test_endless_channels_event_ids_and_names_make_no_classes(own):
    examiner = Examiner(own)
    examiner.rows([{"Channel": f"c{number}", "EventID": str(number), f"name{number}": "x"} for number in range(5000)])
    assert examiner.stats().classes < 10
    examiner.rows([{"Channel": SYSMON, "EventID": "1", " ".join("CommandLine"[:at]) + "CommandLine"[at:]: "x"} for at in range(11)])
    assert len(examiner.stats().spellings.get("CommandLine", ())) <= 8
