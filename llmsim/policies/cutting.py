"""Better prices of an assignment with resources, by cutting planes on its dual.

The dual value is concave in the prices, and one pass over the queries gives it with a tangent: the plan that
is best at those prices, with its cost and what it uses. The tangents so far bound the dual from above; the
next prices are where that bound is highest, within a box around the best prices yet, which shrinks when it
disappoints (Kelley 1960; boxstep, Marsten et al. 1975). A pass costs O(n k), the bound is a program of a few
variables.

The dual of that program weighs the plans: together, in these parts, they keep the bounds at nearly the least
cost (Dantzig and Wolfe 1960). Where many queries are nearly indifferent, as between deployments whose costs
are proportional, no single plan does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llmsim.curves.cost import FloatArray
from llmsim.policies.dealing import dealt
from llmsim.policies.resources import ResourceProblem
from llmsim.policies.sifting import DIRECT, SAMPLE, places_at, sample_prices

# Passes over the queries at most, in all or for each price, and the gain in the dual, relative to it, that
# ends them sooner.
_PASSES, _PASSES_EACH, _SMALL = 80, 15, 1e-9
# The box: at first this part of the prices' scale; its factors after a poor and after a good step.
_BOX, _SHRINK, _WIDEN = 0.1, 0.5, 1.5
# Widths, in the last box's, of the box in which plans are looked for that together keep the bounds, and by
# what part of the dual value they may cost more.
_WIDER, _DEARER = (1e4, 1e3, 1e2, 1e1, 1.0), 1e-6


@dataclass(frozen=True)
class _Tangent:
    """A plan: the prices at which it is best, its cost, its queries on each deployment, and what it uses."""

    prices: FloatArray
    cost: float
    slope: FloatArray


@dataclass(frozen=True)
class Found:
    """What the search came to.

    Attributes:
        prices: nearly optimal ones.
        parts: prices of plans, with the part of the queries that is to follow each; together they nearly
            keep the bounds.
    """

    prices: FloatArray
    parts: tuple[tuple[FloatArray, float], ...]

    def places(self, problem: ResourceProblem) -> NDArray[np.int16]:
        """A deployment for each group, shape (g,): each follows one of the plans, by their parts."""
        return dealt(problem, self.prices, self.parts)


def search(problem: ResourceProblem) -> Found:
    """Nearly optimal prices: those of ever larger samples, refined each time."""
    sample = problem.sample(SAMPLE)
    start = search(sample).prices if len(sample.count) > DIRECT else sample_prices(problem)
    return refine(problem, start)


def refine(problem: ResourceProblem, start: FloatArray) -> Found:
    """Prices whose dual value is at least that of `start`."""
    limits = _Limits(problem)
    center, scale = np.where(limits.used, start, 0.0), limits.scale
    tangents = [_tangent(problem, center)]
    value = limits.dual(tangents[0], center)
    box, highest = _BOX, problem.highest_cost()
    for _ in range(max(_PASSES, _PASSES_EACH * int(limits.used.sum()))):
        if value > highest:  # no plan keeps the bounds, and the dual has no end
            break
        trial, hoped, _ = limits.highest(tangents, center, box * np.maximum(np.abs(center), scale))
        if hoped - value <= _SMALL * max(abs(value), abs(hoped)):
            break
        tangent = _tangent(problem, trial)
        tangents.append(tangent)
        reached = limits.dual(tangent, trial)
        box *= _WIDEN if reached - value > 0.25 * (hoped - value) else _SHRINK if reached <= value else 1.0
        if reached > value:
            center, value = trial, reached
    return Found(center, _mixture(limits, tangents, center, value, box))


def _mixture(
    limits: _Limits, tangents: list[_Tangent], center: FloatArray, value: float, box: float
) -> tuple[tuple[FloatArray, float], ...]:
    """The plans that keep the bounds together, and their parts.

    Within a narrow box the bounds whose prices lie at its edge are not kept; a wide one admits dear plans.
    So: the widest in which they cost hardly more than the dual value.
    """
    sides = box * np.maximum(np.abs(center), limits.scale)
    for wider in _WIDER:
        _, hoped, parts = limits.highest(tangents, center, wider * sides)
        if abs(hoped - value) <= _DEARER * abs(value):  # rounding may leave it below
            return tuple(
                (item.prices, part) for item, part in zip(tangents, parts.tolist(), strict=True) if part > 0
            )
    return ((center, 1.0),)


def _tangent(problem: ResourceProblem, prices: FloatArray) -> _Tangent:
    places, size = places_at(problem, prices), problem.cost.shape[1]
    cost = float(np.sum(problem.cost[np.arange(len(places)), places] * problem.count))
    load = np.bincount(places, weights=problem.count, minlength=size)
    used = [resource.used(places, problem.count) for resource in problem.resources]
    return _Tangent(prices, cost, np.concatenate([-load, *used]))


class _Limits:
    """What bounds and capacities contribute to the dual; prices of rows without a bound stay 0."""

    def __init__(self, problem: ResourceProblem) -> None:
        bounds, total = problem.bounds, float(problem.count.sum())
        capacity = np.concatenate([resource.capacity for resource in problem.resources])
        self._size = len(bounds.names)
        self._lower = np.concatenate([bounds.lower, np.full(len(capacity), -np.inf)])
        self._upper = np.concatenate([bounds.upper, capacity])
        counts = (bounds.lower > 0) | (bounds.upper < total)
        self.used = np.concatenate([counts, np.isfinite(capacity)])
        usage = [
            np.abs(resource.usage[:, resource.row_of == row]).mean()
            for resource in problem.resources
            for row in range(len(resource.capacity))
        ]
        spread = float(np.where(problem.eligible, problem.cost, np.nan).std(where=problem.eligible))
        spread = spread or 1.0  # equal costs everywhere: any scale will do, but none is no box
        self.scale = spread / np.concatenate([np.ones(self._size), np.maximum(usage, 1e-300)])

    def dual(self, tangent: _Tangent, prices: FloatArray) -> float:
        """The dual value at the prices whose tangent this is."""
        return tangent.cost + float(tangent.slope @ prices) + self._value(prices)

    def _value(self, prices: FloatArray) -> float:
        counts, rows = prices[: self._size], prices[self._size :]
        sides = np.where(counts > 0, self._lower[: self._size], self._upper[: self._size])
        finite = rows > 0
        return float(counts @ sides - rows[finite] @ self._upper[self._size :][finite])

    def highest(
        self, tangents: list[_Tangent], center: FloatArray, box: FloatArray
    ) -> tuple[FloatArray, float, FloatArray]:
        """Where the tangents' bound on the dual is highest within the box, how high, and each plan's part."""
        from scipy.optimize import linprog

        active = np.flatnonzero(self.used)
        counts = active < self._size
        slopes = np.array([item.slope[active] for item in tangents])
        above = np.array([item.cost for item in tangents]) + slopes @ center[active]
        queries = float(above.min())
        # Variables: what the dual of the queries gains on the center, and how much each price's positive part
        # and counts' negative parts grow. The solver's tolerance is absolute: all is in units of the box.
        here, unit = center[active], box[active]
        plus, minus = np.maximum(here, 0), np.maximum(-here, 0)[counts]
        low, high = here - unit, here + unit
        positive = np.where(counts, self._lower[active], -self._upper[active]) * unit
        negative = -(self._upper[active] * unit)[counts]
        moves = slopes * unit
        sides = np.where(here < 0, self._upper[active] * unit, positive)
        height = max(float(np.abs(moves[above.argmin()] + sides).max()), 1e-300)
        matrix = np.hstack([np.full((len(above), 1), height), -moves, moves[:, counts]])
        result = linprog(
            -np.concatenate([[height], positive, negative]) / height,
            A_ub=matrix / height,
            b_ub=(above - queries) / height,
            bounds=[
                (None, None),
                *zip((np.maximum(low, 0) - plus) / unit, (np.maximum(high, 0) - plus) / unit, strict=True),
                *zip(
                    (np.maximum(-high, 0)[counts] - minus) / unit[counts],
                    (np.maximum(-low, 0)[counts] - minus) / unit[counts],
                    strict=True,
                ),
            ],
            method="highs-ds",
        )
        if result.status != 0:  # no better prices than these can be told from here
            return center, -np.inf, np.zeros(0)
        prices = np.zeros(len(center))
        prices[active] = plus + result.x[1 : 1 + len(active)] * unit
        prices[active[counts]] -= minus + result.x[1 + len(active) :] * unit[counts]
        hoped = queries + self._value(center) - result.fun * height
        return prices, hoped, -result.ineqlin.marginals
