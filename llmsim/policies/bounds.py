"""Bounds on the number of queries of each deployment, and whether any assignment keeps them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from llmsim.curves.cost import BoolArray, FloatArray, IntArray
from llmsim.errors import InputError

# With more deployments than this, only single ones and all of them together are checked beforehand.
_ALL_SUBSETS = 12
# A price within this part of the constants that it is a sum of is rounding: the bound does not bind.
_ROUNDING = 1e-12


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

    def scaled(self, part: float) -> Bounds:
        """The bounds for a part of the queries, rounded apart."""
        lower, upper = np.floor(self.lower * part), np.ceil(self.upper * part)
        return Bounds(self.names, lower.astype(np.int64), upper.astype(np.int64))

    def less(self, fixed: IntArray) -> Bounds:
        """What is left of the bounds once some queries are placed, shape (k,)."""
        return Bounds(self.names, np.maximum(self.lower - fixed, 0), self.upper - fixed)

    def mismatch(self, load: FloatArray, prices: FloatArray) -> float:
        """By how many queries a load misses the bounds, or keeps them where a price says that they bind.

        Args:
            prices: positive where the lower bound binds, negative where the upper does, shape (k,).
        """
        least, most = self.kept_at(prices)
        return float(np.sum(np.maximum(least - load, 0) + np.maximum(load - most, 0)))

    def kept_at(self, prices: FloatArray) -> tuple[IntArray, IntArray]:
        """The least and the most queries of each deployment that agree with prices, both of shape (k,)."""
        return np.where(prices < 0, self.upper, self.lower), np.where(prices > 0, self.lower, self.upper)

    def value(self, prices: FloatArray) -> float:
        """The bounds' part of a dual value."""
        return float(np.sum(prices * np.where(prices > 0, self.lower, self.upper)))


@dataclass(frozen=True)
class Room:
    """What the columns of a problem have room for; deployments that differ by constants share one.

    The price of a column is that of a deployment which costs what the column says. One that is dearer by a
    constant has a price higher by that constant, so that a query costs the same on both at their prices.

    Attributes:
        bounds: on each of k deployments.
        column_of: each deployment's column, shape (k,).
        dearer: what a query costs more there than its column says, shape (k,); 0 for the cheapest.
    """

    bounds: Bounds
    column_of: IntArray
    dearer: FloatArray

    @classmethod
    def apart(cls, bounds: Bounds) -> Room:
        """A column for each deployment."""
        size = len(bounds.names)
        return cls(bounds, np.arange(size), np.zeros(size))

    def prices(self, prices: FloatArray) -> FloatArray:
        """Prices of the deployments, shape (k,), from those of the columns."""
        shared: FloatArray = prices[self.column_of] + self.dearer
        return shared

    def filled(self, load: IntArray) -> IntArray:
        """Queries of each deployment at the least cost, shape (k,), where the columns have so many.

        Each gets its least; what is left goes to the cheapest that have room, what has none to the last.
        """
        parts = np.zeros(len(self.column_of), dtype=np.int64)
        for column, total in enumerate(load.tolist()):
            members = self._cheapest_first(column)
            lower, upper = self.bounds.lower[members], self.bounds.upper[members]
            least = _poured(total, lower)
            parts[members] = least + _poured(total - int(least.sum()), upper - lower)
            parts[members[-1]] += total - int(parts[members].sum())
        return parts

    def marginal(self, load: IntArray) -> tuple[FloatArray, FloatArray]:
        """What one query more costs each column beside its own cost, and what one less saves it.

        Returns:
            Both by column; infinite where there is no room for one more, minus infinity where none can go.
        """
        filled, size = self.filled(load), len(load)
        more, less = np.full(size, np.inf), np.full(size, -np.inf)
        roomy, freed = filled < self.bounds.upper, filled > self.bounds.lower
        np.minimum.at(more, self.column_of[roomy], self.dearer[roomy])
        np.maximum.at(less, self.column_of[freed], self.dearer[freed])
        return more, less

    def scaled(self, part: float) -> Room:
        """The room for a part of the queries."""
        return replace(self, bounds=self.bounds.scaled(part))

    def left(self, fixed: IntArray) -> Room:
        """What is left once the columns have some queries."""
        return replace(self, bounds=self.bounds.less(self.filled(fixed)))

    def mismatch(self, load: FloatArray, prices: FloatArray) -> float:
        """By how many queries the columns' load misses the bounds, as in `Bounds.mismatch`."""
        own = self.prices(prices)
        own[np.abs(own) <= _ROUNDING * self.dearer.max(initial=0.0)] = 0.0
        least, most = self.bounds.kept_at(own)
        low, high = (np.bincount(self.column_of, weights=ends, minlength=len(load)) for ends in (least, most))
        return float(np.sum(np.maximum(low - load, 0) + np.maximum(load - high, 0)))

    def value(self, prices: FloatArray) -> float:
        """The room's part of a dual value."""
        return self.bounds.value(self.prices(prices))

    def _cheapest_first(self, column: int) -> IntArray:
        members = np.flatnonzero(self.column_of == column)
        ordered: IntArray = members[np.argsort(self.dearer[members], kind="stable")]
        return ordered


