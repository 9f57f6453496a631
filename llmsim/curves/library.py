"""From trials to the curves of a target: fitted, with their left-out error and where they come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from llmsim.curves.form import Form
from llmsim.curves.part import Part
from llmsim.curves.phase import FittedPhaseCurve
from llmsim.curves.phase_fit import (
    UNITS,
    Phased,
    end_to_end,
    fit_phases,
    generation_cells,
    no_headroom,
    phased_rows,
)
from llmsim.curves.query import FittedQueryCurve
from llmsim.curves.query_fit import TARGETS, fit_queries
from llmsim.curves.select import NoCurve, conditions, grid_rows, rows_of, source_of
from llmsim.curves.validate import LEVEL, LeftOut
from llmsim.errors import InputError
from llmsim.trials.table import Trials

__all__ = ["FittedCurve", "NoCurve", "fit"]


@dataclass(frozen=True)
class FittedCurve:
    """The curves of one target, and where they come from.

    Attributes:
        curve: what a query costs alone (no KV cache), or what the phases of a batch cost (KV cache).
        n_devices, kv_cache, precision: the conditions the trials were measured under.
        batch: the largest batch measured.
        provenance: plain data for files: source, trials' number and hash, forms, parameters, domain,
            left-out error in percent, energy scope and method.
        left_out: predictions of each part by curves that did not see the trial; empty on a curve that was
            read from a file.
    """

    curve: FittedQueryCurve | FittedPhaseCurve
    n_devices: int
    kv_cache: bool
    batch: int
    precision: str
    provenance: dict[str, Any]
    left_out: Mapping[str, LeftOut] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """`<model>@<system>x<devices>`, and `-no-cache` where there is a curve with a KV cache too."""
        p = self.provenance
        other = "-no-cache" if p["kv_cache_measured"] == "both" and not self.kv_cache else ""
        return f"{p['model']}@{p['system']}x{self.n_devices}{other}"

    def report(self) -> str:
        """lmfit's report of each part, headed by its left-out error."""
        whose = f"{self.provenance['model']} on {self.provenance['system']} x{self.n_devices}"
        whose += "" if self.provenance["kv_cache_measured"] != "both" or self.kv_cache else ", no KV cache"
        texts = []
        for name, part in self.curve.parts().items():
            error = self.provenance["curves"][name]["loco_mape_pct"]
            texts.append(f"{whose}: {name}, left-out error {error:.2f} %\n{part.report}")
        headroom = self.curve.headroom if isinstance(self.curve, FittedPhaseCurve) else None
        if headroom is not None and "report" in headroom.fit:
            errors = (headroom.fit[f"left_out_{name}_mape_pct"] for name in ("prefill_time", "energy"))
            said = "left-out error {:.2f} % of the pass, {:.2f} % of joules".format(*errors)
            texts.append(f"{whose}: headroom, {said}\n{headroom.fit['report']}")
        return "\n\n".join(texts)


def fit(
    trials: Trials,
    *,
    system: str,
    model: str,
    n_devices: int | None = None,
    kv_cache: bool | None = None,
    form: str | Form = "auto",
) -> FittedCurve:
    """The curves of a model on a system, fitted with lmfit, with their leave-one-cell-out error.

    Args:
        trials: measurements; unusable rows are left out here.
        system, model: whose.
        n_devices: the fewest measured, if None.
        kv_cache: whichever was measured, if None.
        form: of whole queries: a form's name, a form, or `auto`: chosen for each of energy and runtime, for
            all models of the system together, by leave-one-level-out. Phases have one form each.

    Raises:
        NoCurve: there are no trials of this system and model, or none that a curve can use.
        InputError: mixed conditions, too few settings, an unknown form.
    """
    rows = rows_of(trials, system, model, n_devices, kv_cache)
    of_model = trials.usable().where(system=system, model=model)
    fitted = _of_phases(rows, form) if bool(rows["kv_cache"][0]) else _of_queries(trials, rows, form)
    measured = {cached for _, cached in conditions(of_model)}
    fitted.provenance["kv_cache_measured"] = (
        "both" if len(measured) > 1 else "on" if fitted.kv_cache else "off"
    )
    return fitted


