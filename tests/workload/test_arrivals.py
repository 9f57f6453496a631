"""Arrival processes keep their rates, and traces keep their queries."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmsim.errors import InputError
from llmsim.workload.arrivals import PROCESSES, draw, from_config
from llmsim.workload.reshape import faster, repeat, resample, window
from tests.builders import queries

NODES = [
    {"process": "poisson", "rate_per_s": 4.0},
    {"process": "gamma", "rate_per_s": 4.0, "cv": 2.5},
    {"process": "gamma", "rate_per_s": 4.0, "cv": 0.3},
    {"process": "weibull", "rate_per_s": 4.0, "shape": 0.6},
    {"process": "on_off", "rate_per_s": 4.0, "on_s": 3.0, "off_s": 9.0},
    {"process": "diurnal", "rate_per_s": 4.0, "depth": 0.8, "peak_s": 30.0, "period_s": 100.0},
]


@pytest.mark.parametrize("node", NODES, ids=lambda node: node["process"])
def test_a_process_keeps_its_rate_and_its_order(node):
    arrival_s = draw(from_config(node), 100_000, np.random.default_rng(1))
    assert (np.diff(arrival_s) >= 0).all()
    assert arrival_s[0] >= 0
    assert len(arrival_s) / arrival_s[-1] == pytest.approx(4.0, rel=0.05)
    again = draw(from_config(node), 100_000, np.random.default_rng(1))
    assert arrival_s.tobytes() == again.tobytes()


def test_gaps_vary_as_they_are_told_to():
    for cv in (0.5, 1.0, 3.0):
        node = {"process": "gamma", "rate_per_s": 2.0, "cv": cv}
        gaps = np.diff(draw(from_config(node), 200_000, np.random.default_rng(2)))
        assert gaps.std() / gaps.mean() == pytest.approx(cv, rel=0.03)


def test_bursts_come_in_their_share_of_time():
    node = {"process": "on_off", "rate_per_s": 1.0, "on_s": 50.0, "off_s": 150.0}
    arrival_s = draw(from_config(node), 100_000, np.random.default_rng(3))
    counts = np.histogram(arrival_s, bins=np.arange(0, arrival_s[-1], 10.0))[0]
    # Off for three quarters of the time; bins that a pause begins or ends in have fewer than the rest.
    assert (counts == 0).mean() == pytest.approx(0.72, abs=0.05)
    assert counts.var() > 3 * counts.mean()


def test_the_day_peaks_when_it_is_told_to():
    node = {"process": "diurnal", "rate_per_s": 50.0, "depth": 1.0, "peak_s": 25.0, "period_s": 100.0}
    phase = draw(from_config(node), 50_000, np.random.default_rng(4)) % 100.0
    counts = np.histogram(phase, bins=4, range=(0, 100))[0]
    assert counts[0] == pytest.approx(counts[1], rel=0.05)
    assert counts[0] > 4 * counts[2]


def test_all_at_once_is_at_the_start():
    assert draw(from_config({"process": "at_once"}), 5, np.random.default_rng(0)).tolist() == [0.0] * 5


@pytest.mark.parametrize("name", sorted(PROCESSES))
def test_no_query_is_no_arrival(name):
    node = next((node for node in NODES if node["process"] == name), {"process": name})
    assert len(draw(from_config(node), 0, np.random.default_rng(0))) == 0


@pytest.mark.parametrize(
    ("node", "complaint"),
    [
        ({"process": "poison", "rate_per_s": 1.0}, "Did you mean 'poisson'"),
        ({"process": "poisson", "rate_per_s": 0.0}, "rate_per_s=0.0: must be a finite number above 0"),
        ({"process": "poisson", "rate": 1.0}, "Did you mean 'rate_per_s'"),
        ({"process": "gamma", "rate_per_s": 1.0}, "cv: this setting must be given"),
        ({"process": "diurnal", "rate_per_s": 1.0, "depth": 2.0}, "must be 0 to 1"),
        ({"rate_per_s": 1.0}, "process=None"),
    ],
)
def test_a_process_that_cannot_be_is_refused(node, complaint):
    with pytest.raises(InputError, match=complaint):
        from_config(node)


def test_a_rate_too_low_to_finish_is_refused():
    with pytest.raises(InputError, match="31 years"):
        draw(from_config({"process": "poisson", "rate_per_s": 1e-9}), 10, np.random.default_rng(0))


TRACE = queries([1, 2, 3, 4], [10, 20, 30, 40], [0.0, 1.0, 4.0, 6.0])


def test_a_window_starts_anew():
    part = window(TRACE, 1.0, 6.0)
    assert part.arrival_s.tolist() == [0.0, 3.0]
    assert part.tau_in.tolist() == [2, 3]
    with pytest.raises(InputError, match="no query arrives then"):
        window(TRACE, 7.0, 9.0)


def test_twice_as_fast_takes_half_as_long():
    assert faster(TRACE, 2.0).arrival_s.tolist() == [0.0, 0.5, 2.0, 3.0]
    with pytest.raises(InputError, match="above 0"):
        faster(TRACE, 0.0)


@given(st.integers(1, 5), st.floats(0, 20))
def test_a_repeated_trace_has_every_query_as_often(times, jitter_s):
    long = repeat(TRACE, times, jitter_s, np.random.default_rng(0))
    assert len(long) == 4 * times
    assert (np.diff(long.arrival_s) >= 0).all()
    assert (long.arrival_s >= 0).all()
    assert (np.bincount(long.tau_in)[1:] == times).all()
    assert (long.tau_out == 10 * long.tau_in).all()


def test_resampled_lengths_stay_in_pairs():
    drawn = resample(TRACE, np.arange(500.0), np.random.default_rng(0))
    assert (drawn.tau_out == 10 * drawn.tau_in).all()
    assert set(drawn.tau_in.tolist()) == {1, 2, 3, 4}
