"""Pieces of HTML, every word from outside escaped."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from llmsim.report.folding import LABEL
from llmsim.report.sheet import Sheet

UNIT = re.compile(r"(\d) (%|[µmkMGTP]?[JsW])(?!\w)")
PARTED = re.compile(r"(?<=[=,;@/])")


# Columns that stand side by side on a page of 1,200 pixels without scrolling; more stand below each other.
MOST_COLUMNS = 13


def sheet_table(sheet: Sheet, first: str) -> str:
    """Sortable tables of a sheet, one where its columns fit; units and meanings stand in the headings."""
    return "\n".join(_sheet_table(part, first) for part in sheet.parts(MOST_COLUMNS))


def _sheet_table(sheet: Sheet, first: str) -> str:
    rows = []
    strong = [' class="strong"' if column.strong else "" for column in sheet.columns]
    for r, (label, found) in enumerate(sheet.rows):
        cells = "".join(
            f'<td{strong[c]} data-value="{"" if figure is None else repr(figure)}">'
            f"{escape(sheet.cell(r, c))}</td>"
            for c, figure in enumerate(found)
        )
        best = ' class="best"' if sheet.leads and r == 0 else ""
        rows.append(f'<tr{best}><th scope="row">{name_of_row(label)}</th>{cells}</tr>')
    return _scrolling(f"<thead>{_group_row(sheet)}{_name_row(sheet, first)}</thead>", rows, "sortable")


def text_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of words, read from the left."""
    head = "".join(f'<th class="text" scope="col">{escape(name)}</th>' for name in headings)
    lines = []
    for row in rows:
        cells = "".join(f'<td class="text wide">{escape(cell)}</td>' for cell in row[1:])
        lines.append(f'<tr><th scope="row">{escape(row[0])}</th>{cells}</tr>')
    return _scrolling(f"<thead><tr>{head}</tr></thead>", lines, "words")


def name_of_row(text: str) -> str:
    """Escaped; a long one may be folded on a narrow page, between its words or after signs that part it."""
    if len(text) <= LABEL:
        return escape(text)
    return f'<span class="long">{"<wbr>".join(escape(part) for part in PARTED.split(text))}</span>'


def definitions(pairs: Iterable[tuple[str, str]]) -> str:
    """Terms and what is said of them; none for no pairs."""
    lines = "".join(f"<dt>{escape(term)}</dt><dd>{escape(text)}</dd>" for term, text in pairs)
    return f"<dl>{lines}</dl>" if lines else ""


def tile(figure: str, what: str) -> str:
    """A figure to be seen first."""
    return f'<div class="tile"><b>{spaced(figure)}</b><span>{escape(what)}</span></div>'


def picture(title: str, caption: str, files: Iterable[Path]) -> str:
    """A plot inside the page: the smallest of its files, as data."""
    smallest = min(files, key=lambda path: (path.stat().st_size, path.suffix))
    kind = {".svg": "image/svg+xml", ".png": "image/png"}[smallest.suffix]
    data = base64.b64encode(smallest.read_bytes()).decode("ascii")
    image = f'<img alt="{escape(title)}" src="data:{kind};base64,{data}">'
    told = f"<figcaption>{escape(caption)}</figcaption>"
    return f'<figure><div class="plot" tabindex="0">{image}</div>{told}</figure>'


def spaced(text: str) -> str:
    """Escaped text in which a number is not torn from its unit."""
    return escape(UNIT.sub("\\1\u00a0\\2", text))


def _scrolling(head: str, rows: Sequence[str], kind: str) -> str:
    body = "\n".join(rows)
    table = f'<table class="{kind}">{head}\n<tbody>\n{body}\n</tbody></table>'
    return f'<div class="scroll" tabindex="0">{table}</div>'


def _group_row(sheet: Sheet) -> str:
    cells = ["<td></td>"]
    for name, columns in sheet.groups():
        span = f' colspan="{len(columns)}"' if len(columns) > 1 else ""
        cells.append(f"<th{span}><span>{escape(sheet.group_title(name, columns))}</span></th>")
    return f'<tr class="groups">{"".join(cells)}</tr>'


def _name_row(sheet: Sheet, first: str) -> str:
    cells = [f'<th scope="col" data-column="0"><button type="button">{escape(first)}</button></th>']
    for _, columns in sheet.groups():
        for c, name in zip(columns, sheet.column_names(columns), strict=True):
            cells.append(
                f'<th scope="col" data-column="{c + 1}" title="{escape(sheet.columns[c].meaning)}">'
                f'<button type="button">{escape(name or "number")}</button></th>'
            )
    return f"<tr>{''.join(cells)}</tr>"
