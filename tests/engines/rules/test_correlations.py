"""Correlations: equal to plain SQL over random streams, whatever the order, the batches and the restarts; and windows by hand."""

from __future__ import annotations

import random

import duckdb
import pyarrow as pa
import pytest

from lianfang.engines.rules import compiler
from lianfang.engines.rules.correlation import ABSENCE, Correlation
from lianfang.engines.rules.correlator import Correlator, Marks
from lianfang.engines.rules.sources import RuleText
from lianfang.engines.rules.types import Rule
from lianfang.kernel.errors import Invalid

START = 1_795_000_000_000
FAR = START + 10**9
STREAMS, ALL_STREAMS = 2_700, 100_000
BESIDE = 100
"""Streams of one correlation that run beside each other, each of a place of its own."""
OPS = ("gt", "gte", "lt", "lte", "eq", "neq")
SQL = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<=", "eq": "=", "neq": "<>"}
KINDS = ("event_count", "value_count", "temporal", "temporal_ordered", "value_sum", "value_avg", "value_percentile", "value_median", ABSENCE)


def correlation(kind, width=60_000, *, refs=("a", "b"), group=("user", "ip"), uid="correlated", **more):
    return Correlation(Rule(uid, uid), kind, refs, width, group, **more)


def drawn(chance, kind):
    """A correlation of this kind, with a condition that random streams meet now and then."""
    width = chance.choice((1_000, 7_000, 20_000))
    group = chance.choice(((), ("user",), ("user", "ip")))
    if kind in ("temporal", "temporal_ordered"):
        refs = ("a", "b", "c")[: chance.choice((2, 3))]
        expression = chance.choice((None, ["and", 0, ["not", 1]], ["or", 0, 1])) if kind == "temporal" else None
        return correlation(kind, width, refs=refs, group=group, bound=len(refs), expression=expression)
    if kind == ABSENCE:
        return correlation(kind, width, refs=chance.choice((("a",), ("a", "b"))), group=group)
    named = chance.choice(OPS)
    if kind == "event_count":
        return correlation(kind, width, refs=("a", "c"), group=group, op=named, bound=chance.randint(1, 4))
    bound = chance.randint(1, 4) if kind == "value_count" else chance.randint(1, 30 if kind == "value_sum" else 9)
    return correlation(kind, width, refs=("a", "c"), group=group, op=named, bound=bound, fields=("amount",), percentile=chance.choice((10, 50, 90, 100)))


def stream(chance, place, length):
    """Matches as (rule, time, user, ip, amount, event, place)."""
    moment, found = START + chance.randint(0, 10**6), []
    for number in range(length):
        moment += chance.choice((0, 0, 1, 400, 999, 1_000, 1_001, 3_000, 9_000))
        amount = chance.choice((None, "x", str(chance.randint(0, 12)), f"{chance.randint(0, 90) / 8}")) if chance.random() < 0.9 else None
        found.append((chance.choice("abc"), moment, chance.choice((None, "li", "LI", "wang")), chance.choice(("::1", "10.0.0.5")), amount, f"e{number:03}", place))
    return found


def marks(rows, source="edge"):
    """Each place's matches are a batch of their own."""
    names = ("rule", "time", "field:user", "field:ip", "field:amount", "event")
    types = (pa.string(), pa.int64(), pa.string(), pa.string(), pa.string(), pa.string())
    places = sorted({row[6] for row in rows})
    columns = {place: zip(*(row[:6] for row in rows if row[6] == place)) for place in places}
    return [Marks(source, place, pa.table({name: pa.array(list(column), kind) for name, kind, column in zip(names, types, columns[place])})) for place in places]


def run(one, batches, *, restart=False, lateness=10**8):
    """What each (place, group, cell) came to when all is over: moment, first match, matches, value of its windows."""
    told: dict = {}
    work = Correlator([one], lateness=lateness)

    def take(firings):
        for firing in firings:
            key = (firing.place, tuple(value for _, value in firing.group), firing.cell)
            assert firing.again == (key in told), "told once, and once more at the end"
            told[key] = (firing.moment, firing.first, firing.count, round(firing.value, 6))

    for rows in batches:
        take(work.advance(marks(rows), max(row[1] for row in rows)))
        if restart:
            content = work.snapshot()
            work = Correlator([one], lateness=lateness)
            work.restore(content)
    take(work.advance([], FAR))
    assert work.counters.evicted == 0
    return told


