"""Forms say where they do not fit; what leaves is what may leave."""

from __future__ import annotations

import copy
import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lianfang.engines.schema import forms
from lianfang.engines.schema.redact import redact
from lianfang.kernel.errors import Invalid

SCHEMA = {"type": "object", "required": ["name"], "properties": {"name": {"type": "string", "minLength": 1}, "units": {"type": "array", "items": {"type": "object", "required": ["code"], "properties": {"code": {"type": "integer"}}}}}}


def test_a_fitting_value_is_silent() -> None:
    forms.check(SCHEMA, {"name": "a", "units": [{"code": 1}]})


def test_every_fault_has_a_path() -> None:
    with pytest.raises(Invalid) as caught:
        forms.check(SCHEMA, {"name": "", "units": [{"code": "x"}, {}]})
    assert set(caught.value.details) == {"name", "units.0.code", "units.1.code"}
    assert caught.value.details["units.1.code"] == ["is required"]


@pytest.mark.parametrize("schema", [{"type": "nonsense"}, {"$ref": "http://127.0.0.1:9/x.json"}, {"$ref": "file:///etc/passwd"}, {"pattern": "(?=a)b"}])
def test_a_schema_cannot_fetch_or_look_around(schema: dict) -> None:
    with pytest.raises(Invalid, match="not a usable JSON Schema"):
        forms.check(schema, "x")


def test_a_hostile_pattern_takes_linear_time() -> None:
    start = time.perf_counter()
    assert forms.faults({"pattern": "^(a+)+$"}, "a" * 30000 + "!")
    assert time.perf_counter() - start < 1


data = st.recursive(st.one_of(st.none(), st.integers(), st.text(max_size=3)), lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from("abcd"), inner, max_size=3)), max_leaves=12)


@given(data, st.lists(st.lists(st.sampled_from(["a", "b", "0", "*", "**"]), min_size=1, max_size=3).map(".".join), max_size=3))
def test_redaction_never_changes_what_it_was_given_and_says_what_it_took(value, paths) -> None:
    before = copy.deepcopy(value)
    done = redact(value, paths)
    assert value == before
    assert bool(done.removed) == (done.value != before)
    assert redact(done.value, [path for path in paths if "0" not in path]).removed == ()  # lists move up, names do not come back


@given(data)
def test_a_name_taken_out_at_any_depth_is_gone(value) -> None:
    assert '"a":' not in json.dumps(redact(value, ["**.a"]).value)


def test_masks_instead_of_gaps() -> None:
    assert redact({"u": [{"n": "lin"}]}, ["u.*.n"], replace=lambda _: "●").value == {"u": [{"n": "●"}]}
