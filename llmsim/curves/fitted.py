"""A form with its parameters: what a fit leaves behind."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from llmsim.curves.form import FloatArray, Form, InputArray

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

    def predict(self, *inputs: InputArray) -> tuple[FloatArray, FloatArray]:
        """Predictions and the standard error of a new trial, each of shape (n,)."""
        n = len(inputs[0])
        value, error = np.empty(n), np.empty(n)
        # The covariance's root by eigenvalues: parameters held at a bound make it singular.
        values, vectors = np.linalg.eigh(self.covariance)
        root = np.ascontiguousarray(vectors * np.sqrt(values.clip(0)))
        for start in range(0, n, CHUNK):
            part = slice(start, start + CHUNK)
            value[part], slope = self.form.design(*(x[part] for x in inputs)).evaluate(self.theta)
            # Not `@`: on a busy machine its threads wait for one another longer than they compute.
            along = np.einsum("ij,jk->ik", slope, root)
            scatter = self.scatter * (value[part] if self.form.relative else 1.0)
            error[part] = np.sqrt(np.einsum("ij,ij->i", along, along) + scatter**2)
        return value, error

    def value(self, *inputs: InputArray) -> FloatArray:
        """Predictions without their errors, shape (n,)."""
        return self.form.design(*inputs).evaluate(self.theta)[0]

    def interval(self, *inputs: InputArray, level: float = 0.9) -> tuple[FloatArray, FloatArray]:
        """Lower and upper end of the prediction interval of a new trial, each of shape (n,).

        Args:
            inputs: of the form, each of shape (n,).
            level: share of new trials that should fall inside, in (0, 1).
        """
        value, error = self.predict(*inputs)
        reach = NormalDist().inv_cdf((1 + level) / 2) * error
        low = value - reach
        # No trial costs less than nothing; the paper's form, kept as published, may say so.
        return (np.maximum(low, 0.0) if self.form.relative else low), value + reach
