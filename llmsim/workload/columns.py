"""The columns of a trace as arrays, and what is a possible value in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llmsim.arrow import numbers
from llmsim.workload.header import Header

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

# More tokens than any query has (the longest contexts sold are about a million): a slip, not a count.
MAX_TOKENS = 10_000_000

# Seconds since the start of a trace; more (31 years) is a Unix time or another unit.
MAX_ARRIVAL_S = 1e9

NANOSECONDS = 1_000_000_000


@dataclass(frozen=True)
class Columns:
    """What a trace holds, in the order of the file, each array of shape (n,).

    Attributes:
        tau_in, tau_out: whole numbers of tokens, 1 to `MAX_TOKENS`.
        arrival_s: seconds; None when the trace has no arrivals.
        accuracy_pct: percent per model name.
        first_arrival: the time that second 0 stands for, in words, where the file gives times of day.
    """

    tau_in: IntArray
    tau_out: IntArray
    arrival_s: FloatArray | None
    accuracy_pct: Mapping[str, FloatArray]
    first_arrival: str | None = None


def are_counts(values: FloatArray) -> bool:
    """Whether every value, shape (n,), is a possible number of tokens."""
    in_range = (values >= 1) & (values <= MAX_TOKENS)  # False for NaN
    return bool(np.all(in_range & (values == np.floor(values))))


def are_arrivals(values: FloatArray) -> bool:
    """Whether every value, shape (n,), is a possible arrival in seconds."""
    return bool(np.all((values >= 0) & (values <= MAX_ARRIVAL_S)))


def are_percentages(values: FloatArray) -> bool:
    """Whether every value, shape (n,), lies in [0, 100]."""
    return bool(np.all((values >= 0) & (values <= 100)))


def seconds_since_first(nanoseconds: IntArray) -> tuple[FloatArray, str]:
    """Seconds since the earliest of some times, and that time in ISO 8601.

    Args:
        nanoseconds: since 1970, shape (n,), n at least 1, at most `MAX_ARRIVAL_S` apart. Subtracted as
            integers, so nothing is rounded before the difference is taken.
    """
    first = nanoseconds.min()
    return (nanoseconds - first) / NANOSECONDS, str(np.datetime64(int(first), "ns"))


def from_table(table: Any, header: Header) -> Columns | None:
    """The columns of an Arrow table; None when a value is missing or impossible.

    Args:
        table: a `pyarrow.Table` with the columns of `header`, all numbers; arrivals may be timestamps.
    """
    import pyarrow as pa

    def values(position: int) -> FloatArray:
        """A column by its position, shape (n,)."""
        return np.asarray(numbers(table.column(header.names[position])), dtype=np.float64)

    if any(table.column(header.names[position]).null_count for position in header.used):
        return None
    tau_in, tau_out = values(header.tau_in), values(header.tau_out)
    accuracy = {model: values(position) for model, position in header.accuracy.items()}
    if not (are_counts(tau_in) and are_counts(tau_out) and all(map(are_percentages, accuracy.values()))):
        return None
    arrival_s, first = None, None
    if header.arrival is not None:
        times = table.column(header.names[header.arrival])
        if pa.types.is_timestamp(times.type):
            nanoseconds = numbers(times.cast(pa.int64()))
            span = int(nanoseconds.max()) - int(nanoseconds.min())  # Python's integers: int64 may overflow
            if span > MAX_ARRIVAL_S * NANOSECONDS:
                return None
            arrival_s, first = seconds_since_first(nanoseconds)
        else:
            arrival_s = values(header.arrival)
            if not are_arrivals(arrival_s):
                return None
    return Columns(tau_in.astype(np.int64), tau_out.astype(np.int64), arrival_s, accuracy, first)
