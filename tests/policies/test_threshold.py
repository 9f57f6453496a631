"""Deciding by a threshold between two deployments."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmsim.errors import InputError
from llmsim.fleet.prices import price
from llmsim.policies.optimal import Optimal
from llmsim.policies.threshold import KEYS, Threshold, best_threshold
from tests.builders import deployment, queries, random_prices

RNG = np.random.default_rng(0)


def two(seed, n=30):
    prices = random_prices(np.random.default_rng(seed), n, 2)
    return prices.take(np.flatnonzero(prices.fits))


@given(
    st.lists(st.tuples(st.integers(1, 8), st.integers(-5, 5), st.integers(-5, 5)), min_size=1, max_size=12)
)
def test_the_best_threshold_is_that_of_trying_all(rows):
    key, low, high = np.array(rows, dtype=float).T
    found = best_threshold(key, low, high)
    costs = {t: np.where(key <= t, low, high).sum() for t in [0.0, *np.unique(key)]}
    assert costs[found] == min(costs.values())


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32), st.sampled_from(KEYS), st.floats(0, 1))
def test_no_threshold_set_by_hand_is_better_and_the_optimum_is_never_worse(seed, key, zeta):
    prices = two(seed)
    if not len(prices.queries):
        return
    best = Threshold(key=key, zeta=zeta).plan(prices, RNG).certificate
    optimum = Optimal(zeta=zeta, against="runtime", min_queries=0).plan(prices, RNG).certificate
    assert best.lower_bound == pytest.approx(optimum.objective, rel=1e-9)
    assert best.gap >= -1e-12
    for value in (0.0, 10.0, 30.0, 500.0):
        assert Threshold(key=key, zeta=zeta, threshold=value).plan(prices, RNG).certificate.objective >= (
            best.objective - 1e-9 * best.scale
        )


def test_short_answers_go_to_the_short_side():
    deployments = [deployment("a"), deployment("b")]
    prices = price(queries([5, 5, 5], [10, 20, 30]), deployments)
    plan = Threshold(threshold=20.0).plan(prices, RNG)
    assert plan.deployment.tolist() == [0, 0, 1]
    plan = Threshold(threshold=20.0, short="b", long="a").plan(prices, RNG)
    assert plan.deployment.tolist() == [1, 1, 0]


def test_a_query_that_does_not_fit_its_side_takes_the_other():
    deployments = [deployment("a", context=20), deployment("b")]
    prices = price(queries([5, 50], [10, 10]), deployments)
    assert Threshold(threshold=20.0).plan(prices, RNG).deployment.tolist() == [0, 1]


def test_of_three_deployments_two_must_be_named():
    deployments = [deployment("a"), deployment("b"), deployment("c")]
    prices = price(queries([5], [10]), deployments)
    with pytest.raises(
        InputError, match=r"policy\.short and policy.long: name the two deployments, of a@box"
    ):
        Threshold().plan(prices, RNG)
    with pytest.raises(InputError, match=r"policy\.short\.d: no such deployment"):
        Threshold(short="d", long="a").plan(prices, RNG)
    with pytest.raises(InputError, match="are both a@box"):
        Threshold(short="a", long="a@box").plan(prices, RNG)
    assert Threshold(short="c", long="a", threshold=20.0).plan(prices, RNG).deployment.tolist() == [2]


def test_an_unknown_key_is_refused():
    with pytest.raises(InputError, match=r"policy\.key=tau: no such key"):
        Threshold(key="tau")
