"""Conformance suites: subclass one, say how to make yours, and pytest runs what every one must pass.

Toy models are what a backend can be made for in milliseconds.
"""

from llmsim.testing.benches import BenchConformance
from llmsim.testing.engines import EngineConformance
from llmsim.testing.meters import MeterConformance
from llmsim.testing.policies import PolicyConformance
from llmsim.testing.steps import StepConformance
from llmsim.testing.toys import toy_deployment, toy_model, toy_target

__all__ = [
    "BenchConformance",
    "EngineConformance",
    "MeterConformance",
    "PolicyConformance",
    "StepConformance",
    "toy_deployment",
    "toy_model",
    "toy_target",
]
