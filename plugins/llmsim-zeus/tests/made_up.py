"""Devices of Zeus's own abstract classes, so that a change of its interface breaks the tests."""

from __future__ import annotations

import json
import socketserver
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from types import SimpleNamespace
from typing import Any, ClassVar

from zeus.device.cpu.common import CPU, CpuDramMeasurement, CPUs
from zeus.device.exception import ZeusBaseGPUError
from zeus.device.gpu.common import GPU, GPUs, ZeusGPUNotSupportedError
from zeus.device.soc.common import SoC

PERIOD_S = 0.01


def joules(watts, began_s, period_s=PERIOD_S):
    """What a counter that moves once a period shows."""
    return int((time.perf_counter() - began_s) / period_s) * period_s * watts


class MadeUpGPU(GPU):
    """A GPU of constant power."""

    supports_nonblocking_setters = False

    def __init__(self, gpu_index, watts=200.0, counter="moves", power=None):
        super().__init__(gpu_index)
        self.watts, self.counter, self.power = watts, counter, watts if power is None else power
        self.began_s, self.taken_mj = time.perf_counter(), 0

    def get_name(self):
        return "Made-up GPU"

    def get_power_management_limit(self):
        return 300_000

    def get_gpu_temperature(self):
        return 61

    def supports_get_total_energy_consumption(self):
        return self.counter != "none"

    def get_total_energy_consumption(self):
        if self.counter == "lost":
            raise ZeusBaseGPUError("the GPU is lost")
        return 7 if self.counter == "frozen" else int(joules(self.watts, self.began_s) * 1000) - self.taken_mj

    def get_instant_power_usage(self):
        raise ZeusGPUNotSupportedError("no power now")

    def get_average_power_usage(self):
        if self.power == "none":
            raise ZeusGPUNotSupportedError("no mean power")
        return int(self.power * 1000)

    def get_average_memory_power_usage(self):
        raise ZeusGPUNotSupportedError("no memory power")

    def _set(self, *_: Any, **__: Any):
        raise AssertionError("a meter changes nothing")

    get_power_management_limit_constraints = set_power_management_limit = _set
    reset_power_management_limit = set_persistence_mode = get_persistence_mode = _set
    get_supported_memory_clocks = set_memory_locked_clocks = reset_memory_locked_clocks = _set
    get_supported_graphics_clocks = set_gpu_locked_clocks = reset_gpu_locked_clocks = _set


class MadeUpGPUs(GPUs):
    def __init__(self, *gpus):
        self._gpus = gpus

    def __del__(self):
        pass

    @property
    def gpus(self):
        return self._gpus


class MadeUpCPU(CPU):
    def __init__(self, cpu_index, watts=80.0, dram=True):
        super().__init__(cpu_index)
        self.watts, self.dram, self.began_s = watts, dram, time.perf_counter()

    def get_total_energy_consumption(self):
        spent = joules(self.watts, self.began_s, 0.001) * 1000
        return CpuDramMeasurement(spent, spent / 10 if self.dram else None)

    def supports_get_dram_energy_consumption(self):
        return self.dram


class MadeUpCPUs(CPUs):
    def __init__(self, *cpus):
        self._cpus = cpus

    def __del__(self):
        pass

    @property
    def cpus(self):
        return self._cpus


class MadeUpSoC(SoC):
    """One of Zeus's measurements, whose every field that is given in watts counts on."""

    def __init__(self, measurement, **watts):
        self.measurement, self.watts, self.began_s = measurement, watts, time.perf_counter()

    def get_total_energy_consumption(self):
        return self.measurement(
            **{name: int(joules(watts, self.began_s) * 1000) for name, watts in self.watts.items()}
        )

    def _unused(self, *_: Any, **__: Any):
        raise AssertionError("the meter reads the counter itself")

    get_available_metrics = begin_window = end_window = _unused


@dataclass
class AmdSmi:
    """The functions of `amdsmi` that Zeus and the meter call, over packages of two dies like an MI250's."""

    name: str = "AMD Instinct MI250X"
    watts: int = 400
    dies: int = 2
    honest: bool = True

    AmdSmiException: ClassVar[type] = RuntimeError
    AmdSmiLibraryException: ClassVar[type] = RuntimeError
    AmdSmiInitFlags: ClassVar[Any] = SimpleNamespace(INIT_AMD_GPUS=2)
    AmdSmiTemperatureType: ClassVar[Any] = SimpleNamespace(HOTSPOT=1)
    AmdSmiTemperatureMetric: ClassVar[Any] = SimpleNamespace(CURRENT=0)

    def __post_init__(self):
        self.began_s = time.perf_counter()

    def amdsmi_init(self, *flags):
        pass

    amdsmi_shut_down = amdsmi_init

    def amdsmi_get_processor_handles(self):
        return list(range(self.dies))

    def amdsmi_get_gpu_enumeration_info(self, handle):
        return {"hip_id": handle, "hip_uuid": f"GPU-00112233445566{handle:02d}"}

    def amdsmi_get_gpu_asic_info(self, handle):
        return {"market_name": self.name}

    def amdsmi_get_power_info(self, handle):
        return {"current_socket_power": "N/A", "average_socket_power": 0 if handle % 2 else self.watts}

    def amdsmi_get_energy_count(self, handle):
        ticks = joules(0 if handle % 2 else self.watts, self.began_s) * 1e6 / 15.3
        return {"energy_accumulator": ticks if self.honest else 1000 * ticks, "counter_resolution": 15.3}

    def amdsmi_get_power_cap_info(self, handle):
        return {"power_cap": 500_000_000, "default_power_cap": 560_000_000}

    def amdsmi_get_temp_metric(self, handle, sensor, metric):
        return 70_000


@contextmanager
def daemon(socket_path, watts):
    """Zeus's daemon on a socket, with one package of constant power."""
    began_s = time.perf_counter()
    about = {
        "gpus": [],
        "cpus": [{"id": 0, "dram_available": False}],
        "enabled_api_groups": ["cpu-read"],
        "auth_required": False,
    }

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *said):
            """Nothing on the screen."""

        def do_GET(self):
            spent_uj = int(joules(watts, began_s, 0.001) * 1e6)
            energy = {"0": {"cpu_energy_uj": spent_uj, "dram_energy_uj": None}}
            text = json.dumps(about if self.path == "/discover" else energy).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

    with socketserver.ThreadingUnixStreamServer(str(socket_path), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield
        server.shutdown()
