"""Fitted curves of whole queries: what one query costs, alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from llmsim.curves.cost import Cost
from llmsim.curves.domain import Domain
from llmsim.curves.form import FloatArray, Form, IntArray

# Queries predicted at a time: their tables then stay in the processor's cache.
CHUNK = 65_536


@dataclass(frozen=True)
class Fitted:
    """A form with its parameters, for one target (energy or runtime) of one system and model.

    Attributes:
        form: the family of curves.
        theta: parameters, shape (p,), in the form's order.
        covariance: of the parameters, shape (p, p).
        scatter: standard deviation of a new trial about the curve, from left-out trials: a share of the
            prediction where the form is relative, else joules or seconds.
        report: lmfit's report.
    """

    form: Form
    theta: FloatArray
    covariance: FloatArray
    scatter: float
    report: str = ""

    def predict(self, *inputs: IntArray) -> tuple[FloatArray, FloatArray]:
        """Predictions and the standard error of a new trial, each of shape (n,)."""
        n = len(inputs[0])
        value, error = np.empty(n), np.empty(n)
        # The covariance's root by eigenvalues: parameters held at a bound make it singular.
        values, vectors = np.linalg.eigh(self.covariance)
        root = np.ascontiguousarray(vectors * np.sqrt(values.clip(0)))
        for start in range(0, n, CHUNK):
            part = slice(start, start + CHUNK)
            value[part], slope = self.form.design(*(x[part] for x in inputs)).evaluate(self.theta)
            along = slope @ root
            scatter = self.scatter * (value[part] if self.form.relative else 1.0)
            error[part] = np.sqrt(np.einsum("ij,ij->i", along, along) + scatter**2)
        return value, error


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

    def cost(self, tau_in: IntArray, tau_out: IntArray) -> Cost:
        """Cost of serving each query alone; arrays of equal shape (n,), tokens at least 1."""
        tau_in, tau_out = np.atleast_1d(tau_in), np.atleast_1d(tau_out)
        runtime, runtime_se = (None, None) if self.runtime is None else self.runtime.predict(tau_in, tau_out)
        energy, energy_se = (None, None) if self.energy is None else self.energy.predict(tau_in, tau_out)
        return Cost(runtime, runtime_se, energy, energy_se, self.domain.outside(tau_in, tau_out))

    def negative(self, tau_in: IntArray, tau_out: IntArray) -> tuple[int, float]:
        """For how many queries negative energy is predicted, and its sum, J (at most 0).

        Only the paper's `interaction` can do that; every other form's parameters are bounded.
        """
        if self.energy is None:
            return 0, 0.0
        energy, _ = self.energy.predict(np.atleast_1d(tau_in), np.atleast_1d(tau_out))
        below = energy[energy < 0]
        return len(below), float(below.sum())
