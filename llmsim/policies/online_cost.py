"""The objective as a router can reckon it: predicted costs on the scale of what has come so far."""

from __future__ import annotations

from collections.abc import Sequence
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
        by_energy = by_other = 0.0
        energy_j: Sequence[float] = ()
        other: Sequence[float] = ()
        if zeta > 0:
            energy_j = view.energy_j
            largest = max([energy_j[index] for index in eligible])
            if largest > self._largest_energy:
                self._largest_energy = largest
            by_energy = zeta / self._largest_energy if self._largest_energy > 0 else 0.0
        if zeta < 1:
            accuracy = self.against == "accuracy"
            other, factor = (view.accuracy_pct, tokens) if accuracy else (view.runtime_s, 1.0)
            largest = factor * max([other[index] for index in eligible])
            if largest > self._largest_other:
                self._largest_other = largest
            if self._largest_other > 0:
                by_other = (zeta - 1 if accuracy else 1 - zeta) * factor / self._largest_other
        if not other:
            return [by_energy * energy_j[index] for index in eligible]
        if not energy_j:
            return [by_other * other[index] for index in eligible]
        return [by_energy * energy_j[index] + by_other * other[index] for index in eligible]
