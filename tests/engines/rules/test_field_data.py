"""The public pack over events and regression files that nobody here wrote."""

import io
import json
import random
import sqlite3
import tarfile
from collections import Counter

import pyarrow as pa
import pytest
import yaml
import zstandard
from sigma.backends.sqlite import sqliteBackend
from sigma.collection import SigmaCollection
from sigma.pipelines.sysmon import sysmon_pipeline
from sigma.pipelines.windows import windows_logsource_pipeline

from lianfang.engines.connect import codecs, files
from lianfang.engines.rules import Examiner, naive, sources
from lianfang.engines.rules.trees import KEYWORDS, atoms_of

pytestmark = [pytest.mark.data, pytest.mark.xdist_group("field data")]

NAMED = {"cred_dump_tools_dropped_files": 3, "anydesk_artefact": 3, "change_security_zones": 3, "disable_administrative_share": 2}
"""Regression files whose own count differs from what two independent engines find; the data's README names them."""


@pytest.fixture(scope="module")
def rows(field_lines) -> list[dict]:
    return [json.loads(line) for line in field_lines]


@pytest.fixture(scope="module", params=["vectorscan", "fallback"])
def examiner(request, sigma) -> Examiner:
    return Examiner(sigma, engine=request.param)


def test_nearly_all_of_the_pack_compiles(sigma):
    assert len(sigma.rules) >= 3755
    assert all(found.reason and found.path for found in sigma.problems)
    assert {found.reason.split("%")[0] for found in sigma.problems} == {"The placeholder "}


def test_three_paths_and_the_reference_agree(examiner, sigma, rows, field_lines):
    hits = examiner.json_lines(field_lines)
    assert len(hits) > 30
    assert examiner.rows(rows) == hits
    assert examiner.arrow(pa.Table.from_pylist(rows, schema=pa.schema({name: pa.string() for name in sorted(set().union(*rows))}))) == hits
    chosen = sorted({index for index, _ in hits} | set(random.Random(5).sample(range(len(rows)), 60)))
    expected = dict(naive.examine(sigma, [rows[index] for index in chosen]))
    found = dict(hits)
    assert {index: found.get(index, ()) for index in chosen} == {index: expected.get(at, ()) for at, index in enumerate(chosen)}


def test_mutated_events_agree_with_the_reference(sigma, rows):
    """Values of firing events cut, doubled and mixed: near misses and near hits."""
    dice = random.Random(11)
    examiner = Examiner(sigma)
    firing = [rows[index] for index, _ in examiner.rows(rows)][:60]
    mutants = [mutant(dice.choice(firing), dice.choice(rows), dice) for _ in range(150)]
    assert examiner.json_lines([json.dumps(row).encode() for row in mutants]) == examiner.rows(mutants) == naive.examine(sigma, mutants)


def mutant(row: dict, other: dict, dice: random.Random) -> dict:
    changed = dict(row)
    for name in dice.sample(sorted(row), k=min(3, len(row))):
        value = row[name]
        at = dice.randrange(len(value) + 1)
        changed[name] = dice.choice([value.swapcase(), value[:at], value[at:], value[:at] + "机" + value[at:], other.get(name, value), value + value])
    if dice.random() < 0.3:
        del changed[dice.choice(sorted(changed))]
    return changed


def test_every_rule_fires_on_its_regression_file(examiner, sigma, field_data, tmp_path):
    """Rule X fires N times on file Y."""
    known = {rule.uid for rule in sigma.rules}
    wrong, tested = [], 0
    for name, rule_uids, count, content in regression(field_data):
        path = tmp_path / "events.evtx"
        path.write_bytes(content)
        frames = [frame for frame in files.frames(path) if isinstance(frame, bytes)]
        fired = Counter(uid for _, uids in examiner.rows(codecs.decode("json", frames).rows) for uid in uids)
        expected = next((times for part, times in NAMED.items() if part in name), count)
        found = sum(fired[uid] for uid in rule_uids)
        tested += 1
        if not set(rule_uids) <= known or (found < 1 if expected is None else found != expected):
            wrong.append((name, rule_uids, expected, found))
    assert not wrong
    assert tested > 90


