"""What notebooks and plug-ins may import. Nothing inside llmsim imports it.

>>> from llmsim.api import evaluate, load_config
>>> config = load_config(["hardware=a100", "policy=optimal", "workload.limit=200"])
>>> result = evaluate(config)
>>> result.summary["queries"]
200
"""

from llmsim.backends.contract import (
    Advance,
    Backend,
    Engine,
    PreparingEngine,
    SizingBackend,
    StepEngine,
    WarmingEngine,
    Work,
)
from llmsim.config import Config, load_config
from llmsim.curves.cost import Cost, QueryCurve
from llmsim.errors import InputError
from llmsim.fleet.deployment import Deployment
from llmsim.fleet.prices import Prices
from llmsim.measurement.cell import Bench, Cell, Exercise, NotMeasured, OutOfMemory, Passes
from llmsim.measurement.contract import Meter, Reading
from llmsim.measurement.sampler import Sampler
from llmsim.measurement.ticks import Ticks
from llmsim.policies.contract import (
    Attentive,
    Certificate,
    FleetView,
    OfflinePolicy,
    OnlinePolicy,
    Plan,
    Selective,
)
from llmsim.policies.frontier import Frontier, frontier
from llmsim.policies.regret import Regret, regret
from llmsim.registry import API_VERSION
from llmsim.specs.hardware import Hardware
from llmsim.specs.model import Model
from llmsim.specs.target import Target
from llmsim.tasks.evaluate import Evaluation, evaluate
from llmsim.workload.queries import Queries

__all__ = [
    "API_VERSION",
    "Advance",
    "Attentive",
    "Backend",
    "Bench",
    "Cell",
    "Certificate",
    "Config",
    "Cost",
    "Deployment",
    "Engine",
    "Evaluation",
    "Exercise",
    "FleetView",
    "Frontier",
    "Hardware",
    "InputError",
    "Meter",
    "Model",
    "NotMeasured",
    "OfflinePolicy",
    "OnlinePolicy",
    "OutOfMemory",
    "Passes",
    "Plan",
    "PreparingEngine",
    "Prices",
    "Queries",
    "QueryCurve",
    "Reading",
    "Regret",
    "Sampler",
    "Selective",
    "SizingBackend",
    "StepEngine",
    "Target",
    "Ticks",
    "WarmingEngine",
    "Work",
    "evaluate",
    "frontier",
    "load_config",
    "regret",
]
