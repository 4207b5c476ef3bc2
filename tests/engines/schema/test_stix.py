"""What a bundle holds for a watch list, and what is said of the rest."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lianfang.engines.schema import stix
from lianfang.kernel.errors import Invalid
from lianfang.kernel.labels import TLP

SHA = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
RED = "marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1"
GREEN = "marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb"


def indicator(pattern: str, **more: Any) -> dict[str, Any]:
    return {"type": "indicator", "spec_version": "2.1", "id": f"indicator--{uuid4()}", "pattern": pattern, "pattern_type": "stix", "valid_from": "2026-11-20T08:00:00Z", **more}


def bundle(*objects: Any) -> bytes:
    return json.dumps({"type": "bundle", "id": f"bundle--{uuid4()}", "objects": list(objects)}).encode()


def pairs(pattern: str) -> set[tuple[str, str]]:
    return {(found.kind, found.value) for found in stix.indicators(bundle(indicator(pattern))).observables}


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("[ipv4-addr:value = '198.51.100.1']", {("ipv4", "198.51.100.1")}),
        ("[ipv4-addr:value = '198.51.100.0/24']", {("cidr", "198.51.100.0/24")}),
        ("[ipv6-addr:value = '2001:DB8::1']", {("ipv6", "2001:db8::1")}),
        ("[domain-name:value = 'Evil.Example'] OR [url:value = 'http://evil.example/a']", {("domain", "evil.example"), ("url", "http://evil.example/a")}),
        ("[ipv4-addr:value IN ('192.0.2.1', '192.0.2.2')]", {("ipv4", "192.0.2.1"), ("ipv4", "192.0.2.2")}),
        (f"[file:hashes.'SHA-256' = '{SHA.upper()}' AND file:name = 'a.exe' AND file:size = 5]", {("sha256", SHA)}),
        ("[file:hashes.MD5 = 'd41d8cd98f00b204e9800998ecf8427e']", {("md5", "d41d8cd98f00b204e9800998ecf8427e")}),
        ("[email-message:sender_ref.value = 'a@evil.example']", {("email", "a@evil.example")}),
        ("[network-traffic:dst_ref.type = 'ipv4-addr' AND network-traffic:dst_ref.value = '192.0.2.9']", {("ipv4", "192.0.2.9")}),
        ("[ipv4-addr:value = '192.0.2.1' OR process:name = 'x']", {("ipv4", "192.0.2.1")}),
    ],
)
def test_equality_becomes_something_to_watch_for(pattern: str, expected: set[tuple[str, str]]) -> None:
    assert pairs(pattern) == expected


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("[ipv4-addr:value != '192.0.2.1']", "not equality"),
        ("[ipv4-addr:value NOT = '192.0.2.1']", "not equality"),
        ("[url:value LIKE 'http://%']", "not equality"),
        ("[process:command_line = 'x']", "nothing a watch list can hold"),
        ("[network-traffic:dst_ref.value = '192.0.2.9' AND network-traffic:dst_port = 443]", "nothing a watch list can hold"),
        ("[ipv4-addr:value = 'not an address']", "is not a value"),
        ("[ipv4-addr:value = '192.0.2.1'] FOLLOWEDBY [ipv4-addr:value = '192.0.2.2']", "order or time"),
        ("[ipv4-addr:value = '192.0.2.1'] REPEATS 5 TIMES WITHIN 10 SECONDS", "order or time"),
        ("[ipv4-addr:value = ", "cannot be read"),
        ("[" + "(" * 3000 + "ipv4-addr:value = '1'" + ")" * 3000 + "]", "cannot be read"),
        ("[url:value = '" + "x" * 20000 + "']", "characters"),
    ],
)
def test_what_cannot_be_held_is_said_and_the_rest_goes_on(pattern: str, reason: str) -> None:
    found, rejects = stix.indicators(bundle(indicator(pattern), indicator("[ipv4-addr:value = '203.0.113.5']")))
    assert [item.value for item in found] == ["203.0.113.5"]
    assert len(rejects) == 1
    assert reason in rejects[0].reason
    assert rejects[0].index == 0
    assert rejects[0].todo


def test_an_indicator_says_more_than_its_pattern() -> None:
    whole = indicator(
        "[domain-name:value = 'evil.example']", name="C2", valid_until="2027-01-01T00:00:00+08:00", indicator_types=["malicious-activity"], labels=["botnet"], confidence=85, object_marking_refs=[GREEN, RED]
    )
    found = stix.indicators(bundle(whole)).observables[0]
    assert (found.name, found.labels, found.confidence, found.tlp) == ("C2", ("malicious-activity", "botnet"), 85, TLP.RED)
    assert found.valid_from == datetime(2026, 11, 20, 8, tzinfo=UTC)
    assert found.valid_until == datetime(2026, 12, 31, 16, tzinfo=UTC)


def test_a_bundle_may_define_its_own_traffic_light() -> None:
    mark = {"type": "marking-definition", "id": f"marking-definition--{uuid4()}", "extensions": {"extension-definition--60a3c5c5-0d10-413e-aab3-9e08dde9e88d": {"tlp_2_0": "amber+strict"}}}
    old = {"type": "marking-definition", "id": f"marking-definition--{uuid4()}", "definition_type": "tlp", "definition": {"tlp": "white"}}
    found = stix.indicators(bundle(mark, old, indicator("[ipv4-addr:value = '192.0.2.1']", object_marking_refs=[mark["id"]]), indicator("[ipv4-addr:value = '192.0.2.2']", object_marking_refs=[old["id"]]))).observables
    assert [item.tlp for item in found] == [TLP.AMBER_STRICT, TLP.CLEAR]


def test_revoked_and_foreign_indicators_are_left_out() -> None:
    content = bundle(indicator("[ipv4-addr:value = '192.0.2.1']", revoked=True), indicator("title: x", pattern_type="sigma"), {**indicator("x"), "pattern": 5}, {"type": "malware"}, 7)
    found, rejects = stix.indicators(content)
    assert found == []
    assert sorted(reject.index for reject in rejects) == [0, 1, 2, 4]


@pytest.mark.parametrize("content", [b"", b"nonsense", b"[", b"{}", b'{"a":1}', b"\xff\xfe", b"[" * 10000])
def test_what_is_no_bundle_is_refused(content: bytes) -> None:
    with pytest.raises(Invalid, match="not a STIX bundle"):
        stix.indicators(content)


def test_one_object_and_a_list_are_read_too() -> None:
    one = indicator("[ipv4-addr:value = '192.0.2.1']")
    assert stix.indicators(json.dumps(one).encode()).observables[0].value == "192.0.2.1"
    assert stix.indicators(json.dumps([one]).encode()).observables[0].value == "192.0.2.1"


values = st.one_of(st.ip_addresses(v=4).map(str), st.sampled_from(["evil.example", "http://evil.example/it's", "a\\b", "x"]), st.text(st.characters(codec="ascii", exclude_characters="\n\r\0"), max_size=20))
paths = st.sampled_from(["ipv4-addr:value", "domain-name:value", "url:value", "file:hashes.MD5", "file:hashes.'SHA-256'", "process:name"])


@given(paths, values)
@settings(max_examples=150, deadline=None)
def test_the_shortcut_agrees_with_the_parser(path: str, value: str) -> None:
    literal = value.replace("\\", "\\\\").replace("'", "\\'")
    simple, whole = f"[{path} = '{literal}']", f"[({path} = '{literal}')]"
    assert outcome(simple) == outcome(whole)


def outcome(pattern: str) -> Any:
    found, rejects = stix.indicators(bundle(indicator(pattern)))
    return {(item.kind, item.value) for item in found}, len(rejects)
