"""Which form a system's curves take: one for each target, for all its models together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from llmsim.curves import fitting
from llmsim.curves.forms import CANDIDATES, build
from llmsim.curves.select import grid_rows
from llmsim.curves.validate import leave_level_out
from llmsim.errors import InputError
from llmsim.trials.table import Trials

# Choices worked out beforehand for trials that have not changed; `write_choices` makes it.
FILE = Path(__file__).parents[1] / "data" / "curves" / "choices.yaml"
# The column of trials that each target is fitted to.
COLUMNS: Mapping[str, str] = {"energy": "energy_j", "runtime": "runtime_s"}


@dataclass(frozen=True)
class Choice:
    """What leave-one-level-out said.

    Attributes:
        form: the chosen form's name.
        mape_pct: each candidate's left-out error, percent, the mean over the system's models.
    """

    form: str
    mape_pct: dict[str, float]


def choose(trials: Trials, system: str, target: str) -> str:
    """The name of the form with the least leave-one-level-out error over all the system's models.

    Looked up where these very trials were judged before, else worked out.
    """
    rows = _system_rows(trials, system)
    known = _known().get(rows.sha256, {}).get(target)
    return str(known["form"]) if known else compare(trials, system, target).form


def compare(trials: Trials, system: str, target: str) -> Choice:
    """Every candidate form's leave-one-level-out error on the system, and the least."""
    rows = _system_rows(trials, system)
    rows = rows.take(np.isfinite(rows[COLUMNS[target]]))
    errors: dict[str, list[float]] = {name: [] for name in CANDIDATES}
    for model in rows.distinct("model"):
        of_model = grid_rows(rows.where(model=model))
        for name in CANDIDATES:
            error = _level_error(of_model, target, name)
            if np.isfinite(error):
                errors[name].append(error)
    means = {name: float(np.mean(values)) for name, values in errors.items() if values}
    if not means:
        raise InputError(
            f"no form can be chosen for {target} on {system}: no model has enough settings "
            "(at least 7, over two levels of tau_in and of tau_out)."
        )
    return Choice(min(means, key=lambda name: means[name]), means)


def _level_error(rows: Trials, target: str, name: str) -> float:
    """Leave-one-level-out MAPE of one form on one model's rows, percent; NaN when it cannot be fitted."""
    form = build(name)
    tau_in, tau_out, measured = rows["tau_in"], rows["tau_out"], rows[COLUMNS[target]]
    if len(np.unique(np.stack([tau_in, tau_out]), axis=1).T) <= len(form.parameters()) + 1:
        return float("nan")
    design = form.design(tau_in, tau_out)
    theta = fitting.fit(form, design, measured, "").theta
    return leave_level_out(form, design, measured, theta, [tau_in, tau_out])


def _system_rows(trials: Trials, system: str) -> Trials:
    """The usable single queries of a system: what its forms are chosen by."""
    return trials.usable().where(system=system, kv_cache=False, batch=1)


def _known() -> dict[str, Any]:
    """Choices worked out beforehand: trials' hash to target to form."""
    if not FILE.exists():
        return {}
    import yaml  # type: ignore[import-untyped]

    loaded: dict[str, Any] = yaml.load(FILE.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return loaded


def write_choices(trials: Trials, path: Path = FILE) -> None:
    """Write the choices for every system of single queries in the trials."""
    import yaml

    single = trials.usable().where(kv_cache=False, batch=1)
    choices: dict[str, Any] = {}
    for system in single.distinct("system"):
        entry: dict[str, Any] = {"system": system}
        for target in COLUMNS:
            choice = compare(trials, system, target)
            errors = {name: round(error, 3) for name, error in choice.mape_pct.items()}
            entry[target] = {"form": choice.form, "leave_one_level_out_mape_pct": errors}
        choices[_system_rows(trials, system).sha256] = entry
    path.parent.mkdir(parents=True, exist_ok=True)
    head = "# The form of each system's curves, by leave-one-level-out; keyed by the trials' hash.\n"
    path.write_text(head + yaml.safe_dump(choices, sort_keys=False))
