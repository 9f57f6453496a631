"""The continuous discipline over an engine that runs its iterations, and tells what they took.

A step's time is known when the step has been run, and not before. So an instance runs ahead of the clock to
the next boundary at which something may happen: the first that ends when the next query of the run arrives,
or later, or when one of the batch is done. Who enters and who leaves there is decided by the same code as in
the simulator.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, nan

from llmsim.backends.contract import TimedEngine, Work
from llmsim.simulation.continuous import ContinuousInstance
from llmsim.simulation.hall import Fed, Hall


class SteppedInstance(ContinuousInstance):
    """One running copy; its stretches are what the engine has run, and are never planned anew."""

    __slots__ = ("_engine", "_fed", "_timed")

    def __init__(self, hall: Hall, number: int) -> None:
        super().__init__(hall, number)
        if not isinstance(hall.costs, Fed):
            raise TypeError("a stepped instance needs an engine that runs its iterations")
        self._fed = hall.costs
        self._engine = hall.costs.engine
        self._timed = self._engine if isinstance(self._engine, TimedEngine) else None

    def leave(self) -> list[int]:
        """Let go the queries that finish; the engine forgets them."""
        gone = super().leave()
        if gone:
            self._engine.release(self._number, gone)
        return gone

    def make_room(self) -> list[int]:
        """Preempt the youngest until the next step fits in memory; the engine forgets them."""
        gone = super().make_room()
        if gone:
            self._engine.release(self._number, gone)
        return gone

    def _prefill(self, admitted: Sequence[int], now_s: float) -> float:
        """Tell the engine whose prompts these are, and when; then as in the simulator."""
        self._fed.instance, self._fed.queries = self._number, admitted
        if self._timed is not None:
            self._timed.at(now_s)
        return super()._prefill(admitted, now_s)

    def _decode(self, start_s: float) -> None:
        """Run to the next boundary at which something may happen."""
        if not self.held:
            self._rest(start_s)
            return
        self._changed = False
        last = self.finishing[0][0] if self.growth is None else self.next_step()
        until_s = self._look_s() - start_s
        work = Work(0.0, 0.0)
        if last > self.steps and until_s > 0.0:
            if self._timed is not None:
                self._timed.at(start_s)
            work = self._engine.decode(self._number, last - self.steps, until_s)
        self._start_s = self._charged_s = start_s
        self._first_step = self.steps
        self._charged_j = self._growth_j = 0.0
        joules = nan if work.energy_j is None else work.energy_j
        self._step_j = joules / work.steps if work.steps else 0.0
        self._next_step = self.steps + work.steps
        self._next_s = start_s + work.runtime_s
        if self._next_s < self._pending_s:
            self._set_alarm(self._next_s)

    def _look_s(self) -> float:
        """From when on a query might enter; at no time where only one that leaves can make that happen."""
        if self.blocked or len(self.held) >= self.max_batch:
            return inf
        if self.waiting:
            return max(self._clock._now, self.book.arrival_s[self.waiting[0]] + self._prefill_after_s)
        return self._traffic.next_s

    def _plan_entry(self) -> None:
        """Nothing to plan: the next boundary is the first that comes when the query has."""
