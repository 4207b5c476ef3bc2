"""The tables of the pinned release hold together."""

from __future__ import annotations

import pytest

from lianfang.engines.schema import ocsf
from lianfang.engines.schema.events import BY_NAME, BY_PATH, COLUMNS, TABLES, table_of
from lianfang.kernel.errors import Invalid


def test_classes_have_numbers_names_and_activities() -> None:
    assert len(ocsf.CLASSES) == 83
    assert sum(len(item.activities) for item in ocsf.CLASSES.values()) == 528
    for uid, item in ocsf.CLASSES.items():
        assert item.uid == uid
        assert uid // 1000 % 100 == item.category_uid
        assert item.zh
        assert item.activities[0] == "Unknown"
        assert all(name in ocsf.ACTIVITIES_ZH for name in item.activities.values())
        assert item.category_uid in ocsf.CATEGORIES_ZH


def test_names_lead_to_classes() -> None:
    assert ocsf.class_of("authentication").activity("logon") == 1
    with pytest.raises(Invalid, match="no event class"):
        ocsf.class_of("nonsense")
    with pytest.raises(Invalid, match="no activity"):
        ocsf.class_of(3002).activity("Dance")


def test_what_a_reader_sees() -> None:
    assert ocsf.caption(1007, 1) == "进程活动：启动"
    assert ocsf.caption(999999, 5, language="en") == "Base Event"


def test_every_class_has_a_table_and_columns_are_unique() -> None:
    assert {table_of(uid) for uid in ocsf.CLASSES} <= set(TABLES.values())
    assert len(BY_NAME) == len(COLUMNS)
    assert len(BY_PATH) == sum(bool(column.path) for column in COLUMNS)
