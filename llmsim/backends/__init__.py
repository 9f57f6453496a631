"""What serving costs: the simulator reads curves, a measuring backend runs it."""

from llmsim.plugin_conf import ELSEWHERE
from llmsim.registry import Registry

BACKENDS = Registry(
    kind="backend",
    entry_points="llmsim.backends",
    built_in={
        "recorded": "llmsim.backends.recorded:RecordedWork",
        "simulator": "llmsim.backends.simulator:Simulator",
    },
    elsewhere=ELSEWHERE["backend"],
)
