"""Measured pieces of work, each beside what the simulator's costs say of the same piece."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, nan
from typing import NamedTuple

import numpy as np

from llmsim.backends.contract import Advance, Engine, PhaseEngine, StepEngine, TimedEngine, Work
from llmsim.backends.phase import PhaseCosts, SparingCosts, Step, over_limit_j
from llmsim.curves.cost import IntArray
from llmsim.errors import InputError
from llmsim.simulation.ledger import Ledger


class Seen(NamedTuple):
    """A piece of work as it was measured.

    Attributes:
        phase: serve (a whole batch), prefill or decode.
        instance: where; -1: a whole batch's is not told.
        begin_s: when it begins, on the run's clock; NaN for a whole batch, which is not told.
        tokens: prompt tokens of each query that it reads.
        batch: queries in it.
        context_tokens: over all queries, that its first decode step attends to.
        steps: decode steps.
        took: what it took.
        answers: of a whole batch: tokens of each answer.
    """

    phase: str
    instance: int
    begin_s: float
    tokens: tuple[int, ...]
    batch: int
    context_tokens: int
    steps: int
    took: Advance | Work
    answers: tuple[int, ...] = ()


class Piece(NamedTuple):
    """One piece of work, measured and predicted; figures that are not known are NaN.

    Attributes:
        number: of the deployment's pieces, in order.
        phase, instance, batch, context_tokens, steps: as in `Seen`.
        prompt_tokens: that it reads.
        begin_s: when it begins, on the run's clock; NaN for a batch of a deployment with several instances.
        measured_s, measured_first_s, measured_j: seconds, seconds to the first token, and joules.
        busy_s: of the measured seconds, those in which the engine worked.
        predicted_s, predicted_first_s, predicted_j: the same by the simulator's costs.
    """

    number: int
    phase: str
    instance: int
    batch: int
    prompt_tokens: int
    context_tokens: int
    steps: int
    begin_s: float
    measured_s: float
    measured_first_s: float
    busy_s: float
    measured_j: float
    predicted_s: float
    predicted_first_s: float
    predicted_j: float


class Witness:
    """An engine that answers as another does, and remembers each piece of work.

    Attributes:
        seen: in order.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._held: dict[int, dict[int, int]] = {}  # tokens of each query in each batch
        self._begin_s = nan
        self.seen: list[Seen] = []

    def expect(self, tau_in: IntArray, tau_out: IntArray) -> None:
        """See `Engine`."""
        self._engine.expect(tau_in, tau_out)

    def close(self) -> None:
        """See `Engine`."""
        self._engine.close()

    def serve(self, tau_in: Sequence[int], tau_out: Sequence[int]) -> Advance:
        """See `Engine`."""
        took = self._engine.serve(tau_in, tau_out)
        size, steps = len(tau_in), max(tau_out) - 1
        self.seen.append(
            Seen("serve", -1, nan, tuple(tau_in), size, sum(tau_in) + size, steps, took, tuple(tau_out))
        )
        return took

    def begin(self, instances: int, max_batch: int) -> None:
        """See `StepEngine`."""
        self._held = {number: {} for number in range(instances)}
        self._stepping.begin(instances, max_batch)

    def prefill(self, instance: int, queries: Sequence[int], tokens: Sequence[int]) -> Work:
        """See `StepEngine`."""
        took = self._stepping.prefill(instance, queries, tokens)
        self._held[instance].update((query, n + 1) for query, n in zip(queries, tokens, strict=True))
        self.seen.append(Seen("prefill", instance, self._begin_s, tuple(tokens), len(queries), 0, 0, took))
        return took

    def decode(self, instance: int, most_steps: int, until_s: float) -> Work:
        """See `StepEngine`."""
        took = self._stepping.decode(instance, most_steps, until_s)
        held = self._held[instance]
        context = sum(held.values())
        self.seen.append(Seen("decode", instance, self._begin_s, (), len(held), context, took.steps, took))
        for query in held:
            held[query] += took.steps
        return took

    def at(self, start_s: float) -> None:
        """See `TimedEngine`."""
        self._begin_s = start_s
        if isinstance(self._engine, TimedEngine):
            self._engine.at(start_s)

    def release(self, instance: int, queries: Sequence[int]) -> None:
        """See `StepEngine`."""
        for query in queries:
            del self._held[instance][query]
        self._stepping.release(instance, queries)

    @property
    def _stepping(self) -> StepEngine:
        """The engine, which must run iterations; raises InputError for one of whole batches only."""
        if not isinstance(self._engine, StepEngine):
            raise InputError("This backend runs whole batches only.")
        return self._engine