def _poured(total: int, room: IntArray) -> IntArray:
    """A number of queries over places in order, each filled before the next."""
    before = np.concatenate([[0], np.cumsum(room)[:-1]])
    parts: IntArray = np.clip(total - before, 0, room)
    return parts


def bounds_of(names: Sequence[str], lower: Sequence[int], upper: Sequence[int | None], total: int) -> Bounds:
    """Bounds as arrays; an absent upper bound is the number of queries."""
    return Bounds(
        tuple(names),
        np.array(lower, dtype=np.int64),
        np.array([total if high is None else min(high, total) for high in upper], dtype=np.int64),
    )


def check_feasible(count: IntArray, eligible: BoolArray, bounds: Bounds) -> None:
    """Refuse bounds that no assignment keeps; by Hall's condition on sets of deployments.

    Args:
        count: queries in each group, shape (g,).
        eligible: where a group may go, shape (g, k).
        bounds: on each deployment's number of queries.

    Raises:
        InputError: naming the deployments whose bounds collide and by how many queries.
    """
    total = int(count.sum())
    for name, low, high in zip(bounds.names, bounds.lower.tolist(), bounds.upper.tolist(), strict=True):
        if low > high:
            raise InputError(f"{name}: at least {low} and at most {high} queries cannot both hold.")
    size = len(bounds.names)
    first, row = patterns_of(eligible)
    patterns = eligible[first]
    weight = np.bincount(row, weights=count, minlength=len(first)).astype(np.int64)
    inside = _subsets(size)
    fits = (inside.astype(np.int64) @ patterns.T.astype(np.int64)) > 0
    elsewhere = (~inside).astype(np.int64) @ patterns.T.astype(np.int64) > 0
    need, reach = inside @ bounds.lower, fits @ weight
    room, captive = inside @ bounds.upper, ~elsewhere @ weight
    for subset in np.flatnonzero((need > reach) | (captive > room))[:1]:
        names = ", ".join(name for name, chosen in zip(bounds.names, inside[subset], strict=True) if chosen)
        if need[subset] > reach[subset]:
            raise InputError(
                f"The lower bounds of {names} need {need[subset]} queries together, and only {reach[subset]} "
                f"of {total} fit there: {need[subset] - reach[subset]} too many. Lower policy.min_share or "
                "policy.min_queries."
            )
        raise InputError(
            f"The upper bounds of {names} leave room for {room[subset]} queries, and {captive[subset]} fit "
            f"nowhere else: {captive[subset] - room[subset]} too many. Raise policy.max_share."
        )


def _subsets(size: int) -> BoolArray:
    """Sets of deployments, a row each: all but the empty one, or the single ones and all together."""
    if size > _ALL_SUBSETS:
        return np.vstack([np.eye(size, dtype=bool), np.ones(size, dtype=bool)])
    bits: BoolArray = (np.arange(1, 2**size)[:, None] >> np.arange(size) & 1).astype(bool)
    return bits


def patterns_of(eligible: BoolArray) -> tuple[IntArray, IntArray]:
    """One group of each distinct row of eligibility, and each group's row among those, shape (g,).

    The distinct rows are few, as they come of context lengths.
    """
    code = np.zeros(len(eligible), dtype=object if eligible.shape[1] > 62 else np.int64)
    for column in range(eligible.shape[1]):
        code += eligible[:, column] * (1 << column)
    _, first, row = np.unique(code, return_index=True, return_inverse=True)
    return first, row.ravel().astype(np.int64)
