"""From costs, bounds and resources to a plan with its certificate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from llmsim.curves.cost import IntArray
from llmsim.errors import InputError
from llmsim.policies.assignment import assign, expand, total
from llmsim.policies.bounds import Bounds, check_feasible
from llmsim.policies.contract import Certificate, Plan
from llmsim.policies.cutting import search
from llmsim.policies.objective import PricedCost
from llmsim.policies.resources import Resource, ResourceProblem, relax
from llmsim.policies.rounding import round_plan
from llmsim.policies.sifting import DIRECT, Guess, Solution, sift

SCOPE = (
    "It bounds the priced cost of the plan: what the curves predict for each query alone. "
    "It says nothing about waiting, idle energy or the curves' own error."
)
RELAXED = "linear relaxation (HiGHS, sifting), rounded by CP-SAT"
EXACT = "CP-SAT"
# An excess below this part of the capacities may be rounding.
_ROUNDING = 1e-9
# A relaxation proved within this part of the sum of the costs' sizes will do.
_NEAR_ENOUGH = 3e-7


def best_plan(priced: PricedCost, bounds: Bounds, resources: Sequence[Resource] = ()) -> Plan:
    """The plan of least cost within the bounds, and its certificate; optimal where there are no resources.

    Raises:
        InputError: the bounds or the capacities cannot be met (which, and by how much).
    """
    if not resources:
        solved = assign(priced.cost, priced.groups.count, priced.eligible, bounds)
        return _certified(priced, bounds, resources, solved.flow, solved.lower_bound, solved.solver)
    count = priced.groups.count
    check_feasible(count, priced.eligible, bounds)
    problem = ResourceProblem(priced.cost, count, priced.eligible, bounds, tuple(resources))
    relaxed = _relaxed(problem, priced)
    if relaxed is None:
        check_capacity(problem)
        raise InputError(_too_little(problem, "even if queries could be split between deployments"))
    size = total(priced.size, np.rint(relaxed.table(count)).astype(np.int64))
    rounded = round_plan(problem, relaxed, abs(size))
    if rounded is None:
        raise InputError(_too_little(problem, "with whole queries; they could be met by splitting some"))
    exact = rounded.lower_bound > -np.inf
    lower_bound = max(problem.dual_value(relaxed.prices), rounded.lower_bound)
    return _certified(priced, bounds, resources, rounded.flow, lower_bound, EXACT if exact else RELAXED)


def _relaxed(problem: ResourceProblem, priced: PricedCost) -> Solution | None:
    """The relaxation's optimum, or what is proved so near it that rounding loses more; None: none."""
    if len(problem.count) <= DIRECT:
        return sift(problem)
    found = search(problem)
    if problem.dual_value(found.prices) > problem.highest_cost():
        return None
    places = found.places(problem)
    size = float(np.sum(priced.size[np.arange(len(places)), places] * problem.count))
    return sift(problem, Guess(found.prices, places, _NEAR_ENOUGH * abs(size)))


def check_capacity(problem: ResourceProblem) -> None:
    """Refuse capacities that are proved too small, by a weighting of the rows that no plan can satisfy.

    The weights are the dual of the least total excess of a sample; their proof is over all queries.

    Raises:
        InputError: which capacities collide and by how much.
    """
    idle = replace(problem, cost=np.zeros(problem.cost.shape[::-1]).T)
    every = -(-len(problem.count) // DIRECT)
    relaxed = relax(idle.sample(slice(every // 2, None, every)), excess_cost=1.0)
    if relaxed is None or not relaxed.excess:
        return
    first = problem.cost.shape[1]
    weights = relaxed.prices[first:] / relaxed.prices[first:].max()
    capacity = np.concatenate([resource.capacity for resource in problem.resources])
    excess = idle.dual_value(relaxed.prices / relaxed.prices[first:].max())
    if excess > _ROUNDING * float(np.sum(np.abs(capacity[weights > 0]))):
        short = []
        for resource in problem.resources:
            own = weights[: len(resource.names)]
            weights = weights[len(resource.names) :]
            names = [name for name, weight in zip(resource.names, own, strict=True) if weight > 0]
            if names:
                short.append(f"the {resource.what} of {', '.join(names)} ({resource.setting})")
        raise InputError(
            f"The limits collide: {'; '.join(short)} fall short by at least {excess:.6g} in all, whatever "
            "the plan. Raise them, or lower the least numbers of queries."
        )


def _too_little(problem: ResourceProblem, how: str) -> str:
    settings = ", ".join(resource.setting for resource in problem.resources)
    return f"{settings}: no plan was found that keeps the capacities {how}. Relax them a little."


def _certified(
    priced: PricedCost,
    bounds: Bounds,
    resources: Sequence[Resource],
    flow: IntArray,
    lower_bound: float,
    solver: str,
) -> Plan:
    objective, scale = total(priced.cost, flow), abs(total(priced.size, flow))
    difference = objective - lower_bound
    unbounded = int(priced.groups.count.sum())
    capacities = {
        resource.what: {
            name: value
            for name, value in zip(resource.names, resource.capacity.tolist(), strict=True)
            if np.isfinite(value)
        }
        for resource in resources
    }
    certificate = Certificate(
        objective=objective,
        lower_bound=lower_bound,
        gap=difference / scale if scale > 0 else difference,
        scale=scale,
        solver=solver,
        bounds={
            name: (low, high if high < unbounded else None)
            for name, low, high in zip(
                bounds.names, bounds.lower.tolist(), bounds.upper.tolist(), strict=True
            )
        },
        constants={**priced.constants, **({"capacities": capacities} if capacities else {})},
        scope=SCOPE,
    )
    return Plan(expand(flow, priced.groups.group_of), certificate)
