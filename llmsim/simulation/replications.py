"""Means over independent replications, with confidence intervals.

Queries of one run wait for one another, so their spread says little about a mean's error; replications with
seeds of their own are independent. Two policies under the same seeds see the same queries, so their paired
difference is known far better than either mean. See Law, Simulation Modeling and Analysis, chapters 9 and 10.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from llmsim.errors import InputError


@dataclass(frozen=True)
class Interval:
    """A mean over replications.

    Attributes:
        mean: over all replications.
        half_width: of the confidence interval, in the unit of the mean.
        level: of confidence, such as 0.95.
        replications: how many.
    """

    mean: float
    half_width: float
    level: float
    replications: int

    @property
    def low(self) -> float:
        """Lower end, in the unit of the mean."""
        return self.mean - self.half_width

    @property
    def high(self) -> float:
        """Upper end, in the unit of the mean."""
        return self.mean + self.half_width

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high

    @property
    def relative_half_width(self) -> float:
        """Half-width as a share of the mean."""
        return self.half_width / abs(self.mean) if self.mean else math.inf


def interval(values: Sequence[float], level: float = 0.95) -> Interval:
    """Student's interval of the mean of independent, nearly normal values.

    Raises:
        InputError: fewer than two values, one that is not finite, or a level outside (0, 1).
    """
    if not 0 < level < 1:
        raise InputError(f"level={level}: a level of confidence lies between 0 and 1.")
    if len(values) < 2:
        raise InputError(f"replications={len(values)}: an interval needs at least 2.")
    numbers = np.asarray(values, dtype=np.float64)
    if not np.all(np.isfinite(numbers)):
        raise InputError("A replication gave a value that is not finite; no interval can be had.")
    from scipy.stats import t

    n = len(numbers)
    quantile = float(t.ppf(0.5 + level / 2, n - 1))
    return Interval(float(numbers.mean()), quantile * float(numbers.std(ddof=1)) / math.sqrt(n), level, n)


def paired(ours: Sequence[float], theirs: Sequence[float], level: float = 0.95) -> Interval:
    """The mean of ours minus theirs, replication by replication under the same seeds.

    Raises:
        InputError: as `interval`, or unequal numbers of replications.
    """
    if len(ours) != len(theirs):
        raise InputError(f"{len(ours)} and {len(theirs)} replications cannot be paired.")
    return interval([a - b for a, b in zip(ours, theirs, strict=True)], level)


def seeds(seed: int, replications: int) -> list[int]:
    """Seeds of the replications of a run, independent of one another; the first run's of ten is of twenty.

    Raises:
        InputError: no replication.
    """
    if replications < 1:
        raise InputError(f"replications={replications}: at least 1.")
    children = np.random.SeedSequence(seed).spawn(replications)
    return [int(child.generate_state(1, np.uint64)[0] >> np.uint64(1)) for child in children]
