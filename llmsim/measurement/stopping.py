"""When a cell has been measured often enough."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

# Student's t of a two-sided 95 % interval, by degrees of freedom from 1 to 30 (any table has it).
T_95 = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip


@dataclass(frozen=True)
class Stopping:
    """Repeats of a cell.

    Attributes:
        least, most: repeats at least and at most.
        interval_pct: half width of the mean's 95 % interval at which to stop, percent of the mean.
    """

    least: int = 5
    most: int = 25
    interval_pct: float = 1.0

    def enough(self, *measured: Sequence[float]) -> bool:
        """Whether each series of repeats is known well enough, or there are as many as there may be.

        A series without values (no energy was measured) asks for nothing.
        """
        series = [values for values in measured if values]
        repeats = max((len(values) for values in series), default=0)
        if repeats >= self.most:
            return True
        return repeats >= self.least and all(half_width_pct(values) <= self.interval_pct for values in series)


def half_width_pct(values: Sequence[float]) -> float:
    """Half width of the 95 % interval of the mean, percent of the mean; infinite below two values."""
    n = len(values)
    if n < 2:
        return math.inf
    mean = sum(values) / n
    spread = math.sqrt(sum((value - mean) ** 2 for value in values) / (n - 1))
    return T_95[min(n - 1, len(T_95)) - 1] * spread / math.sqrt(n) / mean * 100
