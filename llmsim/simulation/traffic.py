"""Queries come in: one pending arrival at a time, all arrivals of an instant before anything is admitted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf
from typing import Protocol

from llmsim.simulation.clock import Alarm, Clock

Progress = Callable[[int], None]
Send = Callable[[int], None]

# Queries between two reports of progress.
_REPORT_EVERY = 1000


class Instance(Protocol):
    """What traffic knows of an instance."""

    def settle(self) -> None:
        """Every query of this instant has arrived: take up work."""
        ...


class Traffic:
    """The arrivals of a run.

    The order within one instant: queries that finish leave; then queries that arrive are sent to their
    instances; then instances take up work. So an arrival exactly on a boundary is admitted at that boundary.

    Attributes:
        next_s: when the next query arrives; infinity after the last.
        unsettled: instances that wait for the arrivals of this instant before they take up work.
    """

    __slots__ = ("_alarm", "_arrival_s", "_next", "_progress", "_send", "next_s", "unsettled")

    def __init__(self, clock: Clock) -> None:
        self.next_s = inf
        self.unsettled: list[Instance] = []
        self._alarm = Alarm(clock, self._arrive)
        self._next = 0

    def start(self, arrival_s: Sequence[float], send: Send, progress: Progress | None) -> None:
        """Set the first arrival.

        Args:
            arrival_s: seconds, non-decreasing.
            send: routes a query, by number, at its arrival.
            progress: called now and then with the number of arrivals so far.
        """
        self._arrival_s, self._send, self._progress = arrival_s, send, progress
        if arrival_s:
            self.next_s = arrival_s[0]
            self._alarm.set(self.next_s)

    def _arrive(self, _: Alarm) -> None:
        self._alarm.rearm()
        query, now_s, arrival_s, send = self._next, self.next_s, self._arrival_s, self._send
        total = len(arrival_s)
        while True:
            send(query)
            if self._progress is not None and query % _REPORT_EVERY == 0:
                self._progress(query)
            query += 1
            if query == total:
                self.next_s = inf
                break
            if arrival_s[query] != now_s:
                self.next_s = arrival_s[query]
                self._alarm.set(self.next_s)
                break
        self._next = query
        if self.unsettled:
            for instance in self.unsettled:
                instance.settle()
            self.unsettled.clear()
