"""A run with what several figures count from it, counted once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from llmsim.curves.cost import BoolArray, FloatArray
from llmsim.policies.bounds import Bounds
from llmsim.report.judgement import Judge
from llmsim.simulation.ledger import InstanceLedger
from llmsim.simulation.metrics import ServiceLevel, Tariff
from llmsim.simulation.run import Run
from llmsim.simulation.window import Window


@dataclass(frozen=True)
class Horizon:
    """The stretch of time over which every row of a table counts idle energy.

    Attributes:
        start_s: the first arrival of the trace, refused queries included.
        end_s: the longest end among all rows, or later where the fleet sets it.
    """

    start_s: float
    end_s: float

    @property
    def length_s(self) -> float:
        """Seconds from start to end."""
        return self.end_s - self.start_s


@dataclass(frozen=True)
class Terms:
    """What all rows of a table share.

    Attributes:
        horizon: over which idle energy counts.
        bounds: on counts, which the run's policy keeps; None where it keeps none.
        judge: says what a run's choices are worth.
        slo: what is asked of a query.
        tariff: what energy costs.
        window: which queries make the steady state.
        arrivals_s: first and last arrival of the workload.
    """

    horizon: Horizon
    bounds: Bounds | None
    judge: Judge
    slo: ServiceLevel
    tariff: Tariff
    window: Window
    arrivals_s: tuple[float, float]


@dataclass(frozen=True)
class Found:
    """What a part found out about a run.

    Attributes:
        figures: by key of `docs/summary.md`; None where a figure could not be had.
        absent: why not, by key.
    """

    figures: Mapping[str, Any] = field(default_factory=dict)
    absent: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Account:
    """One row of a table before its figures are made."""

    run: Run
    terms: Terms

    @cached_property
    def instances(self) -> InstanceLedger:
        """What each instance did."""
        return self.run.ledger.instances()

    @cached_property
    def idle_j(self) -> FloatArray:
        """Joules of each instance while it served nothing: idle, asleep or waking."""
        return self.instances.idle_energy_j(self.terms.horizon.length_s)

    @cached_property
    def accuracy_pct(self) -> FloatArray:
        """Accuracy of each served query where it was served, percent; NaN where not known."""
        return accuracy_pct(self.run)

    @cached_property
    def tokens(self) -> FloatArray:
        """Prompt and generated tokens of each served query."""
        queries = self.run.prices.queries
        return (queries.tau_in + queries.tau_out).astype(np.float64)

    def served_by(self, index: int) -> BoolArray:
        """Which served queries a deployment served."""
        return np.equal(self.run.ledger.deployment, index)

    def instances_of(self, index: int) -> BoolArray:
        """Which instances are a deployment's."""
        return np.equal(self.instances.deployment, index)


def accuracy_pct(run: Run) -> FloatArray:
    """Accuracy of each served query where it was served, percent, shape (served,); NaN where not known."""
    chosen: FloatArray = run.prices.scores_pct[np.arange(len(run.served)), run.ledger.deployment]
    return chosen


def known_sum(values: FloatArray) -> float | None:
    """The sum, or None where some of it is not known."""
    total = float(values.sum())
    return total if np.isfinite(total) else None


def weighted_mean(values: FloatArray, weights: FloatArray) -> float | None:
    """None where there is nothing to average, or some of it is not known."""
    return None if not len(values) or np.isnan(values).any() else float(np.average(values, weights=weights))
