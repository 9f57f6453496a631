"""What a form is: a family of nonnegative functions of token counts, with named, bounded parameters.

The life cycle: a form is built once from its configuration; `design` is called once for each set of trials
and precomputes what does not depend on the parameters; `start` gives lmfit its first guess; `evaluate` is
called at every step of the fit, and once for a prediction.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
# What a form is a function of: counts of tokens and queries, means of them, and seconds; each of shape (n,).
InputArray = NDArray[Any]

# Tokens in a kilotoken, the unit of context in every form: it keeps parameters of like size.
KILO = 1000.0


@dataclass(frozen=True)
class Parameter:
    """A parameter of a form.

    Attributes:
        name: its name in reports and files.
        unit: its unit, with {y} for the unit of what is predicted (J or s).
        least, most: bounds, both attainable.
    """

    name: str
    unit: str
    least: float = 0.0
    most: float = float("inf")


class Design(Protocol):
    """A form at given points: predictions as a function of the parameters alone."""

    def evaluate(self, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Predictions, shape (n,), and their derivatives by each parameter, shape (n, p)."""
        ...


class Form(Protocol):
    """A family of curves. Implementations are dataclasses; their fields are set in `conf/curve`.

    Attributes:
        name: the name in `conf/curve`.
        relative: True where errors are weighted by 1/measured, False for ordinary least squares.
        robust_scale: relative error beyond which a trial's pull is bounded (soft L1); None for plain squares.
    """

    @property
    def name(self) -> str:
        """The name in `conf/curve`."""
        ...

    @property
    def relative(self) -> bool:
        """Whether errors are weighted by 1/measured."""
        ...

    @property
    def robust_scale(self) -> float | None:
        """The relative error beyond which a trial's pull is bounded."""
        ...

    def parameters(self) -> tuple[Parameter, ...]:
        """The parameters, in the order of every theta."""
        ...

    def design(self, *inputs: InputArray) -> Design:
        """The form at the given points, each input of shape (n,)."""
        ...

    def start(self, design: Design, measured: FloatArray) -> FloatArray:
        """A first guess inside the bounds, shape (p,)."""
        ...


@dataclass(frozen=True)
class LinearDesign:
    """A form that is linear in its parameters: predictions are `features @ theta`, features (n, p)."""

    features: FloatArray

    def evaluate(self, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Predictions and their derivatives, which are the features."""
        return self.features @ theta, self.features


def linear_start(features: FloatArray, measured: FloatArray) -> FloatArray:
    """The nonnegative solution of least squares in relative error, shape (p,)."""
    from scipy.optimize import nnls

    scale = np.linalg.norm(features / measured[:, None], axis=0)
    scale[scale == 0] = 1.0
    solution, _ = nnls(features / measured[:, None] / scale, np.ones(len(measured)))
    return np.asarray(solution / scale, dtype=np.float64)