def regression(field_data):
    """(name, rule uids, times it must fire, EVTX) of each regression test."""
    packed = (field_data / "detection" / "sigma-regression-part.tar.zst").read_bytes()
    content = {}
    with tarfile.open(fileobj=io.BytesIO(zstandard.ZstdDecompressor().stream_reader(packed).read())) as archive:
        for member in archive:
            if member.isreg():
                content[member.name.removeprefix("./")] = archive.extractfile(member).read()
    for name, text in content.items():
        if name.endswith("info.yml"):
            info = yaml.safe_load(text)
            for test in info["regression_tests_info"]:
                folder = name.rsplit("/", 1)[0]
                evtx = content.get(test["path"]) or next(body for path, body in content.items() if path.startswith(folder) and path.endswith(".evtx"))
                yield folder, [rule["id"] for rule in info["rule_metadata"]], test.get("match_count"), evtx


def test_sql_made_by_another_hand_agrees(sigma, rows, field_data):
    """pySigma's own SQLite backend, one statement for each rule, over the same events."""
    events = rows[:2500]
    hits = Examiner(sigma).rows(events)
    statements = sql_of(field_data, oracle_rules(sigma, {uid for _, uids in hits for uid in uids}, most=250))
    assert len(statements) > 200
    with sqlite3.connect(":memory:") as database:
        load(database, events, sigma)
        expected = {uid: {index for (index,) in database.execute(statement)} for uid, statement in statements.items()}
    found = {uid: {index for index, uids in hits if uid in uids} for uid in statements}
    assert found == expected
    assert sum(map(len, found.values())) > 15


def oracle_rules(sigma, fired: set[str], *, most: int) -> dict[str, str]:
    """uid → file of rules that SQL can say: texts compared with one field. Those that fired come first, then some by chance."""
    shared = {}
    for rule, tree in zip(sigma.rules, sigma.trees):
        atoms = [sigma.atoms[atom] for atom in atoms_of(tree)]
        if all(atom.field != KEYWORDS and atom.op in ("eq", "contains", "startswith", "endswith", "like") and atom.pattern for atom in atoms):
            shared[rule.uid] = rule.path
    order = random.Random(2).sample(sorted(shared), len(shared))
    return {uid: shared[uid] for uid in sorted(order, key=lambda uid: uid not in fired)[:most]}


def sql_of(field_data, chosen: dict[str, str]) -> dict[str, str]:
    texts = {text.path: text.text for text in sources.load(field_data / "detection" / "sigma-rules.tar.zst")}
    backend = sqliteBackend(sysmon_pipeline() + windows_logsource_pipeline())
    return {uid: backend.convert(SigmaCollection.from_yaml(texts[path]))[0].replace("SELECT *", "SELECT at", 1) for uid, path in chosen.items()}


def load(database: sqlite3.Connection, rows: list[dict], sigma) -> None:
    """One table with every column that an event or a rule names. What is absent is empty text: with NULL, SQL would lose what rules negate."""
    spelled = [*sorted(set().union(*rows)), *sorted({atom.field for atom in sigma.atoms if atom.field and atom.field[0] != "@"})]
    names = list({name.lower(): name for name in spelled}.values())
    columns = ", ".join(f'"{name}" TEXT COLLATE NOCASE' for name in names)
    database.execute(f"CREATE TABLE logs (at INTEGER, {columns})")
    held = [{name.lower(): value for name, value in row.items()} for row in rows]
    database.executemany(f"INSERT INTO logs VALUES ({', '.join('?' * (len(names) + 1))})", [(at, *(row.get(name.lower(), "") for name in names)) for at, row in enumerate(held)])
