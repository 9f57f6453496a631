"""From trials to the curves of a target: the form chosen for its system, fitted, with its left-out error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from llmsim.curves import fitting
from llmsim.curves.choice import choose
from llmsim.curves.domain import Domain
from llmsim.curves.form import Form
from llmsim.curves.forms import build
from llmsim.curves.query import Fitted, FittedQueryCurve
from llmsim.curves.select import NoCurve, grid_rows, refuse_unfit, rows_of, source_of
from llmsim.curves.validate import LEVEL, LeftOut, groups_of, leave_out
from llmsim.errors import InputError
from llmsim.trials.table import Trials

__all__ = ["FittedCurve", "NoCurve", "fit", "fit_target"]

TARGETS = {"energy": ("energy_j", "J"), "runtime": ("runtime_s", "s")}


@dataclass(frozen=True)
class FittedCurve:
    """The curves of one target, and where they come from.

    Attributes:
        curve: what a query costs.
        n_devices, kv_cache, batch, precision: the conditions the trials were measured under.
        provenance: plain data for files: source, trials' number and hash, forms, parameters, domain,
            left-out error in percent, energy scope and method.
    """

    curve: FittedQueryCurve
    n_devices: int
    kv_cache: bool
    batch: int
    precision: str
    provenance: dict[str, Any]

    def report(self) -> str:
        """lmfit's report of each fit, and its left-out error."""
        parts = []
        for target in TARGETS:
            fitted: Fitted | None = getattr(self.curve, target)
            if fitted is None:
                continue
            error = self.provenance["left_out_error"][f"{target}_mape_pct"]
            head = f"{self.provenance['model']} on {self.provenance['system']}: {target}"
            parts.append(f"{head}, left-out error {error:.2f} %\n{fitted.report}")
        return "\n\n".join(parts)


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
        form: a form's name, a form, or `auto`: chosen for each target for all models of the system together
            by leave-one-level-out.

    Raises:
        NoCurve: there are no trials, or none that a curve of whole queries can use.
        InputError: mixed conditions, too few settings, an unknown form.
    """
    rows = grid_rows(rows_of(trials, system, model, n_devices, kv_cache))
    rows = rows.where(batch=1)
    if not len(rows) or bool(rows["kv_cache"][0]):
        raise NoCurve(
            f"no curve for {model} on {system}: its trials are of batches with a KV cache, which need phase "
            "curves. Choose a hardware whose trials are of single queries."
        )
    fits: dict[str, tuple[Fitted, LeftOut]] = {}
    for target, (column, _) in TARGETS.items():
        measured = rows.take(np.isfinite(rows[column]))
        if len(measured):
            chosen = choose(trials, system, target) if form == "auto" else form
            built = build(chosen) if isinstance(chosen, str) else chosen
            fits[target] = fit_target(measured, target, built)
    if not fits:
        raise NoCurve(f"no curve for {model} on {system}: its trials have neither joules nor seconds.")
    domain = Domain.of(("tau_in", "tau_out"), rows["tau_in"], rows["tau_out"])
    curves = {target: fitted for target, (fitted, _) in fits.items()}
    curve = FittedQueryCurve(curves.get("runtime"), curves.get("energy"), domain)
    return FittedCurve(
        curve,
        int(rows["n_devices"][0]),
        False,
        1,
        str(rows["precision"][0]),
        _provenance(rows, fits, domain),
    )


def fit_target(rows: Trials, target: str, form: Form) -> tuple[Fitted, LeftOut]:
    """One form fitted to the rows' energy or runtime, and its leave-one-cell-out predictions."""
    column, unit = TARGETS[target]
    what = f"{rows['model'][0]} on {rows['system'][0]}, {target}"
    tau_in, tau_out, measured = rows["tau_in"], rows["tau_out"], rows[column]
    refuse_unfit({"tau_in": tau_in, "tau_out": tau_out}, measured, len(form.parameters()), what)
    design = form.design(tau_in, tau_out)
    best = fitting.fit(form, design, measured, unit)
    left_out = leave_out(form, design, measured, best.theta, groups_of(tau_in, tau_out))
    if not np.all(np.isfinite(left_out.predicted)):
        raise InputError(f"{what}: the form '{form.name}' cannot be fitted to these trials.")
    return Fitted(form, best.theta, best.covariance, left_out.scatter(), best.report), left_out


def _provenance(rows: Trials, fits: dict[str, tuple[Fitted, LeftOut]], domain: Domain) -> dict[str, Any]:
    """Plain data that says where the curves come from and how wrong they are."""
    errors: dict[str, float | None] = {}
    described = {}
    for target, (_, unit) in TARGETS.items():
        errors[f"{target}_mape_pct"] = fits[target][1].mape_pct if target in fits else None
        if target in fits:
            described[target] = _described(fits[target], unit)
    return {
        "source": source_of(rows),
        "system": str(rows["system"][0]),
        "model": str(rows["model"][0]),
        "power_cap": str(rows["power_cap"][0]),
        "experiments": rows.distinct("experiment"),
        "n_trials": len(rows),
        "trials_sha256": rows.sha256,
        "domain": domain.as_dict(),
        "left_out_error": errors,
        "left_out_by": "cell",
        "interval_level": LEVEL,
        "energy_scope": str(rows["scope"][0]) if "energy" in fits else None,
        "method": str(rows["method"][0]),
        "curves": described,
    }


def _described(fitted: tuple[Fitted, LeftOut], unit: str) -> dict[str, Any]:
    curve, left_out = fitted
    return {
        "form": curve.form.name,
        "parameters": {
            parameter.name: {
                "value": float(value),
                "stderr": float(error),
                "unit": parameter.unit.format(y=unit),
            }
            for parameter, value, error in zip(
                curve.form.parameters(), curve.theta, np.sqrt(np.diag(curve.covariance)), strict=True
            )
        },
        "n": len(left_out.measured),
        "loco_mape_pct": left_out.mape_pct,
        "loco_median_ape_pct": left_out.median_ape_pct,
        "loco_r2": left_out.r2,
        "interval_coverage_pct": 100.0 * float(left_out.covered().mean()),
        "interval_half_width_pct": float(np.median(left_out.half_widths_pct())),
    }
