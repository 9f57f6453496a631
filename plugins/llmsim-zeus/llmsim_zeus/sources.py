"""What Zeus finds on this host, each as a counter or a power to be watched."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from llmsim_zeus.vendor import MILLI, Known, bare, known_of

# Zeus adds up a Jetson's power rails so often, s (zeus/device/soc/jetson.py).
JETSON_PERIOD_S = 0.1
# The parts of an Apple SoC that do not overlap; the others are parts of `cpu_total_mj`.
APPLE_PARTS = ("cpu_total_mj", "gpu_mj", "gpu_sram_mj", "ane_mj", "dram_mj")


class Absent(Exception):
    """There is nothing of a kind on this host: why, and what to do."""


class Refused(Exception):
    """There is something, and it cannot be read as asked: why, and what to do."""


@dataclass(frozen=True)
class Source:
    """One thing that is read.

    Attributes:
        name: such as ``gpu0``.
        title: the device as its vendor calls it.
        scope: what its joules cover.
        counter: joules so far, J; None: it has only power.
        power: watts now, W; None: it has only a counter.
        method, how: as in `llmsim.api.Reading`.
        floor_s: Zeus updates it no oftener, s.
        index: a GPU's number.
        known: what a GPU's vendor says of it.
        gpu: Zeus's object of a GPU, for what else it says.
        notes: what to know of every reading.
    """

    name: str
    title: str
    scope: str
    counter: Callable[[], float] | None
    power: Callable[[], float] | None = None
    method: Literal["measured", "estimated"] = "measured"
    how: str = "energy_counter"
    floor_s: float = 0.0
    index: int | None = None
    known: Known = field(default_factory=Known)
    gpu: Any = None
    notes: tuple[str, ...] = ()


def find(kind: str, numbers: Sequence[int], uuids: Iterable[str]) -> list[Source]:
    """Everything of one kind that Zeus reads here.

    Args:
        kind: soc, gpus, cpus or dram.
        numbers: of the GPUs to read; empty: all.
        uuids: the same by identity; empty: all.

    Raises:
        Absent: there is nothing of the kind.
        Refused: there is, and it cannot be read as asked.
    """
    if kind == "soc":
        return _soc()
    if kind == "gpus":
        return _gpus(numbers, frozenset(bare(uuid) for uuid in uuids))
    return _packages(kind)


def _gpus(numbers: Sequence[int], uuids: frozenset[str]) -> list[Source]:
    """GPUs by number or identity; raises Refused where not all of them are found."""
    from zeus.device import get_gpus

    try:
        found = list(get_gpus().gpus)
    except Exception as error:  # NVML's and AMD SMI's errors have no base in common with Zeus's
        raise Absent(
            f"no GPU ({_said(error)}). AMD: install ROCm 6.2 or later and the amdsmi of its release; a "
            "container needs /dev/kfd and /dev/dri. NVIDIA: install its driver, and pass the GPU through"
        ) from error
    known = {gpu.gpu_index: known_of(gpu) for gpu in found}
    here = ", ".join(f"{gpu.gpu_index} ({_named(gpu)})" for gpu in found) or "none"
    missing = set(numbers) - set(known)
    if missing or not found:
        raise Refused(f"no GPU of number {sorted(missing)}; Zeus sees: {here}")
    chosen = [gpu for gpu in found if not numbers or gpu.gpu_index in numbers]
    if uuids and not numbers:
        chosen = [gpu for gpu in found if bare(known[gpu.gpu_index].uuid or "") in uuids]
        if len(chosen) != len(uuids):
            raise Refused(
                f"which of Zeus's GPUs ({here}) have the identities {', '.join(sorted(uuids))}, the vendor's "
                "library does not say: set meter.devices to their numbers"
            )
    sources = [_gpu(gpu, known[gpu.gpu_index], {other.gpu_index for other in chosen}) for gpu in chosen]
    return [source for source in sources if source is not None]


def _gpu(gpu: Any, known: Known, chosen: set[int]) -> Source | None:
    """One GPU; None for the second die of a package whose first is read, and counts both."""
    index, title = int(gpu.gpu_index), _named(gpu)
    if known.divided:
        raise Refused(f"gpu{index} is divided (MIG): its meter counts every tenant. Measure on a whole GPU")
    counter = power = why = None
    try:
        if gpu.supports_get_total_energy_consumption():
            gpu.get_total_energy_consumption()
            counter = _from_milli(gpu.get_total_energy_consumption)
    except Exception as error:  # each vendor's library has errors of its own
        why = _said(error)
    for ask in (gpu.get_instant_power_usage, gpu.get_average_power_usage):
        try:
            ask()
        except Exception as error:  # as above
            why = why or _said(error)
            continue
        power = _from_milli(ask)
        break
    package = "MI250" in title
    if counter is None and power is None:
        if package and index % 2 and index - 1 in chosen:
            return None
        raise Refused(f"gpu{index} ({title}) has neither an energy counter nor power: {why}")
    note = f"gpu{index} counts both dies of its package, gpu{index + 1} too"
    return Source(
        f"gpu{index}",
        title,
        "gpu_boards",
        counter,
        power,
        how="energy_counter" if counter else "integrated_power",
        index=index,
        known=known,
        gpu=gpu,
        notes=(note,) if package else (),
    )


def _packages(kind: str) -> list[Source]:
    """CPU packages, or their memory, by RAPL."""
    from zeus.device import get_cpus
    from zeus.device.cpu.common import ZeusCPUNoPermissionError

    try:
        found = list(get_cpus().cpus)
        for cpu in found:
            cpu.get_total_energy_consumption()
    except ZeusCPUNoPermissionError as error:
        raise Refused(
            f"reading CPU packages is for root ({_said(error)}). Run Zeus's daemon as root (zeusd), and set "
            "ZEUSD_SOCK_PATH to its socket here"
        ) from error
    except Exception as error:  # a daemon that is not there, files that are gone
        raise Absent(
            f"no CPU package ({_said(error)}): a virtual machine, a container without /sys/class/powercap "
            "(mount the host's at /zeus_sys/class/powercap), or a CPU without RAPL"
        ) from error
    if kind == "dram":
        found = [cpu for cpu in found if cpu.supports_get_dram_energy_consumption()]
    if not found:
        raise Absent(f"no {kind}: this machine's RAPL has no counter of it")
    scope = {"cpus": "cpu_packages", "dram": "dram"}[kind]
    what = {"cpus": "package", "dram": "dram"}[kind]
    return [
        Source(f"{what}-{cpu.cpu_index}", type(cpu).__name__, scope, _package_counter(cpu, kind), how="rapl")
        for cpu in found
    ]


def _package_counter(cpu: Any, kind: str) -> Callable[[], float]:
    """Joules so far of a package, or of its memory."""
    part = {"cpus": "cpu_mj", "dram": "dram_mj"}[kind]
    return lambda: float(getattr(cpu.get_total_energy_consumption(), part)) * MILLI


def _soc() -> list[Source]:
    """The whole chip, where one counter or several that do not overlap cover it."""
    from zeus.device import get_soc

    try:
        soc = get_soc()
        first = soc.get_total_energy_consumption()
    except Exception as error:  # the Jetson's process that does not answer, Apple's library
        hint = "pip install 'llmsim-zeus[apple]'" if sys.platform == "darwin" else f"this is {_machine()}"
        raise Absent(f"no SoC ({_said(error)}): Zeus reads Apple Silicon and Jetson; {hint}") from error
    told = {item.name for item in fields(first) if getattr(first, item.name) is not None}
    if "total_energy_mj" in told:
        parts: tuple[str, ...] = ("total_energy_mj",)
    else:
        parts = tuple(name for name in (*APPLE_PARTS, "cpu_energy_mj", "gpu_energy_mj") if name in told)
    if not parts:
        raise Refused(f"{type(soc).__name__} tells nothing that llmsim knows ({', '.join(sorted(told))})")
    # Apple's counters are its energy model's (IOReport), a Jetson's rails are measured by its sensor.
    jetson = "_energy_mj" in parts[0]
    what = "+".join(part.removesuffix("_mj").removesuffix("_energy").removesuffix("_total") for part in parts)
    return [
        Source(
            "soc",
            type(soc).__name__,
            f"soc_{what}",
            lambda: sum(float(getattr(soc.get_total_energy_consumption(), part)) for part in parts) * MILLI,
            method="measured" if jetson else "estimated",
            how="integrated_power" if jetson else "energy_model",
            floor_s=JETSON_PERIOD_S if jetson else 0.0,
        )
    ]


def _from_milli(ask: Callable[[], int]) -> Callable[[], float]:
    """The same answer, in J or W."""
    return lambda: ask() * MILLI


def _named(gpu: Any) -> str:
    """A GPU's name, for messages: one without a name must not hide the others."""
    try:
        return str(gpu.get_name())
    except Exception as error:  # each vendor's library has errors of its own
        return f"unnamed: {_said(error)}"


def _machine() -> str:
    return f"{platform.system()} on {platform.machine()}"


def _said(error: Exception) -> str:
    """An error in one line."""
    text = " ".join(str(error).split())
    return text or type(error).__name__
