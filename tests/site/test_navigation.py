"""The menus of a whole node: few enough to be read at a glance."""

import pytest
from django.urls import get_resolver

from lianfang.commons.frame.pages import registry
from lianfang.kernel.viewer import SYSTEM


@pytest.mark.parametrize(("section", "most"), [("governance", 7)])
def test_no_menu_is_longer_than_a_glance(section, most):
    get_resolver().url_patterns
    found = next(pages for known, pages in registry.entries(SYSTEM) if known.key == section)
    lines = registry.grouped(found)
    assert len(lines) <= most, [str(line.label) for line in lines]
    assert len({str(line.label) for line in lines}) == len(lines)
    assert sum(len(line.pages) for line in lines) == len(found), "every page is still reached"
