"""A table of words and numbers that sorts by the heading that is pressed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from llmsim.report.markup import name_of_row

_TEXT = ' class="text"'


@dataclass(frozen=True)
class Cell:
    """What stands in a cell, and the number that it sorts by; None sorts by the text, NaN comes last."""

    text: str
    number: float | None = None


@dataclass(frozen=True)
class Heading:
    """What stands over a column, and what it means."""

    text: str
    meaning: str = ""


def sortable_table(
    headings: Sequence[Heading], rows: Iterable[Sequence[Cell]], marked: Iterable[int] = ()
) -> str:
    """The table as HTML; the first column stays in sight.

    Args:
        headings: one a column.
        rows: cells, one a column.
        marked: numbers of the rows that are set apart.
    """
    rows = list(rows)
    texts = [bool(rows) and all(row[c].number is None for row in rows) for c in range(len(headings))]
    head = "".join(
        f'<th{_TEXT if texts[c] else ""} scope="col" data-column="{c}" title="{escape(heading.meaning)}">'
        f'<button type="button">{escape(heading.text)}</button></th>'
        for c, heading in enumerate(headings)
    )
    apart = set(marked)
    lines = []
    for number, (first, *cells) in enumerate(rows):
        best = ' class="best"' if number in apart else ""
        label = f'<th scope="row"{_value(first)}>{name_of_row(first.text)}</th>'
        lines.append(f"<tr{best}>{label}{''.join(map(_cell, cells))}</tr>")
    body = "\n".join(lines)
    table = f'<table class="sortable"><thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table>'
    return f'<div class="scroll" tabindex="0">{table}</div>'


def _cell(cell: Cell) -> str:
    kind = _TEXT if cell.number is None else ""
    return f"<td{kind}{_value(cell)}>{escape(cell.text)}</td>"


def _value(cell: Cell) -> str:
    if cell.number is None:
        return ""
    return f' data-value="{"" if cell.number != cell.number else repr(cell.number)}"'
