"""Updates of an energy counter: when they come, and what power lies between them.

A counter that moves ten times a second says nothing about the time between two moves. So power is read from
move to move, over whole periods, and the period is found, not assumed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Moves that a period is found from, at least.
FEWEST_MOVES = 5


@dataclass(frozen=True)
class Ticks:
    """Moves of a counter, one entry each.

    Attributes:
        seconds: when each was seen, s, on `time.perf_counter`.
        joules: the counter after it, J.
    """

    seconds: NDArray[np.float64]
    joules: NDArray[np.float64]

    @staticmethod
    def of(seen: Sequence[tuple[float, float]]) -> Ticks:
        """From pairs of seconds and joules, in order."""
        pairs = np.array(seen, dtype=np.float64).reshape(-1, 2)
        return Ticks(pairs[:, 0], pairs[:, 1])

    def __len__(self) -> int:
        return len(self.seconds)

    def between(self, start_s: float, stop_s: float) -> Ticks:
        """The moves within a time."""
        inside = (self.seconds >= start_s) & (self.seconds <= stop_s)
        return Ticks(self.seconds[inside], self.joules[inside])

    def period_s(self) -> float | None:
        """Seconds between moves; None where there are too few to tell.

        A single move is seen late when the reader is held up, but whole periods lie between any two: each
        gap is counted in periods, and the whole time is divided by their number.
        """
        if len(self) < FEWEST_MOVES:
            return None
        gaps = np.diff(self.seconds)
        periods = np.maximum(np.round(gaps / np.median(gaps)), 1).sum()
        return float((self.seconds[-1] - self.seconds[0]) / periods)

    def goes_back(self) -> bool:
        """Whether the counter was ever lower than before: it wrapped, or its driver started anew."""
        return bool((np.diff(self.joules) < 0).any())

    def power_w(self, period_s: float) -> float | None:
        """Mean power from the first move to the last, over whole periods; None where there are under two."""
        if len(self) < 2:
            return None
        elapsed = self.seconds[-1] - self.seconds[0]
        periods = max(1, round(elapsed / period_s))
        return float((self.joules[-1] - self.joules[0]) / (periods * period_s))
