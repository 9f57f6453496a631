"""The frontier of energy against accuracy: brute force, brackets, and what follows from it."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmsim.errors import InputError
from llmsim.fleet.prices import price
from llmsim.policies.bounds import bounds_of
from llmsim.policies.frontier import frontier, saving_at_no_less_accuracy_pct
from llmsim.policies.targets import LeastEnergy
from tests.builders import deployment, queries, random_prices


def fitting(seed, n, k):
    prices = random_prices(np.random.default_rng(seed), n, k)
    return prices.take(np.flatnonzero(prices.fits))


def every_plan(prices):
    rows = np.arange(len(prices.queries))
    tokens = prices.queries.tau_in + prices.queries.tau_out
    energy, eligible = prices.energy_j[prices.pair_of], prices.eligible[prices.pair_of]
    for choice in itertools.product(range(len(prices.deployments)), repeat=len(rows)):
        chosen = (rows, list(choice))
        if eligible[chosen].all():
            counts = np.bincount(choice, minlength=len(prices.deployments))
            yield energy[chosen].sum(), prices.accuracy_pct[chosen] @ tokens / tokens.sum(), counts


def is_convex(points):
    slopes = np.diff(points.energy_j) / np.diff(points.accuracy_pct)
    return (
        (np.diff(points.accuracy_pct) > 0).all()
        and (slopes > 0).all()
        and (slopes[1:] >= slopes[:-1] * (1 - 1e-6)).all()
    )


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32), st.integers(1, 5), st.integers(1, 3))
def test_no_plan_is_below_the_frontier_and_its_ends_are_reached(seed, n, k):
    prices = fitting(seed, n, k)
    points = frontier(prices)
    plans = list(every_plan(prices))
    for energy_j, accuracy_pct, _ in plans:
        hull = np.interp(accuracy_pct, points.accuracy_pct, points.energy_j)
        assert energy_j >= hull * (1 - 1e-9)
    assert points.energy_j[0] == pytest.approx(min(plan[0] for plan in plans))
    assert points.accuracy_pct[-1] == pytest.approx(max(plan[1] for plan in plans))
    assert (points.queries.sum(axis=1) == len(prices.queries)).all()


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32))
def test_every_point_of_the_frontier_is_a_plan_with_its_counts(seed):
    prices = fitting(seed, 4, 3)
    found = [(e, a, tuple(c)) for e, a, c in every_plan(prices)]
    points = frontier(prices)
    if len(points.energy_j) - 1 < len(prices.queries):  # equal queries move together
        return
    for energy_j, accuracy_pct, counts in zip(
        points.energy_j, points.accuracy_pct, points.queries.tolist(), strict=True
    ):
        assert any(
            c == tuple(counts) and e == pytest.approx(energy_j) and a == pytest.approx(accuracy_pct)
            for e, a, c in found
        )


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32))
def test_within_bounds_no_plan_is_below_the_hull_by_more_than_its_bracket(seed):
    prices = fitting(seed, 5, 2)
    n = len(prices.queries)
    must = int(prices.eligible[prices.pair_of, 1].all() and n > 1)
    bounds = bounds_of(["a", "b"], [0, must], [None, None], n)
    points = frontier(prices, bounds)
    slack = (points.bracket + 1e-6) * np.ptp(points.energy_j) + 1e-9 * points.energy_j[-1]
    for energy_j, accuracy_pct, counts in every_plan(prices):
        if (counts >= bounds.lower).all() and points.accuracy_pct[0] <= accuracy_pct:
            hull = np.interp(accuracy_pct, points.accuracy_pct, points.energy_j)
            assert energy_j >= hull - slack
    assert points.bracket <= 1e-4
    assert is_convex(points) or len(points.energy_j) == 1


def test_bounds_that_bind_nothing_leave_the_frontier_as_it_is():
    prices = fitting(3, 300, 3)
    free = frontier(prices)
    bounded = frontier(prices, bounds_of(["a", "b", "c"], [0] * 3, [None] * 3, len(prices.queries)))
    assert bounded.bracket <= 1e-4
    hull = np.interp(bounded.accuracy_pct, free.accuracy_pct, free.energy_j)
    assert bounded.energy_j == pytest.approx(hull, rel=1e-6)
    assert bounded.energy_j[[0, -1]] == pytest.approx(free.energy_j[[0, -1]], rel=1e-4)


@pytest.mark.parametrize("accuracy_pct", [50.0, 55.0])
def test_the_least_energy_at_an_accuracy_agrees_with_the_frontier(accuracy_pct):
    prices = fitting(5, 400, 3)
    points = frontier(prices)
    energy_j, bound_j = points.least_energy_j(accuracy_pct)
    plan = LeastEnergy(min_accuracy_pct=accuracy_pct, min_queries=0).plan(prices, np.random.default_rng(0))
    assert plan.certificate.lower_bound == pytest.approx(bound_j, rel=1e-6)
    assert bound_j <= plan.certificate.objective * (1 + 1e-9)
    assert energy_j == pytest.approx(bound_j, rel=0.01)


def test_the_knee_lies_farthest_below_the_line_between_the_ends():
    deployments = [
        deployment("small", joules=1.0, accuracy=50.0),
        deployment("middle", joules=1.5, accuracy=60.0),
        deployment("large", joules=9.0, accuracy=65.0),
    ]
    points = frontier(price(queries(range(1, 11), [5] * 10), deployments))
    assert points.queries[points.knee].tolist() == [0, 10, 0]


def test_a_saving_is_against_a_plan_of_no_less_accuracy():
    deployments = [
        deployment("small", joules=1.0, accuracy=50.0),
        deployment("large", joules=3.0, accuracy=50.0),
    ]
    points = frontier(price(queries([10, 20], [5, 5]), deployments))
    assert saving_at_no_less_accuracy_pct(points, 80.0, 50.0) == pytest.approx(50.0)
    assert saving_at_no_less_accuracy_pct(points, 40.0, 50.0) == 0.0
    assert saving_at_no_less_accuracy_pct(points, 40.0, 51.0) is None


def test_a_frontier_needs_energy_curves():
    with pytest.raises(InputError, match="has no energy curve"):
        frontier(price(queries([1], [1]), [deployment(joules=None)]))
