"""A run at a glance in the terminal: the policy beside its baselines, its deployments, what to know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llmsim.report import notes, rows
from llmsim.report.folding import LABEL, fold
from llmsim.report.note import Note
from llmsim.report.sheet import SHEETS, Sheet

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

BETWEEN = 2
"""Blanks between two columns."""

_PLAIN = str.maketrans({"—": "-", "−": "-", "×": "x", "µ": "u", "«": '"', "»": '"', "…": "...", "─": "-"})


def render(summary: Mapping[str, Any], console: Console) -> None:
    """Print the tables and notes of a run.

    A wide console shows the comparison as one table; a narrower one as two, energy and time; a narrow one
    splits these between groups of columns that belong together. Nothing is left out.

    Args:
        summary: the content of ``summary.json``.
        console: where to print; it has no colours when it is not a terminal.
    """
    from rich.text import Text

    tables = [rows.columns_of(sheet, detail=False) for sheet in SHEETS]
    compared = [rows.comparison(summary, [column for table in tables for column in table])]
    parts = rows.deployments(summary)
    if len(_grids(compared, "policy", console)) > 1:
        sheets = [rows.comparison(summary, columns) for columns in tables]
        compared = [sheet for sheet in sheets if sheet.columns]
    grids = _grids(compared, "policy", console)
    console.print()
    console.print(Text(_shown(title(summary), console), style="bold"), highlight=False)
    for grid in grids + _grids([parts], "deployment", console):
        console.print()
        for line, style in grid.lines():
            text = Text(_shown(line.rstrip(), console), style=style)
            for start, end in grid.strong():
                text.stylize("bold", start, end)
            console.print(text, highlight=False, soft_wrap=True)
    console.print()
    console.print(_notes(notes.all_notes(summary, (*compared, parts)), console))


def cell_width(text: str) -> int:
    """Columns of the terminal that `text` takes: two for a wide character."""
    from rich.cells import cell_len

    return cell_len(text)


def title(summary: Mapping[str, Any]) -> str:
    """Who was served by what: one line."""
    from llmsim.report.figures import count

    settings = summary.get("policy_settings") or {}
    said = f" (zeta {settings['zeta']:g})" if isinstance(settings.get("zeta"), int | float) else ""
    workload = (summary.get("workload") or {}).get("name", "workload")
    served, queries = count(summary.get("served")), count(summary.get("queries"))
    return f"{summary.get('policy')}{said} on {workload}: {served} of {queries} queries served"


def _grids(sheets: Sequence[Sheet], first: str, console: Console) -> list[Grid]:
    """The sheets as grids no wider than the console; long labels are folded where that makes fewer."""
    names = {label for sheet in sheets for label in [first, *(row[0] for row in sheet.rows)]}
    found: list[list[Grid]] = []
    for folded in (console.width, LABEL):
        most = min(folded, max(12, console.width * 2 // 5))
        labels = max(cell_width(line) for name in names for line in fold(name, most, cell_width))
        found.append([grid for sheet in sheets for grid in _split(sheet, first, labels, console.width)])
    return min(found, key=len)


def _split(sheet: Sheet, first: str, labels: int, room: int) -> list[Grid]:
    """The sheet as grids no wider than `room`, split between groups of columns."""
    grids: list[Grid] = []
    used = room
    for group in sheet.groups():
        grid = Grid(sheet, first, labels, [group])
        need = grid.width() - labels
        if used + need > room:
            grids.append(grid)
            used = labels + need
        else:
            grids[-1].groups.append(group)
            used += need
    return grids


@dataclass
class Grid:
    """Some groups of a sheet's columns, laid out as lines of text.

    Attributes:
        first: what heads the column of labels.
        labels: width of that column; a longer label is folded.
        groups: names of groups and the indices of their columns.
    """

    sheet: Sheet
    first: str
    labels: int
    groups: list[tuple[str, list[int]]]

    def width(self) -> int:
        """Width of a full line."""
        return self.labels + sum(BETWEEN + self._span(name, columns) for name, columns in self.groups)

    def lines(self) -> list[tuple[str, str]]:
        """Every line with its style."""
        blank = " " * self.labels
        top = blank + "".join(" " * BETWEEN + self._heading(*group) for group in self.groups)
        names = self.first.ljust(self.labels) + "".join(self._names(*group) for group in self.groups)
        rule = "─" * self.width()
        lines = [(top, "bold"), (names, "bold"), (rule, "dim")]
        for r, (label, _) in enumerate(self.sheet.rows):
            best = self.sheet.leads and r == 0
            style = "bold green" if best else ""
            start, *more = fold(label, self.labels, cell_width)
            cells = "".join(self._cells(r, *group) for group in self.groups)
            lines.append((start + " " * (self.labels - cell_width(start)) + cells, style))
            lines += [(line, style) for line in more]
            if best and len(self.sheet.rows) > 1:
                lines.append((rule, "dim"))
        return lines

    def strong(self) -> list[tuple[int, int]]:
        """Where in a line the groups stand that hold a figure to look at first."""
        found, at = [], self.labels
        for name, columns in self.groups:
            end = at + BETWEEN + self._span(name, columns)
            if any(self.sheet.columns[column].strong for column in columns):
                found.append((at, end))
            at = end
        return found

    def _widths(self, columns: list[int]) -> list[int]:
        rows = range(len(self.sheet.rows))
        return [
            max([len(name), *(len(self.sheet.cell(r, column)) for r in rows)])
            for name, column in zip(self.sheet.column_names(columns), columns, strict=True)
        ]

    def _span(self, name: str, columns: list[int]) -> int:
        inner = sum(self._widths(columns)) + BETWEEN * (len(columns) - 1)
        return max(len(self.sheet.group_title(name, columns)), inner)

    def _heading(self, name: str, columns: list[int]) -> str:
        title, span = self.sheet.group_title(name, columns), self._span(name, columns)
        return f" {title} ".center(span, "─")[:span] if 2 + len(title) <= span else title.rjust(span)

    def _names(self, name: str, columns: list[int]) -> str:
        return self._line(name, columns, self.sheet.column_names(columns))

    def _cells(self, row: int, name: str, columns: list[int]) -> str:
        return self._line(name, columns, [self.sheet.cell(row, column) for column in columns])

    def _line(self, name: str, columns: list[int], texts: list[str]) -> str:
        cells = [text.rjust(width) for width, text in zip(self._widths(columns), texts, strict=True)]
        return " " * BETWEEN + (" " * BETWEEN).join(cells).rjust(self._span(name, columns))


def _notes(told: list[Note], console: Console) -> Table:
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, BETWEEN, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    last = ""
    for note in told:
        style = "bold yellow" if note.grave else "dim"
        about = "" if note.about == last else note.about
        text = Text(_shown(note.text, console), style="yellow" if note.grave else "")
        grid.add_row(Text(about, style=style), text)
        last = note.about
    return grid


def _shown(text: str, console: Console) -> str:
    """`text` in what the console can encode, without control characters that move the cursor."""
    text = "".join(" " if ch != "\n" and (ord(ch) < 32 or 127 <= ord(ch) < 160) else ch for ch in text)
    encoding = console.encoding
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        text = text.translate(_PLAIN).encode(encoding, "replace").decode(encoding)
    return text
