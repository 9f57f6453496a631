"""How sure the figures are: intervals over replications."""

from __future__ import annotations

from collections.abc import Sequence

from llmsim.report.figures import ENERGY, PERCENT, TIME, Ladder
from llmsim.report.note import Note
from llmsim.report.parts.part import Part
from llmsim.report.sheet import Column, Row, known

_SHOWN: tuple[tuple[str, str, Ladder], ...] = (
    ("active energy", "energy_active_j", ENERGY),
    ("total energy", "energy_j", ENERGY),
    ("accuracy", "accuracy_pct", PERCENT),
    ("mean latency", "latency_s.mean", TIME),
    ("latency p99", "latency_s.p99", TIME),
)


def _columns(group: str, key: str, ladder: Ladder) -> list[Column]:
    """Mean and half-width of a figure, and of the policy's difference from the row."""
    return [
        Column(
            group, label, ("replications", of, key, what), ladder, f"{meaning}, over the replications",
            sheet="replications", shown=known, digits=6, compares=of == "differences",
        )
        for label, of, what, meaning in (
            ("mean", "figures", "mean", "mean"),
            ("±", "figures", "half_width", "half-width of its interval"),
            ("difference", "differences", "mean", "the policy's figure minus this row's, run by run"),
            ("± ", "differences", "half_width", "half-width of the difference's interval"),
        )
    ]  # fmt: skip


class ReplicationsPart(Part):
    """Made of several runs, and so not of one: see `report/replications.py`."""

    columns = tuple(column for shown in _SHOWN for column in _columns(*shown))

    def notes(self, summary: Row) -> Sequence[Note]:
        """How many there were, and what the intervals are."""
        found = summary.get("replications")
        if not found:
            return []
        text = (
            f"{found['count']} runs under seeds of their own; intervals (±) at {100 * found['level']:g} %. "
            "The other tables show the first run. All policies see the same queries in each, so that a "
            "difference, the policy's figure minus the row's, is surer than either."
        )
        return [Note("replications", text)]
