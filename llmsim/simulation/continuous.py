"""The continuous discipline, exact to the iteration, without an event an iteration.

At every iteration boundary finished queries leave and waiting ones are admitted while the batch limit and
the KV memory allow; admitted prompts are prefilled, and every query of the batch gets one token a step.
Between two changes of the batch a step's time is affine in the number of steps done, so the boundary at which
something happens next is solved for, and one event stands for all the steps before it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from math import inf

from llmsim.backends.phase import PhaseCosts
from llmsim.simulation.boundary import boundary_s, steps_until
from llmsim.simulation.clock import Alarm
from llmsim.simulation.dispatch import JoinShortest, dispatcher
from llmsim.simulation.doze import Doze
from llmsim.simulation.floor import Floor
from llmsim.simulation.limits import Limits
from llmsim.simulation.meters import Meters
from llmsim.simulation.slots import Slots


class Hall:
    """What the instances of one deployment share.

    Attributes:
        doze: None: instances are always on.
        steps: cost of a decode step by batch, 0 to the batch limit.
        left: told the instance's number as each query leaves it.
    """

    __slots__ = ("costs", "doze", "floor", "left", "limits", "meters", "steps")

    def __init__(
        self, floor: Floor, costs: PhaseCosts, limits: Limits, meters: Meters, doze: Doze | None = None
    ) -> None:
        self.floor = floor
        self.costs = costs
        self.limits = limits
        self.meters = meters
        self.doze = doze
        self.steps = costs.steps(limits.max_batch)
        self.left: Callable[[int], None] = _nobody


def _nobody(number: int) -> None:
    """Nobody is told."""


class ContinuousStation:
    """The instances of one deployment; each query is sent to one of them.

    With the `shared` dispatcher a query waits in the deployment's queue until an instance has a place in its
    batch; the emptiest one has it. Otherwise it is sent to an instance at its arrival.
    """

    def __init__(self, hall: Hall, dispatch: str) -> None:
        count = hall.meters.instances
        self._sent = hall.floor.book.instance
        self._backlog: deque[int] = deque()
        self._shared = JoinShortest(count) if dispatch == "shared" else None
        self._most = hall.limits.max_batch
        self._dispatcher = self._shared or dispatcher(dispatch, count)
        hall.left = self._left if self._shared else self._dispatcher.left
        self.instances = [ContinuousInstance(hall, number) for number in range(count)]

    def arrive(self, query: int) -> None:
        """A query comes in now."""
        if self._shared is not None and self._shared.fewest >= self._most:
            self._backlog.append(query)
            return
        chosen = self._dispatcher.choose()
        self._sent[query] = chosen
        self.instances[chosen].arrive(query)

    @property
    def present(self) -> int:
        """Queries that have come and not yet left."""
        return len(self._backlog) + self._dispatcher.present

    def _left(self, number: int) -> None:
        """A place is free: the query that has waited longest takes it at this boundary."""
        self._dispatcher.left(number)
        if self._backlog and self._shared is not None:
            query = self._backlog.popleft()
            self._shared.add(number)
            self._sent[query] = number
            self.instances[number].waiting.append(query)


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
        "_waking",
    )

    def __init__(self, hall: Hall, number: int) -> None:
        super().__init__(hall.floor.book, hall.limits)
        self._hall = hall
        self._number = number
        self._clock = hall.floor.clock
        self._traffic = hall.floor.traffic
        self._prefill_after_s = hall.limits.prefill_after_s
        self._unsettled = self._changed = self._waking = False
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
        now_s = start_s = self._clock._now
        if not self.held and self._hall.doze is not None and self._sleeps(self._hall.doze, now_s):
            return
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
            if self._hall.doze is not None:
                self._hall.doze.rest(self._number, now_s)
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

    def _sleeps(self, doze: Doze, now_s: float) -> bool:
        """Whether the idle instance must wake before it can work; it then settles when it is awake."""
        if not self.waiting or self._waking:
            self._waking = False
            return False
        awake_s = doze.rouse(self._number, now_s)
        if awake_s == now_s:
            return False
        self._waking = self._unsettled = True
        self._next_s = awake_s
        self._set_alarm(awake_s)
        return True

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
        meters, number, tape = self._hall.meters, self._number, self._hall.floor.tape
        meters.prefill_s[number] += seconds
        meters.prefill_j[number] += joules
        if tape is not None:
            tape.write((meters.deployment, number), "prefill", (now_s, done_s), joules, len(self.held))
        return done_s

    def _ring(self, _: Alarm) -> None:
        """The alarm rings: at the planned boundary, or at one that was planned before something changed."""
        self._alarm.rearm()
        now_s = self._clock._now
        if now_s == self._pending_s:
            self._pending_s, self._later_s = self._later_s, inf
        if now_s != self._next_s:
            if self._next_s < self._pending_s:
                self._set_alarm(self._next_s)
            return
        if self.held:
            self._reach(now_s)
            gone = self.leave()
            if gone:
                self._changed = True
                end_s, energy_j, share_j = self.book.end_s, self.book.energy_j, self._share_j
                told = self._hall.floor.left
                for query in gone:
                    end_s[query] = now_s
                    energy_j[query] += share_j
                    self._hall.left(self._number)
                    if told is not None:
                        told(query)
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
        total_j = steps * (self._step_j + 0.5 * self._growth_j * (steps - 1))
        joules = total_j - self._charged_j
        meters, number, tape = self._hall.meters, self._number, self._hall.floor.tape
        meters.decode_j[number] += joules
        meters.decode_s[number] += now_s - self._charged_s
        if tape is not None:
            tape.write((meters.deployment, number), "decode", (self._charged_s, now_s), joules, batch)
        self._share_j += joules / batch
        self._charged_s, self._charged_j = now_s, total_j

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
