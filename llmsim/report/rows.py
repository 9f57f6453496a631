"""Which figures a report compares, and the grid of them: the terminal's table and the page show the same."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llmsim.report.figures import COUNT, ENERGY, PERCENT, TIME, Ladder, Scale, common_scale

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Column:
    """One figure of a row.

    Attributes:
        group: what columns that stay together have in common; its columns of one ladder share a unit.
        label: the column's own name within the group; empty when it is alone.
        path: keys that lead to the figure in a row of the summary.
        ladder: units that it may be shown in.
        meaning: one line that says what is counted.
        factor: figures are multiplied by it before they are shown (100 for a fraction in per cent).
        digits: digits of the largest cell.
        compares: the figure holds a row against the policy, so the policy's own cell is empty.
    """

    group: str
    label: str
    path: tuple[str, ...]
    ladder: Ladder
    meaning: str
    factor: float = 1.0
    digits: int = 5
    compares: bool = False

    def figure(self, row: Row) -> float | None:
        """The figure in a row, or None when the row lacks it."""
        value: Any = row
        for key in self.path:
            value = value.get(key) if isinstance(value, Mapping) else None
        if value is None or not math.isfinite(value):
            return None
        return float(value) * self.factor

    @property
    def key(self) -> str:
        """The name under which a summary says why the figure is absent."""
        return self.path[0]


def _spread(group: str, key: str, what: str) -> tuple[Column, ...]:
    parts = (("mean", "mean"), ("p50", "median"), ("p90", "90th percentile"), ("p99", "99th percentile"))
    return tuple(
        Column(group, part, (key, part), TIME, f"{word} of {what}, over the served queries")
        for part, word in parts
    )


SERVED = Column("served", "", ("served",), COUNT, "queries that were served", digits=9)
ENERGY_COLUMNS = (
    Column("energy", "active", ("energy_active_j",), ENERGY, "energy while serving queries"),
    Column("energy", "idle", ("energy_idle_j",), ENERGY, "idle power times idle time of powered instances"),
    Column("energy", "total", ("energy_j",), ENERGY, "active and idle energy over the common horizon"),
    Column("per query", "", ("energy_per_query_j",), ENERGY, "total energy over served queries", digits=4),
    Column("accuracy", "", ("accuracy_pct",), PERCENT, "token-weighted mean over served queries", digits=4),
    Column(
        "saving", "active", ("saving_active_pct",), PERCENT,
        "active energy that the policy saves against this row", digits=3, compares=True,
    ),
    Column(
        "saving", "total", ("saving_total_pct",), PERCENT,
        "total energy that the policy saves against this row", digits=3, compares=True,
    ),
)  # fmt: skip
TIME_COLUMNS = (
    *_spread("latency", "latency_s", "the time from arrival to the last token"),
    *_spread("wait", "wait_s", "the time from arrival to start"),
    Column("makespan", "", ("makespan_s",), TIME, "start of the trace to the last query's end"),
    Column(
        "utilisation", "", ("utilisation",), PERCENT,
        "busy time over horizon times instances", factor=100.0, digits=3,
    ),
)  # fmt: skip
DETAIL_COLUMNS = (
    Column("per output token", "", ("energy_per_output_token_j",), ENERGY, "total energy over tokens made"),
    *_spread("first token", "ttft_s", "the time from arrival to the first token"),
)
DEPLOYMENT_COLUMNS = (
    Column("queries", "", ("queries",), COUNT, "queries served", digits=9),
    Column("share", "", ("share_pct",), PERCENT, "part of the served queries", digits=3),
    Column("energy", "active", ("energy_active_j",), ENERGY, "energy while serving queries"),
    Column("energy", "idle", ("energy_idle_j",), ENERGY, "idle power times idle time"),
    Column("accuracy", "", ("accuracy_pct",), PERCENT, "token-weighted mean over its queries", digits=4),
    Column("instances", "", ("instances",), COUNT, "running copies", digits=9),
    Column("devices", "each", ("devices_per_instance",), COUNT, "devices of one instance", digits=9),
    Column(
        "utilisation", "", ("utilisation",), PERCENT,
        "busy time over horizon times instances", factor=100.0, digits=3,
    ),
    Column("runtime", "mean", ("mean_runtime_s",), TIME, "mean time to serve one query"),
    Column(
        "curve error", "energy", ("energy_mape_pct",), PERCENT,
        "mean absolute error of the energy curve on measurements left out of its fit", digits=3,
    ),
    Column(
        "curve error", "runtime", ("runtime_mape_pct",), PERCENT,
        "mean absolute error of the runtime curve on measurements left out of its fit", digits=3,
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Sheet:
    """Rows of figures under columns, each column with the scale that its cells share.

    Attributes:
        rows: label and figures; the first row is the policy's where `leads` is set.
        leads: whether the first row is the one that the others are held against.
    """

    columns: tuple[Column, ...]
    scales: tuple[Scale, ...]
    rows: tuple[tuple[str, tuple[float | None, ...]], ...]
    leads: bool

    def cell(self, row: int, column: int) -> str:
        """What stands in a cell: a number without its unit, a dash, or nothing where none is meant."""
        if self.leads and row == 0 and self.columns[column].compares:
            return ""
        return self.scales[column].text(self.rows[row][1][column])

    def missing(self) -> list[tuple[str, Column]]:
        """Row and column of every dash."""
        return [
            (label, self.columns[c])
            for r, (label, figures) in enumerate(self.rows)
            for c, figure in enumerate(figures)
            if figure is None and self.cell(r, c)
        ]

    def groups(self) -> list[tuple[str, list[int]]]:
        """Columns by group, in order: the group's name and the indices of its columns."""
        found: dict[str, list[int]] = {}
        for c, column in enumerate(self.columns):
            found.setdefault(column.group, []).append(c)
        return list(found.items())

    def group_title(self, name: str, columns: Sequence[int]) -> str:
        """What stands over a group: its name, and the unit where several columns share it."""
        unit = self.scales[columns[0]].unit
        return f"{name}, {unit}" if len(columns) > 1 and unit else name

    def column_names(self, columns: Sequence[int]) -> list[str]:
        """What stands over each column of a group; a lone one has its unit here."""
        names = [self.columns[c].label for c in columns]
        if len(columns) > 1:
            return names
        return [", ".join(said for said in (names[0], self.scales[columns[0]].unit) if said)]


