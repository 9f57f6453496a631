"""The frontier of energy against accuracy: plans that no mixture of others beats on both.

A plan is on the supported frontier when it is least in `energy - price * accuracy` for some price of accuracy
from 0 to infinity. Without bounds on counts the plans separate by query: each has its own few corners, and
sorting all steps between them by their price gives every breakpoint, as for the continuous multiple-choice
knapsack (Sinha and Zoltners 1979). With bounds every point is an assignment; points are added where the
bracket between the hull and its tangents is widest (Aneja and Nair 1979, Cohon 1978).
"""

from __future__ import annotations

import heapq
import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from llmsim.curves.cost import BoolArray, FloatArray, IntArray
from llmsim.fleet.prices import Prices
from llmsim.policies.assignment import assign, total
from llmsim.policies.bounds import Bounds
from llmsim.policies.groups import Groups
from llmsim.policies.objective import accuracy_tokens

# The ends of a frontier with bounds are optimal at this part, and this multiple, of its mean price.
_END = 1e-6
# Points at most; far more than any bracket of 1e-4 has needed.
_MOST_POINTS = 500


@dataclass(frozen=True)
class Frontier:
    """Points in order of energy, shape (p,) each; from least energy to greatest accuracy.

    Attributes:
        energy_j: joules.
        accuracy_pct: token-weighted mean accuracy, percent.
        price_j: joules for one more percent of accuracy, of all queries, at and above which the point is
            better than the one before; 0 for the first.
        queries: of each deployment, shape (p, k).
        bracket: no plan within the bounds is below the hull of the points by more than this part of its
            range of energy; 0 where every breakpoint is there.
    """

    energy_j: FloatArray
    accuracy_pct: FloatArray
    price_j: FloatArray
    queries: IntArray
    bracket: float

    @property
    def knee(self) -> int:
        """The point farthest below the line from first to last, both axes scaled to 1."""
        if len(self.energy_j) < 3:
            return 0
        energy = (self.energy_j - self.energy_j[0]) / (self.energy_j[-1] - self.energy_j[0] or 1.0)
        accuracy = self.accuracy_pct - self.accuracy_pct[0]
        return int(np.argmax(accuracy / (accuracy[-1] or 1.0) - energy))

    def least_energy_j(self, accuracy_pct: float) -> tuple[float, float] | None:
        """Joules of the first point that is so accurate, and a lower bound; None where no point is.

        The bound is the hull's energy at that accuracy, so the two differ by at most one step.
        """
        point = int(np.searchsorted(self.accuracy_pct, accuracy_pct * (1 - 1e-12)))
        if point == len(self.accuracy_pct):
            return None
        bound = float(np.interp(accuracy_pct, self.accuracy_pct, self.energy_j))
        return float(self.energy_j[point]), bound


def frontier(prices: Prices, bounds: Bounds | None = None, bracket: float = 1e-4) -> Frontier:
    """The frontier of all plans, or of those within bounds on counts.

    Args:
        bracket: with bounds, how close the hull must be known, as a part of its range of energy.

    Raises:
        InputError: a deployment has no energy curve or no accuracy, or the bounds cannot be met.
    """
    groups = Groups.of(prices)
    eligible = groups.eligible(prices)
    energy_j = groups.of_pairs(prices.energy_j)
    accuracy = accuracy_tokens(prices, groups)
    tokens = float(np.sum(groups.of_pairs(prices.tau_in + prices.tau_out) * groups.count))
    if bounds is None:
        return _breakpoints(energy_j, accuracy, groups.count, eligible, tokens)
    return _Bracketing(energy_j, accuracy, groups.count, eligible, bounds).search(tokens, bracket)


