"""Queues whose mean wait theory knows, played by the simulator in replications."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from llmsim.backends.simulator import Simulator
from llmsim.fleet.prices import price
from llmsim.simulation.driver import follow, play
from llmsim.simulation.replications import interval, seeds
from llmsim.simulation.window import Window, take
from tests.builders import deployment, queries

MEAN_TOKENS = 4000
SECONDS_PER_TOKEN = 1.0 / MEAN_TOKENS  # so that the mean service takes one second
# Two lengths, for a service of coefficient of variation above one.
SHORT, LONG, P_LONG = 1000, 16_000, 0.2


@dataclass(frozen=True)
class Queue:
    """Poisson arrivals to `servers`, at a utilisation; service of mean one second."""

    service: str
    servers: int
    load: float

    def tokens(self, n, rng):
        """Lengths of n queries, shape (n,), which make the service what it is said to be."""
        if self.service == "deterministic":
            return np.full(n, MEAN_TOKENS)
        if self.service == "two lengths":
            return np.where(rng.random(n) < P_LONG, LONG, SHORT)
        return rng.geometric(1 / MEAN_TOKENS, n)

    @property
    def mean_square(self):
        """Mean squared service, s^2."""
        return {
            "deterministic": 1.0,
            "two lengths": (P_LONG * LONG**2 + (1 - P_LONG) * SHORT**2) / MEAN_TOKENS**2,
            "exponential": 2.0 - 1 / MEAN_TOKENS,
        }[self.service]

    @property
    def mean_wait_s(self):
        """Pollaczek and Khinchine for one server, Erlang's C for several with exponential service."""
        if self.servers == 1:
            return self.load * self.mean_square / (2 * (1 - self.load))
        return erlang_c(self.servers, self.load) / (self.servers * (1 - self.load))


def erlang_c(servers, load):
    """Probability that an arrival of M/M/c waits."""
    offered = servers * load
    last = offered**servers / math.factorial(servers) / (1 - load)
    return last / (sum(offered**k / math.factorial(k) for k in range(servers)) + last)


def replicate(queue, n, replications, seed):
    """The mean wait, as an interval at 99 %, and the largest error of Little's law.

    The wait of a run leans on the load that its draws happen to have. The means of interarrival times,
    service times and their squares have known expectations, so they serve as control variates (Law,
    Simulation Modeling and Analysis, chapter 11).
    """
    expected = (1 / (queue.load * queue.servers), 1.0, queue.mean_square)
    waits, away, little = [], [], []
    for one in seeds(seed, replications):
        rng = np.random.default_rng(one)
        gaps = rng.exponential(expected[0], n)
        tokens = queue.tokens(n, rng)
        service = tokens / MEAN_TOKENS
        ledger = run(tokens, np.cumsum(gaps), queue.servers)
        inside = Window(warm_up_s=0.05 * ledger.arrival_s[-1]).inside(ledger.arrival_s)
        steady = take(ledger, inside)
        waits.append(float((steady.start_s - steady.arrival_s).mean()))
        away.append(np.array([gaps.mean(), service.mean(), (service**2).mean()]) - expected)
        little.append(little_error(ledger))
    table = np.array(away)
    slopes = np.linalg.lstsq(table - table.mean(axis=0), np.array(waits) - np.mean(waits), rcond=None)[0]
    return interval((np.array(waits) - table @ slopes).tolist(), 0.99), max(little)


def run(tokens, arrival_s, servers):
    """One run; a query's service is its generated tokens."""
    one = deployment(seconds=SECONDS_PER_TOKEN, instances=servers, context=10**9)
    prices = price(queries(np.zeros(len(tokens), np.int64), tokens, arrival_s), [one])
    engine = Simulator().open(one)
    engine.expect(prices.queries.tau_in, prices.queries.tau_out)
    return play(prices.queries, [engine], prices, follow(np.zeros(len(tokens), np.int64)))


def little_error(ledger):
    """Relative difference of the mean queue times the time, and the sum of all waits."""
    times = np.concatenate([ledger.arrival_s, ledger.start_s])
    change = np.repeat([1.0, -1.0], len(ledger.arrival_s))
    order = np.argsort(times, kind="stable")
    length = np.cumsum(change[order])[:-1]
    queued_s = float((length * np.diff(times[order])).sum())
    waited_s = float((ledger.start_s - ledger.arrival_s).sum())
    return abs(queued_s - waited_s) / max(waited_s, 1e-300)
