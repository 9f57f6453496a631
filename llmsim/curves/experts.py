"""Mixtures of experts: a decode step reads only those experts that its batch reaches."""

from __future__ import annotations

import numpy as np

from llmsim.curves.form import FloatArray, Parameter

START_MISS = 0.75  # a token reaches two experts of eight
MOST_MISS = 0.999


def experts_of(unit: str) -> tuple[Parameter, Parameter]:
    """The parameters `experts` (of that unit) and `miss` of a floor that grows; see `floor_of`."""
    return Parameter("experts", unit), Parameter("miss", "1", 0.0, MOST_MISS)


def floor_of(
    theta: FloatArray, place: int, draws: FloatArray, routed: bool
) -> tuple[FloatArray, list[FloatArray]]:
    """`floor + experts*(1 - miss^(n - 1))`, and its derivatives by experts and miss; else the floor alone.

    A token misses an expert with the chance `miss`; n tokens reach all but `miss^(n - 1)` of what one does
    not.

    Args:
        theta: the floor first, `experts` and `miss` from `place` on where there are any.
        draws: n, at least 1, of shape (n,).
        routed: whether there are any.
    """
    floor = np.full_like(draws, theta[0])
    if not routed:
        return floor, []
    experts, miss = theta[place], theta[place + 1]
    share, by_miss = reached(miss, draws)
    return floor + experts * share, [share, experts * by_miss]


def reached(miss: float, draws: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Share of the experts that n tokens reach beyond those of one, and its derivative by miss."""
    further = draws - 1
    return 1 - np.power(miss, further), -further * np.power(miss, np.maximum(further - 1, 0))
