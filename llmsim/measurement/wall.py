"""The wall clock of a run: simulated seconds are those that have really passed."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

# A meter's window is at least so long where instances wait for arrivals, s: what a meter that moves ten times
# a second misses at its edges is then little beside it.
LEAST_WINDOW_S = 5.0


@dataclass
class Wall:
    """Says what time of the run it is. The run's clock is set by its first piece of work.

    Attributes:
        clock, rest: seconds now, and waiting; for tests.
    """

    clock: Callable[[], float] = time.perf_counter
    rest: Callable[[float], None] = time.sleep
    _zero_s: float | None = None

    def reset(self) -> None:
        """Another run begins."""
        self._zero_s = None

    def ahead_s(self, time_s: float) -> float:
        """Seconds until a time of the run; negative: since then. The first that is asked for is now."""
        if self._zero_s is None:
            self._zero_s = self.clock() - time_s
        return time_s - (self.clock() - self._zero_s)
