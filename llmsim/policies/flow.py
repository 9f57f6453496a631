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
from llmsim.policies.bounds import Room
from llmsim.policies.sifting import Solution, dual_of_groups

# OR-Tools works on 64-bit integer costs and multiplies them by the number of nodes while scaling.
_INTEGER_RANGE = 2.0**60


@dataclass(frozen=True)
class CountProblem:
    """The assignment with bounds on counts, for `sifting`; the fields are those of `assignment.assign`.

    A column is a deployment, or several that cost the same but for constants, as `room` says. A price is what
    a column gives for a query, shape (k,).
    """

    cost: FloatArray
    count: IntArray
    eligible: BoolArray
    room: Room

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
        return CountProblem(self.cost[rows], self.count[rows], self.eligible[rows], self.room.scaled(part))

    def mismatch(self, best: NDArray[np.int16], prices: FloatArray) -> float:
        """By how many queries the places miss the bounds, or keep them where a price says that they bind."""
        load = np.bincount(best, weights=self.count, minlength=len(prices)).astype(np.float64)
        return self.room.mismatch(load, prices)

    def solve(self, best: NDArray[np.int16], rows: IntArray, near: FloatArray) -> Solution | None:
        """The optimum with every group but `rows` at its best place, or None where there is none."""
        fixed = fixed_load(self.count, best, rows, self.cost.shape[1])
        cost, eligible = self.cost[rows], self.eligible[rows]
        flow = min_cost_flow(cost, self.count[rows], eligible, self.room.left(fixed))
        if flow is None:
            return None
        load = fixed + flow.sum(axis=0)
        return Solution(
            best, rows, flow, residual_prices(cost, flow, eligible, self.room.marginal(load), near)
        )

    def dual_value(self, prices: FloatArray) -> float:
        """A lower bound on every feasible assignment, for any prices (weak duality), in float64.

        A positive price rewards a deployment's lower bound, a negative one charges its upper bound.
        """
        return dual_of_groups(self, prices) + self.room.value(prices)


def fixed_load(count: IntArray, best: NDArray[np.int16], rows: IntArray, size: int) -> IntArray:
    """Queries on each deployment of the groups that are not in `rows`, shape (k,)."""
    everywhere = np.bincount(best, weights=count, minlength=size)
    freed = np.bincount(best[rows], weights=count[rows], minlength=size)
    load: IntArray = np.rint(everywhere - freed).astype(np.int64)
    return load


def min_cost_flow(cost: FloatArray, count: IntArray, eligible: BoolArray, room: Room) -> IntArray | None:
    """Queries of each group on each column at the least total cost, shape (g, k).

    Args:
        cost: cost of one query of group g on column k, shape (g, k).
        count: queries in each group, shape (g,).
        eligible: where a group may go, shape (g, k).
        room: what the columns have room for; each deployment of a column is an arc to the sink.

    Returns:
        None where no flow keeps the bounds.
    """
    from ortools.graph.python import min_cost_flow

    bounds = room.bounds
    if (bounds.lower > bounds.upper).any() or not bounds.lower.sum() <= count.sum() <= bounds.upper.sum():
        return None
    groups, size = cost.shape
    row, column = np.nonzero(eligible)
    # Shifting a row changes no choice, and gives the integers the range that the differences need.
    shifted = cost - np.where(eligible, cost, np.inf).min(axis=1)[:, None]
    largest = max(float(shifted[eligible].max(initial=0.0)), float(room.dearer.max(initial=0.0)))
    # Equal costs everywhere need no range; the division is by parts, as their product may overflow.
    scale = _INTEGER_RANGE / (2 * (groups + size + 2)) / largest if largest > 0 else 0.0
    solver = min_cost_flow.SimpleMinCostFlow()
    solver.add_arcs_with_capacity_and_unit_cost(
        row, groups + column, count[row], np.rint(shifted[row, column] * scale).astype(np.int64)
    )
    sink = groups + size
    solver.add_arcs_with_capacity_and_unit_cost(
        groups + room.column_of,
        np.full(len(room.column_of), sink),
        bounds.upper - bounds.lower,
        np.rint(room.dearer * scale).astype(np.int64),
    )
    least = np.bincount(room.column_of, weights=bounds.lower, minlength=size).astype(np.int64)
    supply = np.concatenate([count, -least, [least.sum() - count.sum()]])
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
    marginal: tuple[FloatArray, FloatArray],
    start: FloatArray,
) -> FloatArray:
    """Prices of the columns under which a flow is optimal, shape (k,).

    In the residual network of an optimal flow no cycle has negative cost, so shortest distances exist; they
    are the dual. Groups are eliminated first: moving one query from i to j costs at least the least
    difference over the groups that i serves. The sink is node k: it takes a query more from a column that
    has room for it, and gives one back, at the marginal cost.

    Args:
        marginal: `Room.marginal` at the columns' numbers of queries, those of groups outside the flow too.
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
    length[:size, size] = marginal[0]
    length[size, :size] = -marginal[1]
    distance = np.append(start, 0.0)
    for _ in range(size + 1):
        distance = np.minimum(distance, (distance[:, None] + length).min(axis=0))
    prices: FloatArray = distance[:size] - distance[size]
    return prices
