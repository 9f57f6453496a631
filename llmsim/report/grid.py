"""A table of words and figures that are texts already: for the terminal, for Markdown, for the page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Literal

from llmsim.report.columns import Columns, Part
from llmsim.report.folding import fold
from llmsim.report.markup import text_table

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

EDGE, BETWEEN = 1, 2  # what rich adds to all columns, and to each
NUMBERS = "+-−±—0123456789"  # what a figure begins with, or stands for one


@dataclass(frozen=True)
class Grid:
    """A table.

    Attributes:
        title: what it shows.
        headings: of the columns.
        rows: cells, as many a row as there are headings.
        note: how to read it; empty for none.
        words: columns that say what a row is; each part of a table that is too wide begins with them.
        together: columns after those that are not torn apart, counted from the first.
        styles: of each row in the terminal; empty for none.
    """

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""
    words: int = 1
    together: int = 1
    styles: Sequence[str] = ()

    def as_markdown(self) -> str:
        """As Markdown, under a heading of the third level."""
        parts = [f"### {self.title}", markdown_table(self.headings, self.rows)]
        if self.note:
            parts.insert(1, self.note)
        return "\n\n".join(parts)

    def as_html(self) -> str:
        """As a piece of HTML, every word escaped."""
        note = f'<p class="soft">{escape(self.note)}</p>' if self.note else ""
        return f"<h2>{escape(self.title)}</h2>{note}{text_table(self.headings, self.rows)}"

    def show(self, console: Console) -> None:
        """Print it: below one another what has no room side by side, no figure and no heading torn."""
        from rich.cells import cell_len
        from rich.text import Text

        console.print(Text(self.title, style="italic"))
        of = Columns(
            self.headings, self.rows, self.words, self.together, console.width, EDGE, BETWEEN, cell_len
        )
        for part in of.parts():
            console.print(self._table(part, cell_len))
        if self.note:
            console.print(Text(self.note, style="dim italic"))

    def _table(self, part: Part, width_of: Callable[[str], int]) -> Table:
        """Some of the columns for a rich console, every cell in lines of the column's width."""
        from rich import box
        from rich.table import Table
        from rich.text import Text

        def cell(text: str, width: int) -> Text:
            """A label folded where a name may be broken, which the table itself does not know."""
            return Text("\n".join(fold(text, width, width_of)))

        table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
        for place, width in part:
            justify: Literal["left", "right"] = "left" if self._says_words(place) else "right"
            table.add_column(cell(self.headings[place], width), justify=justify, width=width, overflow="fold")
        for number, row in enumerate(self.rows):
            style = self.styles[number] if self.styles else None
            table.add_row(*(cell(row[place], width) for place, width in part), style=style)
        return table

    def _says_words(self, place: int) -> bool:
        """Whether a column reads from the left: the first, and those that say what a row is in words."""
        numbers = all(row[place][:1] in NUMBERS for row in self.rows)
        return not place or (place < self.words and not numbers)


def markdown_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells as Markdown."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
