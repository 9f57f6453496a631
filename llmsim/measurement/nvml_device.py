"""One GPU as NVML shows it; what NVML cannot say becomes None, with the reason where it matters."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

MILLI = 1e-3

# Reasons for which NVML says that clocks are lower than they might be, by name of its constant.
THROTTLE_REASONS = (
    ("power_cap", "nvmlClocksThrottleReasonSwPowerCap"),
    ("hardware_slowdown", "nvmlClocksThrottleReasonHwSlowdown"),
    ("hot_software", "nvmlClocksThrottleReasonSwThermalSlowdown"),
    ("hot_hardware", "nvmlClocksThrottleReasonHwThermalSlowdown"),
    ("power_brake", "nvmlClocksThrottleReasonHwPowerBrakeSlowdown"),
)


@dataclass(frozen=True)
class GpuState:
    """What a GPU says of itself at one moment; None where it does not say.

    Attributes:
        power_w: board power, W, averaged as the board does.
        sm_clock_mhz, memory_clock_mhz: clocks, MHz.
        temperature_c: of the GPU, degrees Celsius.
        throttled: why clocks are held down, names joined by '+'; '' when they are not.
    """

    power_w: float | None
    sm_clock_mhz: float | None
    memory_clock_mhz: float | None
    temperature_c: float | None
    throttled: str | None


@dataclass(frozen=True)
class NvmlDevice:
    """One GPU.

    Attributes:
        library: the module `pynvml`, started.
        handle: NVML's handle of the GPU.
        index: its number.
    """

    library: Any
    handle: Any
    index: int

    @property
    def name(self) -> str:
        """The GPU as its vendor calls it."""
        return str(self.library.nvmlDeviceGetName(self.handle))

    @property
    def uuid(self) -> str | None:
        """Its identity, as the driver calls it."""
        identity = self._ask(lambda: self.library.nvmlDeviceGetUUID(self.handle))
        return None if identity is None else str(identity)

    @property
    def card(self) -> str | None:
        """Which card it is: a short hash of its serial identity. Two cards of one kind can differ by 20 %."""
        return None if self.uuid is None else hashlib.sha256(self.uuid.encode()).hexdigest()[:8]

    def energy_j(self) -> float:
        """The total-energy counter, J.

        Raises:
            the library's NVMLError: it has none, or it cannot be read.
        """
        return float(self.library.nvmlDeviceGetTotalEnergyConsumption(self.handle)) * MILLI

    def power_w(self) -> float:
        """Board power now, W; on boards that tell only its running mean, that.

        Raises:
            the library's NVMLError: it cannot be read.
        """
        field = getattr(self.library, "NVML_FI_DEV_POWER_INSTANT", None)
        if field is not None:
            answer = self._ask(lambda: self.library.nvmlDeviceGetFieldValues(self.handle, [field])[0])
            if answer is not None and answer.nvmlReturn == 0:
                return float(answer.value.uiVal) * MILLI
        return float(self.library.nvmlDeviceGetPowerUsage(self.handle)) * MILLI

    def power_limit_w(self) -> float | None:
        """The limit that is in force, W."""
        milliwatts = self._ask(lambda: self.library.nvmlDeviceGetEnforcedPowerLimit(self.handle))
        return None if milliwatts is None else float(milliwatts) * MILLI

    def default_power_limit_w(self) -> float | None:
        """The limit that the board came with, W."""
        milliwatts = self._ask(lambda: self.library.nvmlDeviceGetPowerManagementDefaultLimit(self.handle))
        return None if milliwatts is None else float(milliwatts) * MILLI

    def is_divided(self) -> bool:
        """Whether the GPU is divided (MIG): its meter then counts every tenant."""
        mode = self._ask(lambda: self.library.nvmlDeviceGetMigMode(self.handle))
        return mode is not None and mode[0] == 1

    def state(self) -> GpuState:
        """What it says of itself now."""
        lib, handle = self.library, self.handle
        reasons = self._ask(lambda: lib.nvmlDeviceGetCurrentClocksThrottleReasons(handle))
        return GpuState(
            power_w=self._ask(self.power_w),
            sm_clock_mhz=self._ask(lambda: lib.nvmlDeviceGetClockInfo(handle, lib.NVML_CLOCK_SM)),
            memory_clock_mhz=self._ask(lambda: lib.nvmlDeviceGetClockInfo(handle, lib.NVML_CLOCK_MEM)),
            temperature_c=self._ask(lambda: lib.nvmlDeviceGetTemperature(handle, lib.NVML_TEMPERATURE_GPU)),
            throttled=None if reasons is None else self._names(int(reasons)),
        )

    def why(self, error: Exception) -> str:
        """An error of NVML's in words that say what to do."""
        code = getattr(error, "value", None)
        lib = self.library
        if code == getattr(lib, "NVML_ERROR_NOT_SUPPORTED", object()):
            return f"gpu{self.index} ({self.name}) does not report it: an old board, or a virtual GPU"
        if code == getattr(lib, "NVML_ERROR_NO_PERMISSION", object()):
            return f"reading gpu{self.index} is denied: run as root, or ask for access to its counters"
        return f"gpu{self.index}: {error}"

    def _names(self, reasons: int) -> str:
        return "+".join(
            name for name, constant in THROTTLE_REASONS if reasons & int(getattr(self.library, constant, 0))
        )

    def _ask(self, question: Callable[[], Any]) -> Any:
        """The answer, or None where this board or driver has none."""
        try:
            return question()
        except self.library.NVMLError:
            return None


def devices(library: Any) -> list[NvmlDevice]:
    """Every GPU that NVML sees, in its order.

    Raises:
        the library's NVMLError: NVML is not running.
    """
    count = int(library.nvmlDeviceGetCount())
    return [NvmlDevice(library, library.nvmlDeviceGetHandleByIndex(index), index) for index in range(count)]
