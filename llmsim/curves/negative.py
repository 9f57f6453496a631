"""Predictions below zero, which no cost is: a form that gives them says so."""

from __future__ import annotations

from dataclasses import dataclass

from llmsim.curves.cost import FloatArray


@dataclass(frozen=True)
class Negative:
    """How many predictions are below zero, and their sum in the unit of the predictions."""

    count: int
    total: float


def negative(values: FloatArray) -> Negative:
    """How many of the predictions, shape (n,), are below zero, and by how much together."""
    below = values < 0
    return Negative(int(below.sum()), float(values[below].sum()))
