"""Short queries to one deployment, long ones to the other: the companion paper's rule for hybrid clusters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator

from llmsim.curves.cost import BoolArray, FloatArray, IntArray
from llmsim.errors import InputError
from llmsim.fleet.deployment import Deployment
from llmsim.fleet.prices import Prices
from llmsim.policies.contract import Certificate, Plan
from llmsim.policies.counts import by_deployment
from llmsim.policies.objective import Objective, PricedCost, known

KEYS = ("tau_in", "tau_out", "product")
SCOPE = (
    "The lower bound is the optimum between the two deployments, query by query: the gap is what deciding "
    "by a threshold loses. Both are priced cost: no waiting, no idle energy, no error of the curves."
)


@dataclass(frozen=True)
class _Split:
    """Which deployment is for short queries, up to where, at what cost, and each group's, shape (g,)."""

    short: int
    long: int
    limit: float
    objective: float
    places: IntArray


@dataclass
class Threshold(Objective):
    """A query goes to `short` when its key is at most the threshold, and to `long` otherwise.

    One that does not fit where it should go takes the other. (Wilkins, Keshav, Mortier, *Hybrid Heterogeneous
    Clusters Can Lower the Energy Consumption of LLM Inference Workloads*, 2024.)

    Attributes:
        key: ``tau_in``, ``tau_out`` or their ``product``.
        threshold: None: the one of least cost, found exactly.
        short, long: deployments, by name or hardware. None where only two are there: the first and the
            second, or the other way round where the threshold is to be found and that is better.
        zeta, against, energy_basis, normalise: the cost, as in Objective; energy against runtime.
    """

    zeta: float = 1.0
    against: str = "runtime"
    key: str = "tau_out"
    threshold: float | None = None
    short: str | None = None
    long: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        known("policy.key", self.key, KEYS)

    def accepts(self, prices: Prices) -> BoolArray:
        """The queries that fit one of the two."""
        short, long = self._two(prices.deployments)
        fits: BoolArray = prices.eligible[:, short] | prices.eligible[:, long]
        return fits[prices.pair_of]

    def plan(self, prices: Prices, rng: Generator) -> Plan:
        """The plan by the threshold, and a certificate of its loss against the optimum of the two.

        Raises:
            InputError: the two deployments are not told, or a price that counts is absent.
        """
        two = self._two(prices.deployments)
        inside = np.zeros(len(prices.deployments), dtype=bool)
        inside[list(two)] = True
        priced = self.priced(replace(prices, eligible=prices.eligible & inside))
        key = priced.groups.of_pairs(self._keys(prices))
        split = self._split(priced, key, *two)
        if self.short is None and self.threshold is None:  # either may be the one for short queries
            split = min(split, self._split(priced, key, *reversed(two)), key=lambda found: found.objective)
        names = [item.name for item in prices.deployments]
        told: dict[str, float | str] = {
            f"threshold_{self.key}": split.limit,
            "short": names[split.short],
            "long": names[split.long],
        }
        return Plan(split.places[priced.groups.group_of], self._certificate(priced, split, told))

    def _split(self, priced: PricedCost, key: FloatArray, short: int, long: int) -> _Split:
        here, there = priced.eligible[:, short], priced.eligible[:, long]
        count = priced.groups.count.astype(np.float64)
        low = np.where(here, priced.cost[:, short], priced.cost[:, long]) * count
        high = np.where(there, priced.cost[:, long], priced.cost[:, short]) * count
        limit = best_threshold(key, low, high) if self.threshold is None else self.threshold
        below = key <= limit
        places = np.where(np.where(below, here, ~there), short, long)
        return _Split(short, long, limit, float(np.where(below, low, high).sum()), places)

    def _keys(self, prices: Prices) -> FloatArray:
        keys = {"tau_in": prices.tau_in, "tau_out": prices.tau_out, "product": prices.tau_in * prices.tau_out}
        return keys[self.key].astype(np.float64)

    def _certificate(self, priced: PricedCost, split: _Split, told: dict[str, float | str]) -> Certificate:
        count = priced.groups.count
        least = np.where(priced.eligible, priced.cost, np.inf).min(axis=1)
        size = abs(float(priced.size[np.arange(len(count)), split.places] @ count))
        bound = float(least @ count)
        difference = split.objective - bound
        return Certificate(
            objective=split.objective,
            lower_bound=bound,
            gap=difference / size if size else difference,
            scale=size,
            solver="sorted, every threshold" if self.threshold is None else "as set",
            bounds={},
            constants={**priced.constants, **told},
            scope=SCOPE,
        )

    def _two(self, deployments: Sequence[Deployment]) -> tuple[int, int]:
        names = [item.name for item in deployments]
        if self.short is None and self.long is None and len(names) == 2:
            return 0, 1
        if self.short is None or self.long is None:
            raise InputError(
                f"policy.short and policy.long: name the two deployments, of {', '.join(names)}."
            )
        short, long = (
            _index(name, deployments, where)
            for name, where in ((self.short, "policy.short"), (self.long, "policy.long"))
        )
        if short == long:
            raise InputError(f"policy.short and policy.long are both {names[short]}: name two deployments.")
        return short, long


def best_threshold(key: FloatArray, low: FloatArray, high: FloatArray) -> float:
    """The threshold of least cost; the lowest among equals.

    Args:
        key: of each group, shape (g,).
        low, high: cost of the group at or below the threshold, and above it, shape (g,).

    Returns:
        A key of some group, or 0 where all are best above: keys are at least 1.
    """
    keys, row = np.unique(key, return_inverse=True)
    change = np.bincount(row.ravel(), weights=low - high, minlength=len(keys))
    totals = np.concatenate([[0.0], np.cumsum(change)])
    best = int(np.argmin(totals))
    return 0.0 if best == 0 else float(keys[best - 1])


def _index(name: str, deployments: Sequence[Deployment], where: str) -> int:
    """A deployment by its name, its model's or its hardware's, where only one has it."""
    found = [i for i, item in enumerate(deployments) if item.target.hardware.name == name]
    if len(found) == 1:
        return found[0]
    names = [item.name for item in deployments]
    (meant,) = by_deployment({name: 0}, names, where)
    return names.index(meant)
