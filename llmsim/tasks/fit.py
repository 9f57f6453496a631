"""task=fit: trials to curves, with their errors, plots and files."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import llmsim
from llmsim.config import Config
from llmsim.curves import library
from llmsim.curves.forms import from_config
from llmsim.curves.scores import scores
from llmsim.curves.select import conditions
from llmsim.errors import InputError, did_you_mean
from llmsim.specs.hardware import Hardware
from llmsim.specs.model import Model
from llmsim.tasks.curves import trials_of
from llmsim.tasks.inputs import Progress
from llmsim.trials import Trials

SCHEMA_VERSION = 1  # of fit.json
TABLES = ("wilkins",)
# With more curves than this their plots are PNG only: drawing each takes longer than fitting it.
MOST_DRAWN_TWICE = 8


@dataclass(frozen=True)
class Fitting:
    """What a run found.

    Attributes:
        curves: each fitted curve, in the order of systems and models.
        records: one record a system, model, target and form: the content of `fit.json`.
        absent: chosen pairs that have no curves, with the reason.
        trials: what they were fitted to.
        tables: the thesis' tables as Markdown, where they were asked for.
        seconds: wall time of the fits.
    """

    curves: list[library.FittedCurve]
    records: list[dict[str, Any]]
    absent: dict[str, str]
    trials: Trials
    tables: str | None
    seconds: float

    @property
    def objective(self) -> float:
        """What a sweep minimises: the mean left-out error of the chosen forms' energy, percent."""
        errors = [
            record["loco_mape_pct"]
            for record in self.records
            if record["chosen"] and record["target"].endswith("energy")
        ]
        return sum(errors) / len(errors) if errors else float("nan")

    @property
    def notes(self) -> list[str]:
        """What the curves do not tell, once for all that have it in common."""
        whose: dict[str, list[str]] = {}
        for curve in self.curves:
            reason = curve.provenance.get("headroom_absent_because")
            if reason is not None:
                whose.setdefault(reason, []).append(curve.name)
        return [f"no headroom: {', '.join(names)}: {reason}." for reason, names in whose.items()]

    def summary(self) -> dict[str, Any]:
        """The content of `fit.json`."""
        return {
            "schema_version": SCHEMA_VERSION,
            "llmsim_version": llmsim.__version__,
            "trials_sha256": self.trials.sha256,
            "curves": self.records,
            "absent": self.absent,
            "notes": self.notes,
            "provenance": [curve.provenance for curve in self.curves],
            "timing": {"fit_s": self.seconds},
        }

    def save(self, folder: Path) -> None:
        """Write `fit.json`, `curves/*.yaml`, `plots/`, and `tables.md` where asked for."""
        from llmsim.curves import store
        from llmsim.report.fit_plots import draw
        from llmsim.report.write import write_json

        write_json(self.summary(), folder / "fit.json")
        if self.tables is not None:
            (folder / "tables.md").write_text(self.tables, encoding="utf-8")
        suffixes = (".png", ".svg") if len(self.curves) <= MOST_DRAWN_TWICE else (".png",)
        for curve in self.curves:
            store.save(curve, folder / "curves" / f"{curve.name}.yaml")
            draw(curve, library.rows_behind(self.trials, curve), folder / "plots", suffixes)

    def show(self, console: Any) -> None:
        """Print lmfit's reports, the table of errors, and what has no curves."""
        for curve in self.curves:
            console.print(curve.report(), highlight=False, markup=False, soft_wrap=True)
            console.print()
        self.show_errors(console)
        if self.tables is not None:
            console.print(self.tables, highlight=False, markup=False, soft_wrap=True)

    def show_errors(self, console: Any) -> None:
        """Print the table of errors, the headrooms, what has no curves, and the notes."""
        from llmsim.report.fit_table import render, render_headrooms

        render(self.records, self.absent, console)
        render_headrooms({curve.name: curve.provenance.get("headroom") for curve in self.curves}, console)
        for note in self.notes:
            console.print(note, highlight=False, markup=False, soft_wrap=True)


@dataclass
class Fit:
    """Fit curves to trials.

    Attributes:
        tables: `wilkins` rebuilds the tables of the thesis beside print.
    """

    tables: str | None = None

    def run(self, config: Config, progress: Progress | None = None) -> Fitting:
        """Fit and validate the chosen pairs, or all.

        Raises:
            InputError: bad trials, an unknown form, or nothing chosen that has trials.
        """
        if self.tables is not None and self.tables not in TABLES:
            raise InputError(f"task.tables={self.tables}: {did_you_mean(self.tables, TABLES, 'tables')}")
        form = from_config(config.curve)
        trials = trials_of(config)
        start = time.perf_counter()
        pairs, absent = _pairs(config, trials)
        curves = []
        for place, (system, model) in enumerate(pairs):
            if progress is not None:
                progress(f"{model} on {system}", place, len(pairs))
            rows = trials.usable().where(system=system, model=model)
            for devices, cached in conditions(rows):
                chosen = "auto" if cached else form  # phases have forms of their own, whatever was asked
                curves.append(
                    library.fit(
                        trials, system=system, model=model, n_devices=devices, kv_cache=cached, form=chosen
                    )
                )
        if progress is not None:
            progress("validation", 0, 1)
        records = list(scores(trials, set(pairs)))
        seconds = time.perf_counter() - start
        tables = None
        if self.tables is not None:
            from llmsim.report.wilkins_markdown import as_markdown

            tables = as_markdown(records)
        return Fitting(curves, records, absent, trials, tables, seconds)


def _pairs(config: Config, trials: Trials) -> tuple[list[tuple[str, str]], dict[str, str]]:
    """Chosen systems and models that have trials, and why the others have no curves."""
    usable = trials.usable()
    systems = [Hardware.from_config(*item).trials_name for item in config.hardware.items()]
    chosen = [Model.from_config(*item).trials_name for item in config.model.items()]
    pairs, absent = [], {}
    for system in systems or usable.distinct("system"):
        measured = usable.where(system=system).distinct("model")
        for model in chosen or measured:
            if model in measured:
                pairs.append((system, model))
            else:
                absent[f"{model} on {system}"] = "no trials"
        if not measured:
            absent.setdefault(system, "no trials")
    if not pairs:
        missing = "; ".join(f"{what}: {why}" for what, why in absent.items()) or "no usable rows"
        raise InputError(
            f"Nothing to fit ({missing}). Trials are of: {', '.join(usable.distinct('system'))}."
        )
    return pairs, absent
