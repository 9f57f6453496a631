"""The assignment with bounds on counts: a transportation problem, solved as a min-cost flow.

Queries with the same costs are one supply node; deployments are demand nodes with a least and a most number
of queries. The linear program of such a network has integral corners, so the optimum is exact and polynomial
(Ahuja, Magnanti, Orlin, *Network Flows*, 1993, chapters 9-11).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llmsim.curves.cost import BoolArray, FloatArray, IntArray
from llmsim.errors import InputError

SOLVER = "OR-Tools min-cost flow"
# OR-Tools works on 64-bit integer costs and multiplies them by the number of nodes while scaling.
_INTEGER_RANGE = 2.0**60


@dataclass(frozen=True)
class Bounds:
    """Least and most queries of each deployment.

    Attributes:
        names: deployment names, length k.
        lower: shape (k,).
        upper: shape (k,); the number of queries where there is no upper bound.
    """

    names: tuple[str, ...]
    lower: IntArray
    upper: IntArray


@dataclass(frozen=True)
class Assignment:
    """An optimal flow.

    Attributes:
        flow: queries of each group on each deployment, shape (g, k).
        objective: the sum of cost times flow.
        lower_bound: the dual value that proves it.
    """

    flow: IntArray
    objective: float
    lower_bound: float


def assign(cost: FloatArray, count: IntArray, eligible: BoolArray, bounds: Bounds) -> Assignment:
    """The least total cost that serves every query within the bounds.

    Args:
        cost: cost of one query of group g on deployment k, shape (g, k).
        count: queries in each group, shape (g,).
        eligible: where a group may go, shape (g, k); each group has somewhere to go.
        bounds: on each deployment's number of queries.

    Raises:
        InputError: the bounds cannot be met (which, and by how much), or a cost is not finite.
    """
    if not np.all(np.isfinite(cost[eligible])):
        column = int(np.flatnonzero(~np.isfinite(np.where(eligible, cost, 0.0)).all(axis=0))[0])
        raise InputError(f"The cost of some query on {bounds.names[column]} is not finite.")
    check_feasible(count, eligible, bounds)
    flow = _min_cost_flow(cost, count, eligible, bounds)
    objective = float(np.sum(cost[flow > 0] * flow[flow > 0]))
    prices = _dual_prices(cost, flow, eligible, bounds)
    return Assignment(flow, objective, dual_value(prices, cost, count, eligible, bounds))


def check_feasible(count: IntArray, eligible: BoolArray, bounds: Bounds) -> None:
    """Refuse bounds that no assignment keeps; by Hall's condition on sets of deployments.

    Raises:
        InputError: naming the deployments whose bounds collide and by how many queries.
    """
    total = int(count.sum())
    for name, low, high in zip(bounds.names, bounds.lower.tolist(), bounds.upper.tolist(), strict=True):
        if low > high:
            raise InputError(f"{name}: at least {low} and at most {high} queries cannot both hold.")
    size = len(bounds.names)
    subsets = range(1, 2**size) if size <= 12 else (*(1 << i for i in range(size)), 2**size - 1)
    patterns, rows = np.unique(eligible, axis=0, return_inverse=True)
    weight = np.bincount(rows.ravel(), weights=count, minlength=len(patterns)).astype(np.int64)
    for subset in subsets:
        inside = np.array([bool(subset >> i & 1) for i in range(size)])
        names = [name for name, chosen in zip(bounds.names, inside, strict=True) if chosen]
        reach = int(weight[patterns[:, inside].any(axis=1)].sum())
        need = int(bounds.lower[inside].sum())
        if need > reach:
            raise InputError(
                f"The lower bounds of {', '.join(names)} need {need} queries together, and only {reach} of "
                f"{total} fit there: {need - reach} too many. Lower policy.min_share or policy.min_queries."
            )
        captive = int(weight[~patterns[:, ~inside].any(axis=1)].sum())
        room = int(bounds.upper[inside].sum())
        if captive > room:
            raise InputError(
                f"The upper bounds of {', '.join(names)} leave room for {room} queries, and {captive} fit "
                f"nowhere else: {captive - room} too many. Raise policy.max_share."
            )


def dual_value(
    prices: FloatArray, cost: FloatArray, count: IntArray, eligible: BoolArray, bounds: Bounds
) -> float:
    """A lower bound on every feasible assignment, for any prices (weak duality), in float64.

    A positive price rewards a deployment's lower bound, a negative one charges its upper bound.
    """
    reduced = np.where(eligible, cost - prices, np.inf).min(axis=1)
    sides = np.where(prices > 0, bounds.lower, bounds.upper)
    return float(np.sum(reduced * count) + np.sum(prices * sides))


def _min_cost_flow(cost: FloatArray, count: IntArray, eligible: BoolArray, bounds: Bounds) -> IntArray:
    from ortools.graph.python import min_cost_flow

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
    if status != solver.OPTIMAL:
        raise RuntimeError(f"{SOLVER} stopped with {status} on a problem that was checked to be feasible")
    flow = np.zeros((groups, size), dtype=np.int64)
    flow[row, column] = solver.flows(np.arange(len(row)))
    return flow


def _dual_prices(cost: FloatArray, flow: IntArray, eligible: BoolArray, bounds: Bounds) -> FloatArray:
    """Prices of the deployments under which the flow is optimal, shape (k,).

    In the residual network of an optimal flow no cycle has negative cost, so shortest distances exist; they
    are the dual. Groups are eliminated first: moving one query from i to j costs at least the least
    difference over the groups that i serves. The sink is node k: it may send to a deployment below its upper
    bound and take from one above its lower bound, for nothing.
    """
    size = cost.shape[1]
    length = np.full((size + 1, size + 1), np.inf)
    for i in range(size):
        served = flow[:, i] > 0
        if served.any():
            reachable = np.where(eligible[served], cost[served] - cost[served, i : i + 1], np.inf)
            length[i, :size] = reachable.min(axis=0)
    load = flow.sum(axis=0)
    length[:size, size] = np.where(load < bounds.upper, 0.0, np.inf)
    length[size, :size] = np.where(load > bounds.lower, 0.0, np.inf)
    distance = np.zeros(size + 1)
    for _ in range(size + 1):
        distance = np.minimum(distance, (distance[:, None] + length).min(axis=0))
    prices: FloatArray = distance[:size] - distance[size]
    return prices


def expand(flow: IntArray, group_of: NDArray[np.int64]) -> IntArray:
    """Each query's deployment from its group's flow; in order of arrival, lower deployments first.

    Args:
        flow: shape (g, k).
        group_of: each query's group, shape (n,).
    """
    order = np.argsort(group_of, kind="stable")
    deployment = np.empty(len(group_of), dtype=np.int64)
    deployment[order] = np.repeat(np.tile(np.arange(flow.shape[1]), len(flow)), flow.ravel())
    return deployment


def bounds_of(names: Sequence[str], lower: Sequence[int], upper: Sequence[int | None], total: int) -> Bounds:
    """Bounds as arrays; an absent upper bound is the number of queries."""
    return Bounds(
        tuple(names),
        np.array(lower, dtype=np.int64),
        np.array([total if high is None else min(high, total) for high in upper], dtype=np.int64),
    )
