"""What every engine that runs iterations must do.

>>> from llmsim.testing import StepConformance, toy_deployment
>>> class TestMine(StepConformance):
...     def open_engine(self):
...         return MyBackend(device="cpu").open(toy_deployment())
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from llmsim.api import Queries, StepEngine, Work
from llmsim.backends.phase import PhaseCosts, Step
from llmsim.simulation.book import Book, open_book
from llmsim.simulation.clock import Clock
from llmsim.simulation.continuous_station import ContinuousStation
from llmsim.simulation.floor import Floor
from llmsim.simulation.hall import Hall
from llmsim.simulation.limits import Limits
from llmsim.simulation.meters import Meters
from llmsim.simulation.traffic import Traffic
from llmsim.testing.checks import require

FOREVER = float("inf")
# Short memory, so that queries lose their places and come back.
LIMITS = Limits(max_batch=5, kv_blocks=5, kv="grow")
TAU_IN = (7, 3, 12, 20, 1, 9, 15, 6, 11, 4, 18, 2)
TAU_OUT = (9, 5, 4, 11, 30, 1, 16, 22, 2, 13, 7, 19)


class SteppingEngine(StepEngine, Protocol):
    """An engine that also shows what it generated."""

    def generated_by(self, query: int) -> list[int]:
        """Tokens that a query of the iterations since `begin` got so far."""
        ...


class StepConformance:
    """Tokens, counts, time limits and admissions of iterations.

    Override `open_engine`; it is called anew for each test and must hold 6 queries of 40 tokens.
    """

    def open_engine(self) -> SteppingEngine:
        """A new engine."""
        raise NotImplementedError

    def test_queries_that_come_and_go_get_the_tokens_they_get_alone(self) -> None:
        """Who else is in the batch, and in which place, does not show."""
        engine = self._begun(3)
        engine.prefill(0, [0], [TAU_IN[0]])
        done = engine.decode(0, 3, FOREVER).steps
        require(done == 3, f"{done} steps of 3")
        engine.prefill(0, [1, 2], [TAU_IN[1], TAU_IN[2]])
        engine.decode(0, 3, FOREVER)
        engine.release(0, [2])
        engine.decode(0, 1, FOREVER)
        engine.release(0, [1])
        engine.decode(0, 1, FOREVER)
        for query in range(3):
            got, wanted = engine.generated_by(query), self._alone(query)
            require(got == wanted, f"query {query}: {got}, alone {wanted}")
        engine.close()

    def test_a_query_that_lost_its_place_goes_on_with_what_it_had(self) -> None:
        """Its prompt and its answer so far are prefilled again."""
        engine = self._begun(2)
        engine.prefill(0, [0], [TAU_IN[0]])
        engine.decode(0, 2, FOREVER)
        engine.release(0, [0])
        engine.prefill(0, [0], [TAU_IN[0] + 3])
        engine.decode(0, TAU_OUT[0] - 4, FOREVER)
        require(engine.generated_by(0) == self._alone(0), "other tokens after a preemption")
        engine.close()

    def test_steps_end_at_the_first_boundary_after_the_time(self) -> None:
        """A step is never broken off, and none begins late."""
        engine = self._begun(1)
        engine.prefill(0, [4], [TAU_IN[4]])
        require(engine.decode(0, 20, 1e-9).steps == 1, "more than one step in no time")
        work = engine.decode(0, 19, 0.002)
        require(work.steps == 19 or work.runtime_s >= 0.002, f"{work}: it stopped too early")
        engine.close()

    def test_admissions_are_the_simulators(self) -> None:
        """The same queries enter together, in the same order, with the same tokens; each gets its answer."""
        workload = _workload(np.zeros(len(TAU_IN)))
        engine = self.open_engine()
        engine.expect(workload.tau_in, workload.tau_out)
        real, simulated = Noted(engine), Even()
        book = play(workload, real, LIMITS)
        wanted = play(workload, simulated, LIMITS)
        require(real.seen == simulated.seen, f"{real.seen}, simulated {simulated.seen}")
        require(book.preemptions == wanted.preemptions, f"{book.preemptions}, not {wanted.preemptions}")
        require(bool(book.preemptions), "memory was not short: nothing was preempted")
        orders = [np.lexsort((one.end_s, one.first_token_s)).tolist() for one in (book, wanted)]
        require(orders[0] == orders[1], f"in the order {orders[0]}, simulated {orders[1]}")
        counts = [len(engine.generated_by(query)) for query in range(len(TAU_IN))]
        require(counts == list(TAU_OUT), f"{counts} tokens, asked for {TAU_OUT}")
        engine.close()

    def test_the_virtual_clock_advances_by_what_was_measured(self) -> None:
        """Arrivals in between: no query starts before it comes, and busy time fits into the run."""
        workload = _workload(np.linspace(0.0, 0.05, len(TAU_IN)))
        engine = self.open_engine()
        engine.expect(workload.tau_in, workload.tau_out)
        meters = Meters(1)
        book = play(workload, engine, LIMITS, meters)
        require(bool(np.all(np.array(book.start_s) >= workload.arrival_s)), "a query started before it came")
        require(bool(np.all(np.array(book.end_s) >= np.array(book.first_token_s))), "ended before it began")
        busy_s = meters.prefill_s[0] + meters.decode_s[0]
        require(busy_s <= max(book.end_s) * (1 + 1e-9), f"busy for {busy_s} s of {max(book.end_s)} s")
        engine.close()

    def _begun(self, places: int) -> SteppingEngine:
        """An engine that expects the suite's queries, with so many places on one instance."""
        engine = self.open_engine()
        engine.expect(np.array(TAU_IN), np.array(TAU_OUT))
        engine.begin(1, places)
        return engine

    def _alone(self, query: int) -> list[int]:
        """Tokens that a query gets with nobody else in the batch."""
        engine = self._begun(1)
        engine.prefill(0, [query], [TAU_IN[query]])
        engine.decode(0, TAU_OUT[query] - 1, FOREVER)
        got = engine.generated_by(query)
        engine.close()
        return got


