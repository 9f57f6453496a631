"""A table of words and figures that are texts already: for the terminal, for Markdown, for the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from llmsim.report.markup import text_table

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True)
class Grid:
    """A table.

    Attributes:
        title: what it shows.
        headings: of the columns.
        rows: cells, as many a row as there are headings.
        note: how to read it; empty for none.
    """

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""

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

    def as_table(self) -> Table:
        """For a rich console."""
        from rich import box
        from rich.table import Table

        table = Table(
            box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), title=self.title, title_justify="left",
            caption=self.note or None, caption_justify="left",
        )  # fmt: skip
        for place, heading in enumerate(self.headings):
            table.add_column(heading, justify="right" if place else "left", no_wrap=not place)
        for row in self.rows:
            table.add_row(*row)
        return table


def markdown_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells as Markdown."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
