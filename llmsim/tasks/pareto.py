"""task=pareto: the frontier of energy against accuracy of a workload on a fleet."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import llmsim
from llmsim.config import Config
from llmsim.errors import InputError
from llmsim.fleet.prices import Prices, price
from llmsim.policies import POLICIES
from llmsim.policies.bounds import Bounds
from llmsim.policies.frontier import Frontier, frontier
from llmsim.policies.groups import Groups
from llmsim.policies.objective import accuracy_tokens
from llmsim.tasks.inputs import Progress, fleet_of, workload_of
from llmsim.tasks.provenance import provenance

SCHEMA_VERSION = 1  # of frontier.json


@dataclass(frozen=True)
class FrontierFound:
    """What a run found.

    Attributes:
        points: the frontier.
        names: of the deployments.
        summary: the content of `frontier.json`.
    """

    points: Frontier
    names: tuple[str, ...]
    summary: dict[str, Any]

    @property
    def objective(self) -> float:
        """What a sweep minimises: joules at the knee."""
        return float(self.points.energy_j[self.points.knee])

    def save(self, folder: Path) -> None:
        """Write `frontier.json`, `frontier.csv` and the plot."""
        import pyarrow as pa
        import pyarrow.csv

        from llmsim.report.frontier_report import chart
        from llmsim.report.plots import draw_charts
        from llmsim.report.write import write_json

        write_json(self.summary, folder / "frontier.json")
        columns: dict[str, Any] = {
            "energy_j": self.points.energy_j,
            "accuracy_pct": self.points.accuracy_pct,
            "price_j_per_pct": self.points.price_j,
        }
        columns |= {f"queries {name}": self.points.queries[:, i] for i, name in enumerate(self.names)}
        pyarrow.csv.write_csv(pa.table(columns), folder / "frontier.csv")
        draw_charts({"frontier": lambda figure: chart(figure, self.points, self.summary)}, folder / "plots")

    def show(self, console: Any) -> None:
        """Print some of the points, the knee among them."""
        from llmsim.report.frontier_report import table

        table(self.points, self.names, self.summary).show(console)


@dataclass
class Pareto:
    """The frontier of the chosen workload and fleet.

    Attributes:
        keep_bounds: only plans within the policy's bounds on counts.
        bracket: with bounds, how close the hull must be known, as a part of its range of energy.
    """

    keep_bounds: bool = False
    bracket: float = 1e-4

    def run(self, config: Config, progress: Progress | None = None) -> FrontierFound:
        """Find the frontier.

        Raises:
            InputError: anything in the configuration or its files that cannot be used.
        """
        if not self.bracket > 0:
            raise InputError(f"task.bracket={self.bracket}: expected a positive number.")
        policy = POLICIES.build(config.policy)
        queries = workload_of(config)
        fleet = fleet_of(config, progress)
        every = price(queries, fleet.deployments)
        prices = every.take(np.flatnonzero(every.fits))
        if not len(prices.queries):
            raise InputError("No query fits any deployment. Choose a model with a longer context.")
        if progress is not None:
            progress("frontier", 0, 1)
        start = time.perf_counter()
        bounds = self._bounds(policy, prices)
        points = frontier(prices, bounds, self.bracket)
        seconds = time.perf_counter() - start
        names = tuple(item.name for item in prices.deployments)
        knee = points.knee
        summary = {
            "schema_version": SCHEMA_VERSION,
            "llmsim_version": llmsim.__version__,
            "workload": {"name": queries.name, "source": queries.source, "notes": list(queries.notes)},
            "queries": len(queries),
            "served": len(prices.queries),
            "points": len(points.energy_j),
            "bracket": points.bracket,
            "bounds": None if bounds is None else _told(bounds),
            "least_energy": _point(points, 0, names),
            "knee": _point(points, knee, names),
            "most_accurate": _point(points, len(points.energy_j) - 1, names),
            "single": _singles(prices),
            "provenance": provenance(config, fleet),
            "timing": {"frontier_s": seconds},
        }
        return FrontierFound(points, names, summary)

    def _bounds(self, policy: Any, prices: Prices) -> Bounds | None:
        """The policy's bounds on counts, where plans must keep them; raises InputError where it has none."""
        if not self.keep_bounds:
            return None
        if not hasattr(policy, "bounds"):
            raise InputError(
                "task.keep_bounds=true: the policy has no bounds on counts. Choose policy=optimal, and set "
                "policy.min_share, for one."
            )
        names = [item.name for item in prices.deployments]
        bounds: Bounds = policy.bounds([d.share for d in prices.deployments], names, len(prices.queries))
        return bounds


def _told(bounds: Bounds) -> dict[str, list[int]]:
    """Least and most queries of each deployment."""
    rows = zip(bounds.names, bounds.lower.tolist(), bounds.upper.tolist(), strict=True)
    return {name: [low, high] for name, low, high in rows}


def _point(points: Frontier, index: int, names: tuple[str, ...]) -> dict[str, Any]:
    """One point of the frontier, as plain data."""
    return {
        "energy_j": float(points.energy_j[index]),
        "accuracy_pct": float(points.accuracy_pct[index]),
        "price_j_per_pct": float(points.price_j[index]),
        "queries": dict(zip(names, points.queries[index].tolist(), strict=True)),
    }


def _singles(prices: Prices) -> dict[str, dict[str, float]]:
    """Energy and accuracy of sending every query to one deployment, where all of them fit."""
    groups = Groups.of(prices)
    eligible = groups.eligible(prices)
    energy_j, accuracy = groups.of_pairs(prices.energy_j), accuracy_tokens(prices, groups)
    tokens = float(np.sum(prices.queries.tau_in + prices.queries.tau_out))
    return {
        item.name: {
            "energy_j": float(energy_j[:, i] @ groups.count),
            "accuracy_pct": float(accuracy[:, i] @ groups.count) / tokens,
        }
        for i, item in enumerate(prices.deployments)
        if eligible[:, i].all()
    }
