"""Fitting one part of a target's curves (its energy, its runtime, a phase), with its left-out error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from llmsim.curves import fitting
from llmsim.curves.fitted import Fitted
from llmsim.curves.form import FloatArray, Form, IntArray
from llmsim.curves.select import refuse_unfit
from llmsim.curves.validate import LeftOut, leave_out
from llmsim.errors import InputError


@dataclass(frozen=True)
class Part:
    """A fitted curve and how wrong it is on cells it did not see."""

    fitted: Fitted
    left_out: LeftOut

    def described(self, unit: str) -> dict[str, Any]:
        """Form, parameters and left-out error, as plain data."""
        form, left_out = self.fitted.form, self.left_out
        errors = np.sqrt(np.diag(self.fitted.covariance))
        return {
            "form": form.name,
            "parameters": {
                parameter.name: {
                    "value": float(value),
                    "stderr": float(error),
                    "unit": parameter.unit.format(y=unit),
                }
                for parameter, value, error in zip(form.parameters(), self.fitted.theta, errors, strict=True)
            },
            **left_out.as_dict(),
        }


def fit_part(
    form: Form, inputs: Sequence[IntArray], measured: FloatArray, cells: IntArray, unit: str, what: str
) -> Part:
    """A form fitted to measurements, and its leave-one-cell-out predictions.

    Args:
        form: the family.
        inputs: the form's inputs in its order, each of shape (n,).
        measured: joules or seconds, shape (n,).
        cells: label of each trial's cell, shape (n,); repeats leave together.
        unit: J or s.
        what: whose, for errors.

    Raises:
        InputError: the trials cannot determine the form.
    """
    refuse_unfit(measured, cells, len(form.parameters()), what)
    design = form.design(*inputs)
    best = fitting.fit(form, design, measured, unit)
    left_out = leave_out(form, design, measured, best.theta, cells)
    if not np.all(np.isfinite(left_out.predicted)):
        raise InputError(f"{what}: the form '{form.name}' cannot be fitted to these trials.")
    return Part(Fitted(form, best.theta, best.covariance, left_out.scatter(), best.report), left_out)
