"""The backend that reads costs off the fitted curves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from llmsim.backends.contract import Advance, Engine
from llmsim.backends.phase import CurveCosts, PhaseCosts, over_limit_j
from llmsim.curves.cost import FloatArray, IntArray, PhaseCurve
from llmsim.errors import InputError
from llmsim.fleet.deployment import Deployment
from llmsim.fleet.prices import distinct_pairs


class QueryEngine:
    """Serves one query at a time at the cost its query curve predicts."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._known: dict[tuple[int, int], Advance] = {}

    def expect(self, tau_in: IntArray, tau_out: IntArray) -> None:
        """Price the distinct pairs at once: a curve is quick over arrays and slow query by query."""
        (first, second), _ = distinct_pairs(tau_in, tau_out)
        cost = self._deployment.price(first, second)
        alone = self._deployment.price(first, np.ones_like(second))
        if cost.runtime_s is None or alone.runtime_s is None:
            raise InputError(f"{self._deployment.name} has no runtime curve: it cannot be simulated.")
        energy_j = [None] * len(first) if cost.energy_j is None else cost.energy_j.tolist()
        runtime_s = _checked(cost.runtime_s, self._deployment.name)
        first_token_s = np.minimum(_checked(alone.runtime_s, self._deployment.name), runtime_s)
        for key_in, key_out, seconds, token, joules in zip(
            first.tolist(), second.tolist(), runtime_s.tolist(), first_token_s.tolist(), energy_j, strict=True
        ):
            self._known[key_in, key_out] = Advance(seconds, token, joules)

    def serve(self, tau_in: Sequence[int], tau_out: Sequence[int]) -> Advance:
        """The predicted cost of a batch of one.

        Raises:
            InputError: a batch of several, which a query curve does not describe.
        """
        if len(tau_in) != 1:
            raise InputError(
                f"{self._deployment.name}: its curve is for one query at a time, "
                f"not a batch of {len(tau_in)}."
            )
        key = (tau_in[0], tau_out[0])
        if key not in self._known:
            self.expect(np.array(key[:1]), np.array(key[1:]))
        return self._known[key]

    def close(self) -> None:
        """Nothing is held."""


class PhaseCurveEngine:
    """Serves batches at the cost of their phases."""

    def __init__(self, curve: PhaseCurve, max_batch: int) -> None:
        self._costs = CurveCosts(curve)
        self._steps = self._costs.steps(max_batch)

    @property
    def costs(self) -> PhaseCosts:
        """Costs of prefill passes and decode steps."""
        return self._costs

    def expect(self, tau_in: IntArray, tau_out: IntArray) -> None:
        """Nothing to prepare."""

    def serve(self, tau_in: Sequence[int], tau_out: Sequence[int]) -> Advance:
        """One prefill of all prompts, then steps of the whole batch until the longest answer ends.

        Queries whose answers are shorter keep their places, as in a batch padded to its longest. Such batches
        follow each other: what their steps leave of the power limit is their pass's to spare.
        """
        batch = len(tau_in)
        while len(self._steps) <= batch:
            self._steps = self._costs.steps(2 * batch)
        base_s, slope_s, base_j, slope_j, limit_w = self._steps[batch]
        steps = max(tau_out) - 1
        # Each prompt has its first token when the first step begins, and one more at each step.
        mean_context = sum(tau_in) + batch + 0.5 * batch * (steps - 1)
        steps_s = steps * (base_s + slope_s * mean_context)
        steps_j = steps * (base_j + slope_j * mean_context)
        if limit_w != math.inf:
            first = sum(tau_in) + batch
            steps_j -= over_limit_j(
                base_j - limit_w * base_s + (slope_j - limit_w * slope_s) * first,
                (slope_j - limit_w * slope_s) * batch,
                steps,
            )
        budget = self._costs.budget
        left_j = 0.0 if budget is None else budget.limit_w * steps_s - steps_j
        prefill_s, prefill_j = self._costs.repeated(tau_in, left_j)
        known = not math.isnan(prefill_j + steps_j)
        return Advance(
            runtime_s=prefill_s + steps_s,
            first_token_s=prefill_s,
            energy_j=prefill_j + steps_j if known else None,
            prefill_j=prefill_j if known else None,
        )

    def close(self) -> None:
        """Nothing is held."""


@dataclass
class Simulator:
    """Costs are read off the fitted curves; nothing is run."""

    method: ClassVar[Literal["simulated"]] = "simulated"

    def open(self, deployment: Deployment) -> Engine:
        """An engine on the deployment's curve."""
        curve = deployment.curve
        if isinstance(curve, PhaseCurve):
            return PhaseCurveEngine(curve, deployment.max_batch)
        return QueryEngine(deployment)


def _checked(runtime_s: FloatArray, name: str) -> FloatArray:
    """Runtimes as they can be played: the paper's own form predicts negative ones, which take no time."""
    if not np.all(np.isfinite(runtime_s)):
        raise InputError(f"{name}: its runtime curve gives a value that is not finite.")
    return np.maximum(runtime_s, 0.0)