def _of_queries(trials: Trials, rows: Trials, form: str | Form) -> FittedCurve:
    """The curve of a target measured without a KV cache."""
    what = f"{rows['model'][0]} on {rows['system'][0]}"
    rows = grid_rows(rows.where(batch=1))
    if not len(rows):
        raise NoCurve(
            f"no curve for {what}: without a KV cache only trials of batch 1 give a curve; "
            "these are of larger batches."
        )
    curve, parts = fit_queries(trials, rows, form)
    errors = {name: part.left_out for name, part in parts.items()}
    provenance = _provenance(rows, parts, errors) | {"domain": curve.domain.as_dict()}
    return FittedCurve(
        curve, int(rows["n_devices"][0]), False, 1, str(rows["precision"][0]), provenance, errors
    )


def rows_behind(trials: Trials, fitted: FittedCurve) -> dict[str, Trials]:
    """The trials that each part of a fitted curve came from, in the order of its left-out predictions."""
    p = fitted.provenance
    rows = rows_of(trials, p["system"], p["model"], fitted.n_devices, fitted.kv_cache)
    if fitted.kv_cache:
        phased = Phased.of(rows)
        return {part: phased.rows_of(part) for part in fitted.left_out}
    grid = grid_rows(rows.where(batch=1))
    columns = {part: grid[TARGETS[part][0]] for part in fitted.left_out}
    return {part: grid.take(np.isfinite(column)) for part, column in columns.items()}


def _of_phases(rows: Trials, form: str | Form) -> FittedCurve:
    """The curve of a target measured with a KV cache."""
    if form != "auto":
        name = form if isinstance(form, str) else form.name
        raise InputError(
            f"curve={name}: {rows['model'][0]} on {rows['system'][0]} was measured with a KV cache and has "
            "phase curves; use curve=auto."
        )
    curve, parts, generations = fit_phases(rows)
    phased, used = Phased.of(rows), phased_rows(rows)
    errors = {name: part.left_out for name, part in parts.items()} | generations
    if not phased.apart:
        errors["runtime"] = end_to_end(phased.whole, parts)
    provenance = _provenance(used, parts, errors) | {
        "domain": curve.domains(),
        "headroom": None if curve.headroom is None else curve.headroom.described(),
        "headroom_absent_because": no_headroom(curve, phased),
        "generation_cells": generation_cells(phased),
    }
    batch = int(phased.decode["batch"].max())
    return FittedCurve(
        curve, int(rows["n_devices"][0]), True, batch, str(rows["precision"][0]), provenance, errors
    )


def _provenance(rows: Trials, parts: dict[str, Part], errors: dict[str, LeftOut]) -> dict[str, Any]:
    """Plain data that says where the curves come from and how wrong they are."""
    powered = bool({"energy", "decode_energy"} & set(parts))
    return {
        "source": source_of(rows),
        "system": str(rows["system"][0]),
        "model": str(rows["model"][0]),
        "power_cap": str(rows["power_cap"][0]),
        "experiments": rows.distinct("experiment"),
        "n_trials": len(rows),
        "trials_sha256": rows.sha256,
        "left_out_error": _left_out_error(errors),
        "left_out_by": "cell",
        "interval_level": LEVEL,
        "energy_scope": str(rows["scope"][0]) if powered else None,
        "energy_absent_because": None if powered else "no measurement",
        "method": str(rows["method"][0]),
        "curves": {name: part.described(UNITS[name]) for name, part in parts.items()},
    }


def _left_out_error(errors: Mapping[str, LeftOut]) -> dict[str, float | None]:
    """MAPE of energy and runtime, and of each phase, percent; None where there is none.

    Where phases were measured apart a query's error is at most the larger of theirs, which is what is given.
    """

    def of(*names: str) -> float | None:
        """The largest of those that there are, percent."""
        return max((errors[name].mape_pct for name in names if name in errors), default=None)

    found = {
        "energy_mape_pct": of("energy") if "energy" in errors else of("prefill_energy", "decode_energy"),
        "runtime_mape_pct": of("runtime") if "runtime" in errors else of("prefill", "decode"),
    }
    if "prefill" in errors:
        found |= {
            "prefill_time_mape_pct": of("prefill"),
            "decode_time_mape_pct": of("decode"),
            "prefill_energy_mape_pct": of("prefill_energy"),
            "decode_energy_mape_pct": of("decode_energy"),
        }
    if "generation_prefill" in errors:
        found |= {
            "generation_prefill_time_mape_pct": of("generation_prefill"),
            "generation_energy_mape_pct": of("generation_energy"),
        }
    return found
