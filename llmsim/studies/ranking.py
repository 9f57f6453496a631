"""Whether policies rank alike by two measures of the same thing, one of which has intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean
from typing import Any

from llmsim.simulation.replications import paired

LEVEL = 0.95


@dataclass(frozen=True)
class Pair:
    """Two policies.

    Attributes:
        first, second: their labels.
        measured, simulated: the second's value less the first's; means over repeats.
        half_width: of the interval of the measured difference; None: not known.
    """

    first: str
    second: str
    measured: float
    simulated: float
    half_width: float | None

    @property
    def exceeds(self) -> bool | None:
        """Whether the measured difference exceeds its interval; None: not known."""
        return None if self.half_width is None else abs(self.measured) > self.half_width

    @property
    def alike(self) -> bool:
        """Whether the simulated difference has the measured one's sign."""
        return self.measured * self.simulated > 0 or self.measured == self.simulated

    def record(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "first": self.first,
            "second": self.second,
            "measured": self.measured,
            "simulated": self.simulated,
            "half_width": self.half_width,
            "exceeds": self.exceeds,
            "alike": self.alike,
        }


def pairs(
    measured: Mapping[str, Sequence[float]],
    simulated: Mapping[str, Sequence[float]],
    interval_pct: float | None,
) -> list[Pair]:
    """Every two policies.

    Args:
        measured, simulated: by label, a value for each repeat, in the same order.
        interval_pct: half-width of the interval of a measured value, per cent of it; two such values err
            independently. None: the interval is of the paired differences, and not known without repeats.
    """
    found = []
    for first, second in combinations(measured, 2):
        one, other = measured[first], measured[second]
        half_width: float | None = None
        if interval_pct is not None:
            half_width = interval_pct / 100.0 * math.hypot(fmean(one), fmean(other))
        elif len(one) > 1:
            half_width = paired(other, one, LEVEL).half_width
        found.append(
            Pair(
                first, second, fmean(other) - fmean(one),
                fmean(simulated[second]) - fmean(simulated[first]), half_width,
            )
        )  # fmt: skip
    return found


def alike(found: Sequence[Pair]) -> bool | None:
    """Whether all pairs whose measured difference exceeds its interval rank alike; None: none is known to."""
    clear = [pair.alike for pair in found if pair.exceeds]
    return all(clear) if clear else None
