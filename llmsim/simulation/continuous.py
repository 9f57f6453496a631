"""The continuous discipline, exact to the iteration, without an event an iteration.

At every iteration boundary finished queries leave and waiting ones are admitted while the batch limit and
the KV memory allow; admitted prompts are prefilled, and every query of the batch gets one token a step.
Between two changes of the batch a step's time is affine in the number of steps done, so the boundary at which
something happens next is solved for, and one event stands for all the steps before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from llmsim.backends.phase import over_limit_j
from llmsim.simulation.boundary import boundary_s, steps_until
from llmsim.simulation.clock import Alarm
from llmsim.simulation.hall import Hall
from llmsim.simulation.slots import Slots


class ContinuousInstance(Slots):
    """One running copy that batches at every iteration.

    A *stretch* is the time from one change of the batch to the next. Its boundaries are
    `boundary_s(start, step, growth, k)`, where k counts from the stretch's first step.
    """

    __slots__ = (
        "_alarm",
        "_budget",
        "_changed",
        "_charged_j",
        "_charged_s",
        "_clock",
        "_first_step",
        "_growth_j",
        "_growth_s",
        "_hall",
        "_idle",
        "_later_s",
        "_limited",
        "_next_s",
        "_next_step",
        "_number",
        "_over_growth_j",
        "_over_j",
        "_pending_s",
        "_prefill_after_s",
        "_share_j",
        "_spare_at_s",
        "_spare_j",
        "_start_s",
        "_step_j",
        "_step_s",
        "_traffic",
        "_unsettled",
    )

    def __init__(self, hall: Hall, number: int) -> None:
        super().__init__(hall.floor.book, hall.limits, hall.admission_blocks)
        self._hall = hall
        self._number = number
        self._clock = hall.floor.clock
        self._traffic = hall.floor.traffic
        self._prefill_after_s = hall.limits.prefill_after_s
        self._unsettled = self._changed = False
        self._idle = True
        # Joules of one query that was in the batch from the start: what it adds to is what a query pays.
        self._share_j = 0.0
        self._start_s = self._step_s = self._growth_s = self._step_j = self._growth_j = 0.0
        # What the first step would draw over the power limit, and by how much each one more.
        self._over_j = self._over_growth_j = 0.0
        self._limited = hall.limited
        # Joules above the limit that are to spare, as of then; the budget bounds them where they are used.
        self._budget = None if hall.sparing is None else hall.sparing.budget
        self._spare_j = 0.0 if self._budget is None else self._budget.most_j
        self._spare_at_s = 0.0
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
        if self.waiting:
            if self._sleeps(now_s):
                return
            admitted = self._admit_due(now_s)
            if admitted:
                start_s = self._prefill(admitted, now_s)
                self._changed = True
        if self.growth is not None and start_s == now_s and self.make_room():
            self._changed = True
        self._decode(start_s)

    def _admit_due(self, now_s: float) -> list[int]:
        """Admit waiting queries, if it is their turn."""
        if self.held and now_s < self.book.arrival_s[self.waiting[0]] + self._prefill_after_s:
            return []
        return self.admit()

    def _decode(self, start_s: float) -> None:
        """Decode from `start_s` on: begin a stretch if the batch has changed, and plan the next boundary."""
        batch = len(self.held)
        if not batch:
            self._rest(start_s)
            return
        if self._changed:
            self._changed = False
            base_s, slope_s, base_j, slope_j, limit_w = self._hall.steps[batch]
            context = self.context
            self._start_s = self._charged_s = start_s
            self._first_step = self.steps
            self._charged_j = 0.0
            self._step_s = base_s + slope_s * context
            self._growth_s = slope_s * batch
            self._step_j = base_j + slope_j * context
            self._growth_j = slope_j * batch
            if self._limited:
                self._over_j = self._step_j - limit_w * self._step_s
                self._over_growth_j = self._growth_j - limit_w * self._growth_s
        self._plan(self.finishing[0][0] if self.growth is None else self.next_step())
        if self.waiting and not self.blocked:
            self._plan_entry()

    def _rest(self, now_s: float) -> None:
        """Nothing is left to do."""
        self._changed = False
        self._share_j = 0.0
        self._next_s = inf
        self._idle = True
        if self._hall.doze is not None:
            self._hall.doze.rest(self._number, now_s)

    def _sleeps(self, now_s: float) -> bool:
        """Whether an idle instance must wake before it can work; it settles again when it is awake."""
        doze = self._hall.doze
        if doze is None or not self._idle:
            return False
        self._idle = False  # also while it wakes
        awake_s = doze.rouse(self._number, now_s)
        if awake_s == now_s:
            return False
        self._unsettled = True
        self._next_s = awake_s
        self._set_alarm(awake_s)
        return True

    def _withdraw(self, query: int) -> int:
        """A preempted query pays its part of the steps so far."""
        self.book.energy_j[query] += self._share_j
        return super()._withdraw(query)

    def _prefill(self, admitted: Sequence[int], now_s: float) -> float:
        """Prefill the admitted prompts together and give each its first token; when that is done."""
        prompts = [self.begin(query) for query in admitted]
        seconds, joules = self._pass(prompts, now_s)
        done_s = now_s + seconds
        book, share_j = self.book, self._share_j
        tokens = sum(prompts)
        for query, prompt in zip(admitted, prompts, strict=True):
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

    def _pass(self, prompts: Sequence[int], now_s: float) -> tuple[float, float]:
        """Seconds and joules of a pass that begins now, with what there is to spare."""
        sparing, budget = self._hall.sparing, self._budget
        if sparing is None or budget is None:
            return self._hall.costs.prefill(prompts)
        spare_j = budget.after(self._spare_j, now_s - self._spare_at_s, 0.0)  # nothing ran since then
        seconds, joules = sparing.spared(prompts, spare_j)
        self._spare_j, self._spare_at_s = budget.after(spare_j, seconds, joules), now_s + seconds
        return seconds, joules

    def _ring(self, alarm: Alarm) -> None:
        """The alarm rings: at the planned boundary, or at one that was planned before something changed."""
        alarm.callbacks = alarm.rings
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
        batch, step = len(self.held), self._next_step
        self.context += batch * (step - self.steps)
        self.steps = step
        done = step - self._first_step
        total_j = done * (self._step_j + 0.5 * self._growth_j * (done - 1))
        if self._limited:
            total_j -= over_limit_j(self._over_j, self._over_growth_j, done)
        joules = total_j - self._charged_j
        if self._budget is not None:
            self._spare_j += self._budget.limit_w * (now_s - self._charged_s) - joules
            self._spare_at_s = now_s
        meters, number, tape = self._hall.meters, self._number, self._hall.floor.tape
        meters.decode_j[number] += joules
        meters.decode_s[number] += now_s - self._charged_s
        if tape is not None:
            tape.write((meters.deployment, number), "decode", (self._charged_s, now_s), joules, batch)
        self._share_j += joules / batch
        self._charged_s, self._charged_j = now_s, total_j

    def _plan_entry(self) -> None:
        """Bring the next boundary forward to the first at which the first waiting query may enter."""
        due_s = self._clock._now
        if self._prefill_after_s:
            due_s = max(due_s, self.book.arrival_s[self.waiting[0]] + self._prefill_after_s)
        if due_s < self._next_s:
            step = self._first_step + steps_until(self._start_s, self._step_s, self._growth_s, due_s)
            if step < self._next_step:
                self._plan(step)

    def _plan(self, step: int) -> None:
        """Look again after this step of the instance."""
        self._next_step = step
        self._next_s = next_s = boundary_s(
            self._start_s, self._step_s, self._growth_s, step - self._first_step
        )
        if next_s < self._pending_s:
            self._set_alarm(next_s)

    def _set_alarm(self, time_s: float) -> None:
        """One alarm is pending at or before the next boundary; a later one may be left from before."""
        self._later_s, self._pending_s = self._pending_s, time_s
        self._alarm.set(time_s)
