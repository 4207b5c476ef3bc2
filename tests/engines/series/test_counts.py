"""What is usual for the number of a template's lines, and what is not."""

from hypothesis import given
from hypothesis import strategies as st

from lianfang.engines.series import unusual

NOW = 500_000


def test_a_weekend_is_no_failure():
    """Trading days alone have lines; Saturday is quiet as it was a week ago."""
    hours = {NOW - back: 0 if (back // 24) % 7 in (0, 1) else 60 for back in range(200)}
    assert unusual(hours, NOW, first=NOW - 199) is None
    always = {NOW - back: 60 for back in range(1, 200)}
    assert unusual(always, NOW, first=NOW - 199) is not None


def test_a_daily_peak_is_usual_at_its_hour_and_not_at_another():
    hours = {NOW - back: 900 if back % 24 == 0 else 5 for back in range(150)}
    assert unusual(hours, NOW, first=NOW - 149) is None
    found = unusual(hours | {NOW - 6: 900}, NOW - 6, first=NOW - 149)
    assert found and found.more and found.usual == 5


def test_with_half_a_day_the_hours_before_are_asked_and_with_less_nothing():
    hours = {NOW - back: 30 for back in range(1, 13)} | {NOW: 400}
    found = unusual(hours, NOW, first=NOW - 12)
    assert found and found.more
    assert unusual(hours, NOW, first=NOW - 11) is None


@given(st.lists(st.integers(0, 3), min_size=170, max_size=170), st.integers(0, 9))
def test_what_is_rare_is_never_told(counts, now):
    hours = {NOW - back: count for back, count in enumerate(counts)} | {NOW: now}
    assert unusual(hours, NOW, first=NOW - 169) is None


@given(st.integers(20, 10_000))
def test_silence_of_what_is_always_said_is_told(count):
    found = unusual({NOW - back: count for back in range(1, 170)}, NOW, first=NOW - 169)
    assert found and not found.more and found.count == 0
