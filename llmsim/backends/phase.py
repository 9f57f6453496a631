"""What the continuous discipline asks of a phase curve: numbers, one pass or one batch at a time, quickly."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from llmsim.curves.cost import Cost, FloatArray, PhaseCurve
from llmsim.curves.form import KILO
from llmsim.curves.headroom import HELD, UNHELD, Headroom
from llmsim.curves.joules import JoulesApart, JoulesTogether, PhaseJoules
from llmsim.curves.phase import FittedPhaseCurve
from llmsim.curves.phase_energy import TILE_TOKENS, PrefillEnergy
from llmsim.curves.prefill import Prefill

# Context at which the slope of a step over its context is read off a curve: long, so that it is exact.
_FAR_TOKENS = 1 << 20


# A decode step of some batch, affine in its total context: seconds without context, seconds a token of
# context, joules without context, joules a token of context; and the watts that its joules cannot exceed, inf
# where nothing limits them. Total context counts prompts and the tokens that were generated before the step.
Step = tuple[float, float, float, float, float]


@dataclass(frozen=True, slots=True)
class Budget:
    """Joules above the power limit that a device has to spare: what it draws below the limit adds to them.

    Attributes:
        most_j: as many as there can be.
        limit_w: the limit.
    """

    most_j: float
    limit_w: float

    def after(self, spare_j: float, seconds: float, joules: float) -> float:
        """Joules to spare after so many seconds that took so many joules."""
        return min(max(spare_j + self.limit_w * seconds - joules, 0.0), self.most_j)


class PhaseCosts(Protocol):
    """Scalar costs of prefill and decode; NaN joules where no energy was measured."""

    def prefill(self, tokens: Sequence[int], past: Sequence[int] = ()) -> tuple[float, float]:
        """Seconds and joules of one pass over new tokens of some prompts, of such passes on end.

        Args:
            tokens: new tokens of each prompt.
            past: tokens of each that are in its cache already; empty: none of any.
        """
        ...

    def steps(self, max_batch: int) -> list[Step]:
        """A decode step of 0 to `max_batch` queries."""
        ...


@runtime_checkable
class SparingCosts(PhaseCosts, Protocol):
    """Costs of a device that may draw more than its power limit for a while."""

    @property
    def budget(self) -> Budget | None:
        """For how long; None: nothing is known of it."""
        ...

    def spared(self, tokens: Sequence[int], spare_j: float) -> tuple[float, float]:
        """Seconds and joules of one pass over whole prompts, with so many joules to spare above the limit."""
        ...


class CurveCosts:
    """Costs read off a phase curve."""

    def __init__(self, curve: PhaseCurve) -> None:
        self._curve = curve
        self.budget: Budget | None = None
        self._headroom: Headroom | None = None
        self._seconds: Callable[[int, int, int], float] | None = None
        if isinstance(curve, FittedPhaseCurve) and isinstance(curve.prefill_time.form, Prefill):
            joules = _scalar_joules(curve.energy)
            if joules is not None:
                self._seconds = scalar_prefill(curve.prefill_time.theta, curve.prefill_time.form)
                self._joules = joules
            if curve.headroom is not None:
                self._headroom = curve.headroom
                self._bound = scalar_work_bound(curve.prefill_time.theta, curve.prefill_time.form)
                self.budget = Budget(curve.headroom.budget_j, curve.headroom.limit_w)

    def prefill(self, tokens: Sequence[int], past: Sequence[int] = ()) -> tuple[float, float]:
        """As in PhaseCosts."""
        if self._seconds is None:
            return _numbers(self._curve.prefill(np.array(tokens), np.array(past or 0)))
        if len(tokens) == 1 and not past:
            total = tokens[0]
            squares = total * total
        else:
            total = sum(tokens)
            squares = sum([count * count for count in tokens])
            if past:
                squares += 2 * sum([count * old for count, old in zip(tokens, past, strict=True)])
        seconds = self._seconds(len(tokens), total, squares)
        return seconds, self._joules(total, squares, seconds)

    def spared(self, tokens: Sequence[int], spare_j: float) -> tuple[float, float]:
        """As in SparingCosts; what `Headroom.passes` says, for one pass."""
        return self._partly_full(tokens, lambda above_j: spare_j / (spare_j + above_j))

    def repeated(self, tokens: Sequence[int], left_j: float) -> tuple[float, float]:
        """One pass of many, where the work between them leaves so many joules: `Headroom.repeated`."""

        def share(above_j: float) -> float:
            """In the long run: what the work between passes leaves, or what a full budget gives."""
            most_j = 0.0 if self.budget is None else self.budget.most_j
            return min(max(left_j, 0.0) / above_j, most_j / (most_j + above_j))

        return self._partly_full(tokens, share)

    def _partly_full(self, tokens: Sequence[int], share_of: Callable[[float], float]) -> tuple[float, float]:
        """A pass of which a share is at full clocks, by what all of it would draw above the limit."""
        seconds, joules = self.prefill(tokens)
        headroom = self._headroom
        if headroom is None:
            return seconds, joules
        limit_j = headroom.limit_w * seconds
        if joules <= UNHELD * limit_j:
            return seconds, joules  # at full clocks on end, too
        bound = self._bound(len(tokens), sum(tokens), sum([count * count for count in tokens]))
        if joules < HELD * limit_j:
            bound *= (joules / limit_j - UNHELD) / (HELD - UNHELD)
        saved_s, added_j = bound * (1 - headroom.seconds) * seconds, bound * (headroom.joules - 1) * joules
        above_j = joules + added_j - headroom.limit_w * (seconds - saved_s)
        share = share_of(above_j) if above_j > 0.0 else 1.0
        return seconds - share * saved_s, joules + share * added_j

    def steps(self, max_batch: int) -> list[Step]:
        """As in PhaseCosts; the curve is affine in the context, so two points of it say all."""
        batch = np.arange(1, max_batch + 1)
        near = self._curve.decode(batch, np.zeros_like(batch), np.ones_like(batch))
        far = self._curve.decode(batch, np.full_like(batch, _FAR_TOKENS), np.ones_like(batch))
        limit_w = math.inf
        if isinstance(self._curve, FittedPhaseCurve) and self._curve.energy is not None:
            base_j, slope_j, limit_w = self._curve.energy.terms(batch)
            joules = [base_j.tolist(), slope_j.tolist()]
        else:
            joules = _affine(near.energy_j, far.energy_j, max_batch)
        columns = [*_affine(near.runtime_s, far.runtime_s, max_batch), *joules, [limit_w] * max_batch]
        return [(0.0, 0.0, 0.0, 0.0, math.inf), *zip(*columns, strict=True)]


def over_limit_j(first_j: float, growth_j: float, steps: int) -> float:
    """What steps would draw over their limit: the sum of `max(first_j + growth_j*k, 0)`, k = 0 .. steps - 1.

    Args:
        first_j: joules of the first step less what the limit leaves it; negative below the limit.
        growth_j: by how much each step is further over than the one before.
        steps: how many, at least 0.
    """
    if first_j <= 0.0 and growth_j <= 0.0:
        return 0.0
    begin, end = 0, steps
    if first_j <= 0.0:
        begin = min(int(-first_j / growth_j) + 1, steps)  # the last ones are over
    elif growth_j < 0.0:
        end = min(math.ceil(-first_j / growth_j), steps)  # the first ones are
    return (end - begin) * (first_j + 0.5 * growth_j * (begin + end - 1))


def scalar_prefill(theta: FloatArray, form: Prefill) -> Callable[[int, int, int], float]:
    """Seconds of a pass by (prompts, tokens, squares): the form for one pass, without arrays."""
    floor, prompt, linear, quadratic, *others = theta.tolist()
    launch, sharpness = (0.0, form.sharpness) if form.sharpness is not None else others
    per_token, per_square = linear / KILO, quadratic / KILO**2

    def seconds(prompts: int, tokens: int, squares: int) -> float:
        """The form, for numbers."""
        work: float = prompt * prompts + per_token * tokens + per_square * squares
        if work <= floor:
            bound = floor * (1.0 + (work / floor) ** sharpness) ** (1.0 / sharpness) if floor else 0.0
        else:
            bound = work * (1.0 + (floor / work) ** sharpness) ** (1.0 / sharpness)
        return float(launch + bound)

    return seconds


def scalar_work_bound(theta: FloatArray, form: Prefill) -> Callable[[int, int, int], float]:
    """How far its work bounds a pass, from 0 to 1: `llmsim.curves.headroom.work_bound`, without arrays."""
    floor, prompt, linear, quadratic, *others = theta.tolist()
    sharpness = others[1] if form.sharpness is None else form.sharpness
    per_token, per_square = linear / KILO, quadratic / KILO**2

    def bound(prompts: int, tokens: int, squares: int) -> float:
        """The share, for numbers; from whichever term is greater, so that no power overflows."""
        work: float = prompt * prompts + per_token * tokens + per_square * squares
        if work <= floor:
            share = (work / floor) ** sharpness if floor else 0.0
            return float(share / (1.0 + share))
        return float(1.0 / (1.0 + (floor / work) ** sharpness))

    return bound


def _scalar_joules(energy: PhaseJoules | None) -> Callable[[int, int, float], float] | None:
    """Joules of a pass by (tokens, squares, seconds), without arrays; None: of a kind that is not known."""
    if energy is None:
        return lambda tokens, squares, seconds: math.nan
    if isinstance(energy, JoulesTogether):
        of_token = float(energy.fitted.theta[0]) / KILO
        return lambda tokens, squares, seconds: of_token * tokens
    if not (isinstance(energy, JoulesApart) and isinstance(energy.prefill.form, PrefillEnergy)):
        return None
    floor, linear, quadratic, limit_w = energy.prefill.theta.tolist()
    per_token, per_square = linear / KILO, quadratic / KILO**2

    def joules(tokens: int, squares: int, seconds: float) -> float:
        """What the work takes, or what the power limit lets through."""
        work = floor + per_token * max(tokens, TILE_TOKENS) + per_square * squares
        return float(min(work, limit_w * seconds))

    return joules


def _affine(near: FloatArray | None, far: FloatArray | None, size: int) -> list[list[float]]:
    """Values without context and a token of context; not numbers where none were measured."""
    if near is None or far is None:
        return [[math.nan] * size] * 2
    return [near.tolist(), ((far - near) / _FAR_TOKENS).tolist()]


def _numbers(cost: Cost) -> tuple[float, float]:
    """Seconds and joules of a single pass or stretch of steps."""
    if cost.runtime_s is None:
        return math.nan, math.nan
    joules = math.nan if cost.energy_j is None else float(cost.energy_j)
    return float(cost.runtime_s), joules
