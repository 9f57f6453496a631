"""Fitted curves of whole queries: what one query costs, alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from llmsim.curves.cost import Cost, IntArray
from llmsim.curves.domain import Domain
from llmsim.curves.fitted import Fitted


@dataclass(frozen=True)
class FittedQueryCurve:
    """The energy and runtime of single queries; satisfies `QueryCurve`.

    Attributes:
        runtime, energy: the fitted curves; None where nothing was measured.
        domain: the tokens that were measured.
    """

    runtime: Fitted | None
    energy: Fitted | None
    domain: Domain

    def parts(self) -> dict[str, Fitted]:
        """The fitted curves by name."""
        both = {"energy": self.energy, "runtime": self.runtime}
        return {name: part for name, part in both.items() if part is not None}

    def cost(self, tau_in: IntArray, tau_out: IntArray) -> Cost:
        """Cost of serving each query alone; arrays of equal shape (n,), tokens at least 1."""
        tau_in, tau_out = np.atleast_1d(tau_in), np.atleast_1d(tau_out)
        runtime, runtime_se = (None, None) if self.runtime is None else self.runtime.predict(tau_in, tau_out)
        energy, energy_se = (None, None) if self.energy is None else self.energy.predict(tau_in, tau_out)
        return Cost(runtime, runtime_se, energy, energy_se, self.domain.outside(tau_in, tau_out))
