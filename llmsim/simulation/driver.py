"""Plays queries through a fleet: SimPy keeps the clock, the policy chooses, the backend says the cost."""

from __future__ import annotations

import gc
import math
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from llmsim.backends.contract import Engine
from llmsim.curves.cost import FloatArray, IntArray
from llmsim.errors import InputError
from llmsim.fleet.prices import Prices
from llmsim.policies.contract import Attentive, OnlinePolicy
from llmsim.policies.predictors import Oracle, build_predictor
from llmsim.simulation.book import Book, open_book
from llmsim.simulation.clock import Clock
from llmsim.simulation.floor import Floor
from llmsim.simulation.forecast import forecast
from llmsim.simulation.ledger import Ledger, close
from llmsim.simulation.meters import Meters
from llmsim.simulation.stations import Station, open_station
from llmsim.simulation.tape import Tape
from llmsim.simulation.traffic import Progress, Traffic
from llmsim.simulation.view import View
from llmsim.workload.queries import Queries

Router = Callable[[int, int, int], int]


@dataclass
class Follow:
    """A router that follows an offline plan."""

    chosen: Sequence[int]

    def __call__(self, query: int, tau_in: int, tau_out: int) -> int:
        """The plan's deployment."""
        return self.chosen[query]


class Ask:
    """A router that asks an online policy at each arrival.

    A policy with a field `predictor` is told lengths, joules and seconds by it; any other by the truth.

    Args:
        told: what was chosen before, a query each: the policy is not asked again, and not told of queries
            that come back.
    """

    def __init__(
        self, policy: OnlinePolicy, prices: Prices, rng: Generator, told: Sequence[int] | None = None
    ) -> None:
        self._told = told
        policy.begin(prices.deployments, rng)
        patterns, rows = np.unique(prices.eligible, axis=0, return_inverse=True)
        self._allowed = [tuple(np.flatnonzero(pattern).tolist()) for pattern in patterns]
        self._pattern_of = rows.ravel()[prices.pair_of].tolist()
        self._arrival_s = prices.queries.arrival_s.tolist()
        self._policy = policy
        self._done = policy.done if isinstance(policy, Attentive) and told is None else None
        node = getattr(policy, "predictor", None)
        predictor = Oracle() if node is None else build_predictor(node)
        chance = rng.spawn(1)[0]
        self.predicts = node is not None
        self.view = View(prices, lambda: forecast(predictor, prices, chance))

    def __call__(self, query: int, tau_in: int, tau_out: int) -> int:
        """The policy's choice.

        Raises:
            InputError: the policy answers with a deployment that the query does not fit.
        """
        view = self.view
        view.query = query
        view.now_s = self._arrival_s[query]
        view.eligible = self._allowed[self._pattern_of[query]]
        if self._told is not None:
            view.sent(self._told[query])
            return self._told[query]
        chosen = self._policy.route(tau_in, view.length if self.predicts else float(tau_out), view)
        if chosen not in view.eligible:
            raise InputError(
                f"{type(self._policy).__name__} sent query {query} to deployment {chosen}; "
                f"it may go to {list(view.eligible)} only. That is a mistake in the policy."
            )
        view.sent(chosen)
        return chosen

    def listen(self, book: Book, clock: Clock) -> Callable[[int], None]:
        """What is to be called with each query that is done, at that time."""
        view, done = self.view, self._done

        def left(query: int) -> None:
            deployment = book.deployment[query]
            view.done(query, deployment, clock.now, book.tau_out[query])
            if done is not None:
                done(query, deployment)

        return left


def follow(plan: IntArray) -> Router:
    """A router that follows an offline plan, shape (n,)."""
    return Follow(plan.tolist())


def ask(policy: OnlinePolicy, prices: Prices, rng: Generator, told: Sequence[int] | None = None) -> Router:
    """A router that asks an online policy at each arrival, or answers as it did before."""
    return Ask(policy, prices, rng, told)


def play(
    queries: Queries,
    engines: Sequence[Engine],
    prices: Prices,
    route: Router,
    progress: Progress | None = None,
    predicted: FloatArray | None = None,
    tape: Tape | None = None,
) -> Ledger:
    """Serve every query where `route` sends it and record what happened.

    Args:
        queries: those to serve, in order of arrival.
        engines: one a deployment, told beforehand what to expect.
        prices: the same queries priced, for the deployments.
        route: gives the deployment's index for a query's number and token counts.
        progress: called now and then with the number of arrivals so far.
        predicted: expected tau_out, which KV memory is reserved for, shape (n,); None: the true one.
        tape: where to write what every instance did when; None: nowhere.
    """
    clock = Clock()
    book = open_book(queries, predicted)
    book.foreseen = not (isinstance(route, Ask) and route.predicts)
    left = route.listen(book, clock) if isinstance(route, Ask) else None
    floor = Floor(clock, Traffic(clock), book, tape, left)
    start_s = float(queries.arrival_s[0]) if len(queries) else 0.0
    meters = tuple(Meters(item.instances, index, start_s) for index, item in enumerate(prices.deployments))
    stations = [
        open_station(item, engine, floor, meter)
        for item, engine, meter in zip(prices.deployments, engines, meters, strict=True)
    ]
    floor.traffic.start(floor.book.arrival_s, _sender(floor.book, stations, route), progress)
    with _no_garbage_collection():
        clock.run()
    if progress is not None:
        progress(len(queries))
    return close(queries, floor.book, meters, prices.deployments, clock.scheduled)


def _sender(book: Book, stations: Sequence[Station], route: Router) -> Callable[[int], None]:
    """Sends a query to its deployment at its arrival."""
    tau_in, tau_out, deployment = book.tau_in, book.tau_out, book.deployment
    arrive = [station.arrive for station in stations]
    if isinstance(route, Follow):
        chosen_of = route.chosen
        deployment[:] = array("q", chosen_of)
        if len(stations) == 1:
            return arrive[0]
        return lambda query: arrive[chosen_of[query]](query)

    view = route.view if isinstance(route, Ask) and route.predicts else None

    def send(query: int) -> None:
        chosen = route(query, tau_in[query], tau_out[query])
        if view is not None:
            book.predicted[query] = max(math.ceil(view.length), 1)
        deployment[query] = chosen
        arrive[chosen](query)

    return send


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Events make no reference cycles; looking for some among millions of queries only takes time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
