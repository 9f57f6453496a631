"""What a plan is judged by: energy against accuracy or runtime, each made comparable by its largest value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from llmsim.curves.cost import BoolArray, FloatArray
from llmsim.errors import InputError, did_you_mean
from llmsim.fleet.prices import ENERGY_BASES, Prices
from llmsim.policies.groups import Groups

NORMALISATIONS = ("max", "minmax")
AGAINST = ("accuracy", "runtime")


@dataclass(frozen=True)
class PricedCost:
    """The cost of every group of queries on every deployment, by an objective.

    Attributes:
        groups: the g groups.
        cost: what the sum of is least, shape (g, k).
        size: weighted energy plus weighted accuracy (or runtime), what a gap is relative to, shape (g, k).
        eligible: shape (g, k).
        constants: numbers that turn joules and percent into the cost, by name.
    """

    groups: Groups
    cost: FloatArray
    size: FloatArray
    eligible: BoolArray
    constants: Mapping[str, float | str]


@dataclass
class Objective:
    """Least sum of `zeta * e_hat - (1 - zeta) * a_hat` (Wilkins et al. 2024, equation 2).

    With `against=runtime`, of `zeta * e_hat + (1 - zeta) * r_hat` (the companion paper on hybrid clusters).
    e_hat is joules, a_hat is accuracy times tokens, r_hat is seconds, each divided by its largest value over
    all eligible (query, deployment) pairs of the run.

    Attributes:
        zeta: weight of energy, in [0, 1].
        against: what energy is weighed against, ``accuracy`` or ``runtime``.
        energy_basis: ``gross``, or ``above_idle`` for joules above what the instance would draw idle.
        normalise: ``max``, or ``minmax`` to subtract the least value too.
    """

    zeta: float = 0.5
    against: str = "accuracy"
    energy_basis: str = "gross"
    normalise: str = "max"

    def __post_init__(self) -> None:
        if not 0 <= self.zeta <= 1:  # also refuses NaN
            raise InputError(
                f"policy.zeta={self.zeta}: expected a number from 0 ({self.against} alone) to 1 (energy)."
            )
        known("policy.against", self.against, AGAINST)
        known("policy.energy_basis", self.energy_basis, ENERGY_BASES)
        known("policy.normalise", self.normalise, NORMALISATIONS)

    def priced(self, prices: Prices) -> PricedCost:
        """The cost of every group of queries on every deployment.

        Raises:
            InputError: a price that counts is absent.
        """
        groups = Groups.of(prices)
        eligible = groups.eligible(prices)
        terms: list[tuple[float, str, str, FloatArray]] = []
        # What has no weight is not asked for: deployments without that curve or score are welcome.
        if self.zeta > 0:
            energy_j = groups.of_pairs(prices.energy(self.energy_basis))
            terms.append((self.zeta, "energy", "j", energy_j))
        if self.zeta < 1 and self.against == "accuracy":
            terms.append((self.zeta - 1, "accuracy", "pct_tokens", accuracy_tokens(prices, groups)))
        elif self.zeta < 1:
            terms.append((1 - self.zeta, "runtime", "s", groups.of_pairs(prices.runtime_s)))
        constants: dict[str, float | str] = {"normalise": self.normalise}
        cost = size = np.zeros((1, 1))
        for weight, what, unit, values in terms:
            least, width = self._constants(values, eligible)
            constants |= {f"{what}_subtracted_{unit}": least, f"{what}_divided_by_{unit}": width}
            hat = (values - least) / (width if width > 0 else 1.0)
            cost = cost + weight * hat
            size = size + abs(weight) * hat
        return PricedCost(groups, cost, size, eligible, constants)

    def _constants(self, values: FloatArray, eligible: BoolArray) -> tuple[float, float]:
        """What is subtracted and what is then divided by."""
        largest = float(values.max(where=eligible, initial=-np.inf))
        least = float(values.min(where=eligible, initial=np.inf)) if self.normalise == "minmax" else 0.0
        return least, largest - least


def accuracy_tokens(prices: Prices, groups: Groups) -> FloatArray:
    """Accuracy times tokens of each group on each deployment, percent tokens, shape (g, k)."""
    tokens = groups.of_pairs(prices.tau_in + prices.tau_out)
    columns = prices.accuracy_pct.T
    return np.array([column[groups.first] * tokens for column in columns]).T


def known(where: str, value: str, options: tuple[str, ...]) -> None:
    """Refuse a word that is none of the options.

    Raises:
        InputError: with the nearest option.
    """
    if value not in options:
        what = where.rpartition(".")[2]
        raise InputError(f"{where}={value}: no such {what}. {did_you_mean(value, options, what)}")
