"""What a curve answers: predicted seconds and joules with their standard errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True)
class Cost:
    """Predicted cost, one entry a query (arrays of one shape).

    Attributes:
        runtime_s: seconds to serve the query, or None where there is no runtime curve.
        runtime_se_s: standard error of a *new trial's* runtime (curve and scatter together), seconds.
        energy_j: joules within the curve's energy scope, or None where no energy was measured.
        energy_se_j: standard error of a new trial's energy, joules.
        extrapolated: True where the query lies outside the tokens that were measured.
    """

    runtime_s: FloatArray | None
    runtime_se_s: FloatArray | None
    energy_j: FloatArray | None
    energy_se_j: FloatArray | None
    extrapolated: BoolArray


class QueryCurve(Protocol):
    """One query at a time, at the batch it was measured at (1), without sharing steps."""

    def cost(self, tau_in: IntArray, tau_out: IntArray) -> Cost:
        """Cost of serving each query alone; arrays of equal shape, tokens at least 1."""
        ...


@runtime_checkable
class PhaseCurve(Protocol):
    """With a KV cache: prefill and decode of a batch, apart."""

    def prefill(self, tokens: IntArray | int, past: IntArray | int = 0) -> Cost:
        """Cost of passes over new tokens, shape (..., prompts), after `past` ones; one entry a pass."""
        ...

    def decode(self, batch: IntArray | int, context: IntArray | int, steps: IntArray | int) -> Cost:
        """Cost of consecutive steps of a batch; the three broadcast to the result's shape.

        Args:
            batch: queries.
            context: tokens that they hold together at the first step.
            steps: how many, at least 0.
        """
        ...

    def cost(self, tau_in: IntArray, tau_out: IntArray, batch: IntArray | int = 1) -> Cost:
        """Cost of a batch of queries like each, from prompts to last token; the joules are of all of them."""
        ...