def by_sql(one, rows):
    """The same by DuckDB, one window function after the other."""
    con = duckdb.connect()
    con.execute("SET threads = 1")
    con.register("given", pa.table({name: list(column) for name, column in zip(("rule", "t", "u", "ip", "amount", "event", "place"), zip(*rows))}))
    group = ["place", *(f"lower({ {'user': 'u'}.get(name, name) })" for name in one.group_by)]
    keys = ", ".join(f"{text} AS g{number}" for number, text in enumerate(group))
    names = ", ".join(f"g{number}" for number in range(len(group)))
    takes = "amount IS NOT NULL" if one.kind == "value_count" else "try_cast(amount AS DOUBLE) IS NOT NULL" if one.fields else "true"
    refs = ", ".join(f"'{ref}'" for ref in one.refs)
    there = " AND ".join(f"{text} IS NOT NULL" for text in group)
    con.execute(f"CREATE TABLE m AS SELECT rule, t, lower(amount) AS v, round(1000 * try_cast(amount AS DOUBLE))::BIGINT AS n, {keys} FROM given WHERE rule IN ({refs}) AND {takes} AND {there}")
    window = f"OVER (PARTITION BY {names} ORDER BY t RANGE BETWEEN {one.width} PRECEDING AND CURRENT ROW)"
    present = [f"count(*) FILTER (rule = '{ref}') {window} > 0" for ref in one.refs]
    bound, wait = one.bound * 1000, 0
    if one.kind == "event_count":
        measure, test = f"count(*) {window}", f"x {SQL[one.op]} {one.bound}"
    elif one.kind == "value_count":
        measure, test = f"count(DISTINCT v) {window}", f"x {SQL[one.op]} {one.bound}"
    elif one.kind == "value_sum":
        measure, test = f"(sum(n) {window})::BIGINT", f"x {SQL[one.op]} {bound}"
    elif one.kind == "value_avg":
        measure, test = f"sum(n) {window}", f"x {SQL[one.op]} {bound} * count(*) {window}"
    elif one.kind == "value_percentile":
        measure, test = f"list_sort(list(n) {window})", f"x[greatest(1, ((({one.percentile} * len(x)) + 99) // 100))::INT] {SQL[one.op]} {bound}"
    elif one.kind == "value_median":
        measure, test = f"list_sort(list(n) {window})", f"x[(len(x) + 1) // 2] + x[len(x) // 2 + 1] {SQL[one.op]} {2 * bound}"
    elif one.kind == "temporal":
        measure = " + ".join(f"({each})::INT" for each in present)
        test = sql_of(one.expression, present) if one.expression else f"x {SQL[one.op]} {one.bound}"
    elif one.kind == "temporal_ordered":
        joins = " ".join(f"JOIN m AS m{n} ON m{n}.rule = '{ref}' AND {' AND '.join(f'm{n}.{g} = m.{g}' for g in names.split(', '))} AND m{n}.t BETWEEN {f'm{n - 1}.t' if n else f'm.t - {one.width}'} AND m.t" for n, ref in enumerate(one.refs[:-1]))
        # a window that ends at whatever match holds the chain as long as its beginning lies in it
        chain = f"SELECT DISTINCT {names}, m0t AS s, t AS e FROM (SELECT m.*, m0.t AS m0t FROM m {joins} WHERE m.rule = '{one.refs[-1]}')"
        measure = "0"
        test = f"EXISTS (SELECT 1 FROM ({chain}) AS c WHERE {' AND '.join(f'c.{g} = m.{g}' for g in names.split(', '))} AND c.e <= m.t AND c.s >= m.t - {one.width})"
    else:
        wait = one.width
        other, least = (one.refs[0], ">") if len(one.refs) == 1 else (one.refs[1], ">=")
        measure = "0"
        test = f"rule = '{one.refs[0]}' AND NOT EXISTS (SELECT 1 FROM m AS b WHERE b.rule = '{other}' AND {' AND '.join(f'b.{g} = m.{g}' for g in names.split(', '))} AND b.t {least} m.t AND b.t <= m.t + {one.width})"
    con.execute(f"CREATE TABLE held AS SELECT * FROM (SELECT {names}, t, {measure} AS x, {test} AS holds FROM m) WHERE holds")
    con.execute(f"CREATE TABLE cells AS SELECT {names}, t - t % {one.width} AS cell, min(t) AS b, max(t) AS e FROM held GROUP BY ALL")
    only, since = (f"AND m.rule = '{one.refs[0]}'", "c.b") if one.kind == ABSENCE else ("", f"c.b - {one.width}")
    alike = " AND ".join(f"m.g{number} = c.g{number}" for number in range(len(group)))
    mine = ", ".join(f"c.g{number}" for number in range(len(group)))
    rows = con.execute(f"SELECT {mine}, c.cell, c.b, min(m.t), count(*), list(m.n), list(m.v), list(DISTINCT m.rule) FROM cells AS c JOIN m ON {alike} AND m.t BETWEEN {since} AND c.e {only} GROUP BY {mine}, c.cell, c.b").fetchall()
    return {(place, tuple(values), cell): (begin + wait, first, count, round(value_of(one, count, *lists), 6)) for place, values, cell, begin, first, count, *lists in ((row[0], row[1 : len(group)], *row[len(group) :]) for row in rows)}


