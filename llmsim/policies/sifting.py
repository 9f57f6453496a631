"""A transportation problem of millions of queries and few deployments, solved on the few that matter.

At the optimal prices of the deployments nearly every query has one best place; only those that are nearly
indifferent decide how the bounds are met. So: guess the prices from a sample, place the decided queries, let
a min-cost flow place the undecided ones, and take its prices. A decided query whose place is no longer best
at those prices becomes undecided, and the flow is solved again. When there is none, flow and prices satisfy
complementary slackness over *all* queries, which proves the optimum; so the sample affects the speed alone.
(Sifting, Bixby et al. 1992, on rows instead of columns.)

A round costs O(n k), the flow works on O(k sqrt(n)) queries, and there are few rounds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llmsim.curves.cost import BoolArray, FloatArray, IntArray
from llmsim.policies.bounds import Bounds
from llmsim.policies.flow import min_cost_flow, residual_prices

# Groups up to this many are left to the min-cost flow as they are.
DIRECT = 4000
# One group in so many is in the sample that the first prices come from.
_SAMPLE_EVERY = 16
# Undecided groups that prove too few grow by this factor.
_GROWTH = 4
# A place is still best within this part of the largest cost: rounding is not a reason to move.
_TIE = 1e-14


@dataclass(frozen=True)
class Problem:
    """An assignment with bounds on counts; the fields are those of `assignment.assign`."""

    cost: FloatArray
    count: IntArray
    eligible: BoolArray
    bounds: Bounds

    def rows(self, index: NDArray[np.int64] | slice, bounds: Bounds) -> Problem:
        """Some of the groups, under other bounds."""
        return Problem(self.cost[index], self.count[index], self.eligible[index], bounds)


@dataclass(frozen=True)
class Solution:
    """An optimal flow, shape (g, k), and the deployments' prices that prove it, shape (k,)."""

    flow: IntArray
    prices: FloatArray


def sift(problem: Problem, start: FloatArray | None = None) -> Solution | None:
    """The optimum of a problem, or None where its bounds cannot be met.

    Args:
        start: a guess of the prices, shape (k,); None: those of a sample.
    """
    if len(problem.cost) <= DIRECT:
        return _direct(problem)
    prices = _sample_prices(problem) if start is None else start
    best, gain = best_places(problem.cost, problem.eligible, prices)
    tie = _TIE * float(gain.max(where=np.isfinite(gain), initial=0.0))
    undecided = len(best) ** 0.5 + 2 * _mismatch(problem, best, prices)
    free = _near(problem, best, gain, prices, undecided)
    while True:
        solved = _solve_free(problem, best, free, prices)
        if solved is None and free.all():
            return None
        if solved is not None:
            wrong = ~free & (_regret(problem, best, solved.prices) > tie)
            if not wrong.any():
                return solved
            if wrong.sum() <= free.sum():
                free |= wrong
                continue
        # Too few to meet the bounds, or only at absurd prices.
        undecided *= _GROWTH
        free |= _near(problem, best, gain, prices, undecided)


def best_places(
    cost: FloatArray, eligible: BoolArray, prices: FloatArray
) -> tuple[NDArray[np.int8], FloatArray]:
    """The deployment of least cost minus price for each group, and by how much the next one is worse.

    Returns:
        Both of shape (g,); the second is infinite where only one deployment is eligible.
    """
    best = np.full(len(cost), np.inf)
    second = np.full(len(cost), np.inf)
    place = np.zeros(len(cost), dtype=np.int8)
    for column, price in enumerate(prices):
        value = np.where(eligible[:, column], cost[:, column] - price, np.inf)
        better = value < best
        np.minimum(second, np.where(better, best, value), out=second)
        place[better] = column
        np.minimum(best, value, out=best)
    return place, second - best


