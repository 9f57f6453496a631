"""A campaign: cells in random order, repeated until they are known, every trial kept as it ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from numpy.random import Generator

from llmsim.measurement.cell import Bench, Cell, Exercise, OutOfMemory
from llmsim.measurement.contract import Meter, Reading
from llmsim.measurement.journal import Journal
from llmsim.measurement.stopping import Stopping

SCHEMA = 1
# What a campaign reports as it goes: the cell, and repeats done and wanted over all cells.
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Subject:
    """What a campaign's trials have in common: columns of the table of trials.

    Attributes:
        system, model, n_devices, precision, power_cap, kv_cache: as in `llmsim.trials.schema`.
        source: which campaign it was.
    """

    system: str
    model: str
    n_devices: int
    precision: str
    power_cap: str
    kv_cache: bool
    source: str


@dataclass(frozen=True)
class Pace:
    """How long things take.

    Attributes:
        window_s: a trial's window, at least, s.
        settle_s: the load runs so long before a window opens: power has then settled, s.
        capped_s: and so much longer where clocks are held down by then: what holds them settles slower, s.
        per_visit: trials of a cell before another cell is visited.
        hot_c, cool_s: at this temperature, rest that long before a visit.
        deadline_s: on `time.perf_counter`; no trial begins after it. None: no end.
    """

    window_s: float = 2.0
    settle_s: float = 0.4
    capped_s: float = 0.0
    per_visit: int = 3
    hot_c: float = 85.0
    cool_s: float = 10.0
    deadline_s: float | None = None

    def over(self) -> bool:
        """Whether the time is used up."""
        return self.deadline_s is not None and time.perf_counter() >= self.deadline_s


@dataclass
class Campaign:
    """Measures the cells of one subject.

    Attributes:
        subject: what is measured.
        journal: where trials go, open; those that are there already are not repeated.
        meters: started and stopped around every window.
        pace, stopping: how long, and how often.
        marks: cells that no curve may be fitted to, with what the quality of their rows says, such as check.
        marked: how often those are measured; None: as often as the others.
    """

    subject: Subject
    journal: Journal
    meters: Sequence[Meter]
    pace: Pace = field(default_factory=Pace)
    stopping: Stopping = field(default_factory=Stopping)
    marks: Mapping[Cell, str] = field(default_factory=dict)
    marked: Stopping | None = None
    _seen: dict[Cell, list[Mapping[str, Any]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for entry in self.journal.entries:
            if entry.get("kind") == "trial" and entry["subject"] == vars(self.subject):
                self._note(entry)

    def done(self, cell: Cell) -> bool:
        """Whether a cell needs no more trials: it is known well enough, or does not fit the memory."""
        trials = self._seen.get(cell, [])
        if any(trial["outcome"] != "completed" for trial in trials):
            return True
        energy = [trial["energy_j"] for trial in trials if trial["energy_j"] is not None]
        return self._stopping(cell).enough([trial["runtime_s"] for trial in trials], energy)

    def run(
        self, bench: Bench, cells: Sequence[Cell], rng: Generator, progress: Progress | None = None
    ) -> bool:
        """Measure the cells, in an order drawn anew for each round; whether all of them are done.

        Args:
            bench: the target in memory.
            cells: what to measure; each at most once.
            rng: of the order.
            progress: told after every trial.
        """
        while todo := [cell for cell in cells if not self.done(cell)]:
            for place in rng.permutation(len(todo)):
                if self.pace.over():
                    return False
                for _ in self.visit(bench, todo[place]):
                    if progress is not None:
                        progress(str(todo[place]), *self._repeats(cells))
        return True

    def visit(self, bench: Bench, cell: Cell) -> Iterator[Mapping[str, Any]]:
        """Trials of one cell, as they end: the load settles once, then the windows follow each other."""
        self._cool()
        try:
            exercise = bench.prepare(cell)
            self._settle(exercise)
            for _ in range(self.pace.per_visit):
                if self.done(cell) or self.pace.over():
                    return
                for meter in self.meters:
                    meter.start()
                passes = exercise.run(self.pace.window_s)
                readings = [reading for meter in self.meters for reading in meter.stop()]
                energy_j, warnings = energy_of(readings, passes.seconds / passes.count)
                apart = {} if passes.prefill_s is None else {"prefill_s": passes.prefill_s / passes.count}
                yield self._keep(
                    cell,
                    outcome="completed",
                    runtime_s=passes.seconds / passes.count,
                    **apart,
                    energy_j=energy_j,
                    tokens=passes.tokens,
                    passes=passes.count,
                    readings=[_plain(reading) for reading in readings],
                    warnings=warnings,
                    conditions=bench.conditions(),
                )
        except OutOfMemory as error:
            yield self._keep(
                cell,
                outcome="out_of_memory",
                runtime_s=None,
                energy_j=None,
                warnings=[str(error)],
                conditions=bench.conditions(),
            )

    def _keep(self, cell: Cell, **found: Any) -> Mapping[str, Any]:
        entry = {
            "kind": "trial",
            "schema": SCHEMA,
            "subject": vars(self.subject),
            "cell": vars(cell),
            "repeat": len(self._seen.get(cell, [])),
            "ended_unix_s": round(time.time(), 3),
            **found,
        }
        if cell in self.marks:
            entry["mark"] = self.marks[cell]
        self.journal.append(entry)
        self._note(entry)
        return entry

    def _note(self, entry: Mapping[str, Any]) -> None:
        self._seen.setdefault(Cell(**entry["cell"]), []).append(entry)

    def _stopping(self, cell: Cell) -> Stopping:
        return self.marked if self.marked is not None and cell in self.marks else self.stopping

    def _repeats(self, cells: Sequence[Cell]) -> tuple[int, int]:
        counts = [len(self._seen.get(cell, [])) for cell in cells]
        return sum(counts), sum(
            count if self.done(cell) else max(count + 1, self._stopping(cell).least)
            for cell, count in zip(cells, counts, strict=True)
        )

    def _settle(self, exercise: Exercise) -> None:
        """Run the load until libraries have chosen, power is steady and clocks are where they will be."""
        pace = self.pace
        loaded_s = exercise.run(0.0).seconds
        if loaded_s < pace.settle_s:
            loaded_s += exercise.run(pace.settle_s).seconds
        left_s = pace.settle_s + pace.capped_s - loaded_s
        if pace.capped_s and left_s > 0 and any(item.get("throttled") for item in self._conditions()):
            exercise.run(left_s)

    def _cool(self) -> None:
        """Rest while a device is hot: heat costs joules that the cell is not to blame for."""
        hottest = max((float(item.get("temperature_c", 0.0)) for item in self._conditions()), default=0)
        if hottest >= self.pace.hot_c:
            time.sleep(self.pace.cool_s)

    def _conditions(self) -> list[Mapping[str, float | str]]:
        """What the meters say of their devices now."""
        for meter in self.meters:
            meter.start()
        return [reading.conditions for meter in self.meters for reading in meter.stop()]


def energy_of(readings: Sequence[Reading], seconds: float) -> tuple[float | None, list[str]]:
    """Joules of one execution, over all sources, and what to know about them.

    Args:
        readings: of a window of like executions, one a source.
        seconds: of one execution.

    Returns:
        None where a source has no figure: a sum without it would be short.
    """
    warnings = [f"{reading.source}: {text}" for reading in readings for text in reading.warnings]
    powers = [reading.power_w for reading in readings]
    if not powers or any(power is None for power in powers):
        return None, warnings
    return sum(power for power in powers if power is not None) * seconds, warnings


def _plain(reading: Reading) -> dict[str, Any]:
    return {**vars(reading), "conditions": dict(reading.conditions), "warnings": list(reading.warnings)}
