"""Measuring for real: meters, windows, campaigns."""

from llmsim.registry import Registry

METERS = Registry(
    kind="meter",
    entry_points="llmsim.meters",
    built_in={
        "nvml": "llmsim.measurement.nvml:NvmlMeter",
        "rapl": "llmsim.measurement.rapl:RaplMeter",
        "tdp": "llmsim.measurement.tdp:TdpMeter",
    },
    elsewhere={"zeus": "pip install ./plugins/llmsim-zeus (in llmsim's checkout)"},
)
