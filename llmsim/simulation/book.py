"""What is known of each query while a fleet is in motion, as columns."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field

import numpy as np

from llmsim.curves.cost import FloatArray
from llmsim.workload.queries import Queries


@dataclass(slots=True)
class Book:
    """One entry a query in each column; lists are read often, arrays are written once or twice.

    Attributes:
        arrival_s, tau_in, tau_out: the query.
        predicted: predicted tau_out, at least 1: what memory is reserved for.
        deployment, instance: where it is served; -1 until it is sent there.
        start_s, first_token_s, end_s: as in the ledger; NaN until they happen.
        energy_j: joules of its own.
        foreseen: whether every query is predicted before the run; otherwise each is at its arrival.
        generated: tokens that a preempted query had, until it is admitted again.
        preemptions: how often each preempted query was.
    """

    arrival_s: list[float]
    tau_in: list[int]
    tau_out: list[int]
    predicted: list[int]
    deployment: array[int]
    instance: array[int]
    start_s: array[float]
    first_token_s: array[float]
    end_s: array[float]
    energy_j: array[float]
    foreseen: bool = True
    generated: dict[int, int] = field(default_factory=dict)
    preemptions: dict[int, int] = field(default_factory=dict)


def open_book(queries: Queries, predicted: FloatArray | None = None) -> Book:
    """A book in which nothing has happened yet.

    Args:
        predicted: tokens that each query is expected to generate, shape (n,); None: those it will.
    """
    n = len(queries)
    tau_out = queries.tau_out.tolist()
    if predicted is not None:
        expected = np.maximum(np.ceil(predicted), 1).astype(np.int64).tolist()
    else:
        expected = tau_out.copy()  # a router writes its own predictions here
    unknown = np.full(n, np.nan).tobytes()
    nowhere = np.full(n, -1, dtype=np.int64).tobytes()
    return Book(
        arrival_s=queries.arrival_s.tolist(),
        tau_in=queries.tau_in.tolist(),
        tau_out=tau_out,
        predicted=expected,
        deployment=array("q", nowhere),
        instance=array("q", nowhere),
        start_s=array("d", unknown),
        first_token_s=array("d", unknown),
        end_s=array("d", unknown),
        energy_j=array("d", bytes(8 * n)),
    )
