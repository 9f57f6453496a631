"""SimPy's clock with appointments at absolute times."""

from __future__ import annotations

import heapq
from collections.abc import Callable

from simpy.core import Environment
from simpy.events import NORMAL, URGENT, Event

Callback = Callable[[Event], None]


class Clock(Environment):
    """A SimPy environment on which a callback can be set for an absolute time.

    `Environment.timeout` takes a delay, so an event lands at `now + (time - now)`, which can differ from
    `time` in the last bit: two events of one instant would then swap. Here both land on the same float.
    """

    def call_at(self, time_s: float, callback: Callback, first: bool = False) -> None:
        """Run `callback` at `time_s`; with `first`, before the ordinary events of that instant.

        Args:
            time_s: absolute seconds, not before `now`.
        """
        event = Event(self)
        event._ok = True
        event._value = None
        event.callbacks.append(callback)
        heapq.heappush(self._queue, (time_s, URGENT if first else NORMAL, next(self._eid), event))
