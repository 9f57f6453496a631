"""What a board draws above its power limit for a while: passes amid steps are quicker than passes on end.

A pass over long prompts, repeated on end, runs at the board's power limit and at the clocks that this leaves.
The limit holds for the mean of some tenths of a second, though, and decode steps draw less. So a board has
joules to spare: what it draws below the limit adds to them, up to a budget; what it draws above takes from
them. The more there are, the more of a pass runs at full clocks; when there are none, it runs as on end.

On one H200, Llama-2 7B in bf16, a pass over 1,000 tokens takes 23.9 ms on end, and 19.8 ms amid steps of 8 or
of 24 queries, as long as they leave the mean power below 690 W; the first three passes after a rest, too.

A pass that draws clearly less than the limit on end is at full clocks there already, and gains nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from llmsim.curves.cost import BoolArray, IntArray
from llmsim.curves.fitted import Fitted
from llmsim.curves.form import FloatArray
from llmsim.curves.phase_energy import BELOW_LIMIT
from llmsim.curves.prefill import Prefill
from llmsim.curves.validate import LeftOut

if TYPE_CHECKING:
    import lmfit

# Settings that tell three parameters, at least.
LEAST_CELLS = 5
STARTS_J = (5.0, 20.0, 50.0, 120.0)
UNITS: Mapping[str, str] = {"seconds": "1", "joules": "1", "budget_j": "J"}
# Shares of the power limit that a pass draws on end by its curves: up to the first the limit does not act on
# it, from the second it does, wholly. Of 131 settings of eight models on H200, measured at the limit, curves
# put 129 at 0.97 of it or more, and two at 0.96. Of settings below it those of six dense models say the power
# within 0.03; of Mixtral they say up to 0.10 too much, and of Qwen2.5 1.5B, which has six cells, up to 0.17.
# So a pass said to draw less than 0.94 is below the limit; between both it cannot be told.
UNHELD, HELD = BELOW_LIMIT - 0.03, BELOW_LIMIT
# Of a parameter's size: how far it is moved to see what moves with it.
NUDGE = 1e-4


@dataclass(frozen=True)
class Headroom:
    """Passes at full clocks, and for how long there are any.

    Clocks act on a pass as far as its work bounds it, and not the reading of the weights (`work_bound`), and
    as far as the limit holds them down on end: what a pass draws there tells (`UNHELD`, `HELD`). With
    `s` joules to spare, and `a` that a pass at full clocks draws above the limit, `s/(s + a)` of it is as at
    full clocks, and the rest as on end. What is not spent stays; so where work between passes leaves `g` each
    time, in the long run the share is `g/a`, or what a full budget gives, whichever is less.

    Attributes:
        seconds, joules: of a pass at full clocks, as a share of those on end, where its work alone bounds it.
        budget_j: joules that can be drawn above the limit when there are most to spare.
        limit_w: the power limit.
        fit: what is known of the fit: errors of the parameters, of seconds and joules; plain data.

    Compared on generations of Llama-2 7B and 13B of one H200 by error left out by cells, and on settings
    measured to check them (percent, seconds of the pass and joules of the whole; 7B, then 13B), each with
    three parameters unless said:

    - passes on end, no headroom: 12.0 and 3.5, 11.0 and 2.2; checks 8.1 and 2.2, 5.6 and 2.4;
    - clocks act on a pass's work alone, not on its floor and launch, and a pass is at full clocks as long as
      any joules are left: 2.9 and 1.3, 2.8 and 1.0; checks 1.9 and 1.6, 3.5 and 0.9;
    - as here: 1.0 and 1.1, 0.7 and 0.8; checks 0.8 and 1.4, 1.6 and 0.7;
    - as here, clocks acting on the work alone: 1.8 and 1.2, 1.1 and 0.9; checks 1.1 and 1.4, 1.8 and 0.8;
    - as here, on all of every pass: 0.8 and 1.1, 0.7 and 0.8; checks 0.7 and 1.3, 1.6 and 0.7. But these
      generations have no prompt so short that the weights bound it: in continuous runs passes of up to 60
      tokens take as long as on end, and come out 19 % too quick (here 1 %; from there to 250 tokens still 6
      to 10 %, with the work alone 4 to 8 %);
    - on all of it, and at full clocks as long as any joules are left: 2.0 and 1.1, 1.4 and 0.9; checks 1.2
      and 1.3, 2.9 and 0.9; on all of it, and `1 - exp(-s/a)` for `s/(s + a)`: 1.3 and 1.0, 0.8 and 0.8.

    On a second H200, measured after the form was chosen and with a cell of 120 tokens too: left out 2.0 and
    1.2, 1.9 and 1.3; by the mean of what the first one's models told 2.0 and 1.2, 1.5 and 1.3.

    Of how far the limit holds a pass down, by what it draws on end, those generations tell nothing: their
    passes draw 0.98 of it or more, and every ramp up to 0.97 gives the same fit. Others do (percent, seconds
    of the pass): Llama-2 7B's of up to 60 tokens in continuous runs, mean; and, with a headroom lent, Qwen2.5
    1.5B's of 180 and 264 tokens on end, which draw 0.82 and 0.88 of it and so have nothing to gain, and of
    300 amid steps. Its curve is here of the form with a launch, which needs its checks to be fitted (without,
    the curve takes those passes for ones at the limit, and nothing below helps):

    - no regard to it: 1.2; -22, -22, -29;
    - from 0.85 to 0.97: 1.0; -2, -14, -27; from 0.88 to 0.96: 1.0; -2, -12, -28;
    - from 0.94 to 0.97, as here: 1.0; -2, -2, -21; passes as on end: 1.0; -2, -2, -11;
    - by the work's joules over the limit, as a share of what full clocks add, which needs no constant: over
      long prompts these come to the limit again, and the generations are off by 4.9 and 4.3 %.
    """

    seconds: float
    joules: float
    budget_j: float
    limit_w: float
    fit: dict[str, Any] = field(default_factory=dict, compare=False)

    def passes(
        self, seconds: FloatArray, joules: FloatArray, bound: FloatArray, spare_j: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Seconds and joules of passes that begin with joules to spare, each of shape (n,).

        Args:
            seconds, joules: on end.
            bound: how far their work bounds them.
            spare_j: above the limit, at least 0.
        """
        bound = bound * self._held(seconds, joules)
        above_j = self._above(seconds, joules, bound)
        share = np.where(above_j > 0.0, _used(spare_j, above_j), 1.0)
        return self._mixed(seconds, joules, share * bound)

    def repeated(
        self, seconds: FloatArray, joules: FloatArray, bound: FloatArray, left_j: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """The same of passes that are repeated, with work between them, in the long run.

        Args:
            seconds, joules: on end.
            bound: how far their work bounds them.
            left_j: what that work draws less than the limit each time; negative: more.
        """
        bound = bound * self._held(seconds, joules)
        above_j = self._above(seconds, joules, bound)
        share = np.minimum(
            np.maximum(left_j, 0.0) / np.where(above_j > 0.0, above_j, np.inf), _used(self.budget_j, above_j)
        )
        return self._mixed(seconds, joules, np.where(above_j > 0.0, share, 1.0) * bound)

    def described(self) -> dict[str, Any]:
        """Parameters with their standard errors, and what is known of the fit; plain data."""
        stderr = self.fit.get("stderr") or {}
        values = {
            name: {"value": getattr(self, name), "stderr": stderr.get(name), "unit": unit}
            for name, unit in UNITS.items()
        }
        kept = {key: value for key, value in self.fit.items() if key not in ("stderr", "report")}
        return {"parameters": values, "limit_w": self.limit_w, **kept}

    def _held(self, seconds: FloatArray, joules: FloatArray) -> FloatArray:
        """How far the limit holds passes down on end, from 0 to 1."""
        return np.asarray(np.clip((joules / (self.limit_w * seconds) - UNHELD) / (HELD - UNHELD), 0.0, 1.0))

    def _above(self, seconds: FloatArray, joules: FloatArray, bound: FloatArray) -> FloatArray:
        """Joules above the limit of passes wholly at full clocks."""
        full_s, full_j = self._mixed(seconds, joules, bound)
        return np.asarray(full_j - self.limit_w * full_s)

    def _mixed(
        self, seconds: FloatArray, joules: FloatArray, share: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Seconds and joules of passes of which a share, shape (n,), is at full clocks."""
        return seconds * (1 - share + share * self.seconds), joules * (1 - share + share * self.joules)


def applies(time: Fitted) -> bool:
    """Whether a curve of passes tells their work apart, which clocks act on."""
    return isinstance(time.form, Prefill)


def work_bound(time: Fitted, prompts: IntArray, tokens: IntArray, squares: IntArray) -> FloatArray:
    """How far their work bounds passes, from 0, where the reading of the weights does, to 1, shape (n,).

    It is by how much the greater of both, which is smooth, grows with the work.

    Args:
        time: the curve of passes on end, of the form `Prefill`.
        prompts, tokens, squares: its inputs.
    """
    form = time.form
    if not isinstance(form, Prefill):
        raise TypeError("not a prefill")
    work = np.maximum(form.design(prompts, tokens, squares).work @ time.theta[1:4], 1e-300)
    sharpness = time.theta[5] if form.sharpness is None else form.sharpness
    with np.errstate(over="ignore"):
        return np.asarray(1.0 / (1.0 + (time.theta[0] / work) ** sharpness))


def _used(spare_j: FloatArray | float, above_j: FloatArray) -> FloatArray:
    """The share of a pass that is at full clocks."""
    above_j = np.maximum(above_j, 1e-300)
    return np.asarray(spare_j / (spare_j + above_j))


@dataclass(frozen=True)
class Generations:
    """Trials of whole generations, each array of shape (n,): a pass with steps after it, over and over.

    Attributes:
        bound: how far its work bounds the pass.
        on_end_s, on_end_j: what a pass takes by the curves of passes on end.
        steps_s, steps_j: what the steps take by theirs.
        measured_s, measured_j: seconds of the pass, and joules of all, measured.
        cells: label of each trial's cell.
    """

    bound: FloatArray
    on_end_s: FloatArray
    on_end_j: FloatArray
    steps_s: FloatArray
    steps_j: FloatArray
    measured_s: FloatArray
    measured_j: FloatArray
    cells: IntArray

    def predicted(self, headroom: Headroom | None) -> tuple[FloatArray, FloatArray]:
        """Seconds of the pass and joules of all, each of shape (n,); without a headroom, as on end."""
        seconds, joules = self.on_end_s, self.on_end_j
        if headroom is not None:
            left_j = headroom.limit_w * self.steps_s - self.steps_j
            seconds, joules = headroom.repeated(seconds, joules, self.bound, left_j)
        return seconds, joules + self.steps_j

    def errors(self, headroom: Headroom | None) -> tuple[FloatArray, FloatArray]:
        """Relative errors of both, each of shape (n,)."""
        seconds, joules = self.predicted(headroom)
        return seconds / self.measured_s - 1, joules / self.measured_j - 1

    def take(self, rows: BoolArray | IntArray) -> Generations:
        """Those of a mask or of indices."""
        return Generations(**{name: values[rows] for name, values in vars(self).items()})

    def left_out(
        self, predicted: tuple[FloatArray, FloatArray], errors: FloatArray
    ) -> tuple[LeftOut, LeftOut]:
        """Predictions of both by curves that did not see them.

        Args:
            predicted: of both.
            errors: standard errors of both from the parameters alone, shape (2, n).
        """
        (seconds, joules), (seconds_se, joules_se) = predicted, errors
        return (
            LeftOut(self.measured_s, seconds, seconds_se, self.cells, relative=True),
            LeftOut(self.measured_j, joules, joules_se, self.cells, relative=True),
        )


def on_end(whole: Generations) -> tuple[LeftOut, LeftOut]:
    """Generations held against curves of single phases, which saw none of them."""
    return whole.left_out(whole.predicted(None), np.zeros((2, len(whole.cells))))


def fit_headroom(limit_w: float, whole: Generations) -> tuple[Headroom, tuple[LeftOut, LeftOut]] | None:
    """The headroom that generations tell, and what it predicts of each cell from the others.

    Args:
        limit_w: the power limit, as the joules of passes tell it.

    Returns:
        None where they are of too few cells.
    """
    cells = np.unique(whole.cells)
    if len(cells) < LEAST_CELLS:
        return None
    best = min((_fit(limit_w, whole, (0.85, 1.15, start)) for start in STARTS_J), key=lambda one: one.chisqr)
    headroom = _headroom_of(best.params, limit_w)
    seconds, joules = np.empty(len(whole.cells)), np.empty(len(whole.cells))
    for cell in cells:
        out = whole.cells == cell
        again = _headroom_of(_fit(limit_w, whole.take(~out), _values(headroom)).params, limit_w)
        found = whole.predicted(again)
        seconds[out], joules[out] = found[0][out], found[1][out]
    left_out = whole.left_out((seconds, joules), _standard_errors(whole, headroom, best.covar))
    return dataclasses.replace(headroom, fit=_told(best, whole.errors(headroom), left_out)), left_out


def _told(
    best: lmfit.minimizer.MinimizerResult,
    errors: tuple[FloatArray, FloatArray],
    left_out: tuple[LeftOut, LeftOut],
) -> dict[str, Any]:
    """What is known of a fit, as plain data."""
    import lmfit

    of_pass, of_all = left_out
    return {
        "stderr": {name: value.stderr for name, value in best.params.items()},
        "n_trials": len(of_pass.measured),
        "cells": len(np.unique(of_pass.groups)),
        "prefill_time_mape_pct": 100 * float(np.abs(errors[0]).mean()),
        "energy_mape_pct": 100 * float(np.abs(errors[1]).mean()),
        "left_out_prefill_time_mape_pct": of_pass.mape_pct,
        "left_out_energy_mape_pct": of_all.mape_pct,
        "report": lmfit.fit_report(best),
    }


def _fit(limit_w: float, whole: Generations, start: tuple[float, ...]) -> lmfit.minimizer.MinimizerResult:
    """One fit of both seconds and joules, from (seconds, joules, budget_j)."""
    import lmfit

    seconds, joules, budget_j = start
    params = lmfit.Parameters()
    params.add("seconds", value=seconds, min=0.3, max=1.0)
    params.add("joules", value=joules, min=0.5, max=3.0)
    params.add("budget_j", value=budget_j, min=0.0, max=1e4)

    def errors(values: lmfit.Parameters) -> FloatArray:
        """Relative errors of seconds, then of joules, shape (2n,)."""
        return np.concatenate(whole.errors(_headroom_of(values, limit_w)))

    return lmfit.minimize(errors, params, method="least_squares")


def _values(headroom: Headroom) -> tuple[float, ...]:
    """The fitted parameters, in the order of UNITS."""
    return tuple(getattr(headroom, name) for name in UNITS)


def _headroom_of(params: lmfit.Parameters, limit_w: float) -> Headroom:
    seconds, joules, budget_j = (float(params[name].value) for name in UNITS)
    return Headroom(seconds, joules, budget_j, limit_w)


def _standard_errors(whole: Generations, headroom: Headroom, covariance: FloatArray | None) -> FloatArray:
    """Of what is predicted, from the parameters alone, shape (2, n); 0 where a fit does not tell them."""
    known = np.stack(whole.predicted(headroom))
    if covariance is None:
        return np.zeros_like(known)
    slopes = []
    for name, value in zip(UNITS, _values(headroom), strict=True):
        nudged = dataclasses.replace(headroom, **dict[str, Any]({name: value * (1 + NUDGE)}))
        slopes.append((np.stack(whole.predicted(nudged)) - known) / (NUDGE * value or 1.0))
    slope = np.stack(slopes)
    return np.asarray(np.sqrt(np.einsum("ikn,ij,jkn->kn", slope, covariance, slope).clip(0)))
