"""The objective as a router can reckon it: predicted costs on the scale of what has come so far."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from llmsim.errors import InputError
from llmsim.policies.contract import FleetView
from llmsim.policies.objective import AGAINST, known


@dataclass
class OnlineObjective:
    """`zeta * e_hat - (1 - zeta) * a_hat` of a query on each deployment, or against runtime, as in Objective.

    Each hat is divided by the largest value that any query so far had on any deployment that it fits: one
    scale for all deployments, as offline. A scale of each deployment's own, over a recent window, would take
    away the very differences between them that the choice is about.

    Attributes:
        zeta: weight of energy, in [0, 1].
        against: ``accuracy`` or ``runtime``.
        predictor: how long an answer will be: ``oracle``, ``mean``, ``quantile``, ``noisy``, or a mapping of
            ``name`` and parameters.
    """

    zeta: float = 0.5
    against: str = "accuracy"
    predictor: Any = field(default="oracle")

    def __post_init__(self) -> None:
        if not 0 <= self.zeta <= 1:
            raise InputError(
                f"policy.zeta={self.zeta}: expected a number from 0 ({self.against} alone) to 1 (energy)."
            )
        known("policy.against", self.against, AGAINST)

    def forget(self) -> None:
        """Start without a scale."""
        self._largest_energy = self._largest_other = 0.0

    def costs(self, tokens: float, view: FleetView) -> list[float]:
        """The cost on each eligible deployment, in the order of `view.eligible`.

        Args:
            tokens: prompt and predicted answer together.
        """
        eligible, zeta = view.eligible, self.zeta
        costs = [0.0] * len(eligible)
        if zeta > 0:
            energy_j = view.energy_j
            own = [energy_j[index] for index in eligible]
            self._largest_energy = max(self._largest_energy, *own)
            scale = zeta / self._largest_energy if self._largest_energy > 0 else 0.0
            costs = [scale * value for value in own]
        if zeta < 1:
            if self.against == "accuracy":
                accuracy_pct = view.accuracy_pct
                own, sign = [tokens * accuracy_pct[index] for index in eligible], zeta - 1
            else:
                runtime_s = view.runtime_s
                own, sign = [runtime_s[index] for index in eligible], 1 - zeta
            self._largest_other = max(self._largest_other, *own)
            scale = sign / self._largest_other if self._largest_other > 0 else 0.0
            costs = [cost + scale * value for cost, value in zip(costs, own, strict=True)]
        return costs
