"""The components of the design system say what they mean without colour, and escape what they are given."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.template import Context, Template
from django.utils import translation

from lianfang.commons.frame.pages import parts
from lianfang.kernel import clock
from lianfang.kernel.labels import Severity

EVIL = "<script>alert(1)</script>"


def render(text, **context):
    return Template("{% load frame %}" + text).render(Context(context))


@pytest.fixture(autouse=True)
def _chinese():
    with translation.override("zh-hans"):
        yield


def test_a_severity_is_a_colour_a_word_and_a_shape():
    shapes = set()
    for level in Severity:
        html = parts.badge_severity(level)
        assert f"sev-{level.colour}" in html
        shapes.add(re.search(r"#(sev-\w+)", html)[1])
    assert len(shapes) == 5
    assert "严重" in parts.badge_severity(5)
    assert [word for word in ("特别重大", "重大", "较大", "一般") if word in "".join(map(parts.badge_warning, ("red", "orange", "yellow", "blue")))] == ["特别重大", "重大", "较大", "一般"]


def test_times_are_local_with_utc_on_hover(settings):
    settings.TIME_ZONE = "Asia/Shanghai"
    html = parts.local_time(datetime(2026, 11, 20, 16, 0, tzinfo=UTC))
    assert ">2026-11-21 00:00:00<" in html
    assert "2026-11-20 16:00:00 UTC" in html
    assert 'datetime="2026-11-20T16:00:00.000Z"' in html


def test_how_long_ago_in_one_unit():
    now = clock.now()
    with clock.frozen(now):
        said = [parts.ago(now - timedelta(seconds=seconds)) for seconds in (3, 120, 7200, 86400 * 3)]
    assert said == ["刚刚", "2 分钟前", "2 小时前", "3 天前"]


@pytest.mark.parametrize(
    "text",
    ["{% badge evil %}", "{% empty evil evil evil evil %}", "{% facts pairs %}", "{% timeline story %}", "{% chart spec label=evil %}", "{% reasons score %}", "{% icon 'x' evil %}", "{% progress 3 of=4 label=evil %}"],
)
def test_nothing_that_is_given_becomes_markup(text):
    context = {"evil": EVIL, "pairs": [(EVIL, EVIL)], "story": [{"at": clock.now(), "title": EVIL, "text": EVIL, "who": EVIL}], "spec": {"title": {"text": EVIL}}, "score": {"value": 1, "terms": [{"name": EVIL, "points": 1, "reason": EVIL}]}}
    assert EVIL not in render(text, **context)


def test_a_score_opens_to_its_terms():
    html = render("{% reasons score %}", score={"value": 87.5, "terms": [{"name": "级别", "value": 4, "weight": 10, "points": 40, "reason": "高危规则"}]})
    assert all(part in html for part in ("87.5", "高危规则", "40", "<details"))


def test_a_chart_is_json_without_script():
    html = render("{% chart spec 'l' '每小时' %}", spec={"series": [{"type": "bar", "data": [1, 2]}]})
    assert 'type="application/json"' in html
    assert 'aria-label="每小时"' in html


def test_every_icon_that_is_named_is_in_the_sprite():
    sprite = Path(parts.finders.find("vendor/icons.svg") or "")
    if not sprite.is_file():
        pytest.skip("tools/assets.py has not run")
    from tools.assets import NAMED, SOURCE

    held = set(re.findall(r'<symbol id="([\w-]+)"', sprite.read_text("utf-8")))
    named = {name for path in (SOURCE / "commons/frame").rglob("*") if path.suffix in {".py", ".html"} for pair in NAMED.findall(path.read_text("utf-8")) for name in pair if name}
    assert named <= held


def test_assets_change_their_address_with_their_content():
    assert re.search(r"\?[0-9a-f]{10}$", parts.asset("frame/frame.css"))
