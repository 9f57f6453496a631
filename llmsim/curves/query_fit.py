"""Curves of whole queries from trials of single queries."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from llmsim.curves.choice import choose
from llmsim.curves.domain import Domain
from llmsim.curves.form import Form
from llmsim.curves.forms import AUTO, PHASE_FORMS, build
from llmsim.curves.part import Part, Sample, fit_part
from llmsim.curves.query import FittedQueryCurve
from llmsim.curves.select import refuse_constant
from llmsim.curves.validate import groups_of
from llmsim.errors import InputError
from llmsim.trials.table import Trials

TARGETS: Mapping[str, tuple[str, str]] = {"energy": ("energy_j", "J"), "runtime": ("runtime_s", "s")}


def fit_queries(trials: Trials, rows: Trials, form: str | Form) -> tuple[FittedQueryCurve, dict[str, Part]]:
    """The curve of one target's single queries, and its parts (`energy`, `runtime`).

    Args:
        trials: all trials: a form is chosen by all models of the system.
        rows: the target's usable trials at batch 1.
        form: its name, itself, or `auto`.
    """
    system = str(rows["system"][0])
    parts: dict[str, Part] = {}
    for target, (column, _) in TARGETS.items():
        measured = rows.take(np.isfinite(rows[column]))
        if len(measured):
            chosen = choose(trials, system, target) if form == AUTO else form
            parts[target] = fit_target(measured, target, build(chosen) if isinstance(chosen, str) else chosen)
    domain = Domain.of(("tau_in", "tau_out"), rows["tau_in"], rows["tau_out"])
    fitted = {name: part.fitted for name, part in parts.items()}
    return FittedQueryCurve(fitted.get("runtime"), fitted.get("energy"), domain), parts


def fit_target(rows: Trials, target: str, form: Form) -> Part:
    """One form fitted to the rows' energy or runtime, with its leave-one-cell-out predictions.

    Raises:
        InputError: the trials cannot determine the form, or the form is one of phases.
    """
    column, unit = TARGETS[target]
    what = f"{rows['model'][0]} on {rows['system'][0]}, {target}"
    if form.name in PHASE_FORMS:
        raise InputError(
            f"{what}: the form '{form.name}' is one of phases; these are trials of whole queries."
        )
    refuse_constant(rows, ("tau_in", "tau_out"), what)
    inputs = rows["tau_in"], rows["tau_out"]
    return fit_part(form, Sample(inputs, rows[column], groups_of(*inputs), unit, what))
