"""SimPy's clock with appointments at absolute times."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any

from simpy.core import Environment
from simpy.events import NORMAL, URGENT

Ring = Callable[["Alarm"], None]


class Clock(Environment):
    """A SimPy environment on whose calendar an `Alarm` can be put."""

    @property
    def scheduled(self) -> int:
        """Events put on the calendar so far. Reading it puts none there, but takes a number."""
        count = next(self._eid)
        self._eid = type(self._eid)(count)
        return int(count)


class Alarm:
    """An event at an absolute time, which can be set again and again, also while it is set for another.

    `Environment.timeout` takes a delay, so an event lands at `now + (time - now)`, which can differ from
    `time` in the last bit: two events of one instant would then swap. Alarms of one time land on one float.

    SimPy's own events happen once and take their callbacks with them; a simulation of millions of boundaries
    would spend its time making them. This has of an event what SimPy's loop asks for. Whoever is called at a
    ring must `rearm` before setting it again.

    Args:
        ring: called with the alarm.
        first: whether it rings before the ordinary events of its instant.

    Attributes:
        callbacks: called by SimPy, which then forgets them.
        rings: the same; `rearm` puts them back.
        number: for whoever is called, to tell alarms apart.
    """

    __slots__ = ("_calendar", "_numbers", "_priority", "callbacks", "number", "rings")
    _ok = True

    def __init__(self, clock: Clock, ring: Ring, first: bool = False, number: int = 0) -> None:
        self.number = number
        self.rings = [ring]
        self.callbacks: list[Ring] | None = self.rings
        self._priority = URGENT if first else NORMAL
        self._calendar: list[Any] = clock._queue
        self._numbers = clock._eid

    def rearm(self) -> None:
        """Call the same function at the next ring, too."""
        self.callbacks = self.rings

    def set(self, time_s: float) -> None:
        """Ring at `time_s`, absolute seconds, not before now."""
        heapq.heappush(self._calendar, (time_s, self._priority, next(self._numbers), self))
