"""What a curve's error is on trials it was not fitted to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llmsim.curves.cost import IntArray
from llmsim.curves.fitting import refit, uncertainty
from llmsim.curves.form import Design, FloatArray, Form

LEVEL = 0.90  # of the prediction intervals
Z = 1.6448536269514722  # half-width of a normal interval of that level, in standard deviations


@dataclass(frozen=True)
class LeftOut:
    """Predictions of trials by curves that did not see them.

    Attributes:
        measured, predicted: joules or seconds, shape (n,).
        curve_se: standard error of the curve from its parameters alone, shape (n,).
        groups: which trials were left out together, shape (n,).
        relative: whether scatter is a share of the prediction.
    """

    measured: FloatArray
    predicted: FloatArray
    curve_se: FloatArray
    groups: IntArray
    relative: bool

    @property
    def errors_pct(self) -> FloatArray:
        """Signed error as a share of what was measured, percent, shape (n,)."""
        return 100.0 * (self.predicted / self.measured - 1.0)

    @property
    def mape_pct(self) -> float:
        """Mean absolute error as a share of what was measured, percent."""
        return float(np.mean(np.abs(self.errors_pct)))

    @property
    def median_ape_pct(self) -> float:
        """Median absolute error as a share of what was measured, percent."""
        return float(np.median(np.abs(self.errors_pct)))

    @property
    def r2(self) -> float:
        """Centred R2 of the left-out predictions."""
        return r2_centred(self.measured, self.predicted)

    def as_dict(self) -> dict[str, Any]:
        """The errors as plain data, keys with their units."""
        return {
            "n": len(self.measured),
            "cells": len(np.unique(self.groups)),
            "loco_mape_pct": self.mape_pct,
            "loco_median_ape_pct": self.median_ape_pct,
            "loco_r2": self.r2,
            "interval_coverage_pct": 100.0 * float(self.covered().mean()),
            "interval_half_width_pct": float(np.median(self.half_widths_pct())),
        }

    def scatter(self, rows: NDArray[np.bool_] | None = None) -> float:
        """Standard deviation of one trial about the curve, from the left-out errors of the chosen rows.

        The errors of these curves have heavier tails than a normal law's (a stopped generation, a disturbed
        run): they follow Laplace's, whose standard deviation is sqrt(2) times its mean absolute error. Its
        90 % interval is as wide as a normal one of that deviation, to 1 %.
        """
        size = self.measured if self.relative else np.ones_like(self.measured)
        errors = np.abs(self.predicted - self.measured) / size
        return float(np.sqrt(2.0) * np.mean(errors if rows is None else errors[rows]))

    def covered(self) -> NDArray[np.bool_]:
        """Whether each trial lies in its interval, with the scatter taken from all other groups."""
        out = np.empty(len(self.measured), dtype=np.bool_)
        for group in np.unique(self.groups):
            inside = self.groups == group
            reach = self._half_widths(self.scatter(~inside))
            out[inside] = (np.abs(self.measured - self.predicted) <= reach)[inside]
        return out

    def half_widths_pct(self) -> FloatArray:
        """Half the interval's width as a share of the prediction, percent, shape (n,)."""
        return np.asarray(100.0 * self._half_widths(self.scatter()) / np.abs(self.predicted))

    def _half_widths(self, scatter: float) -> FloatArray:
        """Half the width of each trial's interval, joules or seconds, shape (n,)."""
        size = np.abs(self.predicted) if self.relative else 1.0
        return np.asarray(Z * np.sqrt((scatter * size) ** 2 + self.curve_se**2))


def r2_centred(measured: FloatArray, predicted: FloatArray) -> float:
    """1 less the residual sum of squares over that about the mean; arrays of shape (n,)."""
    total = float(np.sum((measured - measured.mean()) ** 2))
    return 1.0 - float(np.sum((measured - predicted) ** 2)) / total


def groups_of(*columns: IntArray) -> NDArray[np.int64]:
    """A label for each trial, equal where all the columns are, shape (n,)."""
    _, labels = np.unique(np.stack(columns), axis=1, return_inverse=True)
    return np.asarray(labels, dtype=np.int64).reshape(-1)


def leave_out(
    form: Form,
    design: Design,
    measured: FloatArray,
    theta: FloatArray,
    groups: IntArray,
    unseen: Design | None = None,
) -> LeftOut:
    """Each group predicted by the form refitted to all the others.

    Args:
        theta: the parameters fitted to all trials, from which refits start, shape (p,).
        groups: label of each trial, shape (n,): its cell, so that repeats leave together, or its level.
        unseen: what a trial's prediction is made from, where that differs from what its fit sees: an input
            that was measured with it must itself be predicted without it.
    """
    unseen = unseen or design
    covariance, _ = uncertainty(form, design, measured, theta)
    known = design.evaluate(theta)
    slope = known[1]
    errors = np.sqrt(np.einsum("ij,jk,ik->i", slope, covariance, slope).clip(0))
    predicted = np.empty(len(measured))
    for group in np.unique(groups):
        out = groups == group
        predicted[out] = unseen.evaluate(refit(form, design, measured, theta, ~out, known))[0][out]
    return LeftOut(measured, predicted, errors, groups, form.relative)


def leave_level_out(
    form: Form, design: Design, measured: FloatArray, theta: FloatArray, levels: Sequence[IntArray]
) -> float:
    """Mean over the inputs of the MAPE with one level of that input left out at a time, percent.

    Args:
        levels: each input's level of every trial, each of shape (n,); inputs of one level are passed over.
    """
    varied = [groups_of(level) for level in levels if len(np.unique(level)) > 1]
    parts = [leave_out(form, design, measured, theta, groups).mape_pct for groups in varied]
    return float(np.mean(parts)) if parts else float("nan")
