"""What a part of a report may have: figures, reasons, columns, warnings, notes, plots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from llmsim.report.account import Account, Found
from llmsim.report.drawing import Chart, Drawing
from llmsim.report.note import Note
from llmsim.report.sheet import Column, Row


class Part:
    """One kind of figure: everything about it is here. A part overrides what it has.

    To add a figure, add a part (or a key to one) and its line in `docs/summary.md`; a new part also goes into
    `parts.PARTS`, whose order is that of columns, notes and plots.

    Attributes:
        columns: of the tables that compare the policy with its baselines.
        deployment_columns: of the tables of deployments.
    """

    columns: tuple[Column, ...] = ()
    deployment_columns: tuple[Column, ...] = ()

    def of_run(self, account: Account) -> Found:
        """Keys that every row of a run has: the policy's and each baseline's."""
        return Found()

    def of_deployment(self, account: Account, index: int) -> Found:
        """Keys that every deployment of a row has."""
        return Found()

    def against(self, own: Row, account: Account, other: Row, baseline: Account) -> Found:
        """Keys of a baseline's row that hold the policy against it.

        Args:
            own, account: the policy's row, and what it was made of.
            other, baseline: the baseline's.
        """
        return Found()

    def warnings(self, own: Row) -> Sequence[str]:
        """What the person at the screen should know before trusting the policy's row."""
        return ()

    def notes(self, summary: Row) -> Sequence[Note]:
        """What a reader should know beside the tables; `summary` is the content of ``summary.json``."""
        return ()

    def charts(self, drawing: Drawing) -> Mapping[str, Chart]:
        """Plots by file name."""
        return {}
