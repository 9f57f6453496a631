"""Queries with the same prices, treated as one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from llmsim.curves.cost import BoolArray, IntArray
from llmsim.fleet.prices import Prices

Column = TypeVar("Column", bound=np.generic)


@dataclass(frozen=True)
class Groups:
    """Queries with the same prices, treated as one.

    Attributes:
        group_of: each query's group, shape (n,).
        first: one query of each group, shape (g,).
        pair: each group's row among the prices' pairs, shape (g,); None where group g is pair g.
        count: queries in each group, shape (g,).
    """

    group_of: IntArray
    first: IntArray
    pair: IntArray | None
    count: IntArray

    @classmethod
    def of(cls, prices: Prices) -> Groups:
        """By pair of token counts, unless the workload scores each query on its own."""
        queries = len(prices.queries)
        if prices.queries.accuracy_pct:
            every = np.arange(queries)
            return cls(every, every, prices.pair_of, np.ones(queries, dtype=np.int64))
        pairs = len(prices.tau_in)
        count = np.bincount(prices.pair_of, minlength=pairs)
        first = np.zeros(pairs, dtype=np.int64)
        first[prices.pair_of[::-1]] = np.arange(queries - 1, -1, -1)  # the last one written is the first
        used = count > 0
        if used.all():
            return cls(prices.pair_of, first, None, count)
        # Numbered anew: pairs whose queries were all refused have no group.
        number = np.cumsum(used) - 1
        return cls(number[prices.pair_of], first[used], np.flatnonzero(used), count[used])

    def of_pairs(
        self, values: np.ndarray[tuple[int, ...], np.dtype[Column]]
    ) -> np.ndarray[tuple[int, ...], np.dtype[Column]]:
        """A column or table over the prices' pairs as one over the groups."""
        if self.pair is None:
            return values
        return values[self.pair] if values.ndim == 1 else values.T[:, self.pair].T

    def eligible(self, prices: Prices) -> BoolArray:
        """Where each group may go, shape (g, k)."""
        return self.of_pairs(prices.eligible)
