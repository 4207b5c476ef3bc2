"""The sample stream tells its story: each labelled frame wakes exactly the rules it names, ordinary life wakes none, nobody in it is real."""

import re
from datetime import timedelta
from functools import cache
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
import yaml

from lianfang.engines.connect import codecs
from lianfang.engines.connect.mapping import Templates
from lianfang.engines.rules import sources
from lianfang.engines.rules.compiler import compile_rules
from lianfang.engines.rules.examiner import Examiner
from lianfang.kernel import clock

CONTENT = Path(__file__).parents[2] / "content"
SAMPLES = CONTENT / "samples"
PACK = CONTENT / "rules" / "starter"
CODECS = {"windows.jsonl": "json", "linux.log": "syslog", "web.jsonl": "json"}
BEGINNING = clock.parse("2026-01-01T00:00:00Z")
PHASES = {"guessing", "web scan", "exploit", "sudo abuse", "webshell", "discovery", "call-back", "defence evasion", "mining", "credential dumping", "lateral movement", "persistence", "exfiltration", "log clearing", "ransomware precursor"}
RESERVED = [ip_network(net) for net in ("10.0.0.0/8", "127.0.0.0/8", "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")]


@cache
def truth():
    return yaml.safe_load((SAMPLES / "truth.yaml").read_text("utf-8"))


@cache
def decoded(name):
    done = codecs.decode(CODECS[name], (SAMPLES / name).read_bytes().splitlines())
    assert done.rejects == []
    return done


@cache
def mapped(name):
    return Templates.load(CONTENT / "mappings").map(decoded(name).rows, received=clock.now())


@cache
def examiner():
    return Examiner(compile_rules(sources.load([PACK / group for group in ("windows", "linux", "web", "trading")])))


def fired(name):
    """Line → the rules that fired, by their path in the pack."""
    paths = {rule.uid: "/".join(Path(rule.path).with_suffix("").parts[-2:]) for rule in examiner().compiled.rules}
    return {row + 1: sorted(paths[uid] for uid in uids) for row, uids in examiner().rows(decoded(name).rows, mapped(name).logsources)}


@pytest.mark.parametrize("name", CODECS)
def test_what_is_labelled_fires_and_nothing_else_does(name):
    assert fired(name) == {line: said["rules"] for line, said in truth()[name].items() if said["rules"]}


def test_most_of_it_is_ordinary_life_and_every_phase_is_there():
    frames = sum(len(decoded(name).rows) for name in CODECS)
    labels = [said for lines in truth().values() for said in lines.values()]
    assert 300 <= frames <= 600
    assert len(labels) < frames / 4
    assert {said["phase"] for said in labels} == PHASES


@pytest.mark.parametrize("name", CODECS)
def test_times_are_offsets_in_order(name):
    times = [moment - BEGINNING for moment in mapped(name).columns["time"]]
    assert times == sorted(times)
    assert times[0] >= timedelta()
    assert times[-1] < timedelta(hours=1)


@pytest.mark.parametrize("name", CODECS)
def test_every_frame_finds_its_template_and_its_host(name):
    assert {template.split(".")[0] for template in mapped(name).template} <= {"windows", "linux", "syslog", "web"}
    assert all(mapped(name).columns["host"])


def test_nobody_and_nowhere_in_it_is_real():
    text = "\n".join((SAMPLES / name).read_text("utf-8") for name in CODECS)
    addresses = {ip_address(found) for found in re.findall(r"(?<![\d.v/])\d{1,3}(?:\.\d{1,3}){3}(?![\d.])", text) if not found.endswith(".0.0.0")}
    assert addresses
    assert all(any(address in net for net in RESERVED) for address in addresses)
    hosts = {found.lower() for found in re.findall(r"https?://([\w.-]+)", text)}
    assert all(host.endswith(".example") or re.fullmatch(r"[\d.]+", host) for host in hosts)
