"""The assignment with bounds on counts: a transportation problem, exact and with its proof."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llmsim.curves.cost import BoolArray, FloatArray, IntArray
from llmsim.errors import InputError
from llmsim.policies.bounds import Bounds, Room, check_feasible
from llmsim.policies.flow import CountProblem
from llmsim.policies.sifting import Guess, sift
from llmsim.policies.ties import find_ties

SOLVER = "OR-Tools min-cost flow"


@dataclass(frozen=True)
class Assignment:
    """An optimal flow.

    Attributes:
        flow: queries of each group on each deployment, shape (g, k).
        objective: the sum of cost times flow.
        lower_bound: the dual value that proves it.
        prices: the dual: what one more query allowed on each deployment would change, shape (k,).
        solver: what found the flow.
    """

    flow: IntArray
    objective: float
    lower_bound: float
    prices: FloatArray
    solver: str


def assign(
    cost: FloatArray,
    count: IntArray,
    eligible: BoolArray,
    bounds: Bounds,
    start: FloatArray | None = None,
) -> Assignment:
    """The least total cost that serves every query within the bounds.

    Args:
        cost: cost of one query of group g on deployment k, shape (g, k).
        count: queries in each group, shape (g,).
        eligible: where a group may go, shape (g, k); each group has somewhere to go.
        bounds: on each deployment's number of queries.
        start: a guess of the prices, shape (k,), such as those of a similar problem; it affects speed alone.

    Raises:
        InputError: the bounds cannot be met (which, and by how much), or a cost is not finite.
    """
    for column, name in enumerate(bounds.names):
        if not np.all(np.isfinite(cost[:, column]) | ~eligible[:, column]):
            raise InputError(f"The cost of some query on {name} is not finite.")
    check_feasible(count, eligible, bounds)
    whole = CountProblem(cost, count, eligible, Room.apart(bounds))
    ties = find_ties(whole)
    problem = ties.condensed()
    solved = sift(problem, None if start is None else Guess(ties.classes(start)))
    if solved is None:  # more deployments than `check_feasible` tries all sets of
        raise InputError("The bounds on the deployments' numbers of queries cannot all be met.")
    flow = ties.dealt(solved.table(problem.count).astype(np.int64, copy=False))
    prices = ties.room().prices(solved.prices)
    return Assignment(
        flow=flow,
        objective=total(cost, flow),
        lower_bound=whole.dual_value(prices),
        prices=prices,
        solver=SOLVER
        if len(solved.rows) == len(problem.count)
        else f"{SOLVER} on the undecided queries (sifting)",
    )


def total(values: FloatArray, flow: IntArray) -> float:
    """The sum over a flow, both of shape (g, k); what is not used does not count, not even a NaN."""
    return sum(
        float(np.sum(np.where(used > 0, column, 0.0) * used))
        for column, used in zip(values.T, flow.T, strict=True)
    )


def expand(flow: IntArray, group_of: NDArray[np.int64]) -> IntArray:
    """Each query's deployment from its group's flow; in order of arrival, lower deployments first.

    Args:
        flow: shape (g, k).
        group_of: each query's group, shape (n,).
    """
    places = np.zeros(len(flow), dtype=np.int16)
    only = np.zeros(len(flow), dtype=np.int64)
    for column in range(flow.shape[1]):
        used = flow[:, column] > 0
        places += used
        only[used] = column
    deployment = only[group_of]
    split = places > 1
    if split.any():  # few: a corner of the polytope splits fewer groups than there are deployments
        members = np.flatnonzero(split[group_of])
        members = members[np.argsort(group_of[members], kind="stable")]
        shared = flow[split]
        deployment[members] = np.repeat(np.tile(np.arange(flow.shape[1]), len(shared)), shared.ravel())
    return deployment
