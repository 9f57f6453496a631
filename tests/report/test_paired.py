"""Paired differences: the mean is exact, the interval covers as often as it says, also among queues."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from llmsim.report.paired import LEVEL, difference, differences, same_queries


def table(**changed):
    columns = {
        "arrival_s": [0.0, 1.0, 2.0], "tau_in": [3, 4, 5], "tau_out": [1, 1, 1], "start_s": [0.0, 2.0, None],
        "first_token_s": [0.5, 3.0, None], "end_s": [1.0, 4.0, None], "energy_j": [10.0, 20.0, None],
        "accuracy_pct": [50.0, None, None],
    }  # fmt: skip
    return pa.table(columns | changed)


def test_differences_are_over_the_queries_that_both_served():
    other = table(end_s=[1.5, 5.5, 9.0], energy_j=[None, None, None])
    found = differences(table(), other)
    assert (found["latency_s"].pairs, found["latency_s"].first, found["latency_s"].mean) == (2, 2.0, 1.0)
    assert found["latency_s"].percent == 50.0
    assert found["latency_s"].low is None
    assert found["accuracy_pct"].pairs == 1
    assert found["wait_s"].mean == 0
    assert "energy_j" not in found


def test_other_arrivals_or_tokens_are_other_queries():
    assert same_queries(table(), table(energy_j=[1.0, 2.0, 3.0]))
    assert not same_queries(table(), table(tau_in=[3, 4, 6]))
    assert not same_queries(table(), table().slice(1))


@pytest.mark.parametrize("memory", [0.0, 0.9])
def test_the_interval_covers_the_true_difference_as_often_as_it_says(memory):
    """Differences that remember the one before, as waiting times do; plain pairs would cover less often."""
    rng = np.random.default_rng(1)
    covered, times, n = 0, 400, 2000
    for _ in range(times):
        apart, noise = np.empty(n), rng.normal(size=n)
        last = rng.normal() / np.sqrt(1 - memory**2)
        for place in range(n):
            apart[place] = last = memory * last + noise[place]
        found = difference(np.full(n, 7.0), 7.0 + 0.3 + apart)
        covered += found.low <= 0.3 <= found.high
    assert abs(covered / times - LEVEL) < 0.045
