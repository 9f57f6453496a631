"""The serial discipline: an instance serves one query at a time, first come first served.

All instances of a deployment share one queue.
"""

from __future__ import annotations

import heapq
from collections import deque

from simpy.events import Event

from llmsim.backends.contract import Engine
from llmsim.simulation.clock import Clock

Row = tuple[int, int, float, float, float, float]


class SerialStation:
    """The instances of one deployment behind one queue.

    A free instance of the lowest number takes the next query, so that work gathers on few instances.
    """

    def __init__(
        self, clock: Clock, index: int, instances: int, engine: Engine, rows: list[Row | None]
    ) -> None:
        self._clock = clock
        self._index = index
        self._engine = engine
        self._rows = rows
        self._free = list(range(instances))  # ascending, hence already a heap
        self._waiting: deque[tuple[int, int, int]] = deque()

    def arrive(self, query: int, tau_in: int, tau_out: int, arrival_s: float) -> None:
        """A query comes in at `arrival_s`, which is now."""
        if self._free:
            self._start(query, tau_in, tau_out, arrival_s, heapq.heappop(self._free))
        else:
            self._waiting.append((query, tau_in, tau_out))

    def _start(self, query: int, tau_in: int, tau_out: int, start_s: float, instance: int) -> None:
        took = self._engine.serve((tau_in,), (tau_out,))
        end_s = start_s + took.runtime_s
        joules = float("nan") if took.energy_j is None else took.energy_j
        self._rows[query] = (self._index, instance, start_s, start_s + took.first_token_s, end_s, joules)

        def finish(_: Event) -> None:
            if self._waiting:
                self._start(*self._waiting.popleft(), end_s, instance)
            else:
                heapq.heappush(self._free, instance)

        # First of its instant: an instance that frees up as a query arrives can take it.
        self._clock.call_at(end_s, finish, first=True)
