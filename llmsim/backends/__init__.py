"""What serving costs: the simulator reads curves, a measuring backend runs it."""

from llmsim.registry import Registry

BACKENDS = Registry(
    kind="backend",
    entry_points="llmsim.backends",
    built_in={
        "recorded": "llmsim.backends.recorded:RecordedWork",
        "simulator": "llmsim.backends.simulator:Simulator",
    },
    elsewhere={
        "onnxruntime": "pip install ./plugins/llmsim-onnxruntime (in llmsim's checkout)",
        "openai": "pip install ./plugins/llmsim-openai (in llmsim's checkout)",
        "torch": "pip install ./plugins/llmsim-torch (in llmsim's checkout)",
    },
)
