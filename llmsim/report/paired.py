"""Two runs of the same queries, held against each other query by query."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from llmsim.curves.cost import FloatArray

if TYPE_CHECKING:
    import pyarrow as pa

# Batches of consecutive queries whose means an interval is made of, and the fewest queries of one. Queries
# that are near in time wait for the same ones before them, so that single queries say less than they seem to.
BATCHES, FEWEST = 20, 5
LEVEL = 0.95

# What is held against each other: columns of queries.parquet, the second subtracted from the first.
MEASURES: Mapping[str, tuple[str, str | None]] = {
    "energy_j": ("energy_j", None),
    "latency_s": ("end_s", "arrival_s"),
    "ttft_s": ("first_token_s", "arrival_s"),
    "wait_s": ("start_s", "arrival_s"),
    "accuracy_pct": ("accuracy_pct", None),
}


@dataclass(frozen=True)
class Difference:
    """The mean difference of a run from the first, over the queries that both served.

    Attributes:
        pairs: queries that both served.
        first: mean of the first run over them.
        mean: of the run less the first.
        low, high: ends of the interval, by batch means and Student's t; None where there are too few queries.
    """

    pairs: int
    first: float
    mean: float
    low: float | None
    high: float | None

    @property
    def percent(self) -> float | None:
        """The difference in per cent of the first run's mean."""
        return None if self.first == 0 else 100.0 * self.mean / self.first


def same_queries(first: pa.Table, other: pa.Table) -> bool:
    """Whether the runs are of the same queries: arrivals and token counts."""
    return len(first) == len(other) and all(
        first[name].equals(other[name]) for name in ("arrival_s", "tau_in", "tau_out")
    )


def differences(first: pa.Table, other: pa.Table) -> dict[str, Difference]:
    """Each measure's difference; one that a run lacks, or that no query has in both, is left out.

    Args:
        first, other: tables of ``queries.parquet``, of the same queries.
    """
    found = {}
    for name in MEASURES:
        ours, theirs = _values(first, name), _values(other, name)
        both = np.isfinite(ours) & np.isfinite(theirs)
        if both.any():
            found[name] = difference(ours[both], theirs[both])
    return found


def difference(first: FloatArray, other: FloatArray) -> Difference:
    """The mean difference of paired values in order of arrival, each of shape (n,), with its interval."""
    apart = other - first
    low = high = None
    batches = min(BATCHES, len(apart) // FEWEST)
    if batches >= 2:
        from scipy.stats import t

        size = len(apart) // batches
        # The first few queries that fill no batch are left to the mean alone.
        means = apart[len(apart) - batches * size :].reshape(batches, size).mean(axis=1)
        reach = float(t.ppf((1 + LEVEL) / 2, batches - 1) * means.std(ddof=1) / np.sqrt(batches))
        low, high = float(apart.mean()) - reach, float(apart.mean()) + reach
    return Difference(len(apart), float(first.mean()), float(apart.mean()), low, high)


def _values(table: pa.Table, name: str) -> FloatArray:
    """A measure of every query, shape (n,); NaN where it is absent."""
    column, less = MEASURES[name]
    value = _numbers(table, column)
    return value if less is None else value - _numbers(table, less)


def _numbers(table: pa.Table, name: str) -> FloatArray:
    return np.array([np.nan if x is None else x for x in table[name].to_pylist()], dtype=np.float64)
