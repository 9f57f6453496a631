"""How long an answer will be: what a router is told in place of the truth.

A predictor either looks at the query (`oracle`, `noisy`) or learns from the answers that are done (`mean`,
`quantile`). Only the first kind is handed true lengths; policies never are.
"""

from __future__ import annotations

import bisect
import math
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.random import Generator

from llmsim.curves.cost import FloatArray, IntArray
from llmsim.errors import InputError
from llmsim.registry import Registry

PREDICTORS = Registry(
    kind="policy.predictor",
    entry_points="llmsim.predictors",
    built_in={
        "mean": "llmsim.policies.predictors:Mean",
        "noisy": "llmsim.policies.predictors:Noisy",
        "oracle": "llmsim.policies.predictors:Oracle",
        "quantile": "llmsim.policies.predictors:Quantile",
    },
)


@runtime_checkable
class PerQuery(Protocol):
    """Predicts each query from the query itself."""

    def predict(self, tau_out: IntArray, rng: Generator) -> FloatArray:
        """Predicted generated tokens of every query of a run, from the true ones; shapes (n,)."""
        ...


@runtime_checkable
class Learning(Protocol):
    """Predicts all queries alike, from those that are done."""

    def begin(self) -> None:
        """Forget earlier runs."""
        ...

    def observe(self, tau_out: int) -> None:
        """An answer is done and had so many tokens."""
        ...

    def estimate(self) -> float:
        """Predicted generated tokens of the next query."""
        ...


@dataclass
class Oracle:
    """The truth."""

    def predict(self, tau_out: IntArray, rng: Generator) -> FloatArray:
        """As in PerQuery."""
        return tau_out.astype(np.float64)


@dataclass
class Noisy:
    """The truth times a log-normal factor of median 1.

    Attributes:
        sigma: standard deviation of the factor's logarithm.
    """

    sigma: float = 0.5

    def __post_init__(self) -> None:
        if not (math.isfinite(self.sigma) and self.sigma >= 0):
            raise InputError(f"policy.predictor.sigma={self.sigma}: expected a number from 0 upwards.")

    def predict(self, tau_out: IntArray, rng: Generator) -> FloatArray:
        """As in PerQuery; a query's factor does not depend on any length."""
        predicted: FloatArray = np.maximum(tau_out * rng.lognormal(0.0, self.sigma, len(tau_out)), 1.0)
        return predicted


@dataclass
class Mean:
    """The mean of the answers done so far.

    Attributes:
        first_tokens: the prediction until one is done.
    """

    first_tokens: float = 128.0

    def begin(self) -> None:
        """As in Learning."""
        self._count, self._sum = 0, 0

    def observe(self, tau_out: int) -> None:
        """As in Learning."""
        self._count += 1
        self._sum += tau_out

    def estimate(self) -> float:
        """As in Learning."""
        return self._sum / self._count if self._count else self.first_tokens


@dataclass
class Quantile:
    """A quantile of the latest answers done: a high one errs on the long side.

    Attributes:
        q: which, from 0 to 1.
        window: how many of the latest count.
        first_tokens: the prediction until one is done.
    """

    q: float = 0.9
    window: int = 1000
    first_tokens: float = 128.0

    def __post_init__(self) -> None:
        if not 0 <= self.q <= 1:
            raise InputError(f"policy.predictor.q={self.q}: expected a number from 0 to 1.")
        if self.window < 1:
            raise InputError(f"policy.predictor.window={self.window}: expected at least 1.")

    def begin(self) -> None:
        """As in Learning."""
        self._latest: list[int] = []
        self._sorted: list[int] = []
        self._next = 0

    def observe(self, tau_out: int) -> None:
        """As in Learning."""
        if len(self._latest) < self.window:
            self._latest.append(tau_out)
        else:
            oldest = self._latest[self._next]
            del self._sorted[bisect.bisect_left(self._sorted, oldest)]
            self._latest[self._next] = tau_out
            self._next = (self._next + 1) % self.window
        bisect.insort(self._sorted, tau_out)

    def estimate(self) -> float:
        """As in Learning."""
        if not self._sorted:
            return self.first_tokens
        return float(self._sorted[math.ceil(self.q * len(self._sorted)) - 1 if self.q > 0 else 0])


def build_predictor(node: Any) -> PerQuery | Learning:
    """The predictor of a policy's `predictor` setting: a name, or a mapping with a name and parameters.

    Raises:
        InputError: no such predictor, or parameters that it lacks.
    """
    if not isinstance(node, str | dict):
        raise InputError(f"policy.predictor={node}: expected one of {', '.join(PREDICTORS.names())}.")
    built: PerQuery | Learning = PREDICTORS.build(node)
    return built
