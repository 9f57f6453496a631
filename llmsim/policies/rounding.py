"""A whole plan from the relaxation of one with resources, by CP-SAT on the nearly indifferent queries.

The relaxation splits a few queries between deployments. They are placed anew together with the queries that
it costs least to move, within what the others leave of every bound. The relaxation's dual value bounds every
plan from below, so what the rounding lost is known. A small problem is left to CP-SAT as a whole.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from llmsim.curves.cost import IntArray
from llmsim.policies.assignment import total
from llmsim.policies.resources import Resource, ResourceProblem
from llmsim.policies.sifting import Solution, near

# Groups up to this many are placed by CP-SAT alone, to the optimum.
EXACT = 40
# Groups that it costs least to move into or out of each deployment: so many at first, then more; those past
# `_ENOUGH` only while there is no plan at all.
_NEAR, _ENOUGH = (12, 48, 192, 768, 3072), 192
# CP-SAT's units of deterministic time; about seconds. Wall-clock limits would make results vary.
_EFFORT, _EFFORT_EXACT = 0.5, 60.0
# CP-SAT may stop when it is proved within this part of the sum of the costs' sizes.
_GOOD_ENOUGH = 3e-7
# More queries are placed anew while the plan is not proved within this part.
_TRY_MORE = 5e-6
# Sums of whole coefficients stay below this.
_INTEGER_RANGE = 2.0**50
# A part of each capacity kept back for the rounding of sums in float64.
_SUMS = 1e-12


@dataclass(frozen=True)
class Rounded:
    """A whole plan.

    Attributes:
        flow: queries of each group on each deployment, shape (g, k).
        lower_bound: CP-SAT's own, where it had the whole problem; else minus infinity.
    """

    flow: IntArray
    lower_bound: float


def round_plan(problem: ResourceProblem, relaxed: Solution, size: float) -> Rounded | None:
    """A whole plan near the relaxation, or None where none was found.

    More and more queries are placed anew until the plan is good enough, or the effort is spent.

    Args:
        size: what a gap is relative to.
    """
    groups = len(problem.count)
    target = problem.dual_value(relaxed.prices) + _TRY_MORE * size
    whole = np.rint(relaxed.table(problem.count)).astype(np.int64)
    split = np.zeros(groups, dtype=bool)
    split[relaxed.rows] = np.abs(relaxed.flow - np.rint(relaxed.flow)).max(axis=1, initial=0.0) > 1e-6
    best: Rounded | None = None
    least = np.inf
    for number in _NEAR:
        free = split | near(problem, relaxed.prices, groups if groups <= EXACT else number)
        rows = np.flatnonzero(free)
        placed = _place(_left(problem, whole, rows), size, whole=len(rows) == groups)
        if placed is not None:
            flow = whole.copy()
            flow[rows] = placed.flow
            objective = total(problem.cost, flow)
            if objective < least:
                best, least = Rounded(flow, placed.lower_bound), objective
        if len(rows) == groups or least <= target or (best is not None and number >= _ENOUGH):
            break
    return best


def _left(problem: ResourceProblem, flow: IntArray, rows: IntArray) -> ResourceProblem:
    """The problem of some groups, within what all others leave of the bounds."""
    others = flow.copy()
    others[rows] = 0
    part = problem.rows(rows, problem.bounds.less(others.sum(axis=0)))
    resources = []
    for whole, own in zip(problem.resources, part.resources, strict=True):
        taken, margin = np.zeros(len(whole.capacity)), np.zeros(len(whole.capacity))
        for column, row in enumerate(whole.row_of.tolist()):
            used = whole.usage[:, column] * others[:, column]
            taken[row] += np.sum(used)
            margin[row] += _SUMS * np.sum(np.abs(used))
        resources.append(replace(own, capacity=whole.capacity - taken - margin))
    return replace(part, resources=tuple(resources))


def _place(problem: ResourceProblem, size: float, whole: bool) -> Rounded | None:
    """The optimum of a small problem, or a plan as near to it as the effort allows; None where none is found.

    Costs and usages become whole numbers, usages rounded so that what fits in whole numbers fits in float64.
    """
    from ortools.sat.python import cp_model

    groups, places = problem.cost.shape
    model = cp_model.CpModel()
    least = np.where(problem.eligible, problem.cost, np.inf).min(axis=1)
    extra = np.where(problem.eligible, problem.cost - least[:, None], 0.0)
    scale = _whole_scale(float((extra.max(axis=1) * problem.count).sum()))
    x = [
        [
            model.new_int_var(0, int(problem.count[g]) if problem.eligible[g, j] else 0, "")
            for j in range(places)
        ]
        for g in range(groups)
    ]
    for g in range(groups):
        model.add(sum(x[g]) == int(problem.count[g]))
    for j in range(places):
        load = sum(x[g][j] for g in range(groups))
        model.add_linear_constraint(load, int(problem.bounds.lower[j]), int(problem.bounds.upper[j]))
    for resource in problem.resources:
        _add_resource(model, x, resource, problem)
    costs = np.rint(extra * scale).astype(np.int64).tolist()
    model.minimize(sum(costs[g][j] * x[g][j] for g in range(groups) for j in range(places)))
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1  # several race each other, and results would vary
    solver.parameters.random_seed = 0
    # With coefficients of this size its presolve has cut off optima (OR-Tools 9.15), as brute force showed.
    solver.parameters.cp_model_presolve = False
    solver.parameters.max_deterministic_time = _EFFORT_EXACT if whole else _EFFORT
    solver.parameters.absolute_gap_limit = 0.0 if whole else _GOOD_ENOUGH * size * scale
    if solver.solve(model) not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return None
    flow = np.array([[solver.value(item) for item in line] for line in x], dtype=np.int64)
    # Each query's rounded cost is off by at most half a unit, in the bound as in the plan.
    bound = (
        float((least * problem.count).sum())
        + (solver.best_objective_bound - float(problem.count.sum())) / scale
    )
    return Rounded(flow.reshape(groups, places), bound if whole else -np.inf)


def _add_resource(model: Any, x: list[list[Any]], resource: Resource, problem: ResourceProblem) -> None:
    for row, capacity in enumerate(resource.capacity.tolist()):
        if not np.isfinite(capacity):
            continue
        columns = np.flatnonzero(resource.row_of == row)
        usage = np.where(problem.eligible, resource.usage, 0.0)[:, columns]
        most = float((np.abs(usage).max(axis=1, initial=0.0) * problem.count).sum())
        scale = _whole_scale(max(most, abs(capacity)))
        whole = np.ceil(usage * scale).astype(np.int64).tolist()
        used = sum(whole[g][i] * x[g][j] for g in range(len(x)) for i, j in enumerate(columns.tolist()))
        model.add(used <= int(np.floor(capacity * scale)))


def _whole_scale(largest: float) -> float:
    """The factor that turns sums up to `largest` into whole numbers that CP-SAT can add."""
    return float(2.0 ** np.floor(np.log2(_INTEGER_RANGE / largest))) if largest > 0 else 1.0
