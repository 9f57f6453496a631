"""Offline plans that optimise one thing and keep another: least energy, greatest accuracy."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from llmsim.curves.cost import FloatArray
from llmsim.errors import InputError
from llmsim.fleet.prices import ENERGY_BASES, Prices
from llmsim.policies.contract import Plan
from llmsim.policies.groups import Groups
from llmsim.policies.limits import Limits
from llmsim.policies.objective import PricedCost, accuracy_tokens, known
from llmsim.policies.planning import best_plan
from llmsim.policies.resources import Resource

# An accuracy that is asked for is reached when it is reached to within this part: sums round.
_ROUNDING = 1e-9


@dataclass
class LeastEnergy(Limits):
    """The least energy, with token-weighted mean accuracy of at least so much where that is asked for.

    Attributes:
        min_accuracy_pct: of the plan as a whole, weighted by tokens; None: whatever comes.
        energy_basis: as in Objective.
    """

    min_accuracy_pct: float | None = None
    energy_basis: str = "gross"

    def __post_init__(self) -> None:
        super().__post_init__()
        known("policy.energy_basis", self.energy_basis, ENERGY_BASES)
        if self.min_accuracy_pct is not None and not math.isfinite(self.min_accuracy_pct):
            raise InputError(f"policy.min_accuracy_pct={self.min_accuracy_pct}: expected a number, or null.")

    def plan(self, prices: Prices, rng: Generator) -> Plan:
        """The plan, and the certificate of its energy in joules.

        Raises:
            InputError: the accuracy or another limit cannot be reached, or a price that counts is absent.
        """
        prices = self.within_latency(prices)
        groups = Groups.of(prices)
        energy_j = groups.of_pairs(prices.energy(self.energy_basis))
        priced = PricedCost(groups, energy_j, np.abs(energy_j), groups.eligible(prices), {"unit": "J"})
        resources = self.time(prices, groups)
        if self.min_accuracy_pct is not None:
            resources = (*resources, accuracy_floor(prices, groups, self.min_accuracy_pct))
        return best_plan(priced, self.bounds_for(prices), resources)


@dataclass
class MostAccurate(Limits):
    """The greatest token-weighted mean accuracy, within an energy budget where one is set.

    Attributes:
        max_energy_j: predicted joules of the plan as a whole; None: whatever it takes.
        energy_basis: as in Objective.
    """

    max_energy_j: float | None = None
    energy_basis: str = "gross"

    def __post_init__(self) -> None:
        super().__post_init__()
        known("policy.energy_basis", self.energy_basis, ENERGY_BASES)
        if self.max_energy_j is not None and not math.isfinite(self.max_energy_j):
            raise InputError(
                f"policy.max_energy_j={self.max_energy_j}: expected a number of joules, or null."
            )

    def plan(self, prices: Prices, rng: Generator) -> Plan:
        """The plan, and the certificate of its accuracy, as the negative of percent times tokens.

        Raises:
            InputError: the budget or another limit cannot be kept, or a price that counts is absent.
        """
        prices = self.within_latency(prices)
        groups = Groups.of(prices)
        accuracy = accuracy_tokens(prices, groups)
        priced = PricedCost(groups, -accuracy, accuracy, groups.eligible(prices), {"unit": "-pct tokens"})
        resources = self.time(prices, groups)
        if self.max_energy_j is not None:
            energy_j = groups.of_pairs(prices.energy(self.energy_basis))
            resources = (*resources, energy_budget(energy_j, priced, self.max_energy_j))
        return best_plan(priced, self.bounds_for(prices), resources)


def accuracy_floor(prices: Prices, groups: Groups, min_accuracy_pct: float) -> Resource:
    """Token-weighted mean accuracy of at least so many percent, as accuracy missed of what is asked for.

    Raises:
        InputError: no plan is so accurate.
    """
    tokens = groups.of_pairs(prices.tau_in + prices.tau_out)
    accuracy = accuracy_tokens(prices, groups)
    asked = min_accuracy_pct * float(np.sum(tokens * groups.count))
    best = accuracy.max(axis=1, where=groups.eligible(prices), initial=-np.inf)
    most = float(np.sum(best * groups.count))
    if most < asked * (1 - _ROUNDING):
        raise InputError(
            f"policy.min_accuracy_pct={min_accuracy_pct}: the most accurate plan reaches "
            f"{most / float(np.sum(tokens * groups.count)):.6g} %."
        )
    missed = (min_accuracy_pct * tokens - accuracy.T).T
    return Resource(
        what="percent tokens below the accuracy asked for",
        usage=missed,
        row_of=np.zeros(len(prices.deployments), dtype=np.int64),
        capacity=np.array([_ROUNDING * abs(asked)]),
        names=("the plan",),
        setting="policy.min_accuracy_pct",
    )


def energy_budget(energy_j: FloatArray, priced: PricedCost, max_energy_j: float) -> Resource:
    """At most so many joules.

    Raises:
        InputError: no plan takes so few.
    """
    least = float(np.sum(energy_j.min(axis=1, where=priced.eligible, initial=np.inf) * priced.groups.count))
    if least > max_energy_j:
        raise InputError(f"policy.max_energy_j={max_energy_j}: the plan of least energy takes {least:.6g} J.")
    return Resource(
        what="joules",
        usage=energy_j,
        row_of=np.zeros(energy_j.shape[1], dtype=np.int64),
        capacity=np.array([max_energy_j]),
        names=("the plan",),
        setting="policy.max_energy_j",
    )
