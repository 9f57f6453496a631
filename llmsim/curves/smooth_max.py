"""The smooth maximum of two nonnegative terms: their k-norm."""

from __future__ import annotations

import numpy as np

from llmsim.curves.form import FloatArray

TINY = 1e-30  # keeps logarithms of an absent term finite; its power vanishes
MOST_EXPONENT = 600.0  # of e, in double precision


def smooth_max(
    floor: FloatArray | np.float64, work: FloatArray, sharpness: float
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """`(floor^k + work^k)^(1/k)` and its derivatives by floor, work and k, each of the terms' shape.

    Args:
        floor, work: the terms, at least 0.
        sharpness: k, at least 1: 1 is the sum, infinity the maximum.
    """
    floor, work = np.maximum(floor, TINY), np.maximum(work, TINY)
    lead = np.log(work / floor)  # by how much work leads
    power = np.exp(np.minimum(sharpness * lead, MOST_EXPONENT))
    level = np.log1p(power)
    value = floor * np.exp(level / sharpness)
    share = power / (1 + power)  # of work in the norm
    by_sharpness = value * (share * lead - level / sharpness) / sharpness
    return value, value / floor * (1 - share), value / work * share, by_sharpness
