"""The queries of a run, kept as columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Queries:
    """Queries in order of arrival, one entry a query in each column.

    Attributes:
        arrival_s: seconds since the start of the trace, non-decreasing, shape (n,).
        tau_in: prompt tokens, at least 1, shape (n,).
        tau_out: generated tokens, at least 1, shape (n,).
        accuracy_pct: the workload's own accuracy per model name, percent, each shape (n,); empty for most.
        name: the workload's name.
        source: where the queries are from, in words, with the licence.
        notes: what was done to them on the way in (sorted, limited, ...), one sentence each.
    """

    arrival_s: NDArray[np.float64]
    tau_in: NDArray[np.int64]
    tau_out: NDArray[np.int64]
    accuracy_pct: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    name: str = ""
    source: str = ""
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.arrival_s)

    def take(self, index: NDArray[np.int64] | NDArray[np.bool_]) -> Queries:
        """The chosen queries, in the order of `index`."""
        return Queries(
            self.arrival_s[index],
            self.tau_in[index],
            self.tau_out[index],
            {model: column[index] for model, column in self.accuracy_pct.items()},
            self.name,
            self.source,
            self.notes,
        )
