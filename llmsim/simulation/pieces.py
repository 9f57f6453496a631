"""Measured pieces of work, each beside what the simulator's costs say of the same piece."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, nan
from typing import NamedTuple

from llmsim.backends.contract import Advance, Engine, PhaseEngine, StepEngine, Work
from llmsim.backends.phase import PhaseCosts, Step, over_limit_j
from llmsim.curves.cost import IntArray
from llmsim.errors import InputError


class Piece(NamedTuple):
    """One piece of work; figures that are not known are NaN.

    Attributes:
        number: of the deployment's pieces, in order.
        phase: serve (a whole batch), prefill or decode.
        instance: where; -1: a whole batch's is not known here.
        query: the first of those that it lets in; -1: it lets none in, or a whole batch.
        batch: queries in it.
        prompt_tokens: that it reads.
        context_tokens: over all queries, that its first decode step attends to.
        steps: decode steps.
        measured_s, measured_first_s, measured_j: seconds, seconds to the first token, and joules.
        busy_s: of the measured seconds, those in which the engine worked.
        predicted_s, predicted_first_s, predicted_j: the same by the simulator's costs.
    """

    number: int
    phase: str
    instance: int
    query: int
    batch: int
    prompt_tokens: int
    context_tokens: int
    steps: int
    measured_s: float
    measured_first_s: float
    busy_s: float
    measured_j: float
    predicted_s: float
    predicted_first_s: float
    predicted_j: float


class Witness:
    """An engine that answers as another does, and asks what the simulator's costs say of each piece.

    Args:
        name: the deployment's.
        engine: what has measured.
        costs: what the simulator would serve the deployment with.

    Attributes:
        pieces: in order.
    """

    def __init__(self, name: str, engine: Engine, costs: Engine) -> None:
        self._name, self._engine, self._costs = name, engine, costs
        self._phases: PhaseCosts | None = None
        self._steps: Sequence[Step] = ()
        self._held: dict[int, dict[int, int]] = {}  # tokens of each query in each batch
        self.pieces: list[Piece] = []

    def expect(self, tau_in: IntArray, tau_out: IntArray) -> None:
        """See `Engine`."""
        self._engine.expect(tau_in, tau_out)

    def close(self) -> None:
        """See `Engine`."""
        self._engine.close()

    def serve(self, tau_in: Sequence[int], tau_out: Sequence[int]) -> Advance:
        """See `Engine`."""
        took = self._engine.serve(tau_in, tau_out)
        told = self._costs.serve(tau_in, tau_out)
        self._note(
            "serve", (-1, -1, len(tau_in)), (sum(tau_in), sum(tau_in) + len(tau_in), max(tau_out) - 1),
            took, took.first_token_s, (told.runtime_s, told.first_token_s, told.energy_j),
        )  # fmt: skip
        return took

    def begin(self, instances: int, max_batch: int) -> None:
        """See `StepEngine`."""
        if not isinstance(self._costs, PhaseEngine):
            raise InputError(
                f"{self._name}: its curve is of whole queries, so that single iterations cannot be held "
                "against it. Give trials that tell prefill and decode apart."
            )
        self._phases = self._costs.costs
        self._steps = self._phases.steps(max_batch)
        self._held = {number: {} for number in range(instances)}
        self._stepping.begin(instances, max_batch)

    def prefill(self, instance: int, queries: Sequence[int], tokens: Sequence[int]) -> Work:
        """See `StepEngine`."""
        took = self._stepping.prefill(instance, queries, tokens)
        seconds, joules = (nan, nan) if self._phases is None else self._phases.prefill(tokens)
        held = self._held[instance]
        held.update({query: count + 1 for query, count in zip(queries, tokens, strict=True)})
        self._note(
            "prefill", (instance, queries[0], len(queries)), (sum(tokens), 0, 0),
            took, took.runtime_s, (seconds, seconds, joules),
        )  # fmt: skip
        return took

    def decode(self, instance: int, most_steps: int, until_s: float) -> Work:
        """See `StepEngine`."""
        took = self._stepping.decode(instance, most_steps, until_s)
        held = self._held[instance]
        batch, context = len(held), sum(held.values())
        seconds, joules = _steps_cost(self._steps[batch], batch, context, took.steps)
        for query in held:
            held[query] += took.steps
        self._note(
            "decode", (instance, -1, batch), (0, context, took.steps), took, 0.0, (seconds, 0.0, joules)
        )
        return took

    def release(self, instance: int, queries: Sequence[int]) -> None:
        """See `StepEngine`."""
        for query in queries:
            del self._held[instance][query]
        self._stepping.release(instance, queries)

    @property
    def _stepping(self) -> StepEngine:
        if not isinstance(self._engine, StepEngine):
            raise InputError(f"{self._name}: this backend runs whole batches only.")
        return self._engine

    def _note(
        self,
        phase: str,
        who: tuple[int, int, int],
        what: tuple[int, int, int],
        took: Advance | Work,
        first_s: float,
        told: tuple[float, float, float | None],
    ) -> None:
        """Write a piece down: its instance, query and batch; its tokens, context and steps; both costs."""
        busy_s = getattr(took, "busy_s", None)
        self.pieces.append(
            Piece(
                len(self.pieces), phase, *who, *what,
                measured_s=took.runtime_s,
                measured_first_s=first_s,
                busy_s=took.runtime_s if busy_s is None else busy_s,
                measured_j=nan if took.energy_j is None else took.energy_j,
                predicted_s=told[0],
                predicted_first_s=told[1],
                predicted_j=nan if told[2] is None else told[2],
            )
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
