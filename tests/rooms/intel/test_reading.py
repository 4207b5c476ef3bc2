"""Deliveries are read as people write them: lists with comments, tables in two languages, defanged values, odd encodings."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lianfang.kernel.errors import Invalid
from lianfang.rooms.intel.queries import reading
from lianfang.rooms.intel.queries.candidates import Candidate
from lianfang.rooms.intel.types import Form, Rejected, Terms

TERMS = Terms("feed")


def items(content, form=Form.AUTO, **more):
    return list(reading.read(content if isinstance(content, bytes) else content.encode(), form=form, terms=Terms("feed", **more)))


def values(found):
    return [(one.kind, one.value) for one in found if isinstance(one, Candidate)]


def codes(found):
    return [(one.line, one.code) for one in found if isinstance(one, Rejected)]


def test_a_list_with_comments_and_defanged_values():
    found = items("# our list\n203.0.113[.]9  # scanner\nhxxps://bad[.]example/a?b\n\n0.0.0.0 ads.example\n; old\nD41D8CD98F00B204E9800998ECF8427F, from a report\nnot a value\n")
    assert values(found) == [("ipv4", "203.0.113.9"), ("url", "https://bad.example/a?b"), ("domain", "ads.example"), ("md5", "d41d8cd98f00b204e9800998ecf8427f")]
    assert found[0].note == "scanner"
    assert codes(found) == [(8, "unknown")]


def test_a_table_with_chinese_headers_as_a_spreadsheet_writes_it():
    text = "指标,类型,来源,共享级别,置信度,生效时间,过期时间,标签,备注\n203.0.113.9,IP,伙伴甲,TLP:绿,高,2026-11-01,2026年12月31日,扫描；爆破,夜间活动\nbad.example,IP,,,,,,,\nbad.example,域名,,,,2026-12-01,2026-11-01,,\nbad.example,域名,,紫,,,,,\n,域名,,,,,,,\n"
    found = items(text.encode("gb18030"))
    one = found[0]
    assert (one.kind, one.value, one.source, one.tlp, one.confidence, one.tags, one.note) == ("ipv4", "203.0.113.9", "伙伴甲", "green", 85, ("扫描", "爆破"), "夜间活动")
    assert one.valid_from == datetime(2026, 10, 31, 16, tzinfo=UTC)
    assert one.valid_until == datetime(2026, 12, 31, 15, 59, 59, tzinfo=UTC)
    assert codes(found) == [(3, "kind"), (4, "span"), (5, "tlp"), (6, "bare")]


def test_a_row_may_hold_several_values():
    found = items("ip;domain;sha256;expires\n203.0.113.9;bad.example;;2026-11-20T08:00:00Z\n")
    assert values(found) == [("ipv4", "203.0.113.9"), ("domain", "bad.example")]
    assert {one.valid_until for one in found} == {datetime(2026, 11, 20, 8, tzinfo=UTC)}


def test_columns_may_be_named_by_hand():
    assert values(list(reading.read(b"what,x\nbad.example,1\n", form=Form.CSV, terms=TERMS, columns={"what": "value"}))) == [("domain", "bad.example")]
    with pytest.raises(Invalid, match="No column holds the values"):
        items("what,x\nbad.example,1\n", form=Form.CSV)


@pytest.mark.parametrize(
    ("text", "code"),
    [("127.0.0.1", "nowhere"), ("0.0.0.0/0", "wide"), ("fe80::1", "nowhere"), ("10.1.2.3", "private"), ("192.168.0.0/16", "private"), ("224.0.0.9", "nowhere"), ("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "empty"), ("com", "unknown")],
)
def test_what_would_only_make_noise_is_refused(text, code):
    assert codes(items(text, form=Form.LIST)) == [(1, code)]


def test_internal_addresses_may_be_meant():
    assert values(items("10.1.2.3", form=Form.LIST, internal=True)) == [("ipv4", "10.1.2.3")]


def test_the_form_is_found():
    assert reading.form_of(b'{"type": "bundle", "objects": []}') == Form.STIX
    assert reading.form_of("域名,备注\n".encode()) == Form.CSV
    assert reading.form_of("\ufeffIndicator\tType\n".encode("utf-16")) == Form.CSV
    assert reading.form_of(b"203.0.113.9\n") == Form.LIST


@given(st.binary(max_size=400), st.sampled_from([Form.AUTO, Form.CSV, Form.LIST, Form.STIX]))
def test_whatever_comes_is_candidates_or_reasons(content, form):
    try:
        found = items(content, form)
    except Invalid:
        return
    assert all(isinstance(one, Candidate) or (one.reason and one.todo) for one in found)
