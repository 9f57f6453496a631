"""No KV cache: each generated token reprocesses the whole context; polynomial cost of one forward pass."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from llmsim.curves.form import KILO, Design, FloatArray, InputArray, LinearDesign, Parameter, linear_start
from llmsim.errors import InputError

# Beyond these a relative error is as small as rounding, or bounds nothing.
LEAST_ROBUST_SCALE, MOST_ROBUST_SCALE = 1e-9, 1e9


def check_robust_scale(scale: float | None) -> None:
    """Raises InputError unless `scale` is a possible `robust_scale`."""
    if scale is not None and not LEAST_ROBUST_SCALE <= scale <= MOST_ROBUST_SCALE:  # NaN is not either
        raise InputError(
            f"curve.robust_scale={scale:g}: must be a share above 0, such as 0.02 (from "
            f"{LEAST_ROBUST_SCALE:g} to {MOST_ROBUST_SCALE:g}; null for plain squares)."
        )


@dataclass(frozen=True)
class Recompute:
    """Sum over generated tokens t of `step + linear*c + quadratic*c^2`, c = tau_in + t in thousands.

    Without a KV cache token t is had by one forward pass over tau_in + t tokens, t = 0 .. tau_out - 1. The
    sums are closed; all parameters are at least 0, so no prediction is negative.

    Args:
        robust_scale: relative error beyond which a trial's pull is bounded; None for plain squares.

    Raises:
        InputError: a setting that is out of range.
    """

    name: str = "recompute"
    robust_scale: float | None = 0.02

    def __post_init__(self) -> None:
        check_robust_scale(self.robust_scale)

    @property
    def relative(self) -> bool:
        """True: errors count as a share of what was measured."""
        return True

    def parameters(self) -> tuple[Parameter, ...]:
        """step, linear, quadratic, each at least 0."""
        return (
            Parameter("step", "{y}/pass"),
            Parameter("linear", "{y}/pass/kilotoken"),
            Parameter("quadratic", "{y}/pass/kilotoken^2"),
        )

    def design(self, *inputs: InputArray) -> LinearDesign:
        """The three sums at (tau_in, tau_out)."""
        tau_in, tau_out = (np.asarray(x, dtype=np.float64) for x in inputs)
        first, n = tau_in / KILO, tau_out
        of_t = n * (n - 1) / 2 / KILO
        of_t2 = (n - 1) * n * (2 * n - 1) / 6 / KILO**2
        linear = n * first + of_t
        quadratic = n * first**2 + 2 * first * of_t + of_t2
        return LinearDesign(np.column_stack([n, linear, quadratic]))

    def start(self, design: Design, measured: FloatArray) -> FloatArray:
        """The nonnegative solution of the plain squares."""
        if not isinstance(design, LinearDesign):
            raise TypeError("recompute is linear")
        return linear_start(design.features, measured)
