"""Templates of logs: the same lines have the same templates in any order, in any batches and after a restart; nothing breaks them."""

import random
import tracemalloc

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lianfang.engines.series import Miner, folded, shape
from lianfang.kernel.errors import Invalid

FORMATS = (
    "Accepted password for {w} from 10.0.0.{n} port {n} ssh2", "Failed password for {w} from 10.0.0.{n} port {n} ssh2", "link {w} is up", "link {w} is down", "action=deny src=10.1.{n}.2 user={w}",
    "委托 {n} 已报，合约 cu{n}", "用户{c}登录成功", "cache {w} evicted {n} entries", "{w} {w} {w}", "Image: C:\\{w} User: {w} Hash: {n} Signed: true", "quota of {w} reached: {w} {w}", "started",
)  # fmt: skip
WORDS = ["alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi", "ivan", "judy"]
NAMES = ["张三", "李四", "王五", "赵六", "欧阳修", "司马光"]


def line(parts):
    number, word, name, digits = parts
    return FORMATS[number].replace("{w}", WORDS[word]).replace("{c}", NAMES[name]).replace("{n}", str(digits))


lines_made = st.lists(st.tuples(st.integers(0, len(FORMATS) - 1), st.integers(0, len(WORDS) - 1), st.integers(0, len(NAMES) - 1), st.integers(0, 999)).map(line) | st.text(max_size=30), max_size=60)


def uids(miner, lines):
    return [miner.template(number).uid for number in miner.take(lines)]


@settings(max_examples=150, deadline=None)
@given(lines_made, st.randoms(use_true_random=False), st.integers(1, 20))
def test_order_and_batches_do_not_matter(lines, dice, size):
    whole = Miner()
    whole.take(lines)
    expected = dict(zip(lines, uids(whole, lines)))
    mixed = [*lines, *lines[::2]]
    dice.shuffle(mixed)
    other = Miner()
    for start in range(0, len(mixed), size):
        other.take(mixed[start : start + size])
    assert dict(zip(lines, uids(other, lines))) == expected
    assert {uid: one.text for uid, one in other.templates().items()} == {uid: one.text for uid, one in whole.templates().items()}


@settings(max_examples=60, deadline=None)
@given(lines_made, lines_made)
def test_a_restart_changes_nothing_that_comes_later_either(lines, later):
    miner = Miner()
    miner.take(lines)
    again = Miner.load(miner.dump())
    assert again.templates() == miner.templates()
    assert uids(again, [*lines, *later]) == uids(miner, [*lines, *later])


@settings(max_examples=150, deadline=None)
@given(st.lists(st.text(max_size=80) | st.binary(max_size=80).map(lambda one: one.decode("utf-8", "surrogateescape")), max_size=40))
def test_any_text_at_all_has_a_template(lines):
    miner = Miner()
    assert len(miner.take(lines)) == len(lines)
    arrow = pa.array([line.encode("utf-8", "replace").decode() for line in lines], pa.string())
    assert len(miner.take(arrow)) == len(lines)


@given(st.lists(st.sampled_from(["order 17 of li", "id=0xff08 at 10.0.0.1:80", "第12次", "é2 x", ""]), max_size=10))
def test_a_line_is_folded_alike_wherever_it_stands(lines):
    assert folded(lines) == [folded([line])[0] for line in lines]


def test_what_a_person_would_call_one_kind_of_line():
    dice, miner = random.Random(1), Miner()
    made = [line((number, dice.randrange(10), dice.randrange(6), dice.randrange(10**6))) for number in range(len(FORMATS)) if "{w} {w}" not in FORMATS[number] for _ in range(60)]
    miner.take(made)
    assert sorted(one.text for one in miner.templates().values()) == [
        "Accepted password for <*> from <*> port <*>", "Failed password for <*> from <*> port <*>", "Image: <*> User: <*> Hash: <*> Signed: <*>", "action=<*> src=<*> user=<*>", "cache <*> evicted <*> entries",
        "link <*> is down", "link <*> is up", "started", "委托 <*> 已报，合约 <*>", "用户<*>登录成功",
    ]  # fmt: skip


