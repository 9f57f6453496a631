"""Which trials belong in a curve, and which may not share one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from llmsim.errors import InputError, did_you_mean
from llmsim.trials.schema import CONDITIONS
from llmsim.trials.table import Trials

GRID = "independence"


class NoCurve(InputError):
    """No trials give this system and model a curve; says why and what would give it one."""


REMEDY = "Give your own measurements with trials.path=FILE, or choose one that was measured."


def rows_of(
    trials: Trials, system: str, model: str, n_devices: int | None = None, kv_cache: bool | None = None
) -> Trials:
    """The usable trials of one target: one system, model, number of devices, and one set of conditions.

    Args:
        n_devices: the fewest that were measured, if None.
        kv_cache: whichever was measured, if None; with one where both were.

    Raises:
        NoCurve: there are none.
        InputError: the rows differ in a condition that may not be mixed.
    """
    usable = trials.usable()
    of_system = usable.where(system=system)
    if not len(of_system):
        raise NoCurve(
            f"no curve for {model} on {system}: no trials of system '{system}'. "
            f"{did_you_mean(system, usable.distinct('system'), 'system')} {REMEDY}"
        )
    rows = of_system.where(model=model)
    if not len(rows):
        known = ", ".join(of_system.distinct("model"))
        raise NoCurve(
            f"no curve for {model} on {system}: it was not measured there (measured: {known}). {REMEDY}"
        )
    cached = True if kv_cache is None and rows["kv_cache"].any() else kv_cache
    rows = _narrow(rows, "kv_cache", cached, f"{model} on {system}")
    devices = rows.distinct("n_devices")[0] if n_devices is None else n_devices
    rows = _narrow(rows, "n_devices", devices, f"{model} on {system}")
    refuse_mixed(rows, f"{model} on {system}")
    return rows


def conditions(rows: Trials) -> list[tuple[int, bool]]:
    """Numbers of devices, and with or without a KV cache, under which a model was measured, in that order."""
    measured = sorted(set(zip(rows["n_devices"].tolist(), rows["kv_cache"].tolist(), strict=True)))
    return [(int(devices), bool(cached)) for devices, cached in measured]


def _narrow(rows: Trials, name: str, value: object, what: str) -> Trials:
    """The rows with that value of a column; all where it is None. Raises NoCurve where there are none."""
    if value is None:
        return rows
    kept = rows.where(**{name: value})
    if not len(kept):
        known = ", ".join(str(known) for known in rows.distinct(name))
        raise NoCurve(f"no curve for {what} with {name} = {value}: measured with {known}. {REMEDY}")
    return kept


def grid_rows(rows: Trials) -> Trials:
    """The rows of the full grid (experiment `independence`) where there is one, else all rows."""
    grid = rows.where(experiment=GRID)
    return grid if len(grid) else rows


def refuse_mixed(rows: Trials, what: str) -> None:
    """Raise InputError when rows of one curve were measured under different conditions."""
    for name in CONDITIONS:
        # Rows without joules carry a scope too, so every condition can be held against every row.
        values = rows.distinct(name)
        if len(values) > 1:
            shown = ", ".join(str(value) for value in values)
            raise InputError(
                f"trials of {what} mix {name}: {shown}. One curve needs one {name}: "
                f"give the others a system or model name of their own, or leave them out."
            )


def refuse_unfit(measured: Any, cells: Any, parameters: int, what: str) -> None:
    """Raise InputError when trials are too few for a form, or not numbers above 0.

    Args:
        measured: joules or seconds, shape (n,).
        cells: label of each trial's setting, shape (n,).
        parameters: how many parameters the form has.
    """
    sound = np.isfinite(measured) & (measured > 0)
    if not np.all(sound):
        raise InputError(
            f"{what}: a measured value is {measured[~sound][0]}; every one must be finite and above 0."
        )
    settings = len(np.unique(cells))
    if settings <= parameters:
        raise InputError(
            f"{what}: {settings} different settings cannot determine {parameters} parameters and their "
            f"error; at least {parameters + 1} are needed."
        )


def refuse_constant(rows: Trials, names: Sequence[str], what: str) -> None:
    """Raise InputError when a column whose effect is sought has one value only."""
    for name in names:
        values = rows.distinct(name)
        if len(values) < 2:
            raise InputError(
                f"{what}: every trial has {name} = {values[0]}; its effect cannot be told. "
                f"Measure at least two levels of {name}."
            )


def source_of(rows: Trials) -> str:
    """Where the rows are from, in words."""
    return ", ".join(rows.distinct("source"))
