"""Conformance suites: subclass one, say how to make yours, and pytest runs what every one must pass."""

from llmsim.testing.benches import BenchConformance
from llmsim.testing.engines import EngineConformance
from llmsim.testing.meters import MeterConformance
from llmsim.testing.policies import PolicyConformance
from llmsim.testing.steps import StepConformance

__all__ = [
    "BenchConformance",
    "EngineConformance",
    "MeterConformance",
    "PolicyConformance",
    "StepConformance",
]