def test_a_value_of_several_words_is_one_value():
    miner = Miner()
    tails = ("disk full", "no route to host", "timeout", "limit exceeded", "peer reset", "bad checksum", "not permitted")
    miner.take([f"Volume vol{n} failed: {tail}" for n in range(3) for tail in tails])
    assert [one.text for one in miner.templates().values()] == ["Volume <*> failed: <*>"]


def test_a_template_that_became_another_leads_to_it():
    miner = Miner()
    miner.take(["pool blue is busy", "pool green is busy"])
    before = set(miner.templates())
    assert len(before) == 2
    miner.take([f"pool {word} is busy" for word in ("red", "white", "black")])
    (now,) = miner.templates().values()
    assert now.text == "pool <*> is busy"
    assert {uid: miner.successors()[uid] for uid in before} == dict.fromkeys(before, now.uid)
    assert now.constants == ["pool", "is busy"]


def test_multi_line_records_are_known_by_their_first_line():
    miner = Miner()
    numbers = miner.take(["ERROR no pool\njava.lang.Error: x\n\tat A.b(A.java:1)", "\r\nERROR no pool\r\nmore", "ERROR no pool", None])
    assert numbers[0] == numbers[1] == numbers[2] != numbers[3]


def test_hostile_lines_cost_time_but_not_memory():
    """A line of a megabyte, bytes that are no text, endless lines of their own: bounded, and ordinary lines are still known."""
    dice = random.Random(5)
    limit = 4 << 20
    miner = Miner(memory=limit)
    miner.take(["a" * (1 << 20), "9 " * (1 << 19), "[" * 100_000, "\x00\x01\x02" * 1000, b"\xff\xfe\x80".decode("latin-1"), "\ud800"])
    letters = "abcdefghijklmnopqrstuvwxyz"
    tracemalloc.start()
    for _ in range(12):
        miner.take([" ".join("".join(dice.choices(letters, k=7)) for _ in range(dice.randrange(1, 12))) for _ in range(3000)])
    used = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert used < 3 * limit
    one = miner.take([f"order {n} accepted" for n in range(100)])
    assert len(set(one.tolist())) == 1
    assert len(miner.templates()) < 30_000


def test_a_large_template_stands_and_keeps_its_identifier():
    miner, letters = Miner(), "abcdefghij"
    lines = [f"user {a}{b}{c}{d} of {d}{a} logged in" for a in letters for b in letters for c in letters for d in letters]
    for start in range(0, len(lines), 1000):
        miner.take(lines[start : start + 1000])
    assert [one.text for one in miner.templates().values()] == ["user <*> of <*> logged in"]
    assert miner.templates() == Miner.load(miner.dump()).templates()
    assert len(miner.dump()) < 60_000


def test_what_no_miner_wrote_is_refused():
    for state in (b"", b"x" * 40, __import__("zlib").compress(b'{"format": 99}')):
        with pytest.raises(Invalid):
            Miner.load(state)


def test_what_is_open_by_its_look():
    for text, expected in (
        ('open "/etc/x y" failed for zhang.san@example.cn via https://a.example/x?y=z', 'open "<*>" failed for <*> via <*>'),
        ("Nov 21 08:00:01 web sshd[714]: user=li, cwd=C:\\x\\y", "<*> web sshd[<*>]: user=<*>, cwd=<*>"),
        ("%LINK-3-UPDOWN: Interface Gi0/1, changed state to up", "%LINK-<*>-UPDOWN: Interface <*>, changed state to up"),
        ("took 1,200 ms: [1, 2, 3]", "took <*> ms: [<*>]"),
    ):
        assert "".join(shape(folded([text])[0])) == expected
