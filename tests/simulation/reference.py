"""The continuous discipline played step by step, written for clarity.

It shares with the simulator only `boundary_s`, which gives a boundary's time, so that both see the same
instants; every other rule is written again, the plain way: one loop turn an iteration, one object a query.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import groupby
from math import ceil, inf, isnan, nan

from llmsim.simulation.boundary import boundary_s


@dataclass(eq=False)
class Query:
    number: int
    arrival_s: float
    tau_in: int
    tau_out: int
    predicted: int
    generated: int = 0
    own_blocks: int = 0
    chunked: int = 0
    instance: int = -1
    start_s: float = nan
    first_token_s: float = nan
    end_s: float = nan
    energy_j: float = 0.0
    preemptions: int = 0


@dataclass(eq=False)
class Instance:
    """One running copy; `next_s` is its next iteration boundary, None while it is idle."""

    costs: object
    limits: object
    step_costs: list  # by batch
    waiting: list[Query] = field(default_factory=list)
    batch: list[Query] = field(default_factory=list)  # in order of admission
    next_s: float | None = None
    ahead: list[Query] = field(default_factory=list)  # admitted, and not yet prefilled: chunked only
    gets_token: list[Query] = field(default_factory=list)  # at the next boundary
    stretch: tuple[float, float, float] | None = None  # start, first step, growth; None: the batch changed
    steps: int = 0
    prefill_j: float = 0.0
    decode_j: float = 0.0
    spare_j: float | None = None  # above the power limit, as of `spare_at_s`; None: as many as there can be
    spare_at_s: float = 0.0

    @property
    def load(self):
        return len(self.waiting) + len(self.batch)

    def reach_boundary(self):
        """Tokens are there; finished queries leave."""
        for query in self.gets_token:
            query.generated += 1
            if query.generated == 1:
                query.first_token_s = self.next_s
        for query in [query for query in self.batch if query.generated == query.tau_out]:
            query.end_s = self.next_s
            self.batch.remove(query)
            self.stretch = None
        self.gets_token = []

    def go_on(self, now_s):
        """Admit and prefill, or else take one decode step."""
        entered = self.admit(now_s)
        if self.limits.chunk_tokens:
            self.ahead += entered
            self.make_room()
            if self.ahead:
                self.mixed_step(now_s)
                return
        if entered:
            tokens = [query.tau_in + query.generated for query in entered]
            seconds, joules = self.prefill(tokens, now_s)
            for query, count in zip(entered, tokens, strict=True):
                query.energy_j += joules * count / sum(tokens)
            self.prefill_j += joules
            self.gets_token = entered
            self.next_s = now_s + seconds
            return
        self.make_room()
        if not self.batch:
            self.next_s = None
            return
        base_s, slope_s, base_j, slope_j, limit_w = self.step_costs[len(self.batch)]
        context = sum(query.tau_in + query.generated for query in self.batch)
        if self.stretch is None:
            self.stretch = (now_s, base_s + slope_s * context, slope_s * len(self.batch))
            self.steps = 0
        self.steps += 1
        joules = min(base_j + slope_j * context, limit_w * (base_s + slope_s * context))
        for query in self.batch:
            query.energy_j += joules / len(self.batch)
        self.decode_j += joules
        self.gets_token = list(self.batch)
        self.next_s = boundary_s(*self.stretch, self.steps)
        self.spend(now_s, self.next_s, joules)

    def prefill(self, tokens, now_s):
        """Seconds and joules of a pass, with what there is to spare now."""
        if not hasattr(self.costs, "budget"):
            return self.costs.prefill(tokens)
        self.spend(now_s, now_s, 0.0)
        seconds, joules = self.costs.spared(tokens, self.spare_j)
        self.spend(now_s, now_s + seconds, joules)
        return seconds, joules

    def spend(self, begin_s, end_s, joules):
        """Nothing was drawn until the begin, and so many joules until the end."""
        budget = getattr(self.costs, "budget", None)
        if budget is not None:
            spare_j = budget.most_j if self.spare_j is None else self.spare_j
            spare_j = min(spare_j + budget.limit_w * (begin_s - self.spare_at_s), budget.most_j)
            self.spare_j = min(spare_j + budget.limit_w * (end_s - begin_s) - joules, budget.most_j)
            self.spare_at_s = end_s

    def mixed_step(self, now_s):
        """One chunk of prompts beside one decode step of the others."""
        self.stretch = None
        tokens, past, left = [], [], self.limits.chunk_tokens
        decoding = [query for query in self.batch if query not in self.ahead]
        self.gets_token = list(decoding)
        pieces = []
        for query in list(self.ahead):
            piece = min(left, query.tau_in + query.generated - query.chunked)
            if piece == 0:
                break
            left -= piece
            tokens.append(piece)
            past.append(query.chunked)
            pieces.append((query, piece))
            query.chunked += piece
            if query.chunked == query.tau_in + query.generated:
                self.ahead.remove(query)
                self.gets_token.append(query)
        seconds, joules = self.costs.prefill(tokens, past)
        self.prefill_j += joules
        for query, piece in pieces:
            query.energy_j += joules * piece / sum(tokens)
        step_s = step_j = 0.0
        if decoding:
            base_s, slope_s, base_j, slope_j, limit_w = self.step_costs[len(decoding)]
            context = sum(query.tau_in + query.generated for query in decoding)
            step_s = base_s + slope_s * context
            step_j = min(base_j + slope_j * context, limit_w * step_s)
            for query in decoding:
                query.energy_j += step_j / len(decoding)
        self.decode_j += step_j
        self.next_s = now_s + (seconds + step_s)

    def admit(self, now_s):
        """Let in who waits, first come first served, while batch and memory allow; those who entered."""
        entered = []
        if not self.waiting:
            return entered
        if self.batch and now_s < self.waiting[0].arrival_s + self.limits.prefill_after_s:
            return entered
        while self.waiting and len(self.batch) < self.limits.max_batch:
            query = self.waiting[0]
            own = self.blocks_at_admission(query)
            if self.blocks_for_next_step() + own > self.limits.kv_blocks:
                break
            self.waiting.pop(0)
            query.own_blocks = own
            if isnan(query.start_s):
                query.start_s = now_s
            query.chunked = 0
            self.batch.append(query)
            entered.append(query)
            self.stretch = None
        return entered

    def make_room(self):
        """Preempt the youngest until the next step fits in memory."""
        while self.blocks_for_next_step() > self.limits.kv_blocks:
            youngest = self.batch.pop()
            if youngest in self.ahead:
                self.ahead.remove(youngest)
            youngest.preemptions += 1
            self.waiting.insert(0, youngest)
            self.stretch = None

    def blocks_at_admission(self, query):
        """Blocks of prompt and next token, or of prompt and predicted answer."""
        tokens = query.tau_in + query.generated + 1
        if self.limits.kv == "reserve":
            tokens = max(tokens, query.tau_in + query.predicted)
        return min(self.blocks(tokens), self.limits.kv_blocks)

    def blocks_for_next_step(self):
        """Blocks that the batch needs to take one more step."""
        return sum(max(query.own_blocks, self.blocks(query.tau_in + query.generated)) for query in self.batch)

    def blocks(self, tokens):
        return ceil(min(tokens, self.limits.window_tokens or inf) / 16)


class ShortestQueue:
    def choose(self, instances):
        return min(range(len(instances)), key=lambda index: instances[index].load)


class Turns:
    def __init__(self):
        self.next = 0

    def choose(self, instances):
        self.next += 1
        return (self.next - 1) % len(instances)


def play(queries, predicted, costs, limits, instances, dispatcher):
    """Serve the queries on one deployment; returns them and the instances.

    Args:
        queries: a Queries.
        predicted: predicted tau_out of each.
    """
    step_costs = costs.steps(limits.max_batch)
    fleet = [Instance(costs, limits, step_costs) for _ in range(instances)]
    rows = [
        Query(number, *row)
        for number, row in enumerate(
            zip(
                queries.arrival_s.tolist(),
                queries.tau_in.tolist(),
                queries.tau_out.tolist(),
                predicted,
                strict=True,
            )
        )
    ]
    for now_s, arrivals in groupby(rows, key=lambda query: query.arrival_s):
        run(fleet, now_s)
        at_boundary = [instance for instance in fleet if instance.next_s == now_s]
        for instance in at_boundary:
            instance.reach_boundary()
        for query in arrivals:
            query.instance = dispatcher.choose(fleet)
            fleet[query.instance].waiting.append(query)
        for instance in fleet:
            if instance in at_boundary or (instance.next_s is None and instance.waiting):
                instance.go_on(now_s)
    run(fleet, inf)
    return rows, fleet


def run(fleet, until_s):
    """Every boundary before `until_s`."""
    for instance in fleet:
        while instance.next_s is not None and instance.next_s < until_s:
            instance.reach_boundary()
            instance.go_on(instance.next_s)


DISPATCHERS = {"join_shortest": ShortestQueue, "round_robin": Turns}
