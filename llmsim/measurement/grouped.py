"""Joules of operations that follow each other, where single ones are too short for a meter's window."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from llmsim.measurement.campaign import energy_of
from llmsim.measurement.contract import Meter

# A window is at least so long, s; longer where a meter asks for it.
LEAST_WINDOW_S = 1.0


@dataclass
class Share:
    """What an operation's group says of its joules.

    Attributes:
        name: of the operation.
        energy_j: its part, by its seconds; None: the meters had no figure.
        window_s, members: length of the group's window, and how many operations share it.
        idle_s: seconds of the window in which none ran; they are charged at idle power and taken off.
        warnings: of the meters.
        method, scope: how the joules were had, and what they cover; '' where there are none.
    """

    name: tuple[str, str, int]
    energy_j: float | None
    window_s: float
    members: int
    idle_s: float
    warnings: tuple[str, ...]
    method: str = ""
    scope: str = ""


@dataclass
class Grouped:
    """Puts operations into windows that meters resolve, and divides each window's joules by seconds.

    Attributes:
        meters: opened; none: no operation has joules.
        idle_w: what the devices draw between operations, W; None: as much as within them.
        clock, rest: seconds now, and waiting; for tests.
    """

    meters: Sequence[Meter]
    idle_w: float | None = None
    clock: Callable[[], float] = time.perf_counter
    rest: Callable[[float], None] = time.sleep
    _begin_s: float | None = None
    _members: list[tuple[tuple[str, str, int], float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        asked: list[float] = [getattr(meter, "least_window_s", float)() for meter in self.meters]
        self.least_s = max([LEAST_WINDOW_S, *asked])

    def before(self) -> None:
        """An operation begins."""
        if self._begin_s is None and self.meters:
            for meter in self.meters:
                meter.start()
            self._begin_s = self.clock()

    def after(self, name: tuple[str, str, int], seconds: float) -> list[Share]:
        """An operation has ended; the shares of its group where that is long enough to be closed."""
        if self._begin_s is None:
            return []
        self._members.append((name, seconds))
        return self._close() if self.clock() - self._begin_s >= self.least_s else []

    def flush(self) -> list[Share]:
        """The shares of what is still open; waits until the meters can tell."""
        if self._begin_s is None:
            return []
        self.rest(max(0.0, self.least_s - (self.clock() - self._begin_s)))
        return self._close()

    def _active_j(self, joules: float, busy_s: float, window_s: float) -> tuple[float | None, list[str]]:
        """The joules of a window's work, without those of the time between; None where they cannot be."""
        if self.idle_w is None:
            return joules * busy_s / window_s, []
        idle_j = self.idle_w * max(0.0, window_s - busy_s)
        if joules > idle_j:
            return joules - idle_j, []
        return None, [
            f"{joules:.3g} J in {window_s:.2f} s, where the hardware's idle power alone ({self.idle_w:g} W) takes "
            f"{idle_j:.3g} J: the meter does not read the hardware that is described"
        ]

    def _close(self) -> list[Share]:
        if self._begin_s is None:
            return []
        readings = [reading for meter in self.meters for reading in meter.stop()]
        window_s, busy_s = self.clock() - self._begin_s, sum(seconds for _, seconds in self._members)
        joules, warnings = energy_of(readings, window_s)
        estimated = any(reading.method == "estimated" for reading in readings)
        scope = "+".join(sorted({reading.scope for reading in readings}))
        idle_s = max(0.0, window_s - busy_s)
        if joules is not None:
            joules, doubt = self._active_j(joules, busy_s, window_s)
            warnings += doubt
        members, self._members, self._begin_s = self._members, [], None
        return [
            Share(
                name,
                None if joules is None else joules * seconds / busy_s,
                window_s,
                len(members),
                idle_s,
                tuple(warnings),
                "estimated" if estimated else "measured",
                scope,
            )
            for name, seconds in members
        ]
