"""Deployments whose costs differ by a constant, and queries that cost the same everywhere, taken as one.

Between deployments that cost the same for every query, or the same but for a constant, every query is
undecided at the optimal prices, and where all queries cost the same each is as undecided as the next:
sifting, which leaves the undecided to the exact solver, would leave it everything. Taken as one they are
decided like any other. Which of its deployments serve a class's queries is then decided by the constants and
the bounds alone: each has its least, and the others go to the cheapest that have room. So a class costs,
beside what its cheapest deployment does, a convex function of its number of queries, piecewise linear with
the constants as slopes (`bounds.Room`); the network has an arc for each slope. The optimum is the same, and
so is its proof: the prices of a class's deployments differ by their constants, and the dual value is that of
the problem as it was.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from llmsim.curves.cost import BoolArray, FloatArray, IntArray
from llmsim.policies.bounds import Room, patterns_of
from llmsim.policies.flow import CountProblem

# So many rows tell nearly all columns apart that differ.
_SAMPLE = 64
# Differences of costs within this part of the largest cost are equal: a cost is rounded some times, by up to
# 1.1e-16 of it each. Min-cost flow rounds more, to whole numbers.
_ROUNDING = 4e-15


@dataclass(frozen=True)
class Ties:
    """What is taken as one.

    Attributes:
        problem: as it was.
        class_of: each deployment's class, shape (k,); classes are numbered by their first deployment.
        dearer: what each deployment costs more than the cheapest of its class, shape (k,).
        row_of: each group's row, shape (g,), where all groups cost the same; None where they do not.
    """

    problem: CountProblem
    class_of: IntArray
    dearer: FloatArray
    row_of: IntArray | None

    def condensed(self) -> CountProblem:
        """The problem with what is tied taken as one; the same problem where nothing is."""
        problem, room = self.problem, self.room()
        cost, count, eligible = problem.cost, problem.count, problem.eligible
        cheapest = self._cheapest()
        if len(cheapest) < len(self.class_of):
            cost, eligible = cost[:, cheapest], eligible[:, cheapest]
        if self.row_of is not None:
            rows = np.unique(self.row_of, return_index=True)[1]
            weight = np.bincount(self.row_of, weights=count).astype(np.int64)
            cost, count, eligible = cost[rows], weight, eligible[rows]
        return CountProblem(cost, count, eligible, room)

    def room(self) -> Room:
        """What each class has room for."""
        return Room(self.problem.room.bounds, self.class_of, self.dearer)

    def classes(self, prices: FloatArray) -> FloatArray:
        """Prices of the classes from prices of the deployments."""
        return prices[self._cheapest()]

    def dealt(self, flow: IntArray) -> IntArray:
        """Queries of each group on each deployment, shape (g, k), from a flow of the condensed problem.

        The deployments of a class take its queries group by group, each up to its part.
        """
        size = len(self.class_of)
        if self.row_of is not None:
            spread = np.zeros((flow.shape[1], len(self.row_of)), dtype=flow.dtype).T
            for row, loads in enumerate(flow):
                groups = np.flatnonzero(self.row_of == row)
                spread[groups] = _dealt(self.problem.count[groups], loads)
            flow = spread
        if flow.shape[1] == size:
            return flow
        parts = self.room().filled(flow.sum(axis=0))
        dealt = np.zeros((size, len(flow)), dtype=flow.dtype).T  # a column's entries lie together
        for number in range(flow.shape[1]):
            members = np.flatnonzero(self.class_of == number)
            dealt[:, members] = _dealt(flow[:, number], parts[members])
        return dealt

    def _cheapest(self) -> IntArray:
        """The first of the cheapest deployments of each class."""
        cheapest = np.flatnonzero(self.dearer == 0)
        first: IntArray = cheapest[np.unique(self.class_of[cheapest], return_index=True)[1]]
        return first


def find_ties(problem: CountProblem) -> Ties:
    """The deployments that cost the same for every group but for constants, and whether all groups do."""
    cost, eligible = problem.cost, problem.eligible
    size = cost.shape[1]
    sample = slice(None, None, max(len(cost) // _SAMPLE, 1))
    class_of, dearer = np.arange(size), np.zeros(size)
    for column in range(size):
        for other in np.unique(class_of[:column]).tolist():
            if _dearer(cost, eligible, column, other, sample) is None:
                continue
            constant = _dearer(cost, eligible, column, other, slice(None))
            if constant is not None:
                class_of[column], dearer[column] = other, constant
                break
    row_of = None
    if all(
        _constant(cost, eligible, column, rows) for rows in (sample, slice(None)) for column in range(size)
    ):
        row_of = patterns_of(eligible)[1]
    for first in np.unique(class_of):
        dearer[class_of == first] -= dearer[class_of == first].min()
    numbers = np.unique(class_of, return_inverse=True)[1].ravel().astype(np.int64)
    return Ties(problem, numbers, dearer, row_of)


def _dealt(counts: IntArray, loads: IntArray) -> IntArray:
    """Groups in order over deployments in order, shape (g, k), where counts and loads have the same sum."""
    so_far = np.concatenate([[0], np.cumsum(counts)])
    ends = np.cumsum(loads)
    columns = [np.diff(np.clip(so_far, end - load, end)) for load, end in zip(loads, ends, strict=True)]
    return np.array(columns).T


def _dearer(cost: FloatArray, eligible: BoolArray, column: int, other: int, rows: slice) -> float | None:
    """What a deployment costs more than another for every group; None where that is no constant."""
    fits = eligible[rows, column]
    if (fits != eligible[rows, other]).any():
        return None
    one, two = cost[rows, column][fits], cost[rows, other][fits]
    if not len(one):
        return 0.0
    difference = one - two
    least, most = float(difference.min()), float(difference.max())
    largest = max(float(np.abs(one).max()), float(np.abs(two).max()))
    return least + (most - least) / 2 if most - least <= _ROUNDING * largest else None


def _constant(cost: FloatArray, eligible: BoolArray, column: int, rows: slice) -> bool:
    values, where = cost[rows, column], eligible[rows, column]
    least, most = values.min(where=where, initial=np.inf), values.max(where=where, initial=-np.inf)
    return bool(least >= most)
