"""A study as its files and its screen: figures, tables, plots, a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from llmsim.report.drawing import Chart
from llmsim.report.grid import Grid
from llmsim.report.markup import picture
from llmsim.report.plots import Plot, draw_charts
from llmsim.report.write import write_json

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Study:
    """What a study found, and how it is shown.

    Attributes:
        title: what was studied.
        findings: what it says, a sentence each.
        grids: its tables.
        charts: its plots, by the name of their files.
        tables: name to records with equal keys: each a CSV file.
        summary: the content of `summary.json`.
        objective: what a sweep minimises.
    """

    title: str
    findings: Sequence[str]
    grids: Sequence[Grid]
    charts: Mapping[str, Chart]
    tables: Mapping[str, Sequence[Record]]
    summary: Mapping[str, Any]
    objective: float

    def save(self, folder: Path) -> None:
        """Write `summary.json`, a CSV file a table, the plots, and `report.html`."""
        write_json({**self.summary, "findings": list(self.findings)}, folder / "summary.json")
        for name, records in self.tables.items():
            write_csv(records, folder / f"{name}.csv")
        plots = draw_charts(self.charts, folder / "plots")
        (folder / "report.html").write_text(self.page(plots), encoding="utf-8", newline="\n")

    def show(self, console: Any) -> None:
        """Print what it says, and the tables."""
        console.print(self.title, style="bold", highlight=False)
        for sentence in self.findings:
            console.print(f"- {sentence}", highlight=False, markup=False)
        for grid in self.grids:
            console.print()
            grid.show(console)

    def as_markdown(self) -> str:
        """What it says, and the tables."""
        points = "\n".join(f"- {sentence}" for sentence in self.findings)
        return "\n\n".join([points, *(grid.as_markdown() for grid in self.grids)])

    def page(self, plots: Sequence[Plot]) -> str:
        """One file that opens offline and asks for nothing."""
        points = "".join(f"<li>{escape(sentence)}</li>" for sentence in self.findings)
        pictures = "".join(picture(plot.title, plot.caption, (plot.svg, plot.png)) for plot in plots)
        tables = "".join(grid.as_html() for grid in self.grids)
        body = (
            f"<h1>{escape(self.title)}</h1><ul>{points}</ul>"
            f'<h2>Plots</h2><div class="plots">{pictures}</div>{tables}'
        )
        style = (Path(__file__).parent / "page.css").read_text(encoding="utf-8")
        return (
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            '<meta http-equiv="Content-Security-Policy" '
            "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">\n"
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            '<link rel="icon" href="data:,">\n'
            f"<title>llmsim: {escape(self.title)}</title>\n<style>\n{style}</style>\n</head>\n"
            f"<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
        )


def write_csv(records: Sequence[Record], path: Path) -> None:
    """Records as CSV, a column for each key that any of them has; absent figures are empty."""
    import csv

    columns = list(dict.fromkeys(key for record in records for key in record))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows({**dict.fromkeys(columns), **record} for record in records)
