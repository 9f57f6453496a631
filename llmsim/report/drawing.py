"""What plots are drawn from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from llmsim.report import series
from llmsim.report.palette import Palette, make_palette
from llmsim.report.series import F, Served
from llmsim.report.sheet import Row, policy_label

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.figure import Figure

# Draws on a figure; gives title and caption, or None where there is nothing to show.
Chart = Callable[["Figure"], tuple[str, str] | None]


@dataclass(frozen=True)
class Drawing:
    """A run's figures and tables, read once for all plots.

    Attributes:
        summary: the content of ``summary.json``.
        queries: the table of ``queries.parquet``.
        baseline_queries: the same columns for each baseline's label.
        series: the table of ``series.parquet``; None: none was asked for.
    """

    summary: Row
    queries: pa.Table
    baseline_queries: Mapping[str, pa.Table]
    series: pa.Table | None = None

    @cached_property
    def palette(self) -> Palette:
        """Colours of deployments and policies."""
        return make_palette(self.summary)

    @cached_property
    def served(self) -> Served:
        """The queries of the policy as arrays."""
        return series.read(self.queries)

    @cached_property
    def latencies_s(self) -> dict[str, F]:
        """Sorted latencies of each row."""
        tables = {policy_label(self.summary): self.queries}
        tables |= {
            label: self.baseline_queries[label]
            for label in self.summary.get("baselines", {})
            if label in self.baseline_queries
        }
        return {label: series.latencies_s(table) for label, table in tables.items()}
