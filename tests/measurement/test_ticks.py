import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from llmsim.measurement.ticks import Ticks


def ticks(period_s, watts, delays, missed=()):
    seen = []
    for number, delay in enumerate(delays):
        if number not in missed:
            seen.append((number * period_s + delay * period_s, number * period_s * watts))
    return Ticks.of(seen)


@given(
    st.floats(0.01, 1.0),
    st.floats(10, 1000),
    st.lists(st.floats(0, 0.2), min_size=30, max_size=60),
    st.sets(st.integers(1, 28), max_size=4),
)
def test_power_is_right_though_updates_are_seen_late_or_missed(period_s, watts, delays, missed):
    seen = ticks(period_s, watts, delays, missed)
    found = seen.period_s()
    assert abs(found / period_s - 1) < 0.25 / len(delays)
    assert abs(seen.power_w(found) / watts - 1) < 0.25 / len(delays)


def test_few_updates_tell_no_period():
    assert ticks(0.1, 100, [0, 0, 0]).period_s() is None


def test_one_update_tells_no_power():
    assert ticks(0.1, 100, [0]).power_w(0.1) is None


def test_only_updates_within_the_window_count():
    seen = ticks(0.1, 100, np.zeros(20))
    assert len(seen.between(0.45, 0.95)) == 5
