"""Joules of a phase curve: of each phase where they were measured apart, or of whole batches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from llmsim.curves.cost import IntArray
from llmsim.curves.fitted import Fitted
from llmsim.curves.form import FloatArray
from llmsim.curves.phase_energy import DecodeEnergy

Joules = tuple[FloatArray, FloatArray]  # and the standard error of a new trial


@dataclass(frozen=True)
class Pass:
    """Passes over prompts, each array of shape (n,): tokens, tokens^2 + 2*tokens*past, seconds."""

    tokens: IntArray
    squares: IntArray
    seconds: FloatArray


@dataclass(frozen=True)
class Steps:
    """Stretches of decode steps of a batch, each array of shape (n,).

    Attributes:
        batch: queries.
        context: tokens over all queries that the first step attends to; each further step attends to `batch`
            more.
        count: steps, at least 0.
        first_s, mean_s: seconds of the first and of the mean step.
    """

    batch: IntArray
    context: IntArray
    count: IntArray
    first_s: FloatArray
    mean_s: FloatArray

    @property
    def mean_context(self) -> FloatArray:
        """Total context of the mean step, shape (n,)."""
        return np.asarray(self.context + self.batch * np.maximum(self.count - 1, 0) / 2)


class PhaseJoules(Protocol):
    """What passes and steps draw."""

    def parts(self) -> dict[str, Fitted]:
        """The fitted curves by name."""
        ...

    def of_passes(self, passes: Pass) -> Joules:
        """Joules of each pass, shape (n,)."""
        ...

    def of_steps(self, steps: Steps) -> Joules:
        """Joules of each stretch, shape (n,)."""
        ...

    def of_both(self, passes: Pass, steps: Steps) -> Joules:
        """Joules of each pass with the steps after it, shape (n,)."""
        ...

    def terms(self, batch: IntArray) -> tuple[FloatArray, FloatArray, float]:
        """A step's joules without context and joules a token of it, each of shape (n,); their limit, W."""
        ...


@dataclass(frozen=True)
class JoulesTogether:
    """From trials of whole batches: a `PhaseEnergy`."""

    fitted: Fitted

    def parts(self) -> dict[str, Fitted]:
        """The fitted curves by name."""
        return {"energy": self.fitted}

    def of_passes(self, passes: Pass) -> Joules:
        """As in PhaseJoules."""
        none = np.zeros_like(passes.tokens)
        return self.fitted.predict(passes.tokens, none, none)

    def of_steps(self, steps: Steps) -> Joules:
        """As in PhaseJoules."""
        return self.fitted.predict(np.zeros_like(steps.count), steps.count, steps.count * steps.batch)

    def of_both(self, passes: Pass, steps: Steps) -> Joules:
        """As in PhaseJoules."""
        return self.fitted.predict(passes.tokens, steps.count, steps.count * steps.batch)

    def terms(self, batch: IntArray) -> tuple[FloatArray, FloatArray, float]:
        """As in PhaseJoules; nothing is known of a limit."""
        _, step, query = self.fitted.theta
        return step + query * batch, np.zeros(len(batch)), np.inf


@dataclass(frozen=True)
class JoulesApart:
    """From trials of single phases: a `PrefillEnergy` and a `DecodeEnergy`."""

    prefill: Fitted
    decode: Fitted

    def parts(self) -> dict[str, Fitted]:
        """The fitted curves by name."""
        return {"prefill_energy": self.prefill, "decode_energy": self.decode}

    def of_passes(self, passes: Pass) -> Joules:
        """As in PhaseJoules."""
        return self.prefill.predict(passes.tokens, passes.squares, passes.seconds)

    def of_steps(self, steps: Steps) -> Joules:
        """As in PhaseJoules: a closed sum, also where the steps reach the limit on their way."""
        base, slope, limit = self.terms(steps.batch)
        growth_s = 2 * (steps.mean_s - steps.first_s) / np.maximum(steps.count - 1, 1)
        first = base + slope * steps.context
        work = steps.count * (base + slope * steps.mean_context)
        over = over_limit(first - limit * steps.first_s, slope * steps.batch - limit * growth_s, steps.count)
        _, error = self.decode.predict(steps.batch, steps.mean_context, steps.mean_s)
        return work - over, steps.count * error

    def of_both(self, passes: Pass, steps: Steps) -> Joules:
        """As in PhaseJoules; errors of the phases are independent."""
        (prompts, prompts_se), (answers, answers_se) = self.of_passes(passes), self.of_steps(steps)
        return prompts + answers, np.hypot(prompts_se, answers_se)

    def terms(self, batch: IntArray) -> tuple[FloatArray, FloatArray, float]:
        """As in PhaseJoules."""
        form = self.decode.form
        if not isinstance(form, DecodeEnergy):
            raise TypeError("not an energy of decode steps")
        return form.terms(self.decode.theta, batch)


def over_limit(first: FloatArray, growth: FloatArray, count: IntArray) -> FloatArray:
    """`sum of max(first + growth*j, 0)` for j = 0 .. count - 1: what steps would draw over a limit.

    Args:
        first: of the first step, shape (n,); negative where it is below the limit.
        growth: by how much each step is further over, shape (n,).
        count: steps, shape (n,).
    """
    sloped = np.where(growth == 0, 1.0, growth)
    crossing = -first / sloped  # the step at which the limit is met
    # Steps over the limit are the last ones, or the first ones.
    begin = np.where(growth > 0, np.clip(np.floor(crossing) + 1, 0, count), 0.0)
    end = np.where(growth < 0, np.clip(np.ceil(crossing), 0, count), np.where(growth > 0, count, 0.0))
    flat = (growth == 0) & (first > 0)
    begin, end = np.where(flat, 0.0, begin), np.where(flat, count, end)
    return np.asarray((end - begin) * (first + growth * (begin + end - 1) / 2))
