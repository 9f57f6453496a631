"""task=characterize: measure a model on a hardware, into trials."""

from __future__ import annotations

import csv
import dataclasses
import logging
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from llmsim.backends import BACKENDS
from llmsim.config import Config
from llmsim.errors import InputError
from llmsim.measurement import design
from llmsim.measurement.campaign import Campaign, Pace, Progress, Subject
from llmsim.measurement.cell import Bench, Cell, OutOfMemory
from llmsim.measurement.contract import Meter
from llmsim.measurement.idle import measure_idle
from llmsim.measurement.journal import Journal
from llmsim.measurement.lock import backend_locks
from llmsim.measurement.progress import TimeLeft
from llmsim.measurement.rows import rows
from llmsim.measurement.stopping import Stopping, half_width_pct
from llmsim.specs.hardware import Hardware
from llmsim.specs.model import Model
from llmsim.specs.target import Target
from llmsim.tasks.fit import Fit, Fitting
from llmsim.tasks.meters import least_window_s, open_meters, power_cap
from llmsim.trials.schema import NAMES

log = logging.getLogger(__name__)

Record = dict[str, Any]

# Batch, prompt and answer: a prompt that the reading of the weights half bounds, then from so few steps that
# they leave a pass nothing to spare of the power limit to so many that a long one has all that there can be;
# more than the fewest that tell (`curves.headroom`).
GENERATIONS = (
    (1, 120, 9), (1, 250, 9), (1, 500, 13), (1, 1000, 5), (1, 1000, 25), (4, 1000, 12), (4, 1000, 60),
    (8, 1000, 40), (16, 1000, 70), (32, 900, 100),
)  # fmt: skip


@dataclass(frozen=True)
class Characterization:
    """What a campaign measured.

    Attributes:
        records: one a cell: how often, mean seconds and joules with their intervals, or why there is none.
        trials: one row a trial, in the columns of the table of trials.
        notes: what to know: meters that could not be read, idle power, where the journal is.
        finished: whether every cell is known well enough.
        fitting: the curves fitted to these trials, with their errors; None: the notes say why there is none.
    """

    records: list[Record]
    trials: list[Record]
    notes: list[str]
    finished: bool
    fitting: Fitting | None = None

    @property
    def objective(self) -> float:
        """What a sweep minimises: the widest interval of a runtime, percent."""
        known = [record["runtime_interval_pct"] for record in self.records]
        return max((width for width in known if width is not None), default=float("nan"))

    def save(self, folder: Path) -> None:
        """Write `trials.csv`, ready for `trials.path=`, `characterize.json`, and the fit's files."""
        from llmsim.report.write import write_json

        write_trials(self.trials, folder / "trials.csv")
        if self.fitting is not None:
            self.fitting.save(folder)
        write_json({"cells": self.records, "notes": self.notes}, folder / "characterize.json")

    def show(self, console: Any) -> None:
        """Print the table, the fit's errors and the notes."""
        from rich.table import Table

        table = Table(title="Measured" if self.finished else "Measured so far")
        for name in ("experiment", "batch", "tau_in", "tau_out", "repeats", "runtime", "energy", "power"):
            table.add_column(name, justify="right")
        for record in self.records:
            cells = [str(record[key]) for key in ("experiment", "batch", "tau_in", "tau_out", "repeats")]
            table.add_row(*cells, *_figures(record))
        console.print(table)
        if self.fitting is not None:
            self.fitting.show_errors(console)
        for note in self.notes:
            console.print(note, highlight=False, markup=False, soft_wrap=True)


