"""CPU packages under Linux's powercap: what there is, what may be read, and how far a counter counts."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/sys/class/powercap")
MICRO = 1e-6


@dataclass(frozen=True)
class Zone:
    """One counter.

    Attributes:
        name: as the kernel calls it, such as ``package-0`` or ``package-0-die-1``.
        folder: its files.
        range_j: the counter starts again at 0 here, J.
    """

    name: str
    folder: Path
    range_j: float

    def energy_j(self) -> float:
        """The counter, J.

        Raises:
            OSError: it cannot be read.
        """
        return int((self.folder / "energy_uj").read_text()) * MICRO


def packages(root: Path = ROOT) -> list[Zone]:
    """The counters of whole packages (or of their dies, where a package has several), by name.

    A platform counter (psys) covers more than the CPU and overlaps the packages; it is not among them.
    """
    found = []
    for folder in sorted(root.glob("*-rapl:*")) + sorted(root.glob("*-rapl/*-rapl:*")):
        if folder.name.count(":") != 1 or not (folder / "name").is_file():
            continue
        name = (folder / "name").read_text().strip()
        if name.startswith("package"):
            span = int((folder / "max_energy_range_uj").read_text()) * MICRO
            found.append(Zone(name, folder, span))
    return sorted({zone.name: zone for zone in found}.values(), key=lambda zone: zone.name)


def why_unreadable(root: Path = ROOT) -> str | None:
    """Why no package can be read and what to do about it; None: all can."""
    if not root.is_dir():
        return (
            f"no {root}: a container or virtual machine without powercap, or a kernel without intel_rapl. "
            "Run on the host, or load the module (modprobe intel_rapl_common intel_rapl_msr)"
        )
    zones = packages(root)
    if not zones:
        only = [path.read_text().strip() for path in root.glob("*/name")]
        seen = f" (there is only {', '.join(sorted(set(only)))})" if only else ""
        return f"no CPU package under {root}{seen}: load intel_rapl_msr, or this CPU has no counter"
    denied = [zone.name for zone in zones if not os.access(zone.folder / "energy_uj", os.R_OK)]
    if denied:
        return (
            f"{', '.join(denied)}: reading is for root since CVE-2020-8694. Run as root, or once: "
            f"sudo chmod -R a+r {root}/*/energy_uj (until the next start)"
        )
    return None


def spent_j(before_j: float, after_j: float, range_j: float) -> float:
    """Joules between two readings of a counter that starts again at `range_j`, at most once in between."""
    return after_j - before_j if after_j >= before_j else after_j - before_j + range_j
