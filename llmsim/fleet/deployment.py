"""What a policy chooses between: a target with its curve and its instances."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from llmsim.curves.cost import Cost, IntArray, QueryCurve
from llmsim.specs.target import Target


@dataclass(frozen=True)
class Deployment:
    """A target with its curve, its discipline and its instances.

    Attributes:
        name: ``<model>@<hardware>``.
        target: what is served, where, under which conditions.
        curve: joules and seconds of a query.
        discipline: how an instance takes queries; ``serial`` is one at a time, first come first served.
        instances: running copies, at least 1.
        share: gamma_K, this deployment's part of the fleet; the shares of a fleet sum to 1.
        provenance: where the curve is from and how far it errs, ready for JSON.
    """

    name: str
    target: Target
    curve: QueryCurve
    discipline: str
    instances: int
    share: float
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @property
    def idle_power_w(self) -> float | None:
        """Watts of one idle instance (all its devices), or None where no source states it."""
        power_w = self.target.hardware.idle_power_w
        return None if power_w is None else power_w * self.target.n_devices

    def price(self, tau_in: IntArray, tau_out: IntArray) -> Cost:
        """Predicted cost of each query on this deployment; arrays of shape (n,), tokens at least 1."""
        return self.curve.cost(tau_in, tau_out)
