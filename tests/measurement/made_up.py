"""Devices that exist in tests only."""

from __future__ import annotations

import time
from dataclasses import dataclass
from types import SimpleNamespace
from typing import ClassVar

from llmsim.backends.contract import Advance
from llmsim.measurement.cell import Cell, OutOfMemory, Passes
from llmsim.measurement.contract import Reading

PERIOD_S = 0.02


class NVMLError(Exception):
    def __init__(self, value: int):
        super().__init__(f"NVML error {value}")
        self.value = value


class Nvml:
    """The functions of `pynvml` that llmsim calls, over one GPU of constant power."""

    NVMLError = NVMLError
    NVML_ERROR_NOT_SUPPORTED = 3
    NVML_ERROR_NO_PERMISSION = 4
    NVML_CLOCK_SM, NVML_CLOCK_MEM, NVML_TEMPERATURE_GPU = 1, 2, 0
    nvmlClocksThrottleReasonSwPowerCap = 4

    def __init__(self, watts=300.0, counter="moves", power=None, mig=False, gpus=1, starts=True):
        self.watts, self.counter, self.mig, self.gpus, self.starts = watts, counter, mig, gpus, starts
        self.power = watts if power is None else power
        self.began_s = time.perf_counter()

    def nvmlInit(self):
        if not self.starts:
            raise NVMLError(12)

    def nvmlDeviceGetCount(self):
        return self.gpus

    def nvmlDeviceGetHandleByIndex(self, index):
        return index

    def nvmlDeviceGetName(self, handle):
        return "Made-up GPU"

    def nvmlDeviceGetUUID(self, handle):
        return f"GPU-{handle}"

    def nvmlDeviceGetMigMode(self, handle):
        if self.mig is None:
            raise NVMLError(3)
        return [int(self.mig), 0]

    def nvmlDeviceGetTotalEnergyConsumption(self, handle):
        if self.counter == "missing":
            raise NVMLError(3)
        if self.counter == "frozen":
            return 42
        ticks = int((time.perf_counter() - self.began_s) / PERIOD_S)
        return int(ticks * PERIOD_S * self.watts * 1000)

    def nvmlDeviceGetPowerUsage(self, handle):
        if self.power == "denied":
            raise NVMLError(4)
        return int(self.power * 1000)

    def nvmlDeviceGetEnforcedPowerLimit(self, handle):
        return 700_000

    def nvmlDeviceGetPowerManagementDefaultLimit(self, handle):
        return 700_000

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, handle):
        return 4

    def nvmlDeviceGetClockInfo(self, handle, kind):
        return 1980 if kind == self.NVML_CLOCK_SM else 3201

    def nvmlDeviceGetTemperature(self, handle, kind):
        return 55


class SteadyMeter:
    """A meter of a source that draws the same watts always."""

    def __init__(self, watts=250.0, temperature_c=40.0):
        self.watts, self.temperature_c = watts, temperature_c
        self.windows = 0

    def unavailable(self):
        return None

    def start(self):
        pass

    def stop(self):
        self.windows += 1
        conditions = {"temperature_c": self.temperature_c}
        energy = None if self.watts is None else self.watts
        return [
            Reading("gpu0", "gpu_boards", "measured", "energy_counter", self.watts, energy, 1.0, conditions)
        ]

    def close(self):
        pass


@dataclass
class MadeUpBackend:
    """A measuring backend whose cells take a millisecond for each thousand tokens."""

    device: str = "made-up"
    method: ClassVar[str] = "measured"

    def open_bench(self, target):
        return TableBench(lambda cell: 1e-6 * cell.batch * cell.tokens, most_tokens=40_000)

    def open(self, deployment):
        return TableEngine()


class TableEngine:
    """An engine whose batches take a known time, and no time at all in truth; counts the engines opened."""

    opened = 0
    at_once = most_at_once = 0

    def __init__(self):
        kind = type(self)
        kind.opened += 1
        kind.at_once += 1
        kind.most_at_once = max(kind.most_at_once, kind.at_once)

    def expect(self, tau_in, tau_out):
        pass

    def serve(self, tau_in, tau_out):
        return Advance(0.01 * max(tau_out) + 1e-4 * sum(tau_in), 1e-4 * sum(tau_in), None)

    def close(self):
        type(self).at_once -= 1


@dataclass
class SlowBackend:
    """The same, and each trial takes true time, so that a kill can fall into one."""

    device: str = "slow"
    method: ClassVar[str] = "measured"

    def open_bench(self, target):
        bench = TableBench(lambda cell: 1e-6 * cell.batch * cell.tokens, most_tokens=40_000)
        quick = bench.prepare

        def prepare(cell):
            exercise = quick(cell)
            return SimpleNamespace(run=lambda seconds: time.sleep(0.01) or exercise.run(seconds))

        bench.prepare = prepare
        return bench


class TableBench:
    """A bench whose cells take a known time, with a known spread, and no time at all in truth."""

    def __init__(self, seconds, rng=None, spread=0.0, most_tokens=10_000):
        self.seconds, self.rng, self.spread, self.most_tokens = seconds, rng, spread, most_tokens
        self.prepared: list[Cell] = []

    def prepare(self, cell):
        self.prepared.append(cell)
        if cell.batch * cell.tokens > self.most_tokens:
            raise OutOfMemory(f"{cell.batch * cell.tokens} tokens do not fit {self.most_tokens}")
        noise = 1 + (self.rng.normal(0, self.spread) if self.rng is not None else 0)
        return SimpleNamespace(run=lambda seconds: Passes(4, 4 * self.seconds(cell) * noise, cell.tau_out))

    def conditions(self):
        return {"weights": "random"}

    def close(self):
        pass
