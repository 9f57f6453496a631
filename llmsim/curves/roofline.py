"""No KV cache: each forward pass is bound by a floor (launch, weights) or by its work, smoothly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from llmsim.curves.context_sum import ContextSum
from llmsim.curves.form import KILO, FloatArray, InputArray, Parameter
from llmsim.curves.recompute import Recompute, check_robust_scale
from llmsim.curves.smooth_max import smooth_max
from llmsim.errors import InputError

# A maximum this sharp is within 0.07 % of the sharp one: more cannot be told from measurements.
MOST_SHARPNESS = 1000.0


@dataclass(frozen=True)
class Roofline:
    """`overhead` + sum over generated tokens of `(floor^k + work^k)^(1/k)`, k the sharpness.

    `work = linear*c + quadratic*c^2` is the pass over c thousand tokens of context (projections, attention);
    `floor` is what a pass costs however short (reading the weights, launching kernels); the norm is a smooth
    maximum of both (Williams et al. 2009, "Roofline"). The sum over c is exact, by prefix sums.

    Args:
        robust_scale: relative error beyond which a trial's pull is bounded; None for plain squares.
        sharpest: largest sharpness, above 1 (the sum of both terms), at most `MOST_SHARPNESS`.

    Raises:
        InputError: a setting that is out of range.
    """

    name: str = "roofline"
    robust_scale: float | None = 0.02
    sharpest: float = 12.0

    def __post_init__(self) -> None:
        check_robust_scale(self.robust_scale)
        if not 1 < self.sharpest <= MOST_SHARPNESS:  # False for NaN
            raise InputError(
                f"curve.sharpest={self.sharpest:g}: must be above 1 (1 is curve=recompute plus an overhead) "
                f"and at most {MOST_SHARPNESS:g}."
            )

    @property
    def relative(self) -> bool:
        """True: errors count as a share of what was measured."""
        return True

    def parameters(self) -> tuple[Parameter, ...]:
        """floor, linear, quadratic, overhead (each at least 0) and sharpness (at least 1)."""
        return (
            Parameter("floor", "{y}/pass"),
            Parameter("linear", "{y}/pass/kilotoken"),
            Parameter("quadratic", "{y}/pass/kilotoken^2"),
            Parameter("overhead", "{y}/query"),
            Parameter("sharpness", "1", 1.0, self.sharpest),
        )

    def design(self, *inputs: InputArray) -> ContextSum:
        """The form at (tau_in, tau_out)."""
        tau_in, tau_out = inputs
        return ContextSum(self.step, 3, tau_in, tau_out)

    def start(self, design: ContextSum, measured: FloatArray) -> FloatArray:
        """From the polynomial's solution: its constant is the floor, lifted where it vanishes."""
        polynomial = Recompute()
        step, linear, quadratic = polynomial.start(polynomial.design(design.tau_in, design.tau_out), measured)
        cheapest = float(np.min(measured / design.tau_out))
        floor = max(step, 0.5 * cheapest)
        return np.array([floor, max(linear, 0.1 * floor), max(quadratic, 0.01 * floor), 0.5 * cheapest, 3.0])

    @staticmethod
    def step(theta: FloatArray, context: FloatArray) -> FloatArray:
        """One pass over each context (tokens, shape (m,)): its cost and derivatives, shape (5, m).

        The rows are the cost and its derivatives by floor, linear, quadratic and sharpness.
        """
        floor, linear, quadratic, _, sharpness = theta
        kilo = context / KILO
        work = (linear + quadratic * kilo) * kilo
        out = np.empty((5, len(context)))
        out[0], out[1], by_work, out[4] = smooth_max(np.float64(floor), work, sharpness)
        np.multiply(by_work, kilo, out=out[2])
        np.multiply(out[2], kilo, out=out[3])
        return out
