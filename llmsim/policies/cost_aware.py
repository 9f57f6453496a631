"""Online policies that weigh a query's predicted cost: the thesis's two algorithms, and dual prices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from llmsim.errors import InputError
from llmsim.fleet.deployment import Deployment
from llmsim.policies.assignment import assign
from llmsim.policies.contract import FleetView
from llmsim.policies.counts import CountBounds
from llmsim.policies.online_cost import OnlineObjective


@dataclass
class ZetaCost(OnlineObjective):
    """The least accumulated cost: that of the queries present at a deployment, with this one's (Algorithm 1).

    Wilkins 2024, thesis. There, hats are normalised within each deployment's own last hundred queries, which
    is not repeated here (see OnlineObjective).

    Attributes:
        accumulate: False: this query's own cost alone.
    """

    accumulate: bool = True

    def begin(self, deployments: Sequence[Deployment], rng: Generator) -> None:
        """Start with nobody present."""
        self.forget()
        self._sum = [0.0] * len(deployments)
        self._cost: dict[int, float] = {}

    def route(self, tau_in: int, tau_out_hat: float, view: FleetView) -> int:
        """The first of the least."""
        eligible = view.eligible
        costs = self.costs(tau_in + tau_out_hat, view)
        before = self._before(view)
        least, chosen, own = math.inf, eligible[0], costs[0]
        for index, cost in zip(eligible, costs, strict=True):
            value = before[index] + cost
            if value < least:
                least, chosen, own = value, index, cost
        if self.accumulate:
            self._sum[chosen] += own
            self._cost[view.query] = own
        return chosen

    def done(self, query: int, deployment: int) -> None:
        """Its cost is no longer there."""
        if self.accumulate:
            self._sum[deployment] -= self._cost.pop(query)

    def _before(self, view: FleetView) -> list[float]:
        """What each deployment costs without the query."""
        return self._sum


@dataclass
class QueueAware(ZetaCost):
    """As `zeta_cost`, plus a penalty for each query that waits at the deployment (Algorithm 2).

    Attributes:
        penalty: cost of each waiting query.
    """

    penalty: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (math.isfinite(self.penalty) and self.penalty >= 0):
            raise InputError(f"policy.penalty={self.penalty}: expected a number from 0 upwards.")

    def _before(self, view: FleetView) -> list[float]:
        penalty = self.penalty
        return [
            cost + penalty * (present - slots) if present > slots else cost
            for cost, present, slots in zip(self._sum, view.present, view.slots, strict=True)
        ]


@dataclass
class DualPrice(CountBounds, OnlineObjective):
    """The least cost minus price, with the prices that are optimal for the queries so far.

    A price is the dual of a deployment's bounds on its number of queries. The offline assignment of the
    latest queries, at their predicted costs and with their part of the bounds, gives them: after
    `first_queries` arrivals, and again each time that number has doubled.

    Attributes:
        first_queries: arrivals before the first prices; until then all are 0.
        window: how many of the latest queries count.
    """

    first_queries: int = 100
    window: int = 1000

    def __post_init__(self) -> None:
        OnlineObjective.__post_init__(self)
        CountBounds.__post_init__(self)
        for key, value in (("first_queries", self.first_queries), ("window", self.window)):
            if value < 1:
                raise InputError(f"policy.{key}={value}: expected at least 1.")

    def begin(self, deployments: Sequence[Deployment], rng: Generator) -> None:
        """Start without prices."""
        self.forget()
        self._names = [item.name for item in deployments]
        self._shares = [item.share for item in deployments]
        self._prices = [0.0] * len(deployments)
        self._rows: list[tuple[Sequence[int], list[float]]] = []
        self._arrived, self._next = 0, self.first_queries

    def route(self, tau_in: int, tau_out_hat: float, view: FleetView) -> int:
        """The first of the least."""
        eligible, prices = view.eligible, self._prices
        costs = self.costs(tau_in + tau_out_hat, view)
        if len(self._rows) < self.window:
            self._rows.append((eligible, costs))
        else:
            self._rows[self._arrived % self.window] = (eligible, costs)
        self._arrived += 1
        if self._arrived == self._next:
            self._next *= 2
            self._learn()
        least, chosen = math.inf, eligible[0]
        for index, cost in zip(eligible, costs, strict=True):
            value = cost - prices[index]
            if value < least:
                least, chosen = value, index
        return chosen

    def _learn(self) -> None:
        cost = np.full((len(self._rows), len(self._names)), np.inf)
        for row, (eligible, values) in enumerate(self._rows):
            cost[row, list(eligible)] = values
        bounds = self.bounds(self._shares, self._names, len(cost))
        try:
            solved = assign(cost, np.ones(len(cost), dtype=np.int64), np.isfinite(cost), bounds)
        except InputError:  # the queries so far cannot meet the bounds; those to come may
            return
        self._prices = solved.prices.tolist()
