"""Deployments that cost the same for every query, and queries that cost the same everywhere, taken as one.

Between such deployments every query is undecided at the optimal prices, and where all queries cost the same
each is as undecided as the next: sifting, which leaves the undecided to the exact solver, would leave it
everything. Taken as one, with bounds or counts summed, they are decided like any other; afterwards the
queries are dealt out, within the bounds of each deployment. The optimum is the same, and so is its proof: at
a price that deployments share, none of their bounds binds, or all lower ones do, or all upper ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from llmsim.curves.cost import BoolArray, FloatArray, IntArray
from llmsim.policies.bounds import Bounds, patterns_of
from llmsim.policies.flow import CountProblem

# So many rows tell nearly all columns apart that differ.
_SAMPLE = 64


@dataclass(frozen=True)
class Ties:
    """What is taken as one.

    Attributes:
        problem: as it was.
        class_of: each deployment's class, shape (k,); classes are numbered by their first deployment.
        row_of: each group's row, shape (g,), where all groups cost the same; None where they do not.
    """

    problem: CountProblem
    class_of: IntArray
    row_of: IntArray | None

    def condensed(self) -> CountProblem:
        """The problem with what is tied taken as one; the same problem where nothing is."""
        problem = self.problem
        cost, count, eligible, bounds = problem.cost, problem.count, problem.eligible, problem.bounds
        first = np.unique(self.class_of, return_index=True)[1]
        if len(first) < len(self.class_of):
            cost, eligible, bounds = cost[:, first], eligible[:, first], self._merged(first)
        if self.row_of is not None:
            rows = np.unique(self.row_of, return_index=True)[1]
            weight = np.bincount(self.row_of, weights=count).astype(np.int64)
            cost, count, eligible = cost[rows], weight, eligible[rows]
        return CountProblem(cost, count, eligible, bounds)

    def classes(self, prices: FloatArray) -> FloatArray:
        """Prices of the classes from prices of the deployments."""
        return prices[np.unique(self.class_of, return_index=True)[1]]

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
        dealt = np.zeros((size, len(flow)), dtype=flow.dtype).T  # a column's entries lie together
        for number in range(flow.shape[1]):
            members = np.flatnonzero(self.class_of == number)
            dealt[:, members] = _dealt(flow[:, number], self._parts(members, int(flow[:, number].sum())))
        return dealt

    def _merged(self, first: IntArray) -> Bounds:
        """The bounds on each class."""
        bounds, queries = self.problem.bounds, int(self.problem.count.sum())
        lower = np.bincount(self.class_of, weights=bounds.lower).astype(np.int64)
        upper = np.bincount(self.class_of, weights=bounds.upper).astype(np.int64)
        names = tuple(bounds.names[index] for index in first.tolist())
        return Bounds(names, lower, np.minimum(upper, queries))

    def _parts(self, members: IntArray, queries: int) -> IntArray:
        """Queries of each deployment of a class: its least, and what is left to the first that have room."""
        least = self.problem.bounds.lower[members]
        room = np.minimum(self.problem.bounds.upper[members] - least, queries)
        before = np.concatenate([[0], np.cumsum(room)[:-1]])
        parts: IntArray = least + np.clip(queries - int(least.sum()) - before, 0, room)
        return parts


def find_ties(problem: CountProblem) -> Ties:
    """The deployments that cost the same for every group, and whether all groups cost the same."""
    cost, eligible = problem.cost, problem.eligible
    size = cost.shape[1]
    sample = slice(None, None, max(len(cost) // _SAMPLE, 1))
    class_of = np.arange(size)
    for column in range(size):
        for other in np.unique(class_of[:column]).tolist():
            if all(_same(cost, eligible, column, other, rows) for rows in (sample, slice(None))):
                class_of[column] = other
                break
    row_of = None
    if all(
        _constant(cost, eligible, column, rows) for rows in (sample, slice(None)) for column in range(size)
    ):
        row_of = patterns_of(eligible)[1]
    return Ties(problem, np.unique(class_of, return_inverse=True)[1].ravel().astype(np.int64), row_of)


def _dealt(counts: IntArray, loads: IntArray) -> IntArray:
    """Groups in order over deployments in order, shape (g, k), where counts and loads have the same sum."""
    so_far = np.concatenate([[0], np.cumsum(counts)])
    ends = np.cumsum(loads)
    columns = [np.diff(np.clip(so_far, end - load, end)) for load, end in zip(loads, ends, strict=True)]
    return np.array(columns).T


def _same(cost: FloatArray, eligible: BoolArray, column: int, other: int, rows: slice) -> bool:
    one = eligible[rows, column]
    if (one != eligible[rows, other]).any():
        return False
    return not (one & (cost[rows, column] != cost[rows, other])).any()


def _constant(cost: FloatArray, eligible: BoolArray, column: int, rows: slice) -> bool:
    values, where = cost[rows, column], eligible[rows, column]
    least, most = values.min(where=where, initial=np.inf), values.max(where=where, initial=-np.inf)
    return bool(least >= most)
