"""Queries come in: one pending arrival at a time, all arrivals of an instant before anything is admitted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from heapq import heappop, heappush
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
        next_s: when the next query arrives, at the router or at an instance; infinity after the last.
        unsettled: instances that wait for the arrivals of this instant before they take up work.
    """

    __slots__ = (
        "_alarm",
        "_arrival_s",
        "_clock",
        "_next",
        "_on_the_way",
        "_progress",
        "_send",
        "_sent",
        "next_s",
        "unsettled",
    )

    def __init__(self, clock: Clock) -> None:
        self.next_s = inf
        self.unsettled: list[Instance] = []
        self._clock = clock
        self._alarm = Alarm(clock, self._arrive)
        self._next = self._sent = 0
        self._arrival_s: Sequence[float] = ()
        # Heap of (when it arrives at its instance, order of sending, whom to call, query).
        self._on_the_way: list[tuple[float, int, Send, int]] = []

    def start(self, arrival_s: Sequence[float], send: Send, progress: Progress | None) -> None:
        """Set the first arrival.

        Args:
            arrival_s: seconds, non-decreasing.
            send: routes a query, by number, at its arrival.
            progress: called now and then with the number of arrivals so far.
        """
        self._arrival_s, self._send, self._progress = arrival_s, send, progress
        if arrival_s:
            self._expect(arrival_s[0])

    def deliver(self, delay_s: float, take: Send, query: int) -> None:
        """Call `take` with the query when it has come over the network; at once where that takes no time."""
        if delay_s <= 0.0:
            take(query)
            return
        time_s = self._clock.now + delay_s
        self._sent += 1
        heappush(self._on_the_way, (time_s, self._sent, take, query))
        if time_s < self.next_s:
            self._expect(time_s)

    def _expect(self, time_s: float) -> None:
        """Be called at that time, whatever was expected before."""
        self.next_s = time_s
        self._alarm.set(time_s)

    def _arrive(self, _: Alarm) -> None:
        """Everything that arrives in this instant, at the router and at instances; then work is taken up."""
        self._alarm.rearm()
        now_s = self._clock._now
        if now_s != self.next_s:
            return  # what came before it was expected later
        query, arrival_s, send = self._next, self._arrival_s, self._send
        total = len(arrival_s)
        while query < total and arrival_s[query] == now_s:
            send(query)
            if self._progress is not None and query % _REPORT_EVERY == 0:
                self._progress(query)
            query += 1
        self._next = query
        soonest_s = arrival_s[query] if query < total else inf
        on_the_way = self._on_the_way
        if on_the_way:
            while on_the_way and on_the_way[0][0] == now_s:
                parcel = heappop(on_the_way)
                parcel[2](parcel[3])
            if on_the_way:
                soonest_s = min(soonest_s, on_the_way[0][0])
        self.next_s = soonest_s
        if soonest_s < inf:
            self._alarm.set(soonest_s)
        if self.unsettled:
            for instance in self.unsettled:
                instance.settle()
            self.unsettled.clear()
