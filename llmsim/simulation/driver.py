"""Plays queries through a fleet: SimPy keeps the clock, the policy chooses, the backend says the cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from simpy.events import Event

from llmsim.backends.contract import Engine
from llmsim.curves.cost import IntArray
from llmsim.errors import InputError
from llmsim.fleet.prices import Prices
from llmsim.policies.contract import OnlinePolicy
from llmsim.simulation.clock import Clock
from llmsim.simulation.ledger import Ledger, collect
from llmsim.simulation.serial import Row, SerialStation
from llmsim.workload.queries import Queries

Router = Callable[[int, int, int], int]
Progress = Callable[[int], None]

# Queries between two reports of progress.
_REPORT_EVERY = 1000


@dataclass
class View:
    """What a router sees: the time, and where the query fits."""

    now_s: float
    eligible: Sequence[int]


def follow(plan: IntArray) -> Router:
    """A router that follows an offline plan, shape (n,)."""
    chosen = plan.tolist()
    return lambda query, tau_in, tau_out: chosen[query]


def ask(policy: OnlinePolicy, prices: Prices, rng: Generator) -> Router:
    """A router that asks an online policy at each arrival.

    Raises:
        InputError: the policy answers with a deployment that the query does not fit.
    """
    policy.begin(prices.deployments, rng)
    patterns, rows = np.unique(prices.eligible, axis=0, return_inverse=True)
    allowed = [tuple(np.flatnonzero(pattern).tolist()) for pattern in patterns]
    pattern_of = rows.ravel()[prices.pair_of].tolist()
    arrival_s = prices.queries.arrival_s.tolist()
    view = View(0.0, ())

    def route(query: int, tau_in: int, tau_out: int) -> int:
        view.now_s = arrival_s[query]
        view.eligible = allowed[pattern_of[query]]
        chosen = policy.route(tau_in, float(tau_out), view)
        if chosen not in view.eligible:
            raise InputError(
                f"{type(policy).__name__} sent query {query} to deployment {chosen}; "
                f"it may go to {list(view.eligible)} only. That is a mistake in the policy."
            )
        return chosen

    return route


def play(
    queries: Queries,
    engines: Sequence[Engine],
    prices: Prices,
    route: Router,
    progress: Progress | None = None,
) -> Ledger:
    """Serve every query where `route` sends it and record what happened.

    Args:
        queries: those to serve, in order of arrival.
        engines: one a deployment, told beforehand what to expect.
        prices: the same queries priced, for the deployments.
        route: gives the deployment's index for a query's number and token counts.
        progress: called now and then with the number of arrivals so far.
    """
    clock = Clock()
    rows: list[Row | None] = [None] * len(queries)
    stations = [
        SerialStation(clock, index, item.instances, engine, rows)
        for index, (item, engine) in enumerate(zip(prices.deployments, engines, strict=True))
    ]
    arrival_s = queries.arrival_s.tolist()
    tau_in, tau_out = queries.tau_in.tolist(), queries.tau_out.tolist()
    total = len(arrival_s)

    upcoming = iter(range(total))

    def arrive(_: Event) -> None:
        query = next(upcoming)
        chosen = route(query, tau_in[query], tau_out[query])
        stations[chosen].arrive(query, tau_in[query], tau_out[query], arrival_s[query])
        # One pending arrival at a time keeps the event queue as small as the fleet is busy.
        if query + 1 < total:
            clock.call_at(arrival_s[query + 1], arrive)
        if progress is not None and query % _REPORT_EVERY == 0:
            progress(query)

    if total:
        clock.call_at(arrival_s[0], arrive)
    clock.run()
    if progress is not None:
        progress(total)
    return collect(queries.arrival_s, [row for row in rows if row is not None], prices.deployments)
