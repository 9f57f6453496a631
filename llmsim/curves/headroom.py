"""What a board draws above its power limit for a while: passes amid steps are quicker than passes on end.

A pass over long prompts, repeated on end, runs at the board's power limit and at the clocks that this leaves.
The limit holds for the mean of some tenths of a second, though, and decode steps draw less. So a board has
joules to spare: what it draws below the limit adds to them, up to a budget; what it draws above takes from
them. While there are some, a pass runs at full clocks; when there are none, as it does on end.

On one H200, Llama-2 7B in bf16, a pass over 1,000 tokens takes 23.9 ms on end, and 19.8 ms amid steps of 8 or
of 24 queries, as long as they leave the mean power below 690 W; the first three passes after a rest, too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from llmsim.curves.fitted import Fitted
from llmsim.curves.form import FloatArray, IntArray
from llmsim.curves.prefill import Prefill

if TYPE_CHECKING:
    import lmfit

# Parameters of `Prefill` that are of the work, which clocks act on: prompt, linear, quadratic.
OF_WORK = slice(1, 4)
# Settings that tell three parameters, at least.
LEAST_CELLS = 5
STARTS_J = (5.0, 20.0, 50.0, 120.0)


@dataclass(frozen=True)
class Headroom:
    """Passes at full clocks, and for how long there are any.

    Attributes:
        work: seconds of a pass's work at full clocks, as a share of those on end.
        gain: by how much its joules grow for each part that it is quicker: those on end times
            `1 + gain*(seconds on end / seconds at full clocks - 1)`.
        budget_j: joules that can be drawn above the limit when there are most to spare.
        limit_w: the power limit.
        fit: what is known of the fit: errors of the parameters, of seconds and joules; plain data.
    """

    work: float
    gain: float
    budget_j: float
    limit_w: float
    fit: dict[str, Any] = field(default_factory=dict, compare=False)

    def full_s(self, time: Fitted, *inputs: IntArray) -> FloatArray:
        """Seconds of passes at full clocks, shape (n,).

        Args:
            time: the curve of passes on end.
            inputs: its inputs, each of shape (n,).
        """
        return time.form.design(*inputs).evaluate(self.theta(time))[0]

    def theta(self, time: Fitted) -> FloatArray:
        """The parameters of `Prefill` at full clocks."""
        theta = time.theta.copy()
        theta[OF_WORK] *= self.work
        return theta

    def passes(
        self, full_s: FloatArray, seconds: FloatArray, joules: FloatArray, spare_j: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Seconds and joules of passes that begin with joules to spare, each of shape (n,).

        Args:
            full_s: seconds at full clocks.
            seconds, joules: on end.
            spare_j: above the limit, at least 0.
        """
        full_s = np.minimum(full_s, seconds)
        full_j = joules * (1.0 + self.gain * (seconds / full_s - 1.0))
        above_j = np.maximum(full_j - self.limit_w * full_s, 0.0)
        share = np.minimum(1.0, spare_j / np.where(above_j > 0.0, above_j, np.inf))
        share = np.where(above_j > 0.0, share, 1.0)
        return share * full_s + (1 - share) * seconds, share * full_j + (1 - share) * joules

    def spare_after(self, seconds: FloatArray, joules: FloatArray) -> FloatArray:
        """Joules to spare after so many seconds that took so many joules, if there were none before."""
        return np.clip(self.limit_w * seconds - joules, 0.0, self.budget_j)


def applies(time: Fitted) -> bool:
    """Whether a curve of passes tells its work apart, for clocks to act on."""
    return isinstance(time.form, Prefill)


@dataclass(frozen=True)
class Mixed:
    """Generations, each array of shape (n,): passes with steps after them, over and over.

    Attributes:
        inputs: of the curve of passes.
        on_end_s, on_end_j: what a pass takes by the curves of passes on end.
        steps_s, steps_j: what the steps take by theirs.
        measured_s, measured_j: seconds of the pass, and joules of all, measured.
        cells: label of each trial's cell.
    """

    inputs: tuple[IntArray, ...]
    on_end_s: FloatArray
    on_end_j: FloatArray
    steps_s: FloatArray
    steps_j: FloatArray
    measured_s: FloatArray
    measured_j: FloatArray
    cells: IntArray

    def predicted(self, time: Fitted, headroom: Headroom) -> tuple[FloatArray, FloatArray]:
        """Seconds of the pass, and joules of all."""
        spare_j = headroom.spare_after(self.steps_s, self.steps_j)
        full_s = headroom.full_s(time, *self.inputs)
        seconds, joules = headroom.passes(full_s, self.on_end_s, self.on_end_j, spare_j)
        return seconds, joules + self.steps_j

    def errors(self, time: Fitted, headroom: Headroom) -> tuple[FloatArray, FloatArray]:
        """Relative errors of both."""
        seconds, joules = self.predicted(time, headroom)
        return seconds / self.measured_s - 1, joules / self.measured_j - 1


def fit_headroom(time: Fitted, limit_w: float, mixed: Mixed) -> Headroom | None:
    """The headroom that generations tell; None where they are too few.

    Args:
        time: the curve of passes on end.
        limit_w: the power limit, as the joules of passes tell it.
    """
    if len(np.unique(mixed.cells)) < LEAST_CELLS:
        return None
    best = min((_fit(time, limit_w, mixed, start_j) for start_j in STARTS_J), key=lambda found: found.chisqr)
    headroom = _of(best.params, limit_w)
    seconds, joules = mixed.errors(time, headroom)
    told: dict[str, Any] = {
        "stderr": {name: value.stderr for name, value in best.params.items()},
        "n_trials": len(seconds),
        "cells": len(np.unique(mixed.cells)),
        "prefill_time_mape_pct": 100 * float(np.abs(seconds).mean()),
        "energy_mape_pct": 100 * float(np.abs(joules).mean()),
    }
    return Headroom(headroom.work, headroom.gain, headroom.budget_j, limit_w, told)


def _fit(time: Fitted, limit_w: float, mixed: Mixed, start_j: float) -> lmfit.minimizer.MinimizerResult:
    import lmfit

    params = lmfit.Parameters()
    params.add("work", value=0.85, min=0.3, max=1.0)
    params.add("gain", value=0.3, min=0.0, max=3.0)
    params.add("budget_j", value=start_j, min=0.0, max=1e4)

    def errors(values: lmfit.Parameters) -> FloatArray:
        return np.concatenate(mixed.errors(time, _of(values, limit_w)))

    return lmfit.minimize(errors, params, method="least_squares")


def _of(params: lmfit.Parameters, limit_w: float) -> Headroom:
    work, gain, budget_j = (float(params[name].value) for name in ("work", "gain", "budget_j"))
    return Headroom(work, gain, budget_j, limit_w)
