"""Bounds on the number of queries of each deployment, and whether any assignment keeps them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from llmsim.curves.cost import BoolArray, FloatArray, IntArray
from llmsim.errors import InputError

# With more deployments than this, only single ones and all of them together are checked beforehand.
_ALL_SUBSETS = 12


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
        least = np.where(prices < 0, self.upper, self.lower)
        most = np.where(prices > 0, self.lower, self.upper)
        return float(np.sum(np.maximum(least - load, 0) + np.maximum(load - most, 0)))

    def value(self, prices: FloatArray) -> float:
        """The bounds' part of a dual value."""
        return float(np.sum(prices * np.where(prices > 0, self.lower, self.upper)))


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
