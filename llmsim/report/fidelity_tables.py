"""Measured and simulated side by side as tables: `queries.parquet`, `pieces.parquet`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from llmsim.arrow import array, texts
from llmsim.report.tables import queries_table
from llmsim.studies.fidelity import Row
from llmsim.workload.queries import Queries

if TYPE_CHECKING:
    import pyarrow as pa

SHARED = ("query", "arrival_s", "tau_in", "tau_out")
APART = ("deployment", "instance", "start_s", "first_token_s", "end_s", "energy_j", "refused")

# Attributes of a piece that are whole numbers, and seconds and joules.
WHOLE = ("number", "instance", "batch", "prompt_tokens", "context_tokens", "steps")
TOOK = (
    "begin_s", "measured_s", "measured_first_s", "busy_s", "measured_j",
    "predicted_s", "predicted_first_s", "predicted_j",
)  # fmt: skip


def both_queries(rows: Sequence[Row], workload: Queries) -> pa.Table:
    """One row a policy and query: `policy`, then what `queries.parquet` of an evaluation has.

    Columns of `APART` stand twice, as `measured_` and `simulated_`.
    """
    import pyarrow as pa

    found = []
    for row in rows:
        sides = [queries_table(run, workload) for run in (row.measured, row.simulated)]
        found.append(
            pa.table(
                {
                    "policy": texts([row.label] * len(workload)),
                    **{name: sides[0][name] for name in SHARED},
                    **{
                        f"{side}_{name}": table[name]
                        for name in APART
                        for side, table in zip(("measured", "simulated"), sides, strict=True)
                    },
                    "extrapolated": sides[0]["extrapolated"],
                }
            )
        )
    return pa.concat_tables(found).unify_dictionaries()


def pieces_table(rows: Sequence[Row]) -> pa.Table:
    """One row a piece of measured work: `policy`, `deployment`, and what `Piece` has.

    `instance` is null for a whole batch; so is what was not measured or cannot be predicted.
    """
    import pyarrow as pa

    told = [
        (row.label, item.name, piece)
        for row in rows
        for item, pieces in zip(row.measured.prices.deployments, row.pieces, strict=True)
        for piece in pieces
    ]
    columns: dict[str, pa.Array] = {
        "policy": texts([label for label, _, _ in told]).dictionary_encode(),
        "deployment": texts([name for _, name, _ in told]).dictionary_encode(),
        "phase": texts([piece.phase for _, _, piece in told]).dictionary_encode(),
    }
    for name in WHOLE:
        whole = np.array([getattr(piece, name) for _, _, piece in told], np.int64)
        columns[name] = array(whole, missing=whole < 0)
    for name in TOOK:
        took = np.array([getattr(piece, name) for _, _, piece in told], np.float64)
        columns[name] = array(took, missing=np.isnan(took))
    return pa.table(columns)
