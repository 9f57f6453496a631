"""The continuous discipline, exact to the iteration, without an event an iteration.

At every iteration boundary finished queries leave and waiting ones are admitted while the batch limit and
the KV memory allow; admitted prompts are prefilled, and every query of the batch gets one token a step.
Between two changes of the batch a step's time is affine in the number of steps done, so the boundary at which
something happens next is solved for, and one event stands for all the steps before it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf

from simpy.events import Event

from llmsim.backends.phase import PhaseCosts, Step
from llmsim.simulation.boundary import boundary_s, steps_until
from llmsim.simulation.clock import Alarm
from llmsim.simulation.dispatch import Dispatcher
from llmsim.simulation.floor import Floor
from llmsim.simulation.limits import Limits
from llmsim.simulation.meters import Meters
from llmsim.simulation.slots import Slots


class ContinuousStation:
    """The instances of one deployment; the dispatcher sends each query to one of them at its arrival.

    Attributes:
        instances: as many as the meters count.
    """

    def __init__(
        self, floor: Floor, dispatcher: Dispatcher, costs: PhaseCosts, limits: Limits, meters: Meters
    ) -> None:
        hall = Hall(floor, costs, costs.steps(limits.max_batch), limits, meters, dispatcher.left)
        self._choose = dispatcher.choose
        self._sent = floor.book.instance
        self.instances = [ContinuousInstance(hall, number) for number in range(meters.instances)]

    def arrive(self, query: int) -> None:
        """A query comes in now."""
        chosen = self._choose()
        self._sent[query] = chosen
        self.instances[chosen].arrive(query)


@dataclass(frozen=True, slots=True)
class Hall:
    """What the instances of one station share.

    Attributes:
        steps: a decode step of each batch size from 0 to the batch limit.
        left: told the instance's number as each query leaves it.
    """

    floor: Floor
    costs: PhaseCosts
    steps: Sequence[Step]
    limits: Limits
    meters: Meters
    left: Callable[[int], None]


class ContinuousInstance(Slots):
    """One running copy that batches at every iteration.

    A *stretch* is the time from one change of the batch to the next. Its boundaries are
    `boundary_s(start, step, growth, k)`, where k counts from the stretch's first step.
    """

    __slots__ = (
        "_alarm",
        "_changed",
        "_charged_j",
        "_charged_s",
        "_clock",
        "_first_step",
        "_growth_j",
        "_growth_s",
        "_hall",
        "_later_s",
        "_next_s",
        "_next_step",
        "_number",
        "_pending_s",
        "_prefill_after_s",
        "_share_j",
        "_start_s",
        "_step_j",
        "_step_s",
        "_traffic",
        "_unsettled",
    )

    def __init__(self, hall: Hall, number: int) -> None:
        super().__init__(hall.floor.book, hall.limits)
        self._hall = hall
        self._number = number
        self._clock = hall.floor.clock
        self._traffic = hall.floor.traffic
        self._prefill_after_s = hall.limits.prefill_after_s
        self._unsettled = self._changed = False
        # Joules of one query that was in the batch from the start: what it adds to is what a query pays.
        self._share_j = 0.0
        self._start_s = self._step_s = self._growth_s = self._step_j = self._growth_j = 0.0
        self._first_step = self._next_step = 0
        self._charged_s = self._charged_j = 0.0
        self._next_s = self._pending_s = self._later_s = inf
        self._alarm = Alarm(hall.floor.clock, self._ring, first=True)

    def arrive(self, query: int) -> None:
        """A query comes in now."""
        waiting = self.waiting
        waiting.append(query)
        if self._unsettled or len(waiting) > 1:
            return  # what happens next is known: whoever was first has planned it
        if not self.held:
            self._unsettled = True
            self._traffic.unsettled.append(self)
        elif self.may_enter(query):
            self._plan_entry()
        else:
            self.blocked = True

    def settle(self) -> None:
        """Take up work: admit and prefill, or make room for the next step; then plan the next boundary."""
        self._unsettled = False
        now_s = self._clock._now
        start_s = now_s
        entered: Sequence[tuple[int, int]] = ()
        if self.waiting and self._entry_due_s() <= now_s:
            entered = self.enter()
            if entered:
                start_s = self._prefill(entered, now_s)
                self._changed = True
        if not entered and self.growth is not None:
            for query in self.make_room():
                self.book.energy_j[query] += self._share_j
                self._changed = True
        batch = len(self.held)
        if not batch:
            self._share_j = 0.0
            self._next_s = inf
            return
        if self._changed:
            self._changed = False
            base_s, slope_s, base_j, slope_j = self._hall.steps[batch]
            self._start_s = self._charged_s = start_s
            self._first_step = self.steps
            self._charged_j = 0.0
            self._step_s, self._growth_s = base_s + slope_s * self.context, slope_s * batch
            self._step_j, self._growth_j = base_j + slope_j * self.context, slope_j * batch
        self._plan(self.next_step())
        if self.waiting and not self.blocked:
            self._plan_entry()

    def _entry_due_s(self) -> float:
        """From when on the first waiting query may be prefilled."""
        return self.book.arrival_s[self.waiting[0]] + self._prefill_after_s if self.held else 0.0

    def _prefill(self, entered: Sequence[tuple[int, int]], now_s: float) -> float:
        """Prefill the admitted prompts together and give each its first token; when that is done."""
        prompts = [prompt for _, prompt in entered]
        tokens = sum(prompts)
        seconds, joules = self._hall.costs.prefill(prompts)
        done_s = now_s + seconds
        book, share_j = self.book, self._share_j
        for query, prompt in entered:
            book.energy_j[query] += joules * (prompt / tokens) - share_j
            if prompt == book.tau_in[query]:  # not one that comes back after a preemption
                book.start_s[query] = now_s
                book.first_token_s[query] = done_s
        meters, number = self._hall.meters, self._number
        meters.prefill_s[number] += seconds
        meters.prefill_j[number] += joules
        return done_s

    def _ring(self, _: Event) -> None:
        """The alarm rings: at the planned boundary, or at one that was planned before something changed."""
        self._alarm.rearm()
        now_s = self._clock._now
        if now_s == self._pending_s:
            self._pending_s, self._later_s = self._later_s, inf
        if now_s != self._next_s:
            if self._next_s < self._pending_s:
                self._set_alarm(self._next_s)
            return
        self._reach(now_s)
        gone = self.leave()
        if gone:
            self._changed = True
            end_s, energy_j, share_j = self.book.end_s, self.book.energy_j, self._share_j
            for query in gone:
                end_s[query] = now_s
                energy_j[query] += share_j
                self._hall.left(self._number)
        if self._traffic.next_s == now_s:
            self._next_s = inf
            self._unsettled = True
            self._traffic.unsettled.append(self)
        else:
            self.settle()

    def _reach(self, now_s: float) -> None:
        """Count the steps up to the planned boundary, which is now, and charge their joules."""
        batch = len(self.held)
        self.context += batch * (self._next_step - self.steps)
        self.steps = self._next_step
        steps = self.steps - self._first_step
        joules = steps * (self._step_j + 0.5 * self._growth_j * (steps - 1))
        meters, number = self._hall.meters, self._number
        meters.decode_j[number] += joules - self._charged_j
        meters.decode_s[number] += now_s - self._charged_s
        self._share_j += (joules - self._charged_j) / batch
        self._charged_s, self._charged_j = now_s, joules

    def _plan_entry(self) -> None:
        """Bring the next boundary forward to the first at which the first waiting query may enter."""
        due_s = max(self._entry_due_s(), self._clock._now)
        if due_s >= self._next_s:
            return
        steps = steps_until(self._start_s, self._step_s, self._growth_s, due_s)
        if self._first_step + steps < self._next_step:
            self._plan(self._first_step + steps)

    def _plan(self, step: int) -> None:
        """Look again after this step of the instance."""
        self._next_step = step
        self._next_s = boundary_s(self._start_s, self._step_s, self._growth_s, step - self._first_step)
        if self._next_s < self._pending_s:
            self._set_alarm(self._next_s)

    def _set_alarm(self, time_s: float) -> None:
        """One alarm is pending at or before the next boundary; a later one may be left from before."""
        self._later_s, self._pending_s = self._pending_s, time_s
        self._alarm.set(time_s)
