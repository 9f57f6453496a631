"""What the policy saves against each baseline."""

from __future__ import annotations

import numpy as np

from llmsim.curves.cost import IntArray
from llmsim.policies.bounds import Bounds
from llmsim.report.account import Account, Found
from llmsim.report.figures import PERCENT
from llmsim.report.parts.part import Part
from llmsim.report.sheet import Column, Row
from llmsim.simulation.run import Run


class SavingPart(Part):
    """Simulated joules of the policy against those of rows that serve the same queries in the same bounds."""

    columns = (
        Column(
            "saving", "active", ("saving_active_pct",), PERCENT,
            "active energy that the policy saves against this row", digits=3, compares=True,
        ),
        Column(
            "saving", "total", ("saving_total_pct",), PERCENT,
            "total energy that the policy saves against this row", digits=3, compares=True,
        ),
    )  # fmt: skip

    def against(self, own: Row, account: Account, other: Row, baseline: Account) -> Found:
        """Savings, or why they are not quoted."""
        reason = keeps(baseline.run, account.terms.bounds, account.run.served)
        found: dict[str, object] = {"keeps_bounds": reason is None}
        absent = {}
        for name, key in (("active", "energy_active_j"), ("total", "energy_j")):
            saving = f"saving_{name}_pct"
            found[saving] = None if reason else saving_pct(own[key], other[key])
            if own[key] is None or other[key] is None:
                absent[saving] = own["absent"].get(key) or other["absent"].get(key)
            elif reason:
                absent[saving] = reason
        return Found(found, absent)


def keeps(run: Run, bounds: Bounds | None, served: IntArray) -> str | None:
    """Why a run cannot be held against another, or None where it can.

    Args:
        bounds: on the number of queries of each deployment, which both must keep; None: no bounds.
        served: the queries that the other run served.
    """
    if not np.array_equal(run.served, served):
        common = len(np.intersect1d(run.served, served))
        return f"serves {common:,} of the {len(served):,} queries"
    if bounds is None:
        return None
    counts = np.bincount(run.ledger.deployment, minlength=len(bounds.names)).tolist()
    for name, count, low, high in zip(bounds.names, counts, bounds.lower, bounds.upper, strict=True):
        if count < low:
            return f"breaks the bounds: {name} gets {count:,} of at least {int(low):,} queries"
        if count > high:
            return f"breaks the bounds: {name} gets {count:,} of at most {int(high):,} queries"
    return None


def saving_pct(ours_j: float | None, theirs_j: float | None) -> float | None:
    """By how much ours is below theirs, percent of theirs; None where either is absent or theirs is 0."""
    if ours_j is None or theirs_j is None or theirs_j == 0:
        return None
    return 100.0 * (theirs_j - ours_j) / theirs_j