def comparison(summary: Row, columns: Sequence[Column]) -> Sheet:
    """The policy's row and one for each baseline; how many were served is shown where it differs."""
    rows = {policy_label(summary): summary, **summary.get("baselines", {})}
    if len({row.get("served") for row in rows.values()}) > 1:
        columns = (SERVED, *columns)
    if len(rows) == 1:
        columns = [column for column in columns if not column.compares]
    return make_sheet(rows, columns, leads=True)


def deployments(summary: Row, of: Row | None = None) -> Sheet:
    """One row for each deployment of `of` (the summary itself, or one of its baselines)."""
    of = summary if of is None else of
    curves = (summary.get("provenance") or {}).get("curves") or {}
    rows = {}
    for name, part in of.get("deployments", {}).items():
        error = (curves.get(name) or {}).get("left_out_error") or {}
        served, queries = of.get("served"), part.get("queries")
        portion = 100.0 * queries / served if served and queries is not None else None
        rows[name] = {**part, **error, "share_pct": portion}
    return make_sheet(rows, DEPLOYMENT_COLUMNS, leads=False)


def make_sheet(rows: Mapping[str, Row], columns: Iterable[Column], leads: bool) -> Sheet:
    """Figures of `rows` under `columns`, with one unit for all columns of a group and ladder."""
    columns = tuple(columns)
    found = {label: tuple(column.figure(row) for column in columns) for label, row in rows.items()}
    together: dict[tuple[str, Ladder], list[float | None]] = {}
    for c, column in enumerate(columns):
        together.setdefault((column.group, column.ladder), []).extend(row[c] for row in found.values())
    scales = tuple(common_scale(together[c.group, c.ladder], c.ladder, c.digits) for c in columns)
    whole = tuple(
        Scale(scale.factor, scale.unit, 0) if column.ladder is COUNT else scale
        for column, scale in zip(columns, scales, strict=True)
    )
    return Sheet(columns, whole, tuple(found.items()), leads)


def policy_label(summary: Row) -> str:
    """The policy's name as its row shows it, apart from a baseline that has the same name."""
    name = str(summary.get("policy", "policy"))
    return f"{name} (this run)" if name in summary.get("baselines", {}) else name
