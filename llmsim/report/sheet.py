"""A grid of figures with shared units: the terminal's table and the page show the same."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llmsim.report.figures import COUNT, Ladder, Scale, common_scale

Row = Mapping[str, Any]

# Tables that compare rows, and what the page calls them.
SHEETS = {
    "energy": "Energy and accuracy",
    "time": "Time",
    "service": "Service",
    "steady": "Steady state",
    "cost": "Cost and carbon",
    "replications": "Replications",
}


Figures = Collection[float | None]
Shown = Callable[[str, Collection[Row], Figures], bool]
# How the reason of a figure begins that was not asked for; its column is not shown.
NOT_ASKED = "not asked: "
# How it begins where there is no such figure, so that it alone does not make a column either.
NOT_MEANT = "none: "


def always(key: str, rows: Collection[Row], figures: Figures) -> bool:
    """Whatever the rows have."""
    return True


def known(key: str, rows: Collection[Row], figures: Figures) -> bool:
    """Where some row has the figure."""
    return any(figure is not None for figure in figures)


def asked(key: str, rows: Collection[Row], figures: Figures) -> bool:
    """Where the figure was asked for, whether or not it could be had."""
    reasons = [(row.get("absent") or {}).get(key) for row in rows]
    return known(key, rows, figures) or any(
        why and not why.startswith((NOT_ASKED, NOT_MEANT)) for why in reasons
    )


def nonzero(key: str, rows: Collection[Row], figures: Figures) -> bool:
    """Where some row has more than nothing."""
    return any(figure for figure in figures)


def differs(key: str, rows: Collection[Row], figures: Figures) -> bool:
    """Where rows differ in it."""
    return len(set(figures)) > 1


def cached(key: str, rows: Collection[Row], figures: Figures) -> bool:
    """Where some deployment serves with a KV cache, so that first and later tokens are times of their own."""
    deployments = (part for row in rows for part in (row.get("deployments") or {}).values())
    return known(key, rows, figures) and any(part.get("kv_cache") for part in deployments)


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
        strong: the figure to look at first.
        whole: a count, shown without decimals.
        compares: the figure holds a row against the policy, so the policy's own cell is empty.
        sheet: the table that it stands in, one of SHEETS.
        detail: shown on the page only.
        shown: says by the key, the rows and their figures whether the column is to be there.
    """

    group: str
    label: str
    path: tuple[str, ...]
    ladder: Ladder
    meaning: str
    factor: float = 1.0
    digits: int = 5
    compares: bool = False
    sheet: str = "energy"
    detail: bool = False
    shown: Shown = always
    strong: bool = False
    whole: bool = True

    def figure(self, row: Row) -> float | None:
        """The figure in a row, or None when the row lacks it."""
        value: Any = row
        for key in self.path:
            value = value.get(key) if isinstance(value, Mapping) else None
        if value is None or not math.isfinite(value):
            return None
        return float(value) * self.factor

    def applies(self, rows: Collection[Row]) -> bool:
        """Whether the column is shown above these rows."""
        if self.compares and len(rows) == 1:
            return False
        return self.shown(self.key, rows, [self.figure(row) for row in rows])

    @property
    def key(self) -> str:
        """The name under which a summary says why the figure is absent."""
        return self.path[0]


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

    def parts(self, most: int) -> list[Sheet]:
        """The sheet in as few parts as have about `most` columns each; groups stay whole."""
        number = max(math.ceil(len(self.columns) / most), 1)
        parts: list[list[int]] = [[] for _ in range(number)]
        for _, columns in self.groups():
            middle = (columns[0] + columns[-1] + 1) / 2
            parts[int(middle * number / len(self.columns))] += columns
        return [self._part(columns) for columns in parts if columns or number == 1]

    def _part(self, columns: Sequence[int]) -> Sheet:
        rows = ((label, tuple(found[c] for c in columns)) for label, found in self.rows)
        kept = tuple(self.columns[c] for c in columns), tuple(self.scales[c] for c in columns)
        return Sheet(*kept, tuple(rows), self.leads)

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


def make_sheet(rows: Mapping[str, Row], columns: Iterable[Column], leads: bool) -> Sheet:
    """Figures of `rows` under `columns`, with one unit for all columns of a group and ladder."""
    columns = tuple(columns)
    found = {label: tuple(column.figure(row) for column in columns) for label, row in rows.items()}
    together: dict[tuple[str, Ladder], list[float | None]] = {}
    for c, column in enumerate(columns):
        together.setdefault((column.group, column.ladder), []).extend(row[c] for row in found.values())
    scales = tuple(common_scale(together[c.group, c.ladder], c.ladder, c.digits) for c in columns)
    whole = tuple(
        Scale(scale.factor, scale.unit, 0) if column.ladder is COUNT and column.whole else scale
        for column, scale in zip(columns, scales, strict=True)
    )
    return Sheet(columns, whole, tuple(found.items()), leads)


def policy_label(summary: Row) -> str:
    """The policy's name as its row shows it, apart from a baseline that has the same name."""
    name = str(summary.get("policy", "policy"))
    return f"{name} (this run)" if name in summary.get("baselines", {}) else name
