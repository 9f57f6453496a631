"""The assignment with bounds on what queries use: time, energy, or accuracy that must not be missed.

Each resource is a row of a linear program, `sum usage * x <= capacity`, over all deployments together or over
each apart (instance-seconds: a generalised assignment problem). Its linear relaxation is solved by sifting
with HiGHS, and splits at most as many groups as rows bind; `rounding` makes it whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llmsim.curves.cost import BoolArray, FloatArray, IntArray
from llmsim.policies.bounds import Bounds
from llmsim.policies.flow import fixed_load
from llmsim.policies.sifting import Solution, dual_of_groups

# What a unit above capacity costs in the relaxation, in mean differences of cost per mean usage: with it the
# program has a solution whatever the capacities, and HiGHS need not prove that there is none.
_EXCESS_COST = 1e6
# HiGHS keeps a row to 1e-7 of its scale; an excess below so many mean queries is its rounding.
_ROUNDING = 1e-5


@dataclass(frozen=True)
class Resource:
    """Something that queries use and of which there is so much.

    Attributes:
        what: in words, with the unit, such as ``joules``.
        usage: what one query of each group uses on each deployment, shape (g, k).
        row_of: each deployment's row, shape (k,): zeros for one row over all, 0 to k-1 for one each.
        capacity: of each row; infinite where there is no bound.
        names: of each row, for errors.
        setting: the configuration key to change when there is too little.
    """

    what: str
    usage: FloatArray
    row_of: IntArray
    capacity: FloatArray
    names: tuple[str, ...]
    setting: str

    def rows(self, index: Any, part: float = 1.0) -> Resource:
        """The resource for some of the groups, with a part of the capacity."""
        return Resource(
            self.what, self.usage[index], self.row_of, self.capacity * part, self.names, self.setting
        )

    def used(self, places: NDArray[np.int16], count: IntArray) -> FloatArray:
        """What is used of each row when each group is at one place."""
        each = self.usage[np.arange(len(places)), places] * count
        return np.bincount(self.row_of[places], weights=each, minlength=len(self.capacity)).astype(np.float64)


@dataclass(frozen=True)
class ResourceProblem:
    """The assignment with bounds on counts and on resources, relaxed to a linear program, for `sifting`.

    Prices are, one after the other, what each deployment gives for a query (k of them), and what each row of
    each resource costs a unit (never negative).
    """

    cost: FloatArray
    count: IntArray
    eligible: BoolArray
    bounds: Bounds
    resources: tuple[Resource, ...]

    def no_prices(self) -> FloatArray:
        """Zeros."""
        rows = sum(len(resource.capacity) for resource in self.resources)
        return np.zeros(self.cost.shape[1] + rows)

    def reduced(self, prices: FloatArray, column: int) -> FloatArray:
        """Cost minus the deployment's price plus the cost of what is used."""
        value: FloatArray = self.cost[:, column] - prices[column]
        for resource, first in self._placed():
            row_price = prices[first + resource.row_of[column]]
            if row_price != 0:
                value = value + row_price * resource.usage[:, column]
        return value

    def sample(self, rows: slice) -> ResourceProblem:
        """Some of the groups with their part of the bounds."""
        part = float(self.count[rows].sum() / self.count.sum())
        return self.rows(rows, self.bounds.scaled(part), part)

    def rows(self, index: Any, bounds: Bounds, part: float = 1.0) -> ResourceProblem:
        """Some of the groups under other bounds, with a part of the capacities."""
        resources = tuple(resource.rows(index, part) for resource in self.resources)
        return ResourceProblem(self.cost[index], self.count[index], self.eligible[index], bounds, resources)

    def mismatch(self, best: NDArray[np.int16], prices: FloatArray) -> float:
        """By how many mean queries the places miss the bounds, or keep them where a price says they bind."""
        size = self.cost.shape[1]
        load = np.bincount(best, weights=self.count, minlength=size).astype(np.float64)
        missed = self.bounds.mismatch(load, prices[:size])
        for resource, first in self._placed():
            used = resource.used(best, self.count)
            excess = used - resource.capacity
            priced = prices[first : first + len(excess)] > 0
            mean = float(np.sum(np.abs(used))) / float(self.count.sum())
            if mean > 0:
                missed += float(np.sum(np.where(priced, np.abs(excess), np.maximum(excess, 0)))) / mean
        return missed

    def missed(self, best: NDArray[np.int16], prices: FloatArray) -> FloatArray:
        """By how much each bound that has a price is exceeded, below 0 where there is room; shape (priced,).

        Bounds are in the order of their prices.
        """
        size = self.cost.shape[1]
        load = np.bincount(best, weights=self.count, minlength=size).astype(np.float64)
        over = [load - np.where(prices[:size] > 0, self.bounds.lower, self.bounds.upper)]
        over += [resource.used(best, self.count) - resource.capacity for resource in self.resources]
        missed: FloatArray = np.concatenate(over)[prices != 0]
        return missed

    def taken(self, best: NDArray[np.int16], prices: FloatArray) -> FloatArray:
        """What each group takes of the bounds that `missed` tells of, shape (g, priced)."""
        every, size = np.arange(len(best)), self.cost.shape[1]
        taken = [np.where(best == column, self.count, 0.0) for column in range(size)]
        for resource in self.resources:
            used, row = resource.usage[every, best] * self.count, resource.row_of[best]
            taken += [np.where(row == number, used, 0.0) for number in range(len(resource.capacity))]
        table: FloatArray = np.array(taken)[prices != 0].T
        return table

    def solve(self, best: NDArray[np.int16], rows: IntArray, near: FloatArray) -> Solution | None:
        """The relaxation with every group but `rows` at its best place, or None where there is none."""
        fixed = fixed_load(self.count, best, rows, self.cost.shape[1])
        taken = [
            resource.used(best, self.count) - resource.rows(rows).used(best[rows], self.count[rows])
            for resource in self.resources
        ]
        part = self.rows(rows, self.bounds.less(fixed))
        resources = [
            replace(r, capacity=r.capacity - used) for r, used in zip(part.resources, taken, strict=True)
        ]
        found = relax(replace(part, resources=tuple(resources)))
        if found is None or found.excess:
            return None
        return Solution(best, rows, found.flow, found.prices)

    def dual_value(self, prices: FloatArray) -> float:
        """A lower bound on every feasible plan, for any prices (weak duality), in float64."""
        size = self.cost.shape[1]
        value = dual_of_groups(self, prices) + self.bounds.value(prices[:size])
        for resource, first in self._placed():
            row_prices = prices[first : first + len(resource.capacity)]
            value -= float(np.sum(row_prices[row_prices > 0] * resource.capacity[row_prices > 0]))
        return value

    def highest_cost(self) -> float:
        """No plan costs more; a dual value above it proves that there is none."""
        dearest = self.cost.max(axis=1, where=self.eligible, initial=-np.inf)
        return float(np.sum(dearest * self.count))

    def _placed(self) -> Sequence[tuple[Resource, int]]:
        """Each resource with the place of its first price."""
        firsts = np.cumsum([self.cost.shape[1], *(len(item.capacity) for item in self.resources)])
        return list(zip(self.resources, firsts.tolist(), strict=False))


