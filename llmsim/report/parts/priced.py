"""What choices were priced at, beside what serving them took: a difference of either sign, no bound."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from llmsim.curves.cost import FloatArray
from llmsim.report import figures
from llmsim.report.account import Account, Found, known_sum
from llmsim.report.figures import ENERGY, PERCENT
from llmsim.report.note import Note
from llmsim.report.parts.part import Part
from llmsim.report.sheet import NOT_MEANT, Column, Figures, Row

PRICED, DIFFERENCE = "energy_priced_j", "energy_active_over_priced_pct"
# A difference beyond this, in percent, is told in words.
_TOLD_PCT = 5.0
# A prediction made anew for other queries beside it may differ in its last digits.
_ROUNDING_PCT = 1e-9
# Deployments with fewer of the queries, in percent, are left to the tables.
_NOTED_PCT = 1.0


def differing(key: str, rows: Collection[Row], figures: Figures) -> bool:
    """Where serving took something else than was priced: not of queries served one at a time."""
    return any(row.get(DIFFERENCE) for row in rows)


_COLUMNS = (
    Column(
        "as priced", "active", (PRICED,), ENERGY,
        "active energy that the curves predict for the same choices, each query alone",
        detail=True, shown=differing,
    ),
    Column(
        "as priced", "then took", (DIFFERENCE,), PERCENT,
        "by how much active energy differs from what was priced; either sign",
        digits=3, detail=True, shown=differing,
    ),
)  # fmt: skip


class PricedPart(Part):
    """Joules that a policy reckoned with, and by how much the fleet differed."""

    columns = _COLUMNS
    deployment_columns = _COLUMNS

    def of_run(self, account: Account) -> Found:
        """Over all served queries."""
        everywhere = [_priced_j(account, index) for index in range(len(account.run.prices.deployments))]
        priced_j = None if any(part is None for part in everywhere) else np.zeros(len(account.run.served))
        for index, part in enumerate(everywhere):
            if priced_j is not None and part is not None:
                priced_j[account.served_by(index)] = part
        return _found(priced_j, account.run.ledger.energy_j)

    def of_deployment(self, account: Account, index: int) -> Found:
        """Over its own queries."""
        return _found(_priced_j(account, index), account.run.ledger.energy_j[account.served_by(index)])

    def notes(self, summary: Row) -> Sequence[Note]:
        """Where serving took something else than was priced, and which setting says how steps are shared."""
        off = [
            f"{name} {part[DIFFERENCE]:+.0f} % (priced in batches of {figures.count(part['pricing_batch'])})"
            for name, part in (summary.get("deployments") or {}).items()
            if part.get("kv_cache")
            and part.get("queries_pct", 0.0) >= _NOTED_PCT
            and abs(part.get(DIFFERENCE) or 0.0) > _TOLD_PCT
        ]
        if not off:
            return []
        text = (
            f"serving took other active energy than was priced: {', '.join(off)}. A policy prices each query "
            "alone, in a batch of like ones; fleet.serving.pricing_batch sets of how many"
        )
        return [Note("prices", text)]


def _priced_j(account: Account, index: int) -> FloatArray | None:
    """Joules priced for each query that a deployment served; None where it has no energy curve."""
    prices, here = account.run.prices, account.served_by(index)
    energy_j = prices.costs[index].energy_j
    if energy_j is None:
        return None if here.any() else np.zeros(0)
    return energy_j[prices.pair_of[here]]


def _found(priced_j: FloatArray | None, active_j: FloatArray) -> Found:
    """Both figures, and why one is absent."""
    unknown = "no measurement of its energy"
    if priced_j is None:
        return Found({PRICED: None, DIFFERENCE: None}, {PRICED: unknown, DIFFERENCE: unknown})
    total_j, more_j = float(priced_j.sum()), known_sum(active_j - priced_j)
    if more_j is None or not total_j:
        why = f"{NOT_MEANT}no query was sent there" if not len(priced_j) else unknown
        return Found({PRICED: total_j, DIFFERENCE: None}, {DIFFERENCE: why})
    more_pct = 100 * more_j / total_j
    return Found({PRICED: total_j, DIFFERENCE: more_pct if abs(more_pct) > _ROUNDING_PCT else 0.0})
