"""The end of a sweep: what shows all of its runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from llmsim.arguments import Value
from llmsim.report.sweep_chart import RunPoint, draw_sweep, pareto
from llmsim.report.sweep_page import RunRow, SweepPage, write_page
from llmsim.sweeps.command import Command
from llmsim.sweeps.record import DONE, Record
from llmsim.sweeps.screen import main
from llmsim.sweeps.table import CSV, PARQUET, collect, varied, words, write
from llmsim.tasks.objective import BEYOND

PAGE = "report.html"
# Signs of a point's name in the plot; of a run with more to say only the number stands there.
_LONGEST_LABEL = 28


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
    found = "" if command is None else _found(command, done)
    best = {point.run for point in pareto(points)}
    page = _page(records, best, [] if command is None else command.task, found)
    write_page(page, draw_sweep(points, folder / "plots"), folder / PAGE)
    return [
        f"{len(records)} runs, {len(records) - len(done)} failed. Table: {folder / CSV} (and {PARQUET})",
        f"Page: {folder / PAGE}",
        *([found] if found else []),
    ]


def points_of(done: Sequence[Record]) -> list[RunPoint]:
    """Where each run stands that has an energy and a latency."""
    keys = varied(done)
    found = []
    for record in done:
        energy, latency = (record.figures.get(k) for k in ("energy_active_per_query_j", "latency_p99_s"))
        if energy is not None and latency is not None:
            label = " ".join(_short(record.overrides[key]) for key in keys if key in record.overrides)
            if len(label) > _LONGEST_LABEL:
                label = f"run {record.run}"
            accuracy = record.figures.get("accuracy_pct")
            found.append(RunPoint(record.run, label or str(record.run), energy, accuracy, latency))
    return found


def _short(value: Value) -> str:
    """A setting beside a point: a search tries numbers of seventeen digits."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _found(command: Command, done: Sequence[Record]) -> str:
    """The run of the least objective, of a sweep that searches or has an objective of its own."""
    searches = any("hydra/sweeper=" in word for word in command.hydra)
    if not searches and not any(word.lstrip("+").startswith("objective.") for word in command.task):
        return ""
    known = [(record.objective, record) for record in done if record.objective is not None]
    if not known:
        return "No run has an objective."
    least, best = min(known, key=lambda pair: pair[0])
    if least >= BEYOND:
        return "No run keeps the limits of objective.at_least and objective.at_most."
    return f"Least objective: run {best.run}: {words(best, varied(done))}: {main(best)}"


def _page(records: Sequence[Record], best: set[int], command: Sequence[str], found: str) -> SweepPage:
    """What the page shows: settings that vary as columns, those that do not once for all."""
    keys = varied(records)
    rows = [
        RunRow(r.run, {key: r.overrides.get(key) for key in keys}, r.figures, r.run in best)
        for r in records
        if r.status == DONE
    ]
    failed = [(str(r.run), words(r, keys), r.status, r.reason) for r in records if r.status != DONE]
    alike = {key: value for key, value in records[0].overrides.items() if key not in keys}
    return SweepPage(command, alike, rows, failed, found)
