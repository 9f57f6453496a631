"""The end of a sweep: what shows all of its runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from llmsim.report.sweep_chart import RunPoint, draw_sweep, pareto
from llmsim.report.sweep_page import RunRow, SweepPage, write_page
from llmsim.sweeps.command import Command
from llmsim.sweeps.record import DONE, Record
from llmsim.sweeps.table import CSV, PARQUET, collect, varied, words, write

PAGE = "report.html"


def finish(folder: Path) -> list[str]:
    """Write the tables, the plot and the page of a sweep.

    Returns:
        What to say of it on the screen; nothing where no run has begun.
    """
    records = collect(folder)
    if not records:
        return []
    write(records, folder)
    done = [record for record in records if record.status == DONE]
    points = points_of(done)
    command = Command.read(folder)
    page = _page(records, {point.run for point in pareto(points)}, [] if command is None else command.task)
    write_page(page, draw_sweep(points, folder / "plots"), folder / PAGE)
    return [
        f"{len(records)} runs, {len(records) - len(done)} failed. Table: {folder / CSV} (and {PARQUET})",
        f"Page: {folder / PAGE}",
    ]


def points_of(done: Sequence[Record]) -> list[RunPoint]:
    """Where each run stands that has an energy and a latency."""
    keys = varied(done)
    found = []
    for record in done:
        energy, latency = (record.figures.get(k) for k in ("energy_active_per_query_j", "latency_p99_s"))
        if energy is not None and latency is not None:
            label = " ".join(str(record.overrides[key]) for key in keys if key in record.overrides)
            accuracy = record.figures.get("accuracy_pct")
            found.append(RunPoint(record.run, label or str(record.run), energy, accuracy, latency))
    return found


def _page(records: Sequence[Record], best: set[int], command: Sequence[str]) -> SweepPage:
    keys = varied(records)
    rows = [
        RunRow(r.run, {key: r.overrides.get(key) for key in keys}, r.figures, r.run in best)
        for r in records
        if r.status == DONE
    ]
    failed = [(str(r.run), words(r, keys), r.status, r.reason) for r in records if r.status != DONE]
    alike = {key: value for key, value in records[0].overrides.items() if key not in keys}
    return SweepPage(command, alike, rows, failed)