def sql_of(tree, present):
    if isinstance(tree, int):
        return f"({present[tree]})"
    parts = [sql_of(branch, present) for branch in tree[1:]]
    return f"(NOT {parts[0]})" if tree[0] == "not" else f"({f' {tree[0]} '.join(parts)})"


def value_of(one, count, amounts, texts, rules):
    amounts = sorted(amount or 0 for amount in amounts)
    if one.kind == "value_count":
        return len(set(texts))
    if one.kind == "value_percentile":
        return amounts[max(1, -(-one.percentile * count // 100)) - 1] / 1000
    if one.kind == "value_median":
        return (amounts[(count - 1) // 2] + amounts[count // 2]) / 2000
    if one.kind in ("value_sum", "value_avg"):
        return sum(amounts) / 1000 / (count if one.kind == "value_avg" else 1)
    return count if one.kind == "event_count" else len(rules)


def cut(chance, rows):
    """The same rows in another order, in batches of any size."""
    rest, batches = list(rows), []
    chance.shuffle(rest)
    while rest:
        size = chance.randint(1, 600)
        batches.append(rest[:size])
        rest = rest[size:]
    return batches


def settled(told):
    """Without the value where that of the first window was told and nothing came after."""
    return {key: said[:3] for key, said in told.items()}


def differences(seed, streams, tally=None):
    """Random streams: the engine in one batch = SQL; mixed up, in many batches, with restarts = the same."""
    found = []
    for number in range(streams // BESIDE):
        chance = random.Random(seed * 1_000_003 + number)
        one = drawn(chance, KINDS[number % len(KINDS)])
        rows = [match for place in range(BESIDE) for match in stream(chance, f"/{place}/", chance.randint(1, 40))]
        whole, again, expected = run(one, [rows]), run(one, cut(chance, rows), restart=number % 3 == 0), by_sql(one, rows)
        if not settled(whole) == settled(again) == settled(expected):
            found.append((one, rows, whole, again, expected))
        if tally is not None:
            tally[one.kind] = tally.get(one.kind, 0) + len(expected)
    return found


def test_random_streams_come_to_what_sql_says_in_any_order_and_batches_and_after_restarts():
    tally = {}
    assert differences(1, STREAMS, tally) == []
    assert set(tally) == set(KINDS) and min(tally.values()) > 100, "each kind fires, so that something was compared"


@pytest.mark.slow
def test_a_hundred_thousand_random_streams_come_to_what_sql_says():
    assert differences(2, ALL_STREAMS) == []


# ---- windows by hand -------------------------------------------------------------------------------------------


def at(second, rule="a", user="li", ip="::1", amount="1"):
    return rule, START + int(second * 1000), user, ip, amount, f"{rule}{second}", "/a/"


def fired(one, *batches, **settings):
    work = Correlator(one if isinstance(one, list) else [one], **settings)
    return [[(firing.rule, firing.count, firing.again) for firing in work.advance(marks(rows), START + 10**6)] for rows in batches]


def test_a_window_holds_its_whole_timespan_and_not_a_millisecond_more():
    one = correlation("event_count", 10_000, refs=("a",), bound=2)
    assert fired(one, [at(0), at(10)]) == [[("correlated", 2, False)]]
    assert fired(one, [at(0), at(10.001)]) == [[]]


def test_what_waits_for_nobody_fires_at_once_and_once_more_at_the_end_of_its_cell():
    one = correlation("event_count", 10_000, refs=("a",), bound=2)
    assert fired(one, [at(0)], [at(1)], [at(2)], [at(3)], [at(50)]) == [[], [("correlated", 2, False)], [], [], [("correlated", 4, True)]]


def test_a_late_match_counts_while_its_window_is_held_and_too_late_is_said():
    one = correlation("event_count", 10_000, refs=("a",), bound=3)
    work = Correlator([one], lateness=1_000)
    assert work.advance(marks([at(0), at(9)]), START + 12_000) == []
    assert [firing.count for firing in work.advance(marks([at(3)]), START + 12_000)] == [3], "late for its source, but its window is held"
    assert (work.counters.late, work.counters.beyond) == (1, 0)
    work.advance(marks([at(-60)]), START + 12_000)
    assert (work.counters.late, work.counters.beyond) == (2, 1)


def test_in_order_means_in_order_and_in_the_same_group():
    one = correlation("temporal_ordered", 10_000, refs=("a", "b"), bound=2)
    assert fired(one, [at(0), at(5, "b")]) == [[("correlated", 2, False)]]
    assert fired(one, [at(0, "b"), at(5)]) == [[]]
    assert fired(one, [at(5, "b")], [at(0)]) == [[], [("correlated", 2, False)]], "reversed on the way, not in time"
    assert fired(one, [at(0), at(5, "b", user="wang")]) == [[]]
    assert fired(one, [at(0), at(0, "b")]) == [[("correlated", 2, False)]], "one clock tick has no order"


def test_groups_know_no_capital_letters_and_never_cross_places():
    one = correlation("event_count", 10_000, refs=("a",), bound=2)
    assert fired(one, [at(0, user="Li"), at(1, user="LI")]) == [[("correlated", 2, False)]]
    assert fired(one, [at(0), (*at(1)[:6], "/b/")]) == [[]], "what two organisations tell is not one story"
    assert fired(one, [at(0, user="李"), at(1, user="李")]) == [[("correlated", 2, False)]]
    assert fired(one, [at(0, user=None), at(1, user=None)]) == [[]], "who is not named is nobody's group"


def test_an_absence_is_one_when_its_time_is_over_and_nothing_came():
    one = correlation(ABSENCE, 10_000, refs=("a", "b"))
    work = Correlator([one], lateness=1_000, idle=5_000)
    assert work.advance(marks([at(0)]), START + 100) == []
    assert work.advance([], START + 10_500) == [], "what is allowed to be late may still come"
    (firing,) = work.advance([], START + 11_500)
    assert (firing.moment, firing.count, firing.steps[1].count) == (START + 10_000, 1, 0)
    assert fired(one, [at(0), at(10, "b"), at(90, "c")]) == [[]]
    heart = correlation(ABSENCE, 10_000, refs=("a",))
    work = Correlator([heart], lateness=0)
    assert work.advance(marks([at(0), at(9), at(18)]), START + 18_000) == []
    assert [firing.first for firing in work.advance([], START + 60_000)] == [START + 18_000], "the last beat"


def test_an_idle_source_holds_nobody_back_and_a_speaking_one_does():
    one = correlation("event_count", 10_000, refs=("a",), op="lt", bound=2)
    work = Correlator([one], lateness=1_000, idle=5_000)
    work.advance(marks([at(0)], source="slow"), START)
    assert work.advance(marks([at(4)], source="quick"), START + 4_000) == []
    assert len(work.advance(marks([at(6)], source="quick"), START + 6_000)) == 1, "the slow one is idle now: what it said a while ago is over"


def test_a_correlation_upon_a_correlation_knows_what_stands_behind_it():
    guessing = correlation("event_count", 60_000, refs=("a",), group=("ip",), bound=3, uid="guessing")
    both = correlation("temporal_ordered", 60_000, refs=("guessing", "b"), group=("ip",), bound=2, uid="both")
    work = Correlator([both, guessing])
    found = work.advance(marks([at(0), at(1), at(2), at(9, "b")]), START + 10_000)
    assert [firing.rule for firing in found] == ["guessing", "both"]
    assert [(step.rule, step.count, step.matches) for step in found[1].steps] == [("guessing", 1, 3), ("b", 1, 1)]
    assert [event["event"] for step in found[1].steps for event in step.events] == ["a0", "a1", "a2", "b9"]
    assert found[1].group == (("ip", "::1"),)


def test_other_names_in_other_logs():
    one = correlation("temporal", 60_000, refs=("a", "b"), group=("who",), bound=2, aliases={"who": {"a": "user", "b": "ip"}})
    assert fired(one, [at(0, user="x"), at(1, "b", ip="x")]) == [[("correlated", 2, False)]]


def test_a_flood_costs_the_oldest_and_says_so():
    one = correlation("event_count", 3_600_000, refs=("a",), bound=3)
    work = Correlator([one], limit=200_000)
    for batch in range(20):
        work.advance(marks([at(batch + n / 1000, user=f"u{batch}-{n}") for n in range(500)]), START + 10**6)
    assert work.size <= 200_000
    assert work.counters.evicted > 5_000
    assert len(work.advance(marks([at(30), at(31), at(32)]), START + 10**6)) == 1, "and it goes on"


def test_when_no_more_groups_can_be_told_apart_the_oldest_go_and_no_two_are_mixed_up():
    many = correlation("event_count", 3_600_000, refs=("a",), group=("user",), bound=3, uid="many")
    different = correlation("value_count", 3_600_000, refs=("b",), group=("user",), fields=("amount",), bound=2, uid="different")
    work = Correlator([many, different])
    work.groups["user",].levels[-1].most = 20
    told = []
    for batch in range(30):
        rows = [at(batch + n / 10, rule="ab"[n % 2], user=f"u{batch}-{n}", amount=str(n)) for n in range(6)]
        told += work.advance(marks([*rows, at(batch, user="steady")]), START + 10**6)
    assert {dict(firing.group)["user"] for firing in told if not firing.again} == {"steady"}, "nobody else did anything twice"
    assert work.counters.evicted > 0
    work.advance(marks([at(40 + n, user=f"v{n}") for n in range(30)]), START + 10**6)
    assert len(work.groups["user",].levels[-1]) <= 20, "more at once than can be told apart: the rest is let go, and counted"


def test_what_only_short_windows_named_is_not_kept_for_the_long_ones():
    short = correlation("event_count", 1_000, refs=("a",), group=("user",), bound=9, uid="short")
    long = correlation("event_count", 86_400_000, refs=("b",), group=("user",), bound=9, uid="long")
    work = Correlator([short, long], lateness=0)
    work.advance(marks([at(0, rule="b")]), START)
    for second in range(1, 40):
        work.advance(marks([at(second + n / 1000, user=f"u{second}-{n}") for n in range(200)]), START + second * 1000 + 200)
    assert work.counters.evicted == 0
    assert sum(len(part.seqs) for part in work.pool.parts) < 3_000, "of 7,801"
    assert len(work.words.numbers) < 12_000
    (firing,) = work.advance(marks([at(41 + n, rule="b") for n in range(8)]), START + 60_000)
    assert firing.steps[0].events[0]["event"] == "b0", "the first one is still known"


def test_a_state_of_another_version_is_refused_and_a_changed_rule_begins_anew():
    one = correlation("event_count", 10_000, refs=("a",), bound=2)
    work = Correlator([one])
    work.advance(marks([at(0)]), START)
    changed = Correlator([correlation("event_count", 10_000, refs=("a",), bound=3)])
    changed.restore(work.snapshot())
    assert not changed.waits
    with pytest.raises(Invalid, match="no state of correlations"):
        changed.restore(b"something else")


# ---- as people write them --------------------------------------------------------------------------------------

BASE = """
title: Failed
id: 6b7a1c1e-7b2e-4a58-9d0e-00000000000a
name: failed
logsource: {product: linux, service: sshd}
detection: {words: ['Failed password'], condition: words}
"""
HEAD = """
title: Many
id: 6b7a1c1e-7b2e-4a58-9d0e-00000000000b
name: many
level: high
tags: [attack.t1110]
correlation:
"""


def compiled(body, *, base=BASE, head=HEAD):
    return compiler.compile_rules([RuleText("pack/base.yml", base), RuleText("pack/many.yml", head + "".join(f"  {line}\n" for line in body.split("\n")))])


def test_a_correlation_names_rules_of_its_pack_by_name_or_id():
    for written in ("failed", "6b7a1c1e-7b2e-4a58-9d0e-00000000000a"):
        (one,) = compiled(f"type: event_count\nrules: [{written}]\ngroup-by: [src_ip]\ntimespan: 5m\ncondition: {{gte: 10}}").correlations
        assert (one.refs, one.width, one.group_by, one.op, one.bound, one.rule.level, one.generate) == (("6b7a1c1e-7b2e-4a58-9d0e-00000000000a",), 300_000, ("src_ip",), "gte", 10, "high", False)


def test_all_that_sigma_has_is_read(tmp_path):
    from lianfang.engines.rules.compiled import Compiled

    for body, kind in (
        ("type: value_count\nrules: [failed]\ntimespan: 1h\ncondition: {gte: 3, field: user}", "value_count"),
        ("type: value_percentile\nrules: [failed]\ntimespan: 1h\ncondition: {gte: 3, field: bytes, percentile: 95}", "value_percentile"),
        ("type: temporal\nrules: [failed, 11111111-2222-4333-8444-555555555555]\ntimespan: 1d", "temporal"),
        ("type: absence\nrules: [failed]\ntimespan: 10m\ngenerate: true", "absence"),
        ("type: temporal\ntimespan: 1m\naliases: {who: {failed: user}}\ngroup-by: [who]\nrules: [failed, many2]\ncondition: failed and not many2", ""),
    ):
        found = compiled(body)
        assert [one.kind for one in found.correlations] == ([kind] if kind else []), found.problems
        found.save(tmp_path / "x.rules")
        assert Compiled.load(tmp_path / "x.rules").correlations == found.correlations


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("type: event_count\nrules: [nobody]\ntimespan: 5m\ncondition: {gte: 1}", "no rule called nobody"),
        ("type: event_count\nrules: [many]\ntimespan: 5m\ncondition: {gte: 1}", "built upon itself"),
        ("type: event_count\nrules: [failed]\ntimespan: 5m", "needs a condition"),
        ("type: absence\nrules: [failed]\ntimespan: 5m\ncondition: {gte: 1}", "has no condition"),
        ("type: absence\nrules: [failed, many, failed2]\ntimespan: 5m", "names one rule, or two"),
        ("type: temporal_ordered\nrules: [failed, 11111111-2222-4333-8444-555555555555]\ntimespan: 5m\ncondition: {gte: 1}", "in their order"),
        ("type: event_count\nrules: [failed]\ntimespan: 1y\ncondition: {gte: 1}", "at most 8 days"),
        ("type: event_count\nrules: [failed]\ntimespan: soon\ncondition: {gte: 1}", "soon"),
        ("type: sometimes\nrules: [failed]\ntimespan: 5m\ncondition: {gte: 1}", "sometimes"),
    ],
)
def test_what_cannot_be_run_says_why(body, reason):
    found = compiled(body)
    assert found.correlations == ()
    assert reason in " ".join(problem.reason for problem in found.problems)
    assert [rule.title for rule in found.rules] == ["Failed"], "the other rules of the pack work"
