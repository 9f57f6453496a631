"""How far a campaign is, and how long it still takes."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

log = logging.getLogger(__name__)

# Between lines in the log, s.
LOGGED_EVERY_S = 60.0


@dataclass
class TimeLeft:
    """Adds the time left to what is reported, and puts a line into the log every minute.

    Attributes:
        shown: told the stage with the time left, repeats done and wanted; None: no one is.
        now: a clock, s.
    """

    shown: Callable[[str, int, int], None] | None = None
    now: Callable[[], float] = time.perf_counter

    def __post_init__(self) -> None:
        self._begin_s = self._logged_s = self.now()
        self._before: int | None = None

    def __call__(self, stage: str, done: int, wanted: int) -> None:
        """Told after every trial."""
        if self._before is None:
            self._before = done - 1  # trials of an earlier run took none of this one's time
        left_s = (self.now() - self._begin_s) / (done - self._before) * (wanted - done)
        text = f"{stage}, about {span(left_s)} left"
        if self.shown is not None:
            self.shown(text, done, wanted)
        if self.now() - self._logged_s >= LOGGED_EVERY_S:
            self._logged_s = self.now()
            log.info("%d of %d trials; %s", done, wanted, text)


def span(seconds: float) -> str:
    """A time as people say it.

    >>> span(42.0), span(150.0), span(9000.0)
    ('42 s', '2 min 30 s', '2 h 30 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
