"""Fitted curves of phases: prefill and decode of a batch, with a KV cache."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from llmsim.curves.cost import BoolArray, Cost, IntArray
from llmsim.curves.domain import Domain
from llmsim.curves.fitted import Fitted
from llmsim.curves.form import FloatArray
from llmsim.curves.headroom import Headroom, work_bound
from llmsim.curves.joules import Pass, PhaseJoules, Steps

Amount = IntArray | int


@dataclass(frozen=True)
class FittedPhaseCurve:
    """Prefill and decode of a batch; satisfies `PhaseCurve`.

    Attributes:
        prefill_time: seconds of a pass over prompts, by (prompts, sum of tokens, sum of squares).
        decode_time: seconds of a step, by (batch, total context); affine in the context.
        energy: joules of passes and steps; None where no energy was measured.
        prompts: prompts of a pass and tokens of each that were measured together.
        contexts: batch and tokens of one query (prompt and answer) that were measured together.
        headroom: how much quicker passes are amid steps than on end; None: that was not measured.
    """

    prefill_time: Fitted
    decode_time: Fitted
    energy: PhaseJoules | None
    prompts: Domain
    contexts: Domain
    headroom: Headroom | None = None

    def parts(self) -> dict[str, Fitted]:
        """The fitted curves by name."""
        parts = {"prefill": self.prefill_time, "decode": self.decode_time}
        return parts if self.energy is None else {**parts, **self.energy.parts()}

    def domains(self) -> dict[str, list[int]]:
        """The measured ranges, for people and files."""
        prompts, contexts = self.prompts.as_dict(), self.contexts.as_dict()
        if prompts == contexts:
            return contexts
        return {**{f"prefill_{key}": span for key, span in prompts.items()}, **contexts}

    def prefill(self, tokens: Amount, past: Amount = 0) -> Cost:
        """Cost of one pass over the prompts of a batch, of such passes on end.

        Args:
            tokens: new tokens of each prompt, shape (..., prompts): the last axis is one pass.
            past: tokens of each already in its cache, of a shape that broadcasts with `tokens`. No trial
                measured any, so a pass with some is flagged as extrapolated.

        Returns:
            One entry a pass, of shape (...); a single pass has shape ().
        """
        new, old = np.broadcast_arrays(np.atleast_1d(tokens), np.asarray(past))
        shape, prompts = new.shape[:-1], new.shape[-1]
        total = new.sum(axis=-1)
        squares = (new**2 + 2 * new * old).sum(axis=-1)
        count = np.full(shape, prompts)
        inputs = [x.reshape(-1) for x in (count, total, squares)]
        seconds, seconds_se = self.prefill_time.predict(*inputs)
        outside = self.prompts.outside(count.reshape(-1), new.max(axis=-1).reshape(-1))
        outside = outside | (old.max(axis=-1) > 0).reshape(-1)
        joules: tuple[FloatArray | None, FloatArray | None] = (None, None)
        if self.energy is not None:
            joules = self.energy.of_passes(Pass(inputs[1], inputs[2], seconds))
        return _cost((seconds, seconds_se, *joules), outside, shape)

    def decode(self, batch: Amount, context: Amount, steps: Amount) -> Cost:
        """Cost of consecutive steps of a batch, each of which adds one token to every query: a closed sum.

        A step is affine in the total context, which grows by `batch` a step, so the sum is the number of
        steps times the step at the mean context.

        Args:
            batch: queries in the batch, at least 1.
            context: tokens over all queries that the first step attends to.
            steps: how many, at least 0. All three broadcast to the result's shape.
        """
        b, c, n = np.broadcast_arrays(batch, context, steps)
        shape = b.shape
        b, c, n = (np.atleast_1d(x).reshape(-1) for x in (b, c, n))
        stretch, step_se = self._steps(b, c, n)
        per_query = np.ceil((c + b * np.maximum(n - 1, 0)) / b)
        outside = self.contexts.outside(b, per_query)
        joules: tuple[FloatArray | None, FloatArray | None] = (None, None)
        if self.energy is not None:
            joules = self.energy.of_steps(stretch)
        return _cost((n * stretch.mean_s, n * step_se, *joules), outside, shape)

    def cost(self, tau_in: IntArray, tau_out: IntArray, batch: Amount = 1) -> Cost:
        """Cost of a batch of like queries from its prompts to its last token; of one query alone unless said.

        Such batches follow each other: what the steps leave of the power limit is the pass's to spare.

        Args:
            tau_in, tau_out: tokens of each of the queries, shape (n,), at least 1.
            batch: how many of them are served together; the joules are of all of them.
        """
        tau_in, tau_out = np.atleast_1d(tau_in), np.atleast_1d(tau_out)
        b = np.broadcast_to(batch, tau_in.shape)
        tokens, squares = b * tau_in, b * tau_in**2
        prompts, prompts_se = self.prefill_time.predict(b, tokens, squares)
        steps = tau_out - 1
        stretch, step_se = self._steps(b, b * (tau_in + 1), steps)
        joules, joules_se = None, None
        if self.energy is not None:
            joules, joules_se = self.energy.of_both(Pass(tokens, squares, prompts), stretch)
            if self.headroom is not None:
                of_steps, _ = self.energy.of_steps(stretch)
                left_j = self.headroom.limit_w * steps * stretch.mean_s - of_steps
                bound = work_bound(self.prefill_time, b, tokens, squares)
                prompts, of_pass = self.headroom.repeated(prompts, joules - of_steps, bound, left_j)
                joules = of_pass + of_steps
        # Prompts may come in several passes, so their number was measured if one of such a length was.
        few = np.minimum(b, self.prompts.least[0])
        return Cost(
            prompts + steps * stretch.mean_s,
            np.hypot(prompts_se, steps * step_se),
            joules,
            joules_se,
            self.prompts.outside(few, tau_in) | self.contexts.outside(b, tau_in + tau_out),
        )

    def _steps(self, batch: IntArray, context: IntArray, count: IntArray) -> tuple[Steps, FloatArray]:
        """Stretches of decode steps with their seconds, and the standard error of the mean step."""
        mean_context = context + batch * np.maximum(count - 1, 0) / 2
        mean_s, error_s = self.decode_time.predict(batch, mean_context)
        first_s = self.decode_time.value(batch, context)
        return Steps(batch, context, count, first_s, mean_s), error_s


def _cost(values: tuple[FloatArray | None, ...], outside: BoolArray, shape: tuple[int, ...]) -> Cost:
    """Seconds, joules and their standard errors, flat until here, in the shape that was asked for."""
    seconds, seconds_se, joules, joules_se = (None if v is None else v.reshape(shape) for v in values)
    return Cost(seconds, seconds_se, joules, joules_se, outside.reshape(shape))
