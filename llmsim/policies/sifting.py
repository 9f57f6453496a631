"""A linear program of millions of queries and few deployments, solved on the few queries that matter.

At the optimal prices of the deployments nearly every query has one best place; only those that are nearly
indifferent decide how the bounds are met. So: guess the prices from a sample, place the decided queries, let
an exact solver place the undecided ones, and take its prices. A decided query whose place is no longer best
at those prices becomes undecided, and they are solved again. When there is none, places and prices satisfy
complementary slackness over *all* queries, which proves the optimum; so the sample affects the speed alone.
(Sifting, Bixby et al. 1992, on rows instead of columns.)

A round costs O(n k), the solver works on O(k sqrt(n)) queries, and there are few rounds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from llmsim.curves.cost import BoolArray, FloatArray, IntArray

# Groups up to this many are left to the exact solver as they are.
DIRECT = 4000
# One group in so many is in the sample that the first prices come from.
_SAMPLE_EVERY = 16
SAMPLE = slice(_SAMPLE_EVERY // 2, None, _SAMPLE_EVERY)
# Undecided groups that prove too few grow by this factor.
_GROWTH = 4
# A place is still best within this part of the largest gain: rounding is not a reason to move.
_TIE = 1e-14


@dataclass(frozen=True)
class Solution:
    """An optimum: most groups at one place, the others by a flow.

    Attributes:
        best: the deployment of each group, shape (g,); of no meaning for those in `rows`.
        rows: groups that the solver placed.
        flow: their queries on each deployment, shape (len(rows), k); whole numbers or not, as the solver is.
        prices: what proves it, as the problem reads them.
    """

    best: NDArray[np.int16]
    rows: IntArray
    flow: NDArray[Any]
    prices: FloatArray

    def table(self, count: IntArray) -> NDArray[Any]:
        """Queries of each group on each deployment, shape (g, k), for groups of `count` queries."""
        size = self.flow.shape[1]
        table = np.zeros((size, len(count)), dtype=self.flow.dtype).T  # a column's entries lie together
        for column in range(size):
            table[:, column] = np.where(self.best == column, count, 0)
        table[self.rows] = self.flow
        return table


class Problem(Protocol):
    """What sifting needs of a problem of g groups and k deployments; solutions are of its own restriction."""

    @property
    def count(self) -> IntArray:
        """Queries in each group, shape (g,)."""
        ...

    @property
    def eligible(self) -> BoolArray:
        """Where each group may go, shape (g, k)."""
        ...

    def no_prices(self) -> FloatArray:
        """Prices under which every group goes where it costs least."""
        ...

    def reduced(self, prices: FloatArray, column: int) -> FloatArray:
        """Cost of each group on a deployment with the prices taken into account, shape (g,)."""
        ...

    def sample(self, rows: slice) -> Problem:
        """Some of the groups with their part of the bounds."""
        ...

    def mismatch(self, best: NDArray[np.int16], prices: FloatArray) -> float:
        """By how many queries the places miss the bounds, or keep them where a price says that they bind."""
        ...

    def solve(self, best: NDArray[np.int16], rows: IntArray, near: FloatArray) -> Solution | None:
        """The optimum with every group but `rows` at its best place, or None where there is none.

        Args:
            near: prices to stay near where several are optimal.
        """
        ...

    def dual_value(self, prices: FloatArray) -> float:
        """A lower bound on what any solution costs."""
        ...


@dataclass(frozen=True)
class Guess:
    """Where to start, and when to stop.

    Attributes:
        prices: nearly optimal ones.
        places: a deployment for each group, shape (g,), with which the bounds are nearly kept; None: where
            each is best at the prices.
        slack: a solution proved within this of the optimum will do.
    """

    prices: FloatArray
    places: NDArray[np.int16] | None = None
    slack: float = 0.0


def sift(problem: Problem, guess: Guess | None = None) -> Solution | None:
    """The optimum of a problem, or None where its bounds cannot be met.

    Args:
        guess: None: the prices of a sample, and nothing but the optimum will do.
    """
    groups = len(problem.count)
    if groups <= DIRECT:
        places = np.zeros(groups, dtype=np.int16)
        return problem.solve(places, np.arange(groups), problem.no_prices())
    guess = guess or Guess(sample_prices(problem))
    prices = guess.prices
    best, gain = best_places(problem, prices)
    best = best if guess.places is None else guess.places
    tie = _TIE * float(gain.max(where=np.isfinite(gain), initial=0.0))
    undecided = groups**0.5 + 2 * problem.mismatch(best, prices)
    free = near(problem, prices, undecided)
    while True:
        solved = problem.solve(best, np.flatnonzero(free), prices)
        if solved is None and free.all():
            return None
        if solved is not None and guess.slack > 0:
            proof = max((solved.prices, prices), key=problem.dual_value)
            if cost_of(problem, solved) - problem.dual_value(proof) <= guess.slack:
                return replace(solved, prices=proof)
        if solved is not None:
            wrong = ~free & (regret(problem, best, solved.prices) > tie)
            if not wrong.any():
                return solved
            if wrong.sum() <= free.sum():
                free |= wrong
                continue
        # Too few to meet the bounds, or only at absurd prices.
        undecided *= _GROWTH
        free |= near(problem, prices, undecided)


def cost_of(problem: Problem, solution: Solution) -> float:
    """What a solution costs."""
    flow = solution.table(problem.count)
    free = problem.no_prices()
    return sum(
        float(np.sum(np.where(used > 0, problem.reduced(free, column), 0.0) * used))
        for column, used in enumerate(flow.T)
    )


def places_at(problem: Problem, prices: FloatArray) -> NDArray[np.int16]:
    """The deployment of least reduced cost for each group, the first of equal ones, shape (g,)."""
    least = np.full(len(problem.count), np.inf)
    places = np.zeros(len(problem.count), dtype=np.int16)
    for column in range(problem.eligible.shape[1]):
        value = _where_eligible(problem, prices, column)
        np.copyto(places, column, where=value < least)
        np.minimum(least, value, out=least)
    return places


def best_places(problem: Problem, prices: FloatArray) -> tuple[NDArray[np.int16], FloatArray]:
    """The places of `places_at`, and by how much the next one is worse.

    Returns:
        Both of shape (g,); the second is infinite where only one deployment is eligible.
    """
    groups, size = problem.eligible.shape
    best = np.full(groups, np.inf)
    second = np.full(groups, np.inf)
    place = np.zeros(groups, dtype=np.int16)
    for column in range(size):
        value = _where_eligible(problem, prices, column)
        better = value < best
        np.minimum(second, np.where(better, best, value), out=second)
        np.copyto(place, column, where=better)
        np.minimum(best, value, out=best)
    return place, second - best


def regret(problem: Problem, best: NDArray[np.int16], prices: FloatArray) -> FloatArray:
    """By how much each group's place is worse than its best at some prices, shape (g,)."""
    least = np.full(len(best), np.inf)
    own = np.zeros(len(best))
    for column in range(problem.eligible.shape[1]):
        value = _where_eligible(problem, prices, column)
        own = np.where(best == column, value, own)
        np.minimum(least, value, out=least)
    difference: FloatArray = own - least
    return difference


