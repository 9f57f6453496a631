"""How pieces of work were grouped into windows of the meters, and what of them was no work."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from statistics import median
from typing import Any

from llmsim.measurement.grouped import IDLE_UNKNOWN
from llmsim.measurement.journalled import Name, name_of

Entry = Mapping[str, Any]
# What entries of one window have in common.
_SHARED = ("window_s", "idle_s", "idle_j", "members")


@dataclass(frozen=True)
class Windows:
    """Of the windows of a journal, one entry each.

    Attributes:
        pieces: of work in each.
        seconds: length, s.
        idle_s: seconds in which none ran.
        counted_j, idle_j: joules counted, and taken off for these seconds; None: no figure, or the journal
            was cut off among its entries.
        assumed: whether the idle power was not known in any, and taken for the mean power.
    """

    pieces: tuple[int, ...]
    seconds: tuple[float, ...]
    idle_s: tuple[float, ...]
    counted_j: tuple[float | None, ...]
    idle_j: tuple[float | None, ...]
    assumed: bool = False

    @classmethod
    def of(cls, entries: Sequence[Entry]) -> Windows:
        """From a journal's entries."""
        groups = _by_window([entry for entry in entries if entry["kind"] == "joules"])
        active = [_sum_j(group) for group in groups]
        idle_j = [group[0].get("idle_j") for group in groups]
        counted = [
            None if work is None or idle is None else work + idle
            for work, idle in zip(active, idle_j, strict=True)
        ]
        return cls(
            tuple(len(group) for group in groups),
            tuple(group[0]["window_s"] for group in groups),
            tuple(group[0]["idle_s"] for group in groups),
            tuple(counted),
            tuple(idle_j),
            any(IDLE_UNKNOWN in group[0]["warnings"] for group in groups),
        )

    def said(self) -> str:
        """In words; '' where there are none."""
        if not self.pieces:
            return ""
        total_s = math.fsum(self.seconds)
        text = (
            f"Joules were counted in {len(self.pieces):,} windows of {min(self.seconds):.1f} to "
            f"{max(self.seconds):.1f} s, {total_s:.1f} s together, with {min(self.pieces)} to "
            f"{max(self.pieces)} pieces of work (median {median(self.pieces):g}), among which the joules of "
            f"each are divided by seconds. Nothing ran in {math.fsum(self.idle_s) / total_s:.1%} of that time"
        )
        known = [
            (idle, counted)
            for idle, counted in zip(self.idle_j, self.counted_j, strict=True)
            if idle is not None and counted is not None
        ]
        counted_j = math.fsum(counted for _, counted in known)
        if not counted_j:
            return f"{text}."
        off_j = math.fsum(idle for idle, _ in known)
        how = " (the idle power is not known: at each window's mean power)" if self.assumed else ""
        return f"{text}, for which {off_j:.4g} J were taken off{how}, {off_j / counted_j:.1%} of all joules."


def _by_window(joules: Sequence[Entry]) -> list[Sequence[Entry]]:
    """Entries of each window. They follow each other, but for those that a kill has cut off."""
    found: list[Sequence[Entry]] = []
    for (*_, members), same in groupby(joules, key=lambda entry: tuple(map(entry.get, _SHARED))):
        alike = list(same)
        found += [alike[place : place + members] for place in range(0, len(alike), members)]
    return found


def _sum_j(window: Sequence[Entry]) -> float | None:
    """Joules of a window's pieces; None: those of some are not known."""
    joules = [entry["energy_j"] for entry in window]
    if len(joules) < window[0]["members"] or None in joules:
        return None
    return math.fsum(joules)


def overhead(entries: Sequence[Entry]) -> str:
    """How much of the pieces' time on the wall clock was no work of the engine's; '' where there is none.

    What a run did before it was broken off, and did anew, is not in it.
    """
    work: dict[Name, Entry] = {}
    for entry in entries:
        if entry["kind"] == "work":
            work[name_of(entry)] = entry["took"]
        elif entry["kind"] == "set_aside":
            run, deployment, first = name_of(entry)
            work = {
                name: one for name, one in work.items() if name[:2] != (run, deployment) or name[2] < first
            }
    took = [one for one in work.values() if "busy_s" in one]
    total_s = math.fsum(one["runtime_s"] for one in took)
    if not total_s:
        return ""
    rest_s = total_s - math.fsum(one["busy_s"] for one in took)
    return (
        f"On the wall clock {rest_s:.4g} s of {total_s:.4g} s of service, {rest_s / total_s:.2%}, went by "
        "between pieces of work."
    )
