"""An estimate where nothing can be measured: power between idle and TDP, by how busy the CPU was."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from llmsim.measurement.contract import Reading

SCOPE = "cpu_packages"
STAT = Path("/proc/stat")
# Ten ticks of the system's clock, s.
LEAST_WINDOW_S = 0.1
# Columns of a line of /proc/stat in which a CPU does nothing: idle, and waiting for a disk.
IDLE_COLUMNS = (3, 4)


@dataclass
class TdpMeter:
    """Watts guessed from utilisation. Everything that comes of it is labelled `estimated`.

    Attributes:
        allow_estimate: must be true: an estimate is never had by accident.
        tdp_w: power of the packages at full load, W.
        idle_w: at rest, W.
    """

    allow_estimate: bool = False
    tdp_w: float | None = None
    idle_w: float = 0.0

    def __post_init__(self) -> None:
        self._before = (0.0, 0.0)
        self._start_s = 0.0

    def unavailable(self) -> str | None:
        """Why there is no estimate; None: there is one."""
        if not self.allow_estimate:
            return "an estimate, not a measurement: ask for it with meter.allow_estimate=true"
        if self.tdp_w is None or not 0 <= self.idle_w < self.tdp_w:
            return f"give meter.tdp_w, above meter.idle_w ({self.idle_w:g}): the CPU's datasheet has it"
        if not STAT.is_file():
            return f"no {STAT}: utilisation is not known on this system"
        return None

    def start(self) -> None:
        """A window begins now."""
        self._before = busy_ticks()
        self._start_s = time.perf_counter()

    def stop(self) -> Sequence[Reading]:
        """The window ends now."""
        window_s = time.perf_counter() - self._start_s
        reason = self.unavailable()
        busy, total = (after - before for after, before in zip(busy_ticks(), self._before, strict=True))
        if reason is None and total <= 0:
            reason = f"utilisation is not known after {window_s * 1000:.1f} ms: measure in longer windows"
        if reason is not None or self.tdp_w is None:
            return [Reading("cpu", SCOPE, "estimated", "tdp", None, None, window_s, warnings=(str(reason),))]
        share = busy / total
        power_w = self.idle_w + share * (self.tdp_w - self.idle_w)
        return [
            Reading(
                source="cpu",
                scope=SCOPE,
                method="estimated",
                how="tdp",
                power_w=power_w,
                energy_j=power_w * window_s,
                window_s=window_s,
                conditions={"utilisation": share},
            )
        ]

    def least_window_s(self) -> float:
        """The system counts time in ticks, s."""
        return LEAST_WINDOW_S

    def close(self) -> None:
        """Nothing is held."""


def busy_ticks() -> tuple[float, float]:
    """Ticks of all CPUs since the system started: those they worked, and all."""
    columns = [float(word) for word in STAT.read_text().splitlines()[0].split()[1:9]]
    total = sum(columns)
    return total - sum(columns[column] for column in IDLE_COLUMNS), total
