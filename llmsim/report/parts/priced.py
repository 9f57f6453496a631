"""What choices were priced at, beside what serving them took: a difference of either sign, no bound."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from llmsim.report import figures
from llmsim.report.account import Account, Found, known_sum
from llmsim.report.figures import ENERGY, PERCENT
from llmsim.report.note import Note
from llmsim.report.parts.part import Part
from llmsim.report.sheet import NOT_MEANT, Column, Row, asked

PRICED, DIFFERENCE = "energy_priced_j", "energy_active_over_priced_pct"
# A difference beyond this, in percent, is told in words.
_TOLD_PCT = 5.0
# Deployments with fewer of the queries, in percent, are left to the tables.
_NOTED_PCT = 1.0

_COLUMNS = (
    Column(
        "as priced", "active", (PRICED,), ENERGY,
        "active energy that the curves predict for the same choices, each query alone",
        detail=True, shown=asked,
    ),
    Column(
        "as priced", "then took", (DIFFERENCE,), PERCENT,
        "by how much active energy differs from what was priced; either sign",
        digits=3, detail=True,
    ),
)  # fmt: skip


class PricedPart(Part):
    """Joules that a policy reckoned with, and by how much the fleet differed."""

    columns = _COLUMNS
    deployment_columns = _COLUMNS

    def of_run(self, account: Account) -> Found:
        """Over all served queries."""
        run = account.run
        parts = [_priced_j(account, index) for index in range(len(run.prices.deployments))]
        priced_j = None if None in parts else sum(part for part in parts if part is not None)
        return _found(priced_j, known_sum(run.ledger.energy_j))

    def of_deployment(self, account: Account, index: int) -> Found:
        """Over its own queries."""
        active_j = known_sum(account.run.ledger.energy_j[account.served_by(index)])
        return _found(_priced_j(account, index), active_j)

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


def _priced_j(account: Account, index: int) -> float | None:
    """Joules priced for the queries that a deployment served; None where it has no energy curve."""
    prices, here = account.run.prices, account.served_by(index)
    if not here.any():
        return 0.0
    energy_j = prices.costs[index].energy_j
    return None if energy_j is None else float(np.sum(energy_j[prices.pair_of[here]]))


def _found(priced_j: float | None, active_j: float | None) -> Found:
    """Both figures, and why one is absent."""
    difference = None if not priced_j or active_j is None else 100 * (active_j / priced_j - 1)
    why = {}
    if priced_j is None:
        why[PRICED] = "no measurement of its energy"
    if difference is None:
        why[DIFFERENCE] = (
            f"{NOT_MEANT}no query was sent there" if priced_j == 0 else "no measurement of its energy"
        )
    return Found({PRICED: priced_j, DIFFERENCE: difference}, why)