def beside(seen: Sequence[Seen], costs: Engine, ledger: Ledger, index: int) -> list[Piece]:
    """What one deployment measured, and what the simulator's costs say of it.

    Args:
        seen: its pieces, in order.
        costs: what the simulator serves it with.
        ledger: of the measured run.
        index: the deployment's.

    Raises:
        InputError: iterations where the costs are of whole queries.
    """
    found = []
    teller: Teller | None = None
    alone = ledger.deployments[index].instances == 1
    batches = iter(np.unique(ledger.start_s[ledger.deployment == index]).tolist())
    for number, one in enumerate(seen):
        begin_s = one.begin_s
        if one.phase == "serve":
            begin_s = next(batches) if alone else nan
            told = costs.serve(one.tokens, one.answers)
            predicted = told.runtime_s, told.first_token_s, nan if told.energy_j is None else told.energy_j
        else:
            teller = teller or Teller(_phases(costs, ledger.deployments[index].name), seen)
            predicted = teller.tell(one)
        found.append(_piece(number, one, begin_s, predicted))
    return found


class Teller:
    """Says what iterations cost, one after the other; between them a device may save joules for later."""

    def __init__(self, costs: PhaseCosts, seen: Sequence[Seen]) -> None:
        self._costs = costs
        self._steps = costs.steps(max(one.batch for one in seen))
        self._sparing = costs if isinstance(costs, SparingCosts) and costs.budget is not None else None
        self._spare_j: dict[int, float] = {}
        self._end_s: dict[int, float] = {}

    def tell(self, one: Seen) -> tuple[float, float, float]:
        """Seconds, seconds to the first token, and joules of the next piece."""
        if one.phase == "decode":
            seconds, joules = _steps_cost(self._steps[one.batch], one.batch, one.context_tokens, one.steps)
            if self._sparing is not None and self._sparing.budget is not None:
                saved_j = self._sparing.budget.limit_w * seconds - joules
                self._spare_j[one.instance] = self._spare_j.get(one.instance, 0.0) + saved_j
            first_s = 0.0
        else:
            seconds, joules = self._pass(one)
            first_s = seconds
        self._end_s[one.instance] = one.begin_s + one.took.runtime_s
        return seconds, first_s, joules

    def _pass(self, one: Seen) -> tuple[float, float]:
        """Seconds and joules of a pass, with what the device saved since the piece before."""
        if self._sparing is None or self._sparing.budget is None:
            return self._costs.prefill(one.tokens)
        budget = self._sparing.budget
        idle_s = one.begin_s - self._end_s.get(one.instance, one.begin_s)
        spare_j = budget.after(self._spare_j.get(one.instance, budget.most_j), idle_s, 0.0)
        seconds, joules = self._sparing.spared(one.tokens, spare_j)
        self._spare_j[one.instance] = budget.after(spare_j, seconds, joules)
        return seconds, joules


def _phases(costs: Engine, name: str) -> PhaseCosts:
    """Costs of single iterations; raises InputError where only whole queries are known."""
    if not isinstance(costs, PhaseEngine):
        raise InputError(
            f"{name}: its curve is of whole queries, so that single iterations cannot be held against it. "
            "Give trials that tell prefill and decode apart."
        )
    return costs.costs


def _piece(number: int, one: Seen, begin_s: float, predicted: tuple[float, float, float]) -> Piece:
    """A measured piece beside (seconds, seconds to the first token, joules) predicted."""
    took = one.took
    busy_s = getattr(took, "busy_s", None)
    first_s = took.first_token_s if isinstance(took, Advance) else took.runtime_s * (one.phase == "prefill")
    return Piece(
        number, one.phase, one.instance, one.batch, sum(one.tokens), one.context_tokens, one.steps, begin_s,
        measured_s=took.runtime_s,
        measured_first_s=first_s,
        busy_s=took.runtime_s if busy_s is None else busy_s,
        measured_j=nan if took.energy_j is None else took.energy_j,
        predicted_s=predicted[0],
        predicted_first_s=predicted[1],
        predicted_j=predicted[2],
    )  # fmt: skip


def _steps_cost(step: Step, batch: int, context: int, count: int) -> tuple[float, float]:
    """Seconds and joules of steps of one batch, each of which makes the next one's context longer."""
    base_s, slope_s, base_j, slope_j, limit_w = step
    mean = context + 0.5 * batch * (count - 1)
    joules = count * (base_j + slope_j * mean)
    if limit_w < inf:
        over_j = base_j - limit_w * base_s + (slope_j - limit_w * slope_s) * context
        joules -= over_limit_j(over_j, (slope_j - limit_w * slope_s) * batch, count)
    return count * (base_s + slope_s * mean), joules
