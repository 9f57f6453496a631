"""NVIDIA GPUs: the total-energy counter, read from update to update and held against power."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from llmsim.measurement.contract import Reading
from llmsim.measurement.nvml_device import NvmlDevice, devices
from llmsim.measurement.sampler import Sampler

SCOPE = "gpu_boards"
# A counter that does not move in this time is frozen. The slowest known moves once a second.
LONGEST_PERIOD_S = 3.0
# Seconds over which the period is found.
CALIBRATION_S = 2.0
# Between power readings where there is no counter, s.
POWER_PERIOD_S = 0.05
# Disagreement of counter and integrated power above which a reading carries a warning.
DISAGREEMENT_PCT = 10.0
# Updates that a window must hold, at least, for its power to be believed.
FEWEST_UPDATES = 4
# Readings older than this before a window are dropped.
MEMORY_S = 60.0


@dataclass
class _Watched:
    """A GPU and the thread that watches it."""

    device: NvmlDevice
    sampler: Sampler
    counter: bool
    period_s: float
    unavailable: str | None


@dataclass
class NvmlMeter:
    """Joules of GPU boards.

    The counter moves about ten times a second, so a window's power is read from its first move to its last
    and taken for the whole window: the load must be steady from before `start` to `stop`. A board without a
    counter is read by integrating its power, and the reading says so.

    Attributes:
        devices: numbers of the GPUs to read; empty: all.
        pause_s: rest between two readings of a counter, s.
    """

    devices: list[int] = field(default_factory=list)
    pause_s: float = 0.002

    def __post_init__(self) -> None:
        self._library: Any = None
        self._uuids: frozenset[str] | None = None
        self._watched: list[_Watched] | None = None
        self._start_s = 0.0

    @classmethod
    def over(cls, library: Any) -> NvmlMeter:
        """A meter over another library with the functions of `pynvml`, such as one made up for a test."""
        meter = cls()
        meter._library = library
        return meter

    def unavailable(self) -> str | None:
        """Why no GPU can be read, and what to do about it; None: all chosen ones can."""
        try:
            watched = self._open()
        except _Refused as refused:
            return str(refused)
        reasons = [item.unavailable for item in watched if item.unavailable]
        return "; ".join(reasons) or None

    def start(self) -> None:
        """A window begins now. The work before it has ended, and work like that within it came before it."""
        for item in self._open():
            item.sampler.forget(time.perf_counter() - MEMORY_S)
        self._start_s = time.perf_counter()

    def stop(self) -> Sequence[Reading]:
        """The window ends now."""
        stop_s = time.perf_counter()
        return [self._read(item, self._start_s, stop_s) for item in self._open()]

    def close(self) -> None:
        """Watch no longer."""
        for item in self._watched or []:
            item.sampler.stop()
        self._watched = None

    @contextmanager
    def resting(self) -> Iterator[None]:
        """Read nothing within: what reading costs the work is found by comparing with this."""
        watched = self._open()
        for item in watched:
            item.sampler.stop()
        try:
            yield
        finally:
            for item in watched:
                item.sampler.start()

    def only(self, uuids: Iterable[str]) -> None:
        """Read no other GPUs than these, unless `devices` names some: what stands idle beside is not counted.

        Args:
            uuids: as the driver calls them, with or without the leading ``GPU-``; none: no GPU works.
        """
        found = frozenset(_bare(uuid) for uuid in uuids)
        if not self.devices or not found:
            self._uuids = found

    def least_window_s(self) -> float:
        """The shortest window that holds enough updates of every counter, s."""
        periods = [item.period_s for item in self._open()]
        return (FEWEST_UPDATES + 2) * max(periods, default=0.0)

    def describe(self) -> list[dict[str, Any]]:
        """How each GPU is read: by counter or power, its update period (s) and what one read costs (s)."""
        return [
            {
                "device": item.device.name,
                "index": item.device.index,
                "card": item.device.card,
                "how": _how(item),
                "period_s": item.period_s,
                "read_cost_s": item.sampler.read_s / max(1, item.sampler.reads),
                "power_limit_w": item.device.power_limit_w(),
                "default_power_limit_w": item.device.default_power_limit_w(),
            }
            for item in self._open()
        ]

    def _open(self) -> list[_Watched]:
        if self._watched is None:
            found = self._find()
            self._watched = [self._watch(device) for device in found]
        return self._watched

    def _find(self) -> list[NvmlDevice]:
        if self._library is None:
            import pynvml

            self._library = pynvml
        if self._uuids is not None and not self._uuids:
            raise _Refused("it reads GPUs, and this work is done on none")
        library = self._library
        try:
            library.nvmlInit()
            found = devices(library)
        except library.NVMLError as error:
            raise _Refused(
                f"NVML does not start ({error}): install NVIDIA's driver; a container needs the GPU "
                "passed through"
            ) from error
        chosen = [
            device
            for device in found
            if (not self.devices or device.index in self.devices)
            and (not self._uuids or _bare(device.uuid or "") in self._uuids)
        ]
        missing = set(self.devices) - {device.index for device in found}
        if missing or not chosen:
            wanted = (
                f"number {sorted(missing)}" if missing else f"identity {', '.join(sorted(self._uuids or ()))}"
            )
            raise _Refused(f"no GPU of {wanted}; NVML sees {len(found)}")
        return chosen

    def _watch(self, device: NvmlDevice) -> _Watched:
        """Begin to watch one GPU, and find how often its counter moves."""
        if device.is_divided():
            reason = (
                f"gpu{device.index} is divided (MIG): its meter counts every tenant. Measure on a whole GPU, "
                "or switch MIG off (nvidia-smi -mig 0, as root, when no one else uses it)"
            )
            return _Watched(device, Sampler(device.energy_j), True, LONGEST_PERIOD_S, reason)
        try:
            device.energy_j()
        except self._library.NVMLError:
            return self._watch_power(device)
        sampler = Sampler(device.energy_j, beside=device.power_w, pause_s=self.pause_s)
        sampler.start()
        if not sampler.wait_for_move(LONGEST_PERIOD_S):
            sampler.stop()
            return self._watch_power(device)
        end = time.perf_counter() + CALIBRATION_S
        period: float | None = None
        while period is None and time.perf_counter() < end + LONGEST_PERIOD_S:
            time.sleep(max(0.0, end - time.perf_counter()) or self.pause_s)
            period = sampler.ticks().period_s()
        if period is None:
            sampler.stop()
            return self._watch_power(device)
        return _Watched(device, sampler, True, period, None)

    def _watch_power(self, device: NvmlDevice) -> _Watched:
        """No counter that moves: power, integrated."""
        try:
            device.power_w()
        except self._library.NVMLError as error:
            reason = f"neither an energy counter nor power: {device.why(error)}"
            return _Watched(device, Sampler(device.energy_j), False, POWER_PERIOD_S, reason)
        sampler = Sampler(_clock, beside=device.power_w, pause_s=POWER_PERIOD_S)
        sampler.start()
        return _Watched(device, sampler, False, POWER_PERIOD_S, None)

    def _read(self, item: _Watched, start_s: float, stop_s: float) -> Reading:
        window_s = stop_s - start_s
        integrated = _mean_power(item.sampler, start_s, stop_s)
        warnings: list[str] = []
        power_w = integrated
        if item.counter:
            ticks = item.sampler.ticks()
            # The longer it is watched, the better the period is known.
            item.period_s = ticks.period_s() or item.period_s
            inside = ticks.between(start_s, stop_s)
            power_w = inside.power_w(item.period_s) if len(inside) > FEWEST_UPDATES else None
            if power_w is None:
                warnings.append(
                    f"{len(inside)} counter updates in {window_s:.2f} s; at least {FEWEST_UPDATES + 1} are "
                    f"needed, {(FEWEST_UPDATES + 2) * item.period_s:.2f} s"
                )
            elif inside.goes_back():
                power_w = None
                warnings.append("the counter went back within the window: the driver started anew")
            warnings += _disagreement(power_w, integrated)
        if item.sampler.failure is not None:
            power_w = None
            warnings.append(item.device.why(item.sampler.failure))
        seen = {**vars(item.device.state()), "card": item.device.card}
        conditions = {key: value for key, value in seen.items() if value is not None and key != "power_w"}
        if integrated is not None:
            conditions["integrated_power_w"] = integrated
        return Reading(
            source=f"gpu{item.device.index}",
            scope=SCOPE,
            method="measured",
            how=_how(item),
            power_w=power_w,
            energy_j=None if power_w is None else power_w * window_s,
            window_s=window_s,
            conditions=conditions,
            warnings=tuple(warnings),
        )


class _Refused(Exception):
    """Why there is nothing to read."""


def _bare(uuid: str) -> str:
    return uuid.removeprefix("GPU-").lower()


def _how(item: _Watched) -> str:
    return "energy_counter" if item.counter else "integrated_power"


def _clock() -> float:
    """A counter that always moves: what is beside it is then read each time."""
    return time.perf_counter()


def _mean_power(sampler: Sampler, start_s: float, stop_s: float) -> float | None:
    """Mean of the power readings within a window, W."""
    inside = [watts for seconds, watts in list(sampler.others) if start_s <= seconds <= stop_s]
    return float(np.mean(inside)) if inside else None


def _disagreement(counted_w: float | None, integrated_w: float | None) -> list[str]:
    if counted_w is None or integrated_w is None:
        return []
    apart = abs(counted_w - integrated_w) / counted_w * 100
    if apart <= DISAGREEMENT_PCT:
        return []
    return [
        f"counter {counted_w:.1f} W and integrated power {integrated_w:.1f} W are {apart:.0f} % apart "
        f"(over {DISAGREEMENT_PCT:.0f} %)"
    ]
