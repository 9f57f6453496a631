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
        idle_s: seconds of the window in which none ran.
        idle_j: joules that were taken off for them; None: there are no joules.
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
    idle_j: float | None = None


@dataclass
class Grouped:
    """Puts operations into windows that meters resolve, and divides each window's joules by seconds.

    Attributes:
        meters: opened; none: no operation has joules.
        idle_w: what the devices draw between operations, W; None: as much as within them.
        clock, rest: seconds now, and waiting; for tests.
        longer_s: windows are at least so long.
    """

    meters: Sequence[Meter]
    idle_w: float | None = None
    clock: Callable[[], float] = time.perf_counter
    rest: Callable[[float], None] = time.sleep
    longer_s: float = 0.0
    _begin_s: float | None = None
    _members: list[tuple[tuple[str, str, int], float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        asked: list[float] = [getattr(meter, "least_window_s", float)() for meter in self.meters]
        self.least_s = max([LEAST_WINDOW_S, self.longer_s, *asked])

    @property
    def open(self) -> bool:
        """Whether a window is open, which waiting would lengthen."""
        return self._begin_s is not None

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

    def idle(self, seconds: float) -> list[Share]:
        """Nothing runs for so long: a window that can be closed meanwhile is, and holds no more of it."""
        if self._begin_s is None or self._left_s() > seconds:
            return []
        return self.flush()

    def _left_s(self) -> float:
        """Until the open window is long enough."""
        return 0.0 if self._begin_s is None else self.least_s - (self.clock() - self._begin_s)

    def flush(self) -> list[Share]:
        """The shares of what is still open; waits until the meters can tell."""
        if self._begin_s is None:
            return []
        self.rest(max(0.0, self._left_s()))
        return self._close()

    def _close(self) -> list[Share]:
        if self._begin_s is None:
            return []
        readings = [reading for meter in self.meters for reading in meter.stop()]
        window_s, busy_s = self.clock() - self._begin_s, sum(seconds for _, seconds in self._members)
        joules, warnings = energy_of(readings, window_s)
        estimated = any(reading.method == "estimated" for reading in readings)
        scope = "+".join(sorted({reading.scope for reading in readings}))
        idle_s = max(0.0, window_s - busy_s)
        idle_j: float | None = None
        if joules is not None:
            idle_j = (joules / window_s if self.idle_w is None else self.idle_w) * idle_s
            joules -= idle_j
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
                idle_j,
            )
            for name, seconds in members
        ]