def _breakpoints(
    energy_j: FloatArray, accuracy: FloatArray, count: IntArray, eligible: BoolArray, tokens: float
) -> Frontier:
    """Every breakpoint; each step moves the queries of one group up one corner of their own hull."""
    rows, size = np.arange(len(count)), energy_j.shape[1]
    energy = np.where(eligible, energy_j, np.inf)
    # The first corner: least energy, and of equals the most accurate.
    least = energy.min(axis=1)
    place = np.where(energy == least[:, None], accuracy, -np.inf).argmax(axis=1)
    first = np.bincount(place, weights=count, minlength=size).astype(np.int64)
    start_j, start_a = energy[rows, place] @ count, accuracy[rows, place] @ count
    steps: list[tuple[Any, ...]] = []
    for _ in range(size - 1):
        gain = accuracy - accuracy[rows, place][:, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            slope = np.where((gain > 0) & eligible, (energy - energy[rows, place][:, None]) / gain, np.inf)
        steepest = slope.min(axis=1)
        moving = np.flatnonzero(np.isfinite(steepest))
        if not len(moving):
            break
        # Of several on one line the farthest, so that no corner is on the line between two others.
        ahead = np.where(slope[moving] == steepest[moving, None], accuracy[moving], -np.inf).argmax(axis=1)
        behind = place[moving]
        more_j = (energy[moving, ahead] - energy[moving, behind]) * count[moving]
        more_a = gain[moving, ahead] * count[moving]
        steps.append((steepest[moving], more_j, more_a, count[moving], behind, ahead))
        place[moving] = ahead
    if not steps:
        at = np.array([start_a / tokens])
        return Frontier(np.array([start_j]), at, np.zeros(1), first[None, :], 0.0)
    slope, more_j, more_a, moved, behind, ahead = (
        np.concatenate(column) for column in zip(*steps, strict=True)
    )
    order = np.argsort(slope, kind="stable")
    change = np.zeros((len(order) + 1, size), dtype=np.int64)
    change[0] = first
    step = np.arange(1, len(order) + 1)
    change[step, ahead[order].astype(np.int64)] += moved[order].astype(np.int64)
    change[step, behind[order].astype(np.int64)] -= moved[order].astype(np.int64)
    return Frontier(
        energy_j=start_j + np.concatenate([[0.0], np.cumsum(more_j[order])]),
        accuracy_pct=(start_a + np.concatenate([[0.0], np.cumsum(more_a[order])])) / tokens,
        price_j=np.concatenate([[0.0], slope[order]]) * tokens,
        queries=np.cumsum(change, axis=0),
        bracket=0.0,
    )


@dataclass(frozen=True)
class _Point:
    """A plan that is optimal at a price of accuracy, joules a percent token."""

    price: float
    energy_j: float
    accuracy: float
    queries: IntArray

    def line(self, accuracy: float) -> float:
        """Its tangent: no plan of that accuracy takes less energy."""
        return self.energy_j + self.price * (accuracy - self.accuracy)


@dataclass
class _Bracketing:
    """Points of a frontier with bounds, until its hull is bracketed."""

    energy_j: FloatArray
    accuracy: FloatArray
    count: IntArray
    eligible: BoolArray
    bounds: Bounds

    def __post_init__(self) -> None:
        self._prices: FloatArray | None = None

    def search(self, tokens: float, bracket: float) -> Frontier:
        """Split the segment of the widest bracket until none is wider than allowed."""
        scale = float(np.ptp(self.energy_j[self.eligible])) / (
            float(np.ptp(self.accuracy[self.eligible])) or 1.0
        )
        first, last = self._optimal(_END * scale), self._optimal(scale / _END)
        points = [first, last]
        allowed = bracket * (last.energy_j - first.energy_j)
        number = itertools.count()  # of equally wide segments the oldest is split first
        segments = [(-self._width(first, last), next(number), first, last)]
        widest = 0.0
        while segments:
            width, _, left, right = heapq.heappop(segments)
            widest = -width
            if widest <= allowed or len(points) >= _MOST_POINTS:
                break
            middle = self._optimal((right.energy_j - left.energy_j) / (right.accuracy - left.accuracy))
            if not left.accuracy < middle.accuracy < right.accuracy:
                widest = 0.0  # nothing below the line from left to right: it is the hull
                continue
            points.append(middle)
            for pair in ((left, middle), (middle, right)):
                heapq.heappush(segments, (-self._width(*pair), next(number), *pair))
        points.sort(key=lambda point: point.accuracy)
        distinct = [
            p
            for p, after in zip(points, [*points[1:], None], strict=True)
            if after is None or p.accuracy < after.accuracy
        ]
        energy_j = np.array([point.energy_j for point in distinct])
        accuracy = np.array([point.accuracy for point in distinct])
        steps = np.diff(energy_j) / np.diff(accuracy)
        return Frontier(
            energy_j=energy_j,
            accuracy_pct=accuracy / tokens,
            price_j=np.concatenate([[0.0], steps]) * tokens,
            queries=np.array([point.queries for point in distinct]),
            bracket=widest / (last.energy_j - first.energy_j) if last.energy_j > first.energy_j else 0.0,
        )

    def _optimal(self, price: float) -> _Point:
        solved = assign(
            self.energy_j - price * self.accuracy, self.count, self.eligible, self.bounds, self._prices
        )
        return _Point(
            price,
            total(self.energy_j, solved.flow),
            total(self.accuracy, solved.flow),
            solved.flow.sum(axis=0),
        )

    @staticmethod
    def _width(left: _Point, right: _Point) -> float:
        """How far the tangents of two points meet below the line between them, joules."""
        gained = right.accuracy - left.accuracy
        if gained <= 0 or right.price <= left.price:
            return 0.0
        meet = left.accuracy + (right.line(left.accuracy) - left.energy_j) / (left.price - right.price)
        meet = min(max(meet, left.accuracy), right.accuracy)
        chord = left.energy_j + (right.energy_j - left.energy_j) * (meet - left.accuracy) / gained
        return max(chord - max(left.line(meet), right.line(meet)), 0.0)


def saving_at_no_less_accuracy_pct(points: Frontier, energy_j: float, accuracy_pct: float) -> float | None:
    """By how much the frontier is below, at no less accuracy, percent; None where it is less accurate."""
    found = points.least_energy_j(accuracy_pct)
    if found is None or not math.isfinite(energy_j) or energy_j == 0:
        return None
    # The next point may lie a step above what is asked for; the plan itself is never worse than itself.
    return max(100.0 * (energy_j - found[0]) / energy_j, 0.0)
