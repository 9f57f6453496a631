"""Policies that look at neither query nor fleet: in turn, at random, always the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from numpy.random import Generator

from llmsim.curves.cost import BoolArray
from llmsim.errors import InputError, did_you_mean
from llmsim.fleet.deployment import Deployment
from llmsim.fleet.prices import Prices
from llmsim.policies.contract import FleetView


@dataclass
class WeightedRoundRobin:
    """In turn, each deployment as often as its share of the fleet.

    The smooth kind: every deployment gains its share as credit, the richest eligible one serves and pays one
    round. Over any stretch a deployment's count stays within a few queries of its share.
    """

    def begin(self, deployments: Sequence[Deployment], rng: Generator) -> None:
        """Start with no credit."""
        self._shares = [item.share for item in deployments]
        self._credit = [0.0] * len(deployments)

    def route(self, tau_in: int, tau_out_hat: float, view: FleetView) -> int:
        """The richest eligible deployment; the first among equals."""
        eligible = view.eligible
        for index in eligible:
            self._credit[index] += self._shares[index]
        chosen = max(eligible, key=self._credit.__getitem__)
        self._credit[chosen] -= sum(self._shares[index] for index in eligible)
        return chosen


@dataclass
class RoundRobin:
    """Each deployment in turn; one that the query does not fit is passed over."""

    def begin(self, deployments: Sequence[Deployment], rng: Generator) -> None:
        """Start at the first."""
        self._next = 0
        self._count = len(deployments)

    def route(self, tau_in: int, tau_out_hat: float, view: FleetView) -> int:
        """The next eligible deployment in the cycle."""
        chosen = min(view.eligible, key=lambda index: (index - self._next) % self._count)
        self._next = chosen + 1
        return chosen


@dataclass
class Random:
    """An eligible deployment at random, all equally likely."""

    def begin(self, deployments: Sequence[Deployment], rng: Generator) -> None:
        """Take the generator of this run."""
        self._rng = rng

    def route(self, tau_in: int, tau_out_hat: float, view: FleetView) -> int:
        """Uniform over the eligible."""
        eligible = view.eligible
        return eligible[int(self._rng.random() * len(eligible))]


@dataclass
class WeightedRandom:
    """An eligible deployment at random, each as likely as its share of the fleet."""

    def begin(self, deployments: Sequence[Deployment], rng: Generator) -> None:
        """Take the generator and the shares of this run."""
        self._rng = rng
        self._shares = [item.share for item in deployments]

    def route(self, tau_in: int, tau_out_hat: float, view: FleetView) -> int:
        """By inversion over the eligible shares."""
        eligible = view.eligible
        left = self._rng.random() * sum(self._shares[index] for index in eligible)
        for index in eligible:
            left -= self._shares[index]
            if left < 0:
                return index
        return eligible[-1]


@dataclass
class Single:
    """One deployment for all queries.

    Attributes:
        deployment: its name, or its model's name where only one deployment has that model.
    """

    deployment: str

    def begin(self, deployments: Sequence[Deployment], rng: Generator) -> None:
        """Find the deployment; raises InputError as `index` does."""
        self._index = self.index(deployments)

    def accepts(self, prices: Prices) -> BoolArray:
        """The queries that fit the one deployment's context."""
        accepted: BoolArray = prices.eligible[:, self.index(prices.deployments)][prices.pair_of]
        return accepted

    def route(self, tau_in: int, tau_out_hat: float, view: FleetView) -> int:
        """Always the one."""
        return self._index

    def index(self, deployments: Sequence[Deployment]) -> int:
        """Which deployment is meant.

        Raises:
            InputError: no deployment, or several, answer to the name.
        """
        found = [
            index
            for index, item in enumerate(deployments)
            if self.deployment in (item.name, item.target.model.name)
        ]
        if len(found) != 1:
            which = "several deployments have that model" if found else "no such deployment"
            names = [item.name for item in deployments]
            raise InputError(
                f"policy.deployment={self.deployment}: {which}. "
                f"{did_you_mean(self.deployment, names, 'deployment')}"
            )
        return found[0]
