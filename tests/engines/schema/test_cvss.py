"""CVSS vectors as people paste them: read strictly, written in one way."""

import random
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lianfang.engines.schema import cvss
from lianfang.kernel.errors import Invalid

PUBLISHED = (
    "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H",
    "CVSS:3.1/AV:P/AC:H/PR:L/UI:R/S:C/C:L/I:N/A:N/E:P/RL:O/RC:C/CR:H/MAV:N",
    "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:H/SI:H/SA:H",
    "CVSS:4.0/AV:L/AC:H/AT:P/PR:L/UI:P/VC:L/VI:N/VA:N/SC:N/SI:N/SA:N/E:A/MSI:S/U:Amber",
)


@pytest.mark.parametrize("text", PUBLISHED)
def test_a_vector_is_read_in_any_order_and_written_in_the_specifications(text):
    head, *parts = text.split("/")
    random.Random(7).shuffle(parts)
    assert str(cvss.vector("/".join((head, *parts)))) == text


@pytest.mark.parametrize("text", ["", "7.5", "CVSS:2.0/AV:N", "3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", PUBLISHED[0] + "/C:H", PUBLISHED[0] + "/", PUBLISHED[0].replace("AV:N", "AV:Z"), PUBLISHED[0].removesuffix("/A:H"), PUBLISHED[2].replace("/AT:N", ""), PUBLISHED[0] + "/E:X" * 200])
def test_anything_else_is_refused(text):
    with pytest.raises(Invalid):
        cvss.vector(text)


@given(st.text(alphabet="CVS:341.0/AVNLHPRUIXE", max_size=60))
def test_whatever_is_pasted_is_read_or_refused(text):
    with suppress(Invalid):
        assert str(cvss.vector(str(cvss.vector(text)))) == str(cvss.vector(text))
