"""Every template shows what it does: its own samples, run through the product's codecs and mapper."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from lianfang.engines.connect import codecs
from lianfang.engines.connect.mapping import FILLED, Templates
from lianfang.engines.connect.template import parse
from lianfang.engines.schema.events import BY_NAME, Kind
from lianfang.engines.schema.ocsf import CLASSES
from lianfang.kernel import clock

FOLDER = Path(__file__).parents[3] / "content/mappings"
TEMPLATES = Templates.load(FOLDER)
SAMPLES = [(template, sample) for template in TEMPLATES.templates for sample in template.tests]


def zone_of(text: str) -> timezone:
    return timezone(timedelta(hours=int(text[:3]), minutes=int(text[4:6])))


@pytest.mark.parametrize(("template", "sample"), SAMPLES, ids=[f"{template.name}: {sample['name']}" for template, sample in SAMPLES])
def test_a_sample_becomes_what_its_template_says(template: Any, sample: Any) -> None:
    received = clock.parse(sample["received"]) if "received" in sample else datetime(2026, 11, 20, 9, tzinfo=UTC)
    rows = [dict(sample["row"])] if "row" in sample else codecs.decode(sample["codec"], [sample["raw"].encode()]).rows
    before = [dict(row) for row in rows]
    mapped = TEMPLATES.map(rows, received=received, zone=zone_of(sample["zone"]) if "zone" in sample else UTC)
    assert rows == before, "the mapper must not change rows"
    assert mapped.template == [template.name]
    got = {name: mapped.columns[name][0] for name in sample["expect"]}
    assert {name: plain(value) for name, value in got.items()} == sample["expect"]
    if "logsource" in sample:
        assert list(mapped.logsources[0]) == sample["logsource"]
    rest = json.loads(mapped.columns["unmapped"][0] or "{}")
    assert sample.get("unmapped", {}).items() <= rest.items()


def plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return clock.text(value)
    return list(value) if isinstance(value, tuple) else value


@pytest.mark.parametrize("template", TEMPLATES.templates, ids=lambda template: template.name)
def test_a_template_has_samples_and_a_title_in_both_languages(template: Any) -> None:
    assert template.tests
    assert set(template.title) == {"zh", "en"}


@pytest.mark.parametrize("template", TEMPLATES.templates, ids=lambda template: template.name)
def test_every_activity_exists_in_its_class(template: Any) -> None:
    for case in template.cases:
        const = dict(case.const)
        activities = CLASSES[const["class_uid"]].activities
        assert const["activity_id"] in activities
        for step in (*case.steps, *template.steps):
            if step.targets == ("activity_id",):
                assert {number for _, number in step.table} <= set(activities), f"{template.name}: {case.when}"


def test_the_usual_sources_have_a_template() -> None:
    names = {template.name for template in TEMPLATES.templates}
    assert len(names) >= 25
    assert names >= {
        "cef", "leef", "firewall.fortigate", "firewall.huawei", "firewall.h3c", "firewall.topsec", "firewall.sangfor", "suricata", "zeek", "web.access", "web.error", "waf", "linux.auditd", "honeypot.cowrie",
        "honeypot.hfish", "mail.message", "vpn.openvpn", "antivirus.clamav", "antivirus.report", "bastion", "database.mysql", "database.mariadb", "dns.bind", "dhcp.isc", "app.lines",
    }  # fmt: skip


def test_every_case_names_an_event_that_a_reader_understands() -> None:
    named = [case for template in TEMPLATES.templates for case in template.cases if dict(case.const)["class_uid"]]
    assert len(named) > 60


def test_the_columns_are_always_all_there() -> None:
    mapped = TEMPLATES.map([{"a": "1"}, {"Channel": "Security", "EventID": "4624"}], received=datetime(2026, 1, 1, tzinfo=UTC))
    assert set(mapped.columns) == set(FILLED)
    assert {len(values) for values in mapped.columns.values()} == {2}
    assert all(isinstance(mapped.columns[name][0], tuple) for name in FILLED if BY_NAME[name].kind is Kind.LIST)


def test_the_example_of_the_handbook_works() -> None:
    source = (FOLDER / "README.md").read_text("utf-8").partition("```yaml\n")[2].partition("```")[0]
    example = parse(source, path="README.md")
    sample = example.tests[0]
    mapped = Templates([example]).map(codecs.decode(sample["codec"], [sample["raw"].encode()]).rows, received=datetime(2026, 11, 20, 9, tzinfo=UTC))
    assert {name: mapped.columns[name][0] for name in sample["expect"]} == sample["expect"]
    assert list(mapped.logsources[0]) == sample["logsource"]
