import numpy as np
import pytest
from scipy import stats

from llmsim.measurement.stopping import T_95, Stopping, half_width_pct


def test_the_table_is_students_t():
    assert [stats.t.ppf(0.975, n) for n in range(1, 31)] == pytest.approx(T_95, abs=6e-4)


def test_the_half_width_is_that_of_the_mean():
    values = [10.0, 10.1, 9.9, 10.05, 9.95]
    low, high = stats.t.interval(0.95, 4, np.mean(values), stats.sem(values))
    assert half_width_pct(values) == pytest.approx((high - low) / 2 / np.mean(values) * 100, rel=1e-3)


def test_one_value_is_never_enough():
    assert not Stopping(least=1).enough([3.0])


def test_equal_values_are_enough_at_the_least_number():
    assert not Stopping().enough([2.0] * 4)
    assert Stopping().enough([2.0] * 5)


def test_the_noisier_series_decides():
    assert not Stopping().enough([2.0] * 5, [1.0, 2.0, 1.0, 2.0, 1.0])


def test_no_more_than_the_most_repeats_are_asked_for():
    assert Stopping(most=6).enough([1.0, 2.0] * 3)


def test_energy_that_was_not_measured_asks_for_nothing():
    assert Stopping().enough([2.0] * 5, [])
