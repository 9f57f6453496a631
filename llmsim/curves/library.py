"""From trials to the curves of a target: fitted, with their left-out error and where they come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from llmsim.curves.form import Form
from llmsim.curves.part import Part
from llmsim.curves.phase import FittedPhaseCurve
from llmsim.curves.phase_fit import UNITS, end_to_end, fit_phases
from llmsim.curves.query import FittedQueryCurve
from llmsim.curves.query_fit import fit_queries
from llmsim.curves.select import NoCurve, grid_rows, rows_of, source_of
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

    def report(self) -> str:
        """lmfit's report of each part, headed by its left-out error."""
        whose = f"{self.provenance['model']} on {self.provenance['system']} x{self.n_devices}"
        texts = []
        for name, part in self.curve.parts().items():
            error = self.provenance["curves"][name]["loco_mape_pct"]
            texts.append(f"{whose}: {name}, left-out error {error:.2f} %\n{part.report}")
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
    if bool(rows["kv_cache"][0]):
        return _of_phases(rows, form)
    rows = grid_rows(rows.where(batch=1))
    if not len(rows):
        raise NoCurve(
            f"no curve for {model} on {system}: without a KV cache only trials of batch 1 give a curve; "
            "these are of larger batches."
        )
    curve, parts = fit_queries(trials, rows, form)
    errors = {name: part.left_out for name, part in parts.items()}
    provenance = _provenance(rows, parts, errors) | {"domain": curve.domain.as_dict()}
    return FittedCurve(
        curve, int(rows["n_devices"][0]), False, 1, str(rows["precision"][0]), provenance, errors
    )


def rows_behind(trials: Trials, fitted: FittedCurve) -> Trials:
    """The trials that a fitted curve came from, in the order of its left-out predictions."""
    p = fitted.provenance
    rows = rows_of(trials, p["system"], p["model"], fitted.n_devices, fitted.kv_cache)
    return phased_rows(rows) if fitted.kv_cache else grid_rows(rows.where(batch=1))


def phased_rows(rows: Trials) -> Trials:
    """The rows that state both phases."""
    return rows.take(np.isfinite(rows["prefill_s"]) & np.isfinite(rows["decode_step_s"]))


def _of_phases(rows: Trials, form: str | Form) -> FittedCurve:
    if form != "auto":
        name = form if isinstance(form, str) else form.name
        raise InputError(
            f"curve={name}: {rows['model'][0]} on {rows['system'][0]} was measured with a KV cache and has "
            "phase curves; use curve=auto."
        )
    curve, parts = fit_phases(rows)
    phased = phased_rows(rows)
    errors = {name: part.left_out for name, part in parts.items()}
    errors["runtime"] = end_to_end(phased, parts)
    provenance = _provenance(phased, parts, errors) | {"domain": curve.domain.as_dict()}
    batch = int(phased["batch"].max())
    return FittedCurve(
        curve, int(rows["n_devices"][0]), True, batch, str(rows["precision"][0]), provenance, errors
    )


def _provenance(rows: Trials, parts: dict[str, Part], errors: dict[str, LeftOut]) -> dict[str, Any]:
    """Plain data that says where the curves come from and how wrong they are."""
    return {
        "source": source_of(rows),
        "system": str(rows["system"][0]),
        "model": str(rows["model"][0]),
        "power_cap": str(rows["power_cap"][0]),
        "experiments": rows.distinct("experiment"),
        "n_trials": len(rows),
        "trials_sha256": rows.sha256,
        "left_out_error": {
            f"{target}_mape_pct": errors[target].mape_pct if target in errors else None
            for target in ("energy", "runtime")
        },
        "left_out_by": "cell",
        "interval_level": LEVEL,
        "energy_scope": str(rows["scope"][0]) if "energy" in parts else None,
        "energy_absent_because": None if "energy" in parts else "no measurement",
        "method": str(rows["method"][0]),
        "curves": {name: part.described(UNITS[name]) for name, part in parts.items()},
    }
