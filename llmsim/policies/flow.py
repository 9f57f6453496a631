"""Min-cost flow between groups of queries and deployments, by OR-Tools, and the dual of a flow.

Queries with the same costs are one supply node; deployments are demand nodes with a least and a most number
of queries. The linear program of such a network has integral corners, so the optimum is exact and polynomial
(Ahuja, Magnanti, Orlin, *Network Flows*, 1993, chapters 9-11).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llmsim.curves.cost import BoolArray, FloatArray, IntArray
from llmsim.policies.bounds import Bounds
from llmsim.policies.sifting import Solution, dual_of_groups

# OR-Tools works on 64-bit integer costs and multiplies them by the number of nodes while scaling.
_INTEGER_RANGE = 2.0**60


@dataclass(frozen=True)
class CountProblem:
    """The assignment with bounds on counts, for `sifting`; the fields are those of `assignment.assign`.

    A price is what a deployment gives for a query, shape (k,).
    """

    cost: FloatArray
    count: IntArray
    eligible: BoolArray
    bounds: Bounds

    def no_prices(self) -> FloatArray:
        """Zeros."""
        return np.zeros(self.cost.shape[1])

    def reduced(self, prices: FloatArray, column: int) -> FloatArray:
        """Cost minus price."""
        value: FloatArray = self.cost[:, column] - prices[column]
        return value

    def sample(self, rows: slice) -> CountProblem:
        """Some of the groups with their part of the bounds."""
        part = self.count[rows].sum() / self.count.sum()
        return CountProblem(self.cost[rows], self.count[rows], self.eligible[rows], self.bounds.scaled(part))

    def mismatch(self, best: NDArray[np.int16], prices: FloatArray) -> float:
        """By how many queries the places miss the bounds, or keep them where a price says that they bind."""
        load = np.bincount(best, weights=self.count, minlength=len(prices)).astype(np.float64)
        return self.bounds.mismatch(load, prices)

    def solve(self, best: NDArray[np.int16], rows: IntArray, near: FloatArray) -> Solution | None:
        """The optimum with every group but `rows` at its best place, or None where there is none."""
        fixed = fixed_load(self.count, best, rows, self.cost.shape[1])
        left = self.bounds.less(fixed)
        cost, eligible = self.cost[rows], self.eligible[rows]
        flow = min_cost_flow(cost, self.count[rows], eligible, left)
        if flow is None:
            return None
        load = fixed + flow.sum(axis=0)
        return Solution(best, rows, flow, residual_prices(cost, flow, eligible, load, self.bounds, near))

    def dual_value(self, prices: FloatArray) -> float:
        """A lower bound on every feasible assignment, for any prices (weak duality), in float64.

        A positive price rewards a deployment's lower bound, a negative one charges its upper bound.
        """
        return dual_of_groups(self, prices) + self.bounds.value(prices)


def fixed_load(count: IntArray, best: NDArray[np.int16], rows: IntArray, size: int) -> IntArray:
    """Queries on each deployment of the groups that are not in `rows`, shape (k,)."""
    everywhere = np.bincount(best, weights=count, minlength=size)
    freed = np.bincount(best[rows], weights=count[rows], minlength=size)
    load: IntArray = np.rint(everywhere - freed).astype(np.int64)
    return load


def min_cost_flow(cost: FloatArray, count: IntArray, eligible: BoolArray, bounds: Bounds) -> IntArray | None:
    """Queries of each group on each deployment at the least total cost, shape (g, k).

    Args:
        cost: cost of one query of group g on deployment k, shape (g, k).
        count: queries in each group, shape (g,).
        eligible: where a group may go, shape (g, k).
        bounds: on each deployment's number of queries.

    Returns:
        None where no flow keeps the bounds.
    """
    from ortools.graph.python import min_cost_flow

    if (bounds.lower > bounds.upper).any() or not bounds.lower.sum() <= count.sum() <= bounds.upper.sum():
        return None
    groups, size = cost.shape
    row, column = np.nonzero(eligible)
    # Shifting a row changes no choice, and gives the integers the range that the differences need.
    shifted = cost - np.where(eligible, cost, np.inf).min(axis=1)[:, None]
    largest = float(shifted[eligible].max(initial=0.0))
    # Equal costs everywhere need no range; the division is by parts, as their product may overflow.
    scale = _INTEGER_RANGE / (2 * (groups + size + 2)) / largest if largest > 0 else 0.0
    solver = min_cost_flow.SimpleMinCostFlow()
    solver.add_arcs_with_capacity_and_unit_cost(
        row, groups + column, count[row], np.rint(shifted[row, column] * scale).astype(np.int64)
    )
    sink = groups + size
    solver.add_arcs_with_capacity_and_unit_cost(
        groups + np.arange(size), np.full(size, sink), bounds.upper - bounds.lower, np.zeros(size, np.int64)
    )
    supply = np.concatenate([count, -bounds.lower, [bounds.lower.sum() - count.sum()]])
    solver.set_nodes_supplies(np.arange(sink + 1), supply)
    status = solver.solve()
    if status == solver.INFEASIBLE:
        return None
    if status != solver.OPTIMAL:
        raise RuntimeError(f"OR-Tools min-cost flow stopped with {status}")
    flow = np.zeros((groups, size), dtype=np.int64)
    flow[row, column] = solver.flows(np.arange(len(row)))
    return flow


def residual_prices(
    cost: FloatArray,
    flow: IntArray,
    eligible: BoolArray,
    load: IntArray,
    bounds: Bounds,
    start: FloatArray,
) -> FloatArray:
    """Prices of the deployments under which a flow is optimal, shape (k,).

    In the residual network of an optimal flow no cycle has negative cost, so shortest distances exist; they
    are the dual. Groups are eliminated first: moving one query from i to j costs at least the least
    difference over the groups that i serves. The sink is node k: it may send to a deployment below its upper
    bound and take from one above its lower bound, for nothing.

    Args:
        load: each deployment's number of queries, those outside the flow's groups included, shape (k,).
        start: prices to stay near, shape (k,): where they are optimal they are the answer. A flow may have
            many optimal prices, and those far off would be wrong for queries that it leaves out.
    """
    size = cost.shape[1]
    length = np.full((size + 1, size + 1), np.inf)
    for i in range(size):
        served = np.flatnonzero(flow[:, i] > 0)
        own = cost[served, i]
        for j in range(size):
            moves = (cost[served, j] - own)[eligible[served, j]]
            length[i, j] = moves.min(initial=np.inf)
    length[:size, size] = np.where(load < bounds.upper, 0.0, np.inf)
    length[size, :size] = np.where(load > bounds.lower, 0.0, np.inf)
    distance = np.append(start, 0.0)
    for _ in range(size + 1):
        distance = np.minimum(distance, (distance[:, None] + length).min(axis=0))
    prices: FloatArray = distance[:size] - distance[size]
    return prices
