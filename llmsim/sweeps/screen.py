"""A run of a sweep in one line of the screen."""

from __future__ import annotations

from llmsim.report import figures
from llmsim.sweeps.record import DONE, Record
from llmsim.sweeps.table import words


def line(record: Record) -> str:
    """The run's number and words, and its main figures or why it failed."""
    told = words(record)
    if record.status != DONE:
        return f"run {record.run}: {told}: {record.status}: {record.reason}"
    found = record.figures
    parts = [
        f"{figures.energy(found['energy_active_j'])} active" if found.get("energy_active_j") else "",
        f"{figures.percent(found['accuracy_pct'])} accuracy" if found.get("accuracy_pct") else "",
        f"p99 {figures.seconds(found['latency_p99_s'])}" if found.get("latency_p99_s") else "",
    ]
    shown = [part for part in parts if part] or [f"objective {figures.number(record.objective)}"]
    return f"run {record.run}: {told}: {', '.join(shown)}"
