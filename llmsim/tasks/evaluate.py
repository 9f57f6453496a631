"""task=evaluate: a workload, a fleet, a policy and its baselines; what it costs and how good it is."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import llmsim
from llmsim.backends import BACKENDS
from llmsim.config import Config
from llmsim.errors import InputError
from llmsim.fleet.fleet import Fleet
from llmsim.fleet.prices import Prices, price
from llmsim.policies import POLICIES
from llmsim.policies.bounds import Bounds
from llmsim.policies.contract import Selective
from llmsim.report.account import Horizon, Terms
from llmsim.report.judgement import Judge, objective_of
from llmsim.report.summary import SCHEMA_VERSION, compare
from llmsim.report.tables import instances_table, plan_table, queries_table
from llmsim.simulation.run import Run, run_policy
from llmsim.tasks.inputs import Progress, fleet_of, rng_of, step_of, workload_of
from llmsim.tasks.provenance import idle_power, provenance
from llmsim.workload.queries import Queries

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Evaluation:
    """What a run found.

    Attributes:
        summary: the figures, as in `summary.json`.
        queries, instances, plan: one row a query, an instance, and a served query.
        baseline_queries: `queries` of each baseline, by label.
        config: what was run.
    """

    summary: dict[str, Any]
    queries: pa.Table
    instances: pa.Table
    plan: pa.Table
    baseline_queries: Mapping[str, pa.Table]
    config: Config

    @property
    def objective(self) -> float:
        """What a sweep minimises: active joules, or NaN where no energy was measured."""
        energy_j = self.summary["energy_active_j"]
        return float("nan") if energy_j is None else float(energy_j)

    def show(self, console: Any) -> None:
        """Print the tables on a rich console."""
        from llmsim.report.table import render

        render(self.summary, console)

    def save(self, folder: Path) -> None:
        """Write every file of the run; figures first, so that no later trouble loses them."""
        from llmsim.report.drawing import Drawing
        from llmsim.report.page import write
        from llmsim.report.plots import draw
        from llmsim.report.write import write_json, write_tables

        write_json(self.summary, folder / "summary.json")
        write_tables(folder, self.queries, self.instances, self.plan)
        plots = draw(Drawing(self.summary, self.queries, self.baseline_queries), folder / "plots")
        write(self.summary, plots, folder / "report.html", self.config.to_yaml())


@dataclass
class Evaluate:
    """The default task; it has no settings of its own."""

    def run(self, config: Config, progress: Progress | None = None) -> Evaluation:
        """Evaluate the configuration."""
        return evaluate(config, progress)


def evaluate(config: Config, progress: Progress | None = None) -> Evaluation:
    """Play the workload through the fleet under the policy and each baseline.

    Args:
        config: from `load_config`.
        progress: told the stage, how much of it is done, and of how much.

    Raises:
        InputError: anything in the configuration or its files that cannot be used.
    """
    watch = Stopwatch()
    policy = POLICIES.build(config.policy)  # first: a mistake here must not cost the time of what follows
    backend = BACKENDS.build(config.backend)
    with watch("workload"):
        queries = workload_of(config)
    with watch("curves"):
        fleet = fleet_of(config, progress)
        prices = price(queries, fleet.deployments)
    rows = [("", policy, config.policy), *_baselines(config, fleet)]
    engines = [backend.open(item) for item in fleet.deployments]
    for engine in engines:
        engine.expect(queries.tau_in[prices.fits], queries.tau_out[prices.fits])
    runs: list[Run] = []
    with watch("policies"):
        for number, (label, chosen, settings) in enumerate(rows):
            step = step_of(
                progress, f"{label or settings['name']} ({number + 1} of {len(rows)})", len(queries)
            )
            rng = rng_of(config.seed, label)
            runs.append(run_policy(label or settings["name"], chosen, settings, prices, engines, rng, step))
    for engine in engines:
        engine.close()
    with watch("tables"):
        judge = Judge(objective_of(config.policy))
        terms = Terms(_horizon(queries, runs, fleet), _bounds(policy, prices), judge)
        summary = _summary(config, fleet, queries, runs, terms, backend.method)
        result = Evaluation(
            summary=summary,
            queries=queries_table(runs[0], queries),
            instances=instances_table(runs[0], terms.horizon.length_s),
            plan=plan_table(runs[0]),
            baseline_queries={run.label: queries_table(run, queries) for run in runs[1:]},
            config=config,
        )
    summary["timing"] = watch.seconds
    return result


@dataclass
class Stopwatch:
    """Wall seconds of each stage; the only figures of a run that change from one time to the next."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Time the block as `<stage>_s`."""
        start = time.perf_counter()
        yield
        self.seconds[f"{stage}_s"] = time.perf_counter() - start


