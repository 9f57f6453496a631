"""Predictors of the answer's length."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmsim.errors import InputError
from llmsim.policies.predictors import Mean, Noisy, Oracle, Quantile, build_predictor

LENGTHS = np.array([10, 200, 3000])


def test_the_oracle_knows():
    assert Oracle().predict(LENGTHS, np.random.default_rng(0)).tolist() == LENGTHS.tolist()


def test_noise_is_log_normal_of_median_one():
    truth = np.full(20_000, 1000)
    factor = np.log(Noisy(sigma=0.5).predict(truth, np.random.default_rng(0)) / truth)
    assert np.median(factor) == pytest.approx(0.0, abs=0.02)
    assert factor.std() == pytest.approx(0.5, rel=0.03)


def test_the_noise_of_one_query_does_not_depend_on_another():
    other = LENGTHS.copy()
    other[0] = 77
    first, second = (Noisy().predict(values, np.random.default_rng(0)) for values in (LENGTHS, other))
    assert first[1:].tolist() == second[1:].tolist()


def test_the_mean_is_of_what_is_done():
    mean = Mean(first_tokens=50.0)
    mean.begin()
    assert mean.estimate() == 50.0
    for tokens in (10, 20, 60):
        mean.observe(tokens)
    assert mean.estimate() == 30.0
    mean.begin()
    assert mean.estimate() == 50.0


@settings(deadline=None)
@given(st.lists(st.integers(1, 50), min_size=1, max_size=60), st.floats(0, 1), st.integers(1, 20))
def test_the_quantile_is_of_the_latest(tokens, q, window):
    quantile = Quantile(q=q, window=window)
    quantile.begin()
    for value in tokens:
        quantile.observe(value)
    expected = np.quantile(tokens[-window:], q, method="inverted_cdf")
    assert quantile.estimate() == expected


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ("oracel", "policy.predictor=oracel: no such policy.predictor. Did you mean 'oracle'"),
        ({"name": "noisy", "sigma": -1.0}, "policy.predictor.sigma=-1.0"),
        ({"name": "quantile", "q": 1.5}, "policy.predictor.q=1.5"),
        ({"name": "mean", "window": 3}, "policy.predictor.window: no such setting"),
        (3, "policy.predictor=3: expected one of mean, noisy, oracle, quantile"),
    ],
)
def test_a_predictor_that_cannot_be_built_says_why(node, message):
    with pytest.raises(InputError, match=message):
        build_predictor(node)