class Noted:
    """An engine, and the tokens of those that were let in together."""

    def __init__(self, engine: StepEngine) -> None:
        self._engine = engine
        self.seen: list[tuple[int, ...]] = []
        self.expect, self.serve, self.close = engine.expect, engine.serve, engine.close
        self.begin, self.decode, self.release = engine.begin, engine.decode, engine.release

    def prefill(self, instance: int, queries: Sequence[int], tokens: Sequence[int]) -> Work:
        """Written down, and passed on."""
        self.seen.append(tuple(tokens))
        return self._engine.prefill(instance, queries, tokens)


class Even:
    """Costs in which every iteration takes as long as any other; notes the same as `Noted`."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, ...]] = []

    def prefill(self, tokens: Sequence[int], past: Sequence[int] = ()) -> tuple[float, float]:
        """One second, one joule."""
        self.seen.append(tuple(tokens))
        return 1.0, 1.0

    def steps(self, max_batch: int) -> list[Step]:
        """One second, one joule each."""
        return [(1.0, 0.0, 1.0, 0.0, math.inf)] * (max_batch + 1)


def play(
    workload: Queries, engine: StepEngine | PhaseCosts, limits: Limits, meters: Meters | None = None
) -> Book:
    """One deployment of one instance under the continuous discipline."""
    clock = Clock()
    traffic, book = Traffic(clock), open_book(workload)
    hall = Hall(Floor(clock, traffic, book), engine, limits, Meters(1) if meters is None else meters)
    traffic.start(book.arrival_s, ContinuousStation(hall, "join_shortest").arrive, None)
    clock.run()
    return book


def _workload(arrival_s: np.ndarray) -> Queries:
    """The suite's queries, arriving at these times, s."""
    return Queries(arrival_s, np.array(TAU_IN), np.array(TAU_OUT), name="conformance", source="made up")
