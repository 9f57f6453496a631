"""A run of a sweep in one line of the screen."""

from __future__ import annotations

from collections.abc import Sequence

from llmsim.report import figures
from llmsim.sweeps.record import DONE, Record
from llmsim.sweeps.table import words

# Reasons that the end of a sweep tells, and runs that it names for each.
_MOST_REASONS, _MOST_NAMED = 20, 12


def failures(failed: Sequence[Record], where: str) -> list[str]:
    """The runs that are not done, together where they failed alike.

    Args:
        where: the file that has all of them.
    """
    alike: dict[str, list[str]] = {}
    for record in failed:
        alike.setdefault(f"{record.status}: {record.reason}", []).append(str(record.run))
    lines = []
    for reason, runs in list(alike.items())[:_MOST_REASONS]:
        more = f" and {len(runs) - _MOST_NAMED} more" if len(runs) > _MOST_NAMED else ""
        lines.append(f"run{'s' * (len(runs) > 1)} {', '.join(runs[:_MOST_NAMED])}{more} {reason}")
    if len(alike) > _MOST_REASONS:
        lines.append(f"and {len(alike) - _MOST_REASONS} more reasons")
    return [*lines, f"All of them: {where}"] if lines else []


def line(record: Record, kept: bool = False) -> str:
    """The run's number and words, and its main figures or why it failed; whether it was done before."""
    told = words(record)
    if record.status != DONE:
        return f"run {record.run}: {told}: {record.status}: {record.reason}"
    return f"run {record.run}: {told}: {main(record)}{' (kept)' * kept}"


def main(record: Record) -> str:
    """The main figures of a run that is done."""
    found = record.figures
    parts = [
        f"{figures.energy(found['energy_active_j'])} active" if found.get("energy_active_j") else "",
        f"{figures.percent(found['accuracy_pct'])} accuracy" if found.get("accuracy_pct") else "",
        f"p99 {figures.seconds(found['latency_p99_s'])}" if found.get("latency_p99_s") else "",
    ]
    shown = [part for part in parts if part] or [f"objective {figures.number(record.objective)}"]
    return ", ".join(shown)
