"""Fitting one part of a target's curves (its energy, its runtime, a phase), with its left-out error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from llmsim.curves import fitting
from llmsim.curves.cost import IntArray
from llmsim.curves.fitted import Fitted
from llmsim.curves.form import FloatArray, Form, InputArray
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


@dataclass(frozen=True)
class Sample:
    """Measurements that a form is fitted to.

    Attributes:
        inputs: the form's inputs in its order, each of shape (n,).
        measured: joules or seconds, shape (n,).
        cells: label of each trial's cell, shape (n,); repeats leave together.
        unit: J or s.
        what: whose, for errors.
        unseen: the inputs with what was measured at the trial itself replaced by predictions of curves that
            did not see it; None: no input was measured.
    """

    inputs: Sequence[InputArray]
    measured: FloatArray
    cells: IntArray
    unit: str
    what: str
    unseen: Sequence[InputArray] | None = None


def fit_part(form: Form, sample: Sample) -> Part:
    """A form fitted to measurements, and its leave-one-cell-out predictions.

    Raises:
        InputError: the trials cannot determine the form.
    """
    refuse_unfit(sample.measured, sample.cells, len(form.parameters()), sample.what)
    design = form.design(*sample.inputs)
    best = fitting.fit(form, design, sample.measured, sample.unit)
    unseen = None if sample.unseen is None else form.design(*sample.unseen)
    left_out = leave_out(form, design, sample.measured, best.theta, sample.cells, unseen)
    if not np.all(np.isfinite(left_out.predicted)):
        raise InputError(f"{sample.what}: the form '{form.name}' cannot be fitted to these trials.")
    return Part(Fitted(form, best.theta, best.covariance, left_out.scatter(), best.report), left_out)
