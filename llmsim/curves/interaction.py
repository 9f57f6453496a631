"""The paper's form: two slopes and their interaction, by ordinary least squares, without an intercept."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from llmsim.curves.form import Design, FloatArray, InputArray, LinearDesign, Parameter


@dataclass(frozen=True)
class Interaction:
    """`a0*tau_in + a1*tau_out + a2*tau_in*tau_out` (Wilkins et al. 2024, eq. 6 and 7).

    Kept as published: unweighted, unbounded, and so negative for many ordinary queries.
    """

    name: str = "interaction"

    @property
    def relative(self) -> bool:
        """False: as published, every joule weighs the same."""
        return False

    @property
    def robust_scale(self) -> float | None:
        """None: plain squares."""
        return None

    def parameters(self) -> tuple[Parameter, ...]:
        """a0, a1, a2, unbounded."""
        inf = float("inf")
        return (
            Parameter("a0", "{y}/token", -inf, inf),
            Parameter("a1", "{y}/token", -inf, inf),
            Parameter("a2", "{y}/token^2", -inf, inf),
        )

    def design(self, *inputs: InputArray) -> LinearDesign:
        """The three terms at (tau_in, tau_out)."""
        tau_in, tau_out = (np.asarray(x, dtype=np.float64) for x in inputs)
        return LinearDesign(np.column_stack([tau_in, tau_out, tau_in * tau_out]))

    def start(self, design: Design, measured: FloatArray) -> FloatArray:
        """The solution itself."""
        if not isinstance(design, LinearDesign):
            raise TypeError("interaction is linear")
        solution, *_ = np.linalg.lstsq(design.features, measured, rcond=None)
        return np.asarray(solution, dtype=np.float64)
