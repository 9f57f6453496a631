"""Batches that start and end together: the serial discipline (batches of one) and the static one.

A queue feeds one instance or, with the `shared` dispatcher, all of a deployment. A free instance of the
lowest number takes the next batch, so that work gathers on few instances.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, nan

from llmsim.backends.contract import Advance, Engine
from llmsim.fleet.deployment import Network
from llmsim.simulation.clock import Alarm
from llmsim.simulation.dispatch import Dispatcher
from llmsim.simulation.doze import Doze
from llmsim.simulation.floor import Floor
from llmsim.simulation.meters import Meters


@dataclass(frozen=True, slots=True)
class Forming:
    """When a batch is full, and how long its first query waits for it to fill."""

    max_batch: int = 1
    wait_s: float = 0.0


@dataclass(frozen=True, slots=True)
class BatchHall:
    """What the lines of one deployment share; see `Hall` for the continuous discipline.

    Attributes:
        doze: None: instances are always on.
        dispatcher: None: all instances share one queue.
        network: None: the way to an instance takes no time.
        freed_in_start_order: an instance comes free only when all that started before it have: a defect of
            one script, kept for the study of it.
    """

    floor: Floor
    engine: Engine
    forming: Forming
    meters: Meters
    doze: Doze | None
    dispatcher: Dispatcher | None
    network: Network | None = None
    freed_in_start_order: bool = False

    def travel_s(self, query: int, number: int) -> float:
        """Seconds from the router to an instance."""
        if self.network is None:
            return 0.0
        return (
            self.network.latency_s[number] + self.network.per_token_s[number] * self.floor.book.tau_in[query]
        )


class BatchStation:
    """The instances of one deployment, behind one queue or behind one each."""

    def __init__(self, hall: BatchHall) -> None:
        numbers = range(hall.meters.instances)
        self._hall = hall
        self._dispatcher = hall.dispatcher
        if hall.dispatcher is None:
            self._lines = [Line(hall, numbers)]
        else:
            self._lines = [Line(hall, (number,)) for number in numbers]

    def arrive(self, query: int) -> None:
        """A query comes in now."""
        if self._dispatcher is None:
            self._lines[0].arrive(query)
        else:
            number = self._dispatcher.choose()
            traffic = self._hall.floor.traffic
            traffic.deliver(self._hall.travel_s(query, number), self._lines[number].arrive, query)

    @property
    def present(self) -> int:
        """Queries that have come and not yet left."""
        return self._lines[0].present if self._dispatcher is None else self._dispatcher.present


class Line:
    """One queue and the instances it feeds."""

    __slots__ = (
        "_ends",
        "_free",
        "_freed_s",
        "_hall",
        "_late",
        "_serving",
        "_unsettled",
        "_wait",
        "_wait_s",
        "_waiting",
        "present",
    )

    def __init__(self, hall: BatchHall, numbers: Sequence[int]) -> None:
        clock = hall.floor.clock
        self._hall = hall
        self._free = list(numbers)  # ascending, hence already a heap
        self._serving: dict[int, tuple[int, ...]] = {}
        self._waiting: deque[int] = deque()
        self._ends: dict[int, Alarm] = {}  # of the instances that ever served
        self._late = Alarm(clock, self._come_late)
        self._wait = Alarm(clock, self._waited, first=True)
        self._wait_s = -inf  # when the wait alarm was last set for
        self._unsettled = False
        self._freed_s = -inf  # when the latest to start comes free; kept only where the order matters
        self.present = 0

    def arrive(self, query: int) -> None:
        """A query comes in now."""
        self.present += 1
        self._waiting.append(query)
        if self._free and not self._unsettled:
            self._unsettled = True
            self._hall.floor.traffic.unsettled.append(self)

    def settle(self) -> None:
        """Start the batches that are due on the free instances."""
        self._unsettled = False
        now_s = self._hall.floor.clock.now
        waiting, free, forming = self._waiting, self._free, self._hall.forming
        while waiting and free:
            if len(waiting) < forming.max_batch:
                due_s = self._hall.floor.book.arrival_s[waiting[0]] + forming.wait_s
                if now_s < due_s:
                    if due_s != self._wait_s:
                        self._wait_s = due_s
                        self._wait.set(due_s)
                    return
            size = min(len(waiting), forming.max_batch)
            self._start(tuple([waiting.popleft() for _ in range(size)]), heapq.heappop(free), now_s)

    def _start(self, batch: tuple[int, ...], number: int, now_s: float) -> None:
        """Serve a batch on an instance from now, or from when it is awake; its end is known at once."""
        hall = self._hall
        book = hall.floor.book
        start_s = now_s if hall.doze is None else hall.doze.rouse(number, now_s)
        if hall.network is not None and hall.dispatcher is None:
            # Until an instance is free the queue is at the router.
            start_s += max(hall.travel_s(query, number) for query in batch)
        took = hall.engine.serve(
            [book.tau_in[query] for query in batch], [book.tau_out[query] for query in batch]
        )
        end_s = start_s + took.runtime_s
        first_token_s = start_s + took.first_token_s
        shares = (1.0,) if len(batch) == 1 else shares_of(batch, book.tau_in, book.tau_out, took)
        joules = nan if took.energy_j is None else took.energy_j
        for query, share in zip(batch, shares, strict=True):
            book.instance[query] = number
            book.start_s[query] = start_s
            book.first_token_s[query] = first_token_s
            book.end_s[query] = end_s
            book.energy_j[query] = joules * share
        hall.meters.serve_s[number] += took.runtime_s
        hall.meters.serve_j[number] += joules
        if hall.floor.tape is not None:
            where = (hall.meters.deployment, number)
            hall.floor.tape.write(where, "serve", (start_s, end_s), joules, len(batch))
        self._serving[number] = batch
        if hall.freed_in_start_order:
            end_s = self._freed_s = max(self._freed_s, end_s)
        alarm = self._ends.get(number)
        if alarm is None:
            alarm = self._ends[number] = Alarm(hall.floor.clock, self._end, first=True, number=number)
        alarm.set(end_s)

    def _end(self, alarm: Alarm) -> None:
        """A batch ends: its queries leave together, and the instance takes up work."""
        alarm.rearm()
        number, hall = alarm.number, self._hall
        batch = self._serving.pop(number)
        self.present -= len(batch)
        if hall.floor.left is not None:
            for query in batch:
                hall.floor.left(query)
        if hall.dispatcher is not None:
            for _ in batch:
                hall.dispatcher.left(number)
        if hall.doze is not None:
            hall.doze.rest(number, hall.floor.clock.now)
        heapq.heappush(self._free, number)
        if self._waiting:
            self._settle_when_all_are_in()

    def _waited(self, _: Alarm) -> None:
        """The first of a batch has waited as long as it may: it starts as it is."""
        self._wait.rearm()
        self._settle_when_all_are_in()

    def _settle_when_all_are_in(self) -> None:
        """Take up work, but after all arrivals and all ends of this instant."""
        clock, traffic = self._hall.floor.clock, self._hall.floor.traffic
        if self._unsettled:
            return
        if traffic.next_s == clock.now:
            self._unsettled = True
            traffic.unsettled.append(self)
        elif clock.peek() == clock.now:  # another batch may end in this instant, on a lower number
            self._unsettled = True
            self._late.set(clock.now)
        else:
            self.settle()

    def _come_late(self, _: Alarm) -> None:
        """Settle, now that whatever else ends in this instant has ended."""
        self._late.rearm()
        self.settle()


def shares_of(
    batch: Sequence[int], tau_in: Sequence[int], tau_out: Sequence[int], took: Advance
) -> list[float]:
    """The part of a batch's joules that each of its queries pays, summing to 1.

    Prefill joules by prompt tokens, and each decode step's equally among the queries that still generate.
    Where phases are not told apart, by prompt and generated tokens together.
    """
    prompts = [tau_in[query] for query in batch]
    answers = [tau_out[query] for query in batch]
    if not took.energy_j or took.prefill_j is None:
        total = sum(prompts) + sum(answers)
        return [(prompt + answer) / total for prompt, answer in zip(prompts, answers, strict=True)]
    prefill = took.prefill_j / took.energy_j
    total = sum(prompts)
    shares = [prefill * prompt / total for prompt in prompts]
    steps = max(answers) - 1
    if steps == 0:
        return [prompt / total for prompt in prompts]
    order = sorted(range(len(batch)), key=answers.__getitem__)
    so_far, paid = 0.0, 1
    for place, index in enumerate(order):
        so_far += (1.0 - prefill) * (answers[index] - paid) / steps / (len(order) - place)
        paid = answers[index]
        shares[index] += so_far
    return shares
