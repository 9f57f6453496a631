"""What the continuous discipline asks of a phase curve: numbers, one pass or one batch at a time, quickly."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from llmsim.curves.cost import Cost, PhaseCurve
from llmsim.curves.fitted import Fitted
from llmsim.curves.phase import FittedPhaseCurve
from llmsim.curves.phase_energy import PhaseEnergy
from llmsim.curves.prefill import KILO, Prefill

# Context at which the slope of a step over its context is read off a curve: long, so that it is exact.
_FAR_TOKENS = 1 << 20


# A decode step of some batch, affine in its total context: seconds without context, seconds a token of
# context, joules without context, joules a token of context. Total context counts prompts and the tokens that
# were generated before the step.
Step = tuple[float, float, float, float]


class PhaseCosts(Protocol):
    """Scalar costs of prefill and decode; NaN joules where no energy was measured."""

    def prefill(self, tokens: Sequence[int], past: Sequence[int] = ()) -> tuple[float, float]:
        """Seconds and joules of one pass over new tokens of some prompts.

        Args:
            tokens: new tokens of each prompt.
            past: tokens of each that are in its cache already; empty: none of any.
        """
        ...

    def steps(self, max_batch: int) -> list[Step]:
        """A decode step of 0 to `max_batch` queries."""
        ...


class CurveCosts:
    """Costs read off a phase curve."""

    def __init__(self, curve: PhaseCurve) -> None:
        self._curve = curve
        self._seconds: Callable[[int, int, int], float] | None = None
        if isinstance(curve, FittedPhaseCurve) and isinstance(curve.prefill_time.form, Prefill):
            energy = curve.phase_energy
            if energy is None or isinstance(energy.form, PhaseEnergy):
                self._seconds = scalar_prefill(curve.prefill_time, curve.prefill_time.form.sharpness)
                self._joules_per_token = math.nan if energy is None else float(energy.theta[0]) / KILO

    def prefill(self, tokens: Sequence[int], past: Sequence[int] = ()) -> tuple[float, float]:
        """As in PhaseCosts."""
        if self._seconds is None:
            return _numbers(self._curve.prefill(np.array(tokens), np.array(past or 0)))
        if len(tokens) == 1 and not past:
            total = tokens[0]
            return self._seconds(1, total, total * total), self._joules_per_token * total
        total = sum(tokens)
        squares = sum([count * count for count in tokens])
        if past:
            squares += 2 * sum([count * old for count, old in zip(tokens, past, strict=True)])
        return self._seconds(len(tokens), total, squares), self._joules_per_token * total

    def steps(self, max_batch: int) -> list[Step]:
        """As in PhaseCosts; the curve is affine in the context, so two points of it say all."""
        batch = np.arange(1, max_batch + 1)
        near = self._curve.decode(batch, np.zeros_like(batch), np.ones_like(batch))
        far = self._curve.decode(batch, np.full_like(batch, _FAR_TOKENS), np.ones_like(batch))
        columns = []
        for close, away in ((near.runtime_s, far.runtime_s), (near.energy_j, far.energy_j)):
            if close is None or away is None:
                columns += [[math.nan] * max_batch] * 2
            else:
                columns += [close.tolist(), ((away - close) / _FAR_TOKENS).tolist()]
        return [(0.0, 0.0, 0.0, 0.0), *zip(*columns, strict=True)]


def scalar_prefill(fitted: Fitted, sharpness: float) -> Callable[[int, int, int], float]:
    """Seconds of a pass by (prompts, tokens, squares): the form `Prefill` for one pass, without arrays."""
    floor, prompt, linear, quadratic = fitted.theta.tolist()
    per_token, per_square = linear / KILO, quadratic / KILO**2

    def seconds(prompts: int, tokens: int, squares: int) -> float:
        work: float = prompt * prompts + per_token * tokens + per_square * squares
        if work <= floor:
            floor_first = floor * (1.0 + (work / floor) ** sharpness) ** (1.0 / sharpness) if floor else 0.0
            return float(floor_first)
        return float(work * (1.0 + (floor / work) ** sharpness) ** (1.0 / sharpness))

    return seconds


def _numbers(cost: Cost) -> tuple[float, float]:
    """Seconds and joules of a single pass or stretch of steps."""
    if cost.runtime_s is None:
        return math.nan, math.nan
    joules = math.nan if cost.energy_j is None else float(cost.energy_j)
    return float(cost.runtime_s), joules
