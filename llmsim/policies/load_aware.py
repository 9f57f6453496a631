"""Online policies that look at how full the fleet is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from numpy.random import Generator

from llmsim.errors import InputError
from llmsim.fleet.deployment import Deployment
from llmsim.policies.contract import FleetView


@dataclass
class LeastLoaded:
    """The deployment with the fewest queries present for its places; the first among equals."""

    def begin(self, deployments: Sequence[Deployment], rng: Generator) -> None:
        """Nothing to keep."""

    def route(self, tau_in: int, tau_out_hat: float, view: FleetView) -> int:
        """The least loaded eligible deployment."""
        present, slots = view.present, view.slots
        least, chosen = math.inf, view.eligible[0]
        for index in view.eligible:
            load = present[index] / slots[index]
            if load < least:
                least, chosen = load, index
        return chosen


@dataclass
class PowerOfTwo:
    """The less loaded of two eligible deployments drawn at random (Mitzenmacher 2001)."""

    def begin(self, deployments: Sequence[Deployment], rng: Generator) -> None:
        """Take the generator of this run."""
        self._rng = rng

    def route(self, tau_in: int, tau_out_hat: float, view: FleetView) -> int:
        """Two different ones where there are two."""
        eligible = view.eligible
        size = len(eligible)
        if size == 1:
            return eligible[0]
        first = int(self._rng.random() * size)
        second = int(self._rng.random() * (size - 1))
        one, other = eligible[first], eligible[second + (second >= first)]
        load, other_load = view.present[one] / view.slots[one], view.present[other] / view.slots[other]
        return one if load <= other_load else other


@dataclass
class EnergySlo:
    """The least predicted energy among those predicted to be done in time, or else the soonest done.

    Attributes:
        slo_s: seconds from arrival within which a query should be done; no time suits all models and
            hardware, so `conf/` takes the run's own `slo.latency_s`, and there is no other default.
        predictor: as in OnlineObjective.
    """

    slo_s: float | None = None
    predictor: Any = field(default="oracle")

    def __post_init__(self) -> None:
        if self.slo_s is None:
            raise InputError(
                "policy.slo_s: say within how many seconds of its arrival a query should be done, such as "
                "slo.latency_s=60, which is asked of the run and taken here too, or policy.slo_s=60 for the "
                "policy alone; among baselines: {name: energy_slo, slo_s: 60}."
            )
        if not (math.isfinite(self.slo_s) and self.slo_s > 0):
            raise InputError(f"policy.slo_s={self.slo_s}: expected a positive number of seconds.")
        self._slo_s = self.slo_s

    def begin(self, deployments: Sequence[Deployment], rng: Generator) -> None:
        """Nothing to keep."""

    def route(self, tau_in: int, tau_out_hat: float, view: FleetView) -> int:
        """The first among equals."""
        energy_j, due_s = view.energy_j, view.now_s + self._slo_s
        least_j, chosen = math.inf, -1
        soonest_s, soonest = math.inf, view.eligible[0]
        for index in view.eligible:
            done_s = view.completion_s(index)
            if done_s <= due_s and energy_j[index] < least_j:
                least_j, chosen = energy_j[index], index
            if done_s < soonest_s:
                soonest_s, soonest = done_s, index
        return soonest if chosen < 0 else chosen
