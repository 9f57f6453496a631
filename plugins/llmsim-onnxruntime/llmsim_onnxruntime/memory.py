"""How much memory there is. Linux promises more than it has: a pass that is too large is killed, not refused.

So whatever is about to be allocated is compared with what is available, before.
"""

from __future__ import annotations

from pathlib import Path

from llmsim.api import OutOfMemory

MEMINFO = Path("/proc/meminfo")
CGROUP = Path("/sys/fs/cgroup")
GB = 1e9
# Part of what is available that may be taken; the rest is for what is not counted.
SHARE = 0.9


def available_bytes(meminfo: Path = MEMINFO, cgroup: Path = CGROUP) -> int | None:
    """Bytes that can still be had, on this machine and in this container; None where nothing says."""
    try:
        lines = meminfo.read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    found = [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
    limit, used = _number(cgroup / "memory.max"), _number(cgroup / "memory.current")
    if limit is not None and used is not None:
        found.append(max(0, limit - used + _inactive_file(cgroup / "memory.stat")))
    return min(found, default=None)


def require(needed_bytes: float, what: str, available: int | None) -> None:
    """Raises OutOfMemory where so many bytes are more than may be taken."""
    if available is not None and needed_bytes > SHARE * available:
        raise OutOfMemory(f"{what}: about {needed_bytes / GB:.3g} GB; {available / GB:.3g} GB are available")


def _number(path: Path) -> int | None:
    """The number in a file of the system's; None for `max`, and where there is no such file."""
    try:
        text = path.read_text(encoding="utf-8").strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def _inactive_file(path: Path) -> int:
    """Bytes that a container's limit counts, though they are copies of files and given up when needed."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("inactive_file "))