@dataclass
class Characterize:
    """Measure a model on a hardware with a measuring backend.

    Attributes:
        design: grid, or checkerboard (half of it).
        prefill_tokens, prefill_batch: levels of passes over prompts.
        decode_context, decode_batch, steps: levels of decode steps, and how many steps a pass has.
        generation: batch, prompt and answer of each generation whose pass is told apart from its steps, from
            which passes amid steps are known; those beyond the levels above are left out. None: none are
            measured.
        tau_in, tau_out: levels of whole generations; without a KV cache they are all that is measured.
        kv_cache, precision, n_devices, max_batch: of the target.
        window_s, settle_s, per_visit: see `llmsim.measurement.campaign.Pace`.
        least, most, interval_pct: see `llmsim.measurement.stopping.Stopping`.
        journal: file of the trials; the same one is gone on with. None: outputs/campaigns/, by target.
    """

    design: str = "checkerboard"
    prefill_tokens: list[int] = field(default_factory=lambda: [1, 64, 128, 256, 512, 1024, 2048, 4096, 8192])
    prefill_batch: list[int] = field(default_factory=lambda: [1, 8])
    decode_context: list[int] = field(default_factory=lambda: [64, 512, 2048, 8128])
    decode_batch: list[int] = field(default_factory=lambda: [1, 4, 16, 32, 64, 128])
    steps: int = 16
    generation: list[list[int]] | None = field(default_factory=lambda: [list(size) for size in GENERATIONS])
    tau_in: list[int] = field(default_factory=list)
    tau_out: list[int] = field(default_factory=list)
    kv_cache: bool = True
    precision: str = "bf16"
    n_devices: int = 1
    max_batch: int = 128
    window_s: float = 2.0
    settle_s: float = 0.6
    per_visit: int = 3
    least: int = 5
    most: int = 25
    interval_pct: float = 1.0
    journal: str | None = None

    def run(self, config: Config, progress: Progress | None = None) -> Characterization:
        """Measure, or go on measuring.

        Raises:
            InputError: not one hardware and one model, a backend that does not measure, or a device that
                another campaign holds.
        """
        target = self.target(config)
        cells = self.cells(target.model)
        backend = BACKENDS.build(config.backend)
        if not hasattr(backend, "open_bench"):
            raise InputError(
                f"backend={config.backend.get('name')} measures nothing: choose one that does, such as "
                "backend=torch (pip install ./plugins/llmsim-torch)."
            )
        device = str(getattr(backend, "device", target.hardware.name))
        with backend_locks([(device, backend)]):
            found = self._measure(config, backend, target, cells, TimeLeft(progress))
        return _fitted(found, config)

    def target(self, config: Config) -> Target:
        """What is measured.

        Raises:
            InputError: not one hardware and one model.
        """
        hardware, model = _one("hardware", config.hardware), _one("model", config.model)
        return Target(
            Model.from_config(model, config.model[model]),
            Hardware.from_config(hardware, config.hardware[hardware]),
            self.n_devices,
            self.precision,
            self.kv_cache,
            self.max_batch,
        )

    def cells(self, model: Model) -> list[Cell]:
        """The cells of the design that fit the model's context.

        Raises:
            InputError: none is left, or the design is not known.
        """
        found = design.generation_cells(design.choose(self.design, self.tau_in, self.tau_out))
        if self.kv_cache:
            found += design.prefill_cells(design.choose(self.design, self.prefill_batch, self.prefill_tokens))
            found += design.decode_cells(
                design.choose(self.design, self.decode_batch, self.decode_context), self.steps
            )
            found += self._generations()
        cells = design.within(found, model.context_tokens, self.max_batch)
        if not cells:
            need = "" if self.kv_cache else " Without a KV cache, give task.tau_in and task.tau_out."
            raise InputError(f"no cell fits {model.name}'s {model.context_tokens} tokens of context.{need}")
        return cells

    def _generations(self) -> list[Cell]:
        """Passes with their steps, of prompts, batches and contexts that the levels of both phases reach."""
        found = []
        for size in self.generation or []:
            if len(size) != 3 or min(size) < 1 or size[2] < 2:
                raise InputError(
                    f"task.generation: {size}: give [batch, tau_in, tau_out], each at least 1 and tau_out at "
                    "least 2, such as [4,1000,60]."
                )
            batch, tau_in, tau_out = size
            longest, most = max(self.prefill_tokens, default=0), max(self.decode_batch, default=0)
            room = max(self.decode_context, default=0) + self.steps
            if tau_in <= longest and batch <= most and tau_in + tau_out <= room:
                found.append(Cell("generation", batch, tau_in, tau_out))
        return found

    def _measure(
        self, config: Config, backend: Any, target: Target, cells: list[Cell], progress: Progress
    ) -> Characterization:
        """Measure the cells that the journal lacks, with idle power before and after the model is loaded."""
        meters, notes = open_meters(config, backend)
        window_s = max([self.window_s, *(least_window_s(meter) for meter in meters)])
        if window_s > self.window_s:
            notes.append(f"Windows are {window_s:.1f} s long: the meter moves too seldom for shorter ones.")
        subject = self._subject(target, meters)
        path = Path(self.journal) if self.journal else _journal(subject)
        with Journal(path) as journal:
            notes += _idle(meters, journal, "bare")
            bench = opened(backend, target)
            notes += _idle(meters, journal, "model_loaded")
            campaign = Campaign(
                subject,
                journal,
                meters,
                Pace(window_s, self.settle_s, per_visit=self.per_visit),
                Stopping(self.least, self.most, self.interval_pct),
            )
            finished = campaign.run(bench, cells, np.random.default_rng(config.seed), progress)
            notes += _idle(meters, journal, "model_loaded_after")
            bench.close()
            mine = [entry for entry in journal.entries if entry.get("subject") == vars(subject)]
        for meter in meters:
            meter.close()
        notes.append(f"Journal: {path}; the same command goes on with it.")
        return Characterization(_records(mine), rows(mine), notes, finished)

    def _subject(self, target: Target, meters: list[Meter]) -> Subject:
        """Whose the trials are, as the table of trials names it."""
        return Subject(
            system=target.hardware.trials_name,
            model=target.model.trials_name,
            n_devices=target.n_devices,
            precision=target.precision,
            power_cap=power_cap(meters),
            kv_cache=target.kv_cache,
            source="characterize",
        )