def dual_of_groups(problem: Problem, prices: FloatArray) -> float:
    """The sum over all queries of their least reduced cost: the queries' part of a dual value."""
    least = np.full(len(problem.count), np.inf)
    for column in range(problem.eligible.shape[1]):
        np.minimum(least, _where_eligible(problem, prices, column), out=least)
    return float(np.sum(least * problem.count))


def _where_eligible(problem: Problem, prices: FloatArray, column: int) -> FloatArray:
    return np.where(problem.eligible[:, column], problem.reduced(prices, column), np.inf)


def sample_prices(problem: Problem) -> FloatArray:
    """Optimal prices of a sample; none where the sample cannot meet its part of the bounds."""
    solved = sift(problem.sample(SAMPLE))
    return problem.no_prices() if solved is None else solved.prices


def near(problem: Problem, prices: FloatArray, number: float) -> BoolArray:
    """The groups that it costs least to move into each deployment, or out of it: so many a deployment."""
    best, gain = best_places(problem, prices)
    if number >= len(best):
        return np.ones(len(best), dtype=bool)
    chosen = np.zeros(len(best), dtype=bool)
    own = np.zeros(len(best))
    for column in range(problem.eligible.shape[1]):
        own = np.where(best == column, problem.reduced(prices, column), own)
    for column in range(problem.eligible.shape[1]):
        step = np.where(best == column, gain, _where_eligible(problem, prices, column) - own)
        chosen[np.argpartition(step, int(number))[: int(number)]] = True
    return chosen
