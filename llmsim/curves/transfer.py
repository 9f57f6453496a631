"""How a curve does on another experiment, on a whole workload, and against the noise of repeats."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llmsim.curves.choice import COLUMNS
from llmsim.curves.fitted import Fitted
from llmsim.curves.form import FloatArray
from llmsim.curves.validate import groups_of
from llmsim.trials.table import Trials

# A trial this much slower than the fastest of its setting, at no more than so many times its joules, waited
# for something rather than worked: the machine was shared.
CONTENDED_TIME_RATIO = 1.25
CONTENDED_ENERGY_RATIO = 1.15


@dataclass(frozen=True)
class Transfer:
    """Errors of a curve on trials of an experiment that it was not fitted to.

    Attributes:
        n: trials judged.
        mape_pct, median_ape_pct: mean and median absolute error as a share of what was measured, percent.
        total_pct: error of the trials' sum, percent (positive: predicted too much).
    """

    n: int
    mape_pct: float
    median_ape_pct: float
    total_pct: float


def transfer(fitted: Fitted, rows: Trials, target: str) -> Transfer | None:
    """A fitted curve's errors on the rows' energy or runtime; None where none was measured."""
    rows = rows.take(np.isfinite(rows[COLUMNS[target]]))
    if not len(rows):
        return None
    measured = rows[COLUMNS[target]]
    predicted, _ = fitted.predict(rows["tau_in"], rows["tau_out"])
    errors = 100 * np.abs(predicted / measured - 1)
    return Transfer(
        len(rows),
        float(errors.mean()),
        float(np.median(errors)),
        total_error_pct(predicted, measured),
    )


def total_error_pct(predicted: FloatArray, measured: FloatArray) -> float:
    """Error of the sum over trials, shape (n,) each, percent; positive where too much was predicted."""
    return float(100 * (predicted.sum() / measured.sum() - 1))


def contended(rows: Trials) -> NDArray[np.bool_]:
    """Trials that took much longer than another of their setting, for the same joules, shape (n,).

    Args:
        rows: trials of one target, warm-ups among them: a first call is never the faster one by itself.
    """
    out = np.zeros(len(rows), dtype=np.bool_)
    labels = groups_of(rows["tau_in"], rows["tau_out"])
    for label in np.unique(labels):
        cell = np.flatnonzero(labels == label)
        seconds, joules = rows["runtime_s"][cell], rows["energy_j"][cell]
        fastest = int(np.argmin(seconds))
        waited = seconds > CONTENDED_TIME_RATIO * seconds[fastest]
        out[cell] = waited & (joules < CONTENDED_ENERGY_RATIO * joules[fastest])
    return out


@dataclass(frozen=True)
class NoiseFloor:
    """How far repeats of one setting differ.

    Attributes:
        median_cv_pct: median over settings of the repeats' standard deviation over their mean, percent; None
            where there are no repeats, or none that are measurements.
        settings: how many settings have repeats.
        absent_because: why there is none.
    """

    median_cv_pct: float | None
    settings: int
    absent_because: str | None = None


def noise_floor(rows: Trials, target: str) -> NoiseFloor:
    """The noise of repeats in the rows' energy or runtime.

    Absent where no setting was repeated, and where repeats are copies of one figure.
    """
    rows = rows.take(np.isfinite(rows[COLUMNS[target]]))
    labels = groups_of(rows["n_devices"], rows["batch"], rows["tau_in"], rows["tau_out"])
    spreads = []
    for label in np.unique(labels):
        values = _independent(rows.take(labels == label), target)
        if len(values) > 1:
            spreads.append(100 * float(values.std(ddof=1) / values.mean()))
    if not len(rows):
        return NoiseFloor(None, 0, "no measurement")
    if not spreads:
        return NoiseFloor(None, 0, "no setting was measured twice, or its repeats are copies of one figure")
    return NoiseFloor(float(np.median(spreads)), len(spreads))


def _independent(rows: Trials, target: str) -> FloatArray:
    """The repeats of one setting; one value where they are copies of one measured power."""
    values: FloatArray = rows[COLUMNS[target]]
    if target == "energy" and len(values) > 1:
        power = values / rows["runtime_s"]
        if float(np.ptp(power)) <= 1e-9 * float(power.mean()):
            return values[:1]
    return values
