"""Why a rule fired: fields and values, cut where the page shall highlight."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.rooms.detect.conftest import UID

from lianfang.kernel.viewer import SYSTEM
from lianfang.rooms.detect import actions
from lianfang.rooms.detect.queries import explaining

RAW = orjson.dumps({"Channel": "Microsoft-Windows-Sysmon/Operational", "EventID": 1, "Image": r"C:\Windows\System32\rundll32.exe", "CommandLine": "rundll32 COMSVCS.dll, MiniDump", "UtcTime": "2026-11-20 12:00:00.000", "Computer": "ws-1"}).decode()


@pytest.mark.django_db(transaction=True)
def test_the_piece_that_matched_is_marked(pack):
    actions.install_pack(pack.folder, actor=SYSTEM)
    told = explaining.explain(UID["dump"], RAW)
    (match,) = [match for match in told.matches if match.field == "CommandLine"]
    assert [(span.text, span.hit) for span in match.value] == [("rundll32 ", False), ("COMSVCS", True), (".dll, MiniDump", False)]
    assert told.reason == ""


@pytest.mark.django_db(transaction=True)
def test_a_rule_changed_since_says_so(pack):
    actions.install_pack(pack.folder, actor=SYSTEM)
    told = explaining.explain(UID["dump"], RAW.replace("COMSVCS", "other"))
    assert told.matches == ()
    assert told.reason


@pytest.mark.django_db(transaction=True)
def test_a_rule_that_is_gone_and_an_original_that_cannot_be_read_say_so(pack):
    assert explaining.explain("no-such-rule", RAW).reason
    assert explaining.explain("no-such-rule", '{"cut').reason


def test_an_indicator_is_explained_without_any_rule():
    told = explaining.explain_row("ioc:ip:203.0.113.9", {"DestinationIp": "203.0.113.9"}, None)
    assert [(match.field, match.value[0].text) for match in told.matches] == [("DestinationIp", "203.0.113.9")]


@given(st.text(max_size=40), st.lists(st.tuples(st.integers(-3, 45), st.integers(-3, 45)), max_size=6))
def test_pieces_put_together_are_the_value(value, spans):
    cut = explaining.pieces(value, spans)
    assert "".join(piece.text for piece in cut) == value
    assert all(piece.text for piece in cut)
