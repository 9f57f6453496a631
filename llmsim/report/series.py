"""Columns of a run's tables as the arrays that plots need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyarrow as pa

F = NDArray[np.float64]
I = NDArray[np.int64]  # noqa: E741 - the name that the contracts use

REFUSED = -1


@dataclass(frozen=True)
class Served:
    """Queries of one policy, one entry each.

    Attributes:
        names: deployments.
        deployment: index into `names`; `REFUSED` where no deployment took the query.
        arrival_s, start_s, first_token_s, end_s: seconds; NaN for a refused query.
        energy_j: active joules; NaN for a refused query.
        tau_in, tau_out: tokens.
    """

    names: tuple[str, ...]
    deployment: I
    arrival_s: F
    start_s: F
    first_token_s: F
    end_s: F
    energy_j: F
    tau_in: F
    tau_out: F


def read(table: pa.Table) -> Served:
    """The arrays of a table of queries (``queries.parquet``)."""
    names, deployment = _codes(table["deployment"])
    numbers = {
        name: np.asarray(table[name].to_numpy(), dtype=np.float64)
        for name in ("arrival_s", "start_s", "first_token_s", "end_s", "energy_j", "tau_in", "tau_out")
    }
    return Served(names, deployment, **numbers)


def by_deployment(table: pa.Table, columns: Sequence[str]) -> dict[str, dict[str, F]]:
    """The columns of a table of numbers by deployment (``series.parquet``); null is NaN."""
    names, deployment = _codes(table["deployment"])
    numbers = {name: np.asarray(table[name].to_numpy(), dtype=np.float64) for name in columns}
    return {
        name: {key: values[deployment == d] for key, values in numbers.items()}
        for d, name in enumerate(names)
    }


def latencies_s(table: pa.Table) -> F:
    """Seconds from arrival to end of the served queries, sorted."""
    took = np.asarray(table["end_s"].to_numpy() - table["arrival_s"].to_numpy(), dtype=np.float64)
    return np.sort(took[np.isfinite(took)])


def thinned(ordered: F, most: int) -> tuple[F, F]:
    """At most about `most` points of the empirical distribution of sorted values: value and part at or below.

    Both ends are kept, and the tails more densely than the middle, so that percentiles near 0 and 100 are
    exact to the eye.
    """
    n = len(ordered)
    if n <= most:
        return ordered, np.arange(1, n + 1) / n
    part = 0.5 - 0.5 * np.cos(np.linspace(0.0, np.pi, most))
    index = np.unique(np.round(part * (n - 1)).astype(np.int64))
    return ordered[index], (index + 1) / n


def mean_level(start_s: F, end_s: F, rate: F, edges: F) -> F:
    """Mean over each bin of the sum of `rate` over the intervals that are running.

    Exact: the integral of a sum of steps is piecewise linear, so its differences at the edges are means.

    Args:
        start_s, end_s: one interval each, in seconds.
        rate: what an interval contributes while it runs (1 to count them, watts for power).
        edges: bounds of the bins, ascending, in seconds.

    Returns:
        One value a bin; their sum weighted by width is the integral of everything within the edges.
    """

    def integral_to_edges(at: F) -> F:
        """What all would contribute up to each edge if none that starts at `at` ended."""
        order = np.argsort(at, kind="stable")
        sorted_at, weight = at[order], rate[order]
        reached = np.searchsorted(sorted_at, edges, side="right")
        total = np.concatenate([[0.0], np.cumsum(weight)])[reached]
        moment = np.concatenate([[0.0], np.cumsum(weight * sorted_at)])[reached]
        return np.asarray(total * edges - moment)

    return np.asarray(np.diff(integral_to_edges(start_s) - integral_to_edges(end_s)) / np.diff(edges))


def peak(start_s: F, end_s: F) -> int:
    """The most intervals that run at once; one that ends as another starts does not count twice."""
    if not len(start_s):
        return 0
    at = np.concatenate([end_s, start_s])
    step = np.concatenate([np.full(len(end_s), -1), np.full(len(start_s), 1)])
    return int(np.max(np.cumsum(step[np.lexsort((step, at))])))


def every(index: I, most: int) -> I:
    """At most `most` of the entries, evenly spaced, so that the choice is the same each time."""
    if len(index) <= most:
        return index
    return index[np.linspace(0, len(index) - 1, most).astype(np.int64)]


def _codes(column: pa.ChunkedArray) -> tuple[tuple[str, ...], I]:
    """Names and an index into them for a column of strings, dictionary-encoded or not."""
    import pyarrow as pa

    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    column = column.unify_dictionaries()
    names: tuple[str, ...] = tuple(column.chunk(0).dictionary.to_pylist()) if column.num_chunks else ()
    parts = [np.asarray(chunk.indices.fill_null(REFUSED), dtype=np.int64) for chunk in column.chunks]
    return names, np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)
