"""CPU packages by pyRAPL, where it works; else the same counters read directly, with the reason."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llmsim.measurement.contract import Reading
from llmsim.measurement.sysfs_power import MICRO, ROOT, Zone, packages, spent_j, why_unreadable

SCOPE = "cpu_packages"
# A busy loop so long must move a counter that is alive, s.
PROBE_S = 0.05
# No package draws more, W: what a counter's range is divided by to know when it may have wrapped.
MOST_POWER_W = 1000.0


@dataclass
class RaplMeter:
    """Joules of CPU packages, all sockets.

    A window must be shorter than a counter takes to wrap, else its joules are refused: a wrap more or less
    cannot be seen.

    Attributes:
        use_pyrapl: False reads the kernel's files directly.
    """

    use_pyrapl: bool = True

    def __post_init__(self) -> None:
        self._root = ROOT
        self._zones: list[Zone] | None = None
        self._reason: str | None = None
        self._notes: tuple[str, ...] = ()
        self._read: Callable[[], list[float]] = list
        self._before: list[float] = []
        self._start_s = 0.0

    @classmethod
    def over(cls, root: Path) -> RaplMeter:
        """A meter over another tree of files, such as one made up for a test; without pyRAPL."""
        meter = cls(use_pyrapl=False)
        meter._root = root
        return meter

    def unavailable(self) -> str | None:
        """Why it cannot be read, and what to do about it; None: it can, and its counters move."""
        if self._zones is None:
            self._reason = self._open()
        return self._reason

    def start(self) -> None:
        """A window begins now."""
        if self.unavailable() is None:
            self._before = self._read()
        self._start_s = time.perf_counter()

    def stop(self) -> Sequence[Reading]:
        """The window ends now; one reading a package."""
        if self.unavailable() is not None or not self._zones:
            return [self._none(str(self._reason))]
        after = self._read()
        window_s = time.perf_counter() - self._start_s
        return [
            self._reading(zone, first, last, window_s)
            for zone, first, last in zip(self._zones, self._before, after, strict=True)
        ]

    def close(self) -> None:
        """Nothing is held."""

    def describe(self) -> list[dict[str, Any]]:
        """How each package is read: the time between two moves of its counter, and what a read costs, s.

        Nothing where it cannot be read. A period is None where a busy loop saw no two moves.
        """
        if self.unavailable() is not None or not self._zones:
            return []
        how = "kernel" if self._notes or not self.use_pyrapl else "pyRAPL"
        moves, reads, begin_s = self._watched()
        return [
            {
                "device": zone.name,
                "how": how,
                "period_s": (seen[-1] - seen[0]) / (len(seen) - 1) if len(seen) > 1 else None,
                "read_cost_s": (time.perf_counter() - begin_s) / reads,
            }
            for zone, seen in zip(self._zones, moves, strict=True)
        ]

    def _watched(self) -> tuple[list[list[float]], int, float]:
        """When each counter moved in a busy loop, how often they were read, and when it began."""
        last = self._read()
        moves: list[list[float]] = [[] for _ in last]
        reads, begin_s = 0, time.perf_counter()
        while (now := time.perf_counter()) < begin_s + PROBE_S or not reads:
            values = self._read()
            reads += 1
            for seen, value, before in zip(moves, values, last, strict=True):
                if value != before:
                    seen.append(now)
            last = values
        return moves, reads, begin_s

    def _open(self) -> str | None:
        self._zones = []
        reason = why_unreadable(self._root)
        if reason is not None:
            return reason
        self._zones = zones = packages(self._root)
        self._read = lambda: [zone.energy_j() for zone in zones]
        if self.use_pyrapl:
            self._read_by_pyrapl(zones)
        return self._frozen()

    def _read_by_pyrapl(self, zones: list[Zone]) -> None:
        """Read by pyRAPL where it agrees about the packages; it knows neither dies nor cores switched off."""
        try:
            import pyRAPL

            sensor = pyRAPL.Sensor(devices=[pyRAPL.Device.PKG])
            every = [value for value in sensor.energy()[::2] if value >= 0]
            if len(every) != len(zones):
                raise ValueError(f"it sees {len(every)} packages of {len(zones)}")
        except Exception as error:  # pyRAPL raises whatever its parsing runs into, often without a word
            detail = str(error) or type(error).__name__
            self._notes = (f"pyRAPL does not work here ({detail}); the kernel's counters are read directly",)
            return
        self._read = lambda: [value * MICRO for value in sensor.energy()[::2] if value >= 0]

    def _frozen(self) -> str | None:
        """A counter that a busy CPU does not move says nothing."""
        before = self._read()
        end = time.perf_counter() + PROBE_S
        while time.perf_counter() < end:
            pass
        if self._read() == before:
            return (
                f"the counters do not move in {PROBE_S * 1000:.0f} ms of work: a virtual machine that passes "
                "them through without counting. Measure on the host"
            )
        return None

    def _reading(self, zone: Zone, first_j: float, last_j: float, window_s: float) -> Reading:
        longest_s = zone.range_j / MOST_POWER_W
        if window_s > longest_s:
            return self._none(
                f"{window_s:.0f} s is longer than the counter is sure not to wrap twice ({longest_s:.0f} s): "
                "measure in shorter windows",
                zone.name,
                window_s,
            )
        joules = spent_j(first_j, last_j, zone.range_j)
        if not joules:
            reason = f"the counter did not move in {window_s * 1000:.1f} ms: measure in longer windows"
            return self._none(reason, zone.name, window_s)
        return Reading(
            source=zone.name,
            scope=SCOPE,
            method="measured",
            how="rapl",
            power_w=joules / window_s,
            energy_j=joules,
            window_s=window_s,
            warnings=self._notes,
        )

    def _none(self, reason: str, source: str = "cpu", window_s: float = 0.0) -> Reading:
        return Reading(
            source, SCOPE, "measured", "rapl", None, None, window_s, warnings=(*self._notes, reason)
        )
