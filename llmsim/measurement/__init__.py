"""Measuring for real: meters, windows, campaigns."""

from llmsim.plugin_conf import ELSEWHERE
from llmsim.registry import Registry

METERS = Registry(
    kind="meter",
    entry_points="llmsim.meters",
    built_in={
        "nvml": "llmsim.measurement.nvml:NvmlMeter",
        "rapl": "llmsim.measurement.rapl:RaplMeter",
        "tdp": "llmsim.measurement.tdp:TdpMeter",
    },
    elsewhere=ELSEWHERE["meter"],
)