@dataclass(frozen=True)
class Relaxed:
    """An optimum of the linear relaxation.

    Attributes:
        flow: queries of each group on each deployment, in whole or in part, shape (g, k).
        prices: as in ResourceProblem.
        excess: whether some capacity had to be exceeded.
    """

    flow: FloatArray
    prices: FloatArray
    excess: bool


def relax(problem: ResourceProblem, excess_cost: float = _EXCESS_COST) -> Relaxed | None:
    """Solve the linear relaxation as it stands; None where the bounds on counts cannot be met."""
    from scipy.optimize import linprog

    arcs = np.nonzero(problem.eligible)
    groups, size = problem.cost.shape
    shifted = problem.cost[arcs] - np.where(problem.eligible, problem.cost, np.inf).min(axis=1)[arcs[0]]
    cost_scale = _mean(shifted)
    table = _Rows(problem, arcs)
    result = linprog(
        np.concatenate([shifted / cost_scale, np.full(len(table.row_scale), excess_cost)]),
        A_ub=table.matrix,
        b_ub=table.limit,
        A_eq=_one_each(arcs[0], groups, len(table.row_scale)),
        b_eq=problem.count,
        method="highs-ipm",
    )
    if result.status == 2:
        return None
    if result.status != 0:
        raise RuntimeError(f"HiGHS stopped with {result.status}: {result.message}")
    flow = np.zeros((groups, size))
    flow[arcs] = result.x[: len(shifted)]
    dual = -result.ineqlin.marginals * cost_scale
    prices = problem.no_prices()
    np.add.at(prices, table.price, dual * table.sign / table.scale)
    return Relaxed(flow, prices, bool(result.x[len(shifted) :].max(initial=0.0) > _ROUNDING))


class _Rows:
    """The rows of the relaxation: bounds on counts that can bind, and the resources, scaled to mean queries.

    Attributes:
        matrix, limit: `matrix @ x <= limit`; x has an entry an arc, then an excess a resource row.
        price, sign, scale: of each row's dual in the problem's prices.
        row_scale: mean usage of each resource row.
    """

    def __init__(self, problem: ResourceProblem, arcs: tuple[IntArray, ...]) -> None:
        from scipy.sparse import coo_array, csr_array, hstack, vstack

        row, column = arcs
        size, total = problem.cost.shape[1], int(problem.count.sum())
        self.price: list[int] = []
        self.sign: list[float] = []
        self.scale: list[float] = []
        limit: list[float] = []
        lines = []
        for j in range(size):
            for bound, sign in ((problem.bounds.upper[j], 1.0), (problem.bounds.lower[j], -1.0)):
                if (sign > 0 and bound < total) or (sign < 0 and bound > 0):
                    lines.append(coo_array(sign * (column == j)[None, :]))
                    limit.append(sign * float(bound))
                    self._note(j, -sign, 1.0)
        counted = len(lines)
        first = size
        for resource in problem.resources:
            used = resource.usage[row, column]
            for number, capacity in enumerate(resource.capacity.tolist()):
                if np.isfinite(capacity):
                    own = np.where(resource.row_of[column] == number, used, 0.0)
                    scale = _mean(own)
                    lines.append(coo_array(own[None, :] / scale))
                    limit.append(capacity / scale)
                    self._note(first + number, 1.0, scale)
            first += len(resource.capacity)
        self.row_scale = self.scale[counted:]
        excess = coo_array(
            (
                np.full(len(lines) - counted, -1.0),
                (np.arange(counted, len(lines)), np.arange(len(lines) - counted)),
            ),
            shape=(len(lines), len(lines) - counted),
        )
        self.matrix = csr_array(hstack([vstack(lines), excess])) if lines else None
        self.limit = limit or None

    def _note(self, price: int, sign: float, scale: float) -> None:
        self.price.append(price)
        self.sign.append(sign)
        self.scale.append(scale)


def _one_each(row: IntArray, groups: int, excesses: int) -> Any:
    """Every group's queries go somewhere."""
    from scipy.sparse import csr_array

    return csr_array((np.ones(len(row)), (row, np.arange(len(row)))), shape=(groups, len(row) + excesses))


def _mean(values: FloatArray) -> float:
    """The mean size, or 1 where all are 0."""
    return float(np.abs(values).mean()) or 1.0 if len(values) else 1.0