def _baselines(config: Config, fleet: Fleet) -> list[tuple[str, Any, dict[str, Any]]]:
    """Label, policy and settings of each baseline; the run's own policy is not repeated."""
    found: list[tuple[str, Any, dict[str, Any]]] = []
    for place, entry in enumerate(config.baselines):
        settings = {"name": entry} if isinstance(entry, str) else dict(entry)
        if settings == {"name": "single"}:
            for item in fleet.deployments:
                one = {"name": "single", "deployment": item.name}
                found.append((f"only {item.name}", POLICIES.build(one), one))
            continue
        label = str(settings.get("name"))
        parameters = ", ".join(f"{key}={value}" for key, value in settings.items() if key != "name")
        try:
            policy = POLICIES.build(settings)
        except InputError as error:
            raise InputError(f"baselines[{place}]: {error}") from error
        found.append((f"{label} ({parameters})" if parameters else label, policy, settings))
    return [item for item in found if item[2] != config.policy]


def _bounds(policy: Any, prices: Prices) -> Bounds | None:
    """The bounds on counts that the run's policy keeps, or None where it keeps none."""
    if not hasattr(policy, "bounds"):
        return None
    served = policy.accepts(prices) if isinstance(policy, Selective) else prices.fits
    bounds: Bounds = policy.bounds(
        [item.share for item in prices.deployments],
        [item.name for item in prices.deployments],
        int(served.sum()),
    )
    return bounds


def _horizon(queries: Queries, runs: list[Run], fleet: Fleet) -> Horizon:
    """One horizon for all rows of a table, so that a straggler of one changes no other's idle energy.

    One that the fleet sets is stretched to the last end: idle time cannot be counted while queries run.
    """
    start_s = float(queries.arrival_s[0])
    longest_s = max(run.ledger.end_of_run_s for run in runs)
    if fleet.horizon_s is None:
        return Horizon(start_s, longest_s)
    return Horizon(start_s, max(start_s + fleet.horizon_s, longest_s))


def _summary(
    config: Config, fleet: Fleet, queries: Queries, runs: list[Run], terms: Terms, method: str
) -> dict[str, Any]:
    found = compare(runs, terms)
    for message in found["warnings"]:
        log.warning("%s", message)
    warnings = [*fleet.notes, *(f"{pair} is left out: {reason}" for pair, reason in fleet.absent.items())]
    warnings += found["warnings"]
    if fleet.horizon_s is not None and fleet.horizon_s < terms.horizon.length_s:
        warnings.append(
            f"fleet.horizon_s={fleet.horizon_s:g} ends before the last query does: idle energy counts over "
            f"{terms.horizon.length_s:.6g} s instead."
        )
    return {
        **found,
        "schema_version": SCHEMA_VERSION,
        "llmsim_version": llmsim.__version__,
        "seed": config.seed,
        "workload": {"name": queries.name, "source": queries.source, "notes": list(queries.notes)},
        "queries": len(queries),
        "energy_scope": fleet.energy_scope,
        "energy_method": method,
        "idle_power": idle_power(fleet),
        "warnings": warnings,
        "provenance": provenance(config, fleet),
    }