def write_trials(trials: list[Record], path: Path) -> None:
    """Rows as a file that `trials.path=` takes."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, NAMES, lineterminator="\n")
        writer.writeheader()
        writer.writerows({key: _text(value) for key, value in row.items()} for row in trials)


def _fitted(found: Characterization, config: Config) -> Characterization:
    """With the curves of these trials, or a note why they have none."""
    if not found.trials:
        return found
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trials.csv"
        write_trials(found.trials, path)
        try:
            fitting = Fit().run(dataclasses.replace(config, trials={"path": str(path)}))
        except InputError as error:
            note = f"No curve yet: {str(error).replace(str(path), 'the trials')}"
            return dataclasses.replace(found, notes=[*found.notes, note])
    return dataclasses.replace(found, fitting=fitting)


def _one(group: str, chosen: dict[str, Any]) -> str:
    """The name of the only one chosen; raises InputError for none or several."""
    if len(chosen) != 1:
        raise InputError(
            f"{group}: a campaign measures one at a time; {len(chosen)} are chosen ({', '.join(chosen)}). "
            f"Choose one with {group}=NAME, or sweep with -m."
        )
    return next(iter(chosen))


def _journal(subject: Subject) -> Path:
    """Where the trials of a target are kept unless a file is named: the same target finds its own."""
    kind = "" if subject.kv_cache else "_off"
    name = f"{subject.model}@{subject.system}x{subject.n_devices}_{subject.precision}{kind}.jsonl"
    return Path("outputs") / "campaigns" / name


def opened(backend: Any, target: Target) -> Bench:
    """The target in memory.

    Raises:
        InputError: it does not fit.
    """
    try:
        bench: Bench = backend.open_bench(target)
    except OutOfMemory as error:
        raise InputError(f"{target.model.name} does not fit the memory: {error}") from error
    return bench


def _idle(meters: list[Meter], journal: Journal, state: str) -> list[str]:
    """Measure idle power into the journal, and say it; nothing where there is no meter."""
    if not meters:
        return []
    watts = measure_idle(meters, journal, state)["sum_w"]
    shown = "not had" if watts is None else f"{watts:.1f} W"
    return [f"Idle power, {state.replace('_', ' ')}: {shown}."]


def _records(entries: list[Record]) -> list[Record]:
    """A record a cell, from a journal's entries."""
    by_cell: dict[Cell, list[Record]] = {}
    for entry in entries:
        by_cell.setdefault(Cell(**entry["cell"]), []).append(entry)
    return [_record(cell, trials) for cell, trials in sorted(by_cell.items())]


def _record(cell: Cell, trials: list[Record]) -> Record:
    """Means of a cell's completed trials, seconds and joules, with their intervals in percent."""
    completed = [trial for trial in trials if trial["outcome"] == "completed"]
    seconds = [trial["runtime_s"] for trial in completed]
    joules = [trial["energy_j"] for trial in completed if trial["energy_j"] is not None]
    return {
        **vars(cell),
        "repeats": len(completed),
        "outcome": trials[-1]["outcome"],
        "runtime_s": float(np.mean(seconds)) if seconds else None,
        "runtime_interval_pct": half_width_pct(seconds) if len(seconds) > 1 else None,
        "energy_j": float(np.mean(joules)) if joules else None,
        "energy_interval_pct": half_width_pct(joules) if len(joules) > 1 else None,
        "warnings": sorted({text for trial in trials for text in trial["warnings"]}),
    }


def _figures(record: Record) -> list[str]:
    """Runtime, energy and power of a cell, as the table shows them."""
    if record["runtime_s"] is None:
        return [str(record["outcome"]), "", ""]
    within = record["runtime_interval_pct"]
    runtime = f"{record['runtime_s']:.5g} s" + ("" if within is None else f" ±{within:.2f} %")
    if record["energy_j"] is None:
        return [runtime, "absent", ""]
    interval = record["energy_interval_pct"]
    spread = "" if interval is None else f" ±{interval:.2f} %"
    return [
        runtime,
        f"{record['energy_j']:.5g} J{spread}",
        f"{record['energy_j'] / record['runtime_s']:.0f} W",
    ]


def _text(value: Any) -> Any:
    """A cell of the file as `llmsim.trials.read` takes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if isinstance(value, float) and np.isnan(value) else value