def _direct(problem: Problem) -> Solution | None:
    flow = min_cost_flow(problem.cost, problem.count, problem.eligible, problem.bounds)
    if flow is None:
        return None
    load = flow.sum(axis=0)
    return Solution(
        flow, residual_prices(problem.cost, flow, problem.eligible, load, problem.bounds, np.zeros(len(load)))
    )


def _sample_prices(problem: Problem) -> FloatArray:
    """Optimal prices of a sample with its part of the bounds; none where the sample cannot meet them."""
    sample = slice(_SAMPLE_EVERY // 2, None, _SAMPLE_EVERY)
    part = problem.count[sample].sum() / problem.count.sum()
    bounds = problem.bounds
    scaled = Bounds(
        bounds.names,
        np.floor(bounds.lower * part).astype(np.int64),
        np.ceil(bounds.upper * part).astype(np.int64),
    )
    solved = sift(problem.rows(sample, scaled))
    return np.zeros(problem.cost.shape[1]) if solved is None else solved.prices


def _mismatch(problem: Problem, best: NDArray[np.int8], prices: FloatArray) -> float:
    """By how many queries the best places miss the bounds, or keep them where a price says they bind."""
    load = np.bincount(best, weights=problem.count, minlength=len(prices))
    least = np.where(prices < 0, problem.bounds.upper, problem.bounds.lower)
    most = np.where(prices > 0, problem.bounds.lower, problem.bounds.upper)
    return float(np.sum(np.maximum(least - load, 0) + np.maximum(load - most, 0)))


def _near(
    problem: Problem, best: NDArray[np.int8], gain: FloatArray, prices: FloatArray, number: float
) -> BoolArray:
    """The groups that it costs least to move into each deployment, or out of it: so many a deployment."""
    if number >= len(best):
        return np.ones(len(best), dtype=bool)
    chosen = np.zeros(len(best), dtype=bool)
    own = _reduced(problem, best, prices)
    for column, price in enumerate(prices):
        step = np.where(problem.eligible[:, column], problem.cost[:, column] - price - own, np.inf)
        step = np.where(best == column, gain, step)
        chosen[np.argpartition(step, int(number))[: int(number)]] = True
    return chosen


def _solve_free(
    problem: Problem, best: NDArray[np.int8], free: BoolArray, prices: FloatArray
) -> Solution | None:
    """The optimum with every group that is not free at its best place; None where there is none."""
    size = problem.cost.shape[1]
    fixed = np.bincount(best[~free], weights=problem.count[~free], minlength=size).astype(np.int64)
    bounds = problem.bounds
    left = Bounds(bounds.names, np.maximum(bounds.lower - fixed, 0), bounds.upper - fixed)
    rows = np.flatnonzero(free)
    part = problem.rows(rows, left)
    placed = min_cost_flow(part.cost, part.count, part.eligible, left)
    if placed is None:
        return None
    load = fixed + placed.sum(axis=0)
    prices = residual_prices(part.cost, placed, part.eligible, load, bounds, prices)
    flow = np.zeros((size, len(free)), dtype=np.int64).T  # a column's entries lie together
    for column in range(size):
        flow[:, column] = np.where(best == column, problem.count, 0)
    flow[rows] = placed
    return Solution(flow, prices)


def _regret(problem: Problem, best: NDArray[np.int8], prices: FloatArray) -> FloatArray:
    """By how much each group's place is worse than its best at other prices, shape (g,)."""
    least = np.full(len(best), np.inf)
    for column, price in enumerate(prices):
        value = np.where(problem.eligible[:, column], problem.cost[:, column] - price, np.inf)
        np.minimum(least, value, out=least)
    regret: FloatArray = _reduced(problem, best, prices) - least
    return regret


def _reduced(problem: Problem, best: NDArray[np.int8], prices: FloatArray) -> FloatArray:
    """Cost minus price of each group at its place, shape (g,)."""
    own = np.zeros(len(best))
    for column, price in enumerate(prices):
        own = np.where(best == column, problem.cost[:, column] - price, own)
    return own
