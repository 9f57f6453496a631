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
from llmsim.report.columns import instances_table, plan_table, queries_table
from llmsim.report.judgement import Judge, objective_of
from llmsim.report.summary import SCHEMA_VERSION, Horizon, keeps, row, saving_pct
from llmsim.simulation.run import Run, run_policy
from llmsim.tasks.inputs import Progress, fleet_of, rng_of, step_of, workload_of
from llmsim.tasks.provenance import idle_power, provenance
from llmsim.workload.queries import Queries

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger(__name__)

# A share of refused queries above which the screen says so.
REFUSED_WARNING = 0.05


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
        from llmsim.report.write import write_json, write_tables

        write_json(self.summary, folder / "summary.json")
        write_tables(folder, self.queries, self.instances, self.plan)
        if self.config.report != "full":
            return
        from llmsim.report.page import write
        from llmsim.report.plots import draw

        plots = draw(self.summary, self.queries, self.instances, self.baseline_queries, folder / "plots")
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
    bounds = _bounds(policy, prices)
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
        horizon = _horizon(queries, runs, fleet)
        summary = _summary(config, fleet, queries, runs, horizon, bounds, backend.method)
        result = Evaluation(
            summary=summary,
            queries=queries_table(runs[0], queries),
            instances=instances_table(runs[0], horizon.length_s),
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
    config: Config,
    fleet: Fleet,
    queries: Queries,
    runs: list[Run],
    horizon: Horizon,
    bounds: Bounds | None,
    method: str,
) -> dict[str, Any]:
    judge = Judge(objective_of(config.policy))
    own = row(runs[0], horizon) | judge.figures(runs[0])
    warnings = [*fleet.notes, *(f"{pair} is left out: {reason}" for pair, reason in fleet.absent.items())]
    warnings += _complaints(own, len(queries))
    if fleet.horizon_s is not None and fleet.horizon_s < horizon.length_s:
        warnings.append(
            f"fleet.horizon_s={fleet.horizon_s:g} ends before the last query does: idle energy counts over "
            f"{horizon.length_s:.6g} s instead."
        )
    baselines = {}
    for run in runs[1:]:
        figures = row(run, horizon) | judge.figures(run)
        reason = keeps(run, bounds, runs[0].served)
        figures["keeps_bounds"] = reason is None
        for name, key in (("active", "energy_active_j"), ("total", "energy_j")):
            figures[f"saving_{name}_pct"] = None if reason else saving_pct(own[key], figures[key])
            if own[key] is None or figures[key] is None:
                why = own["absent"].get(key) or figures["absent"].get(key)
                figures["absent"][f"saving_{name}_pct"] = why
        if reason:
            figures["saving_absent"] = reason
        baselines[run.label] = figures
    return {
        "schema_version": SCHEMA_VERSION,
        "llmsim_version": llmsim.__version__,
        **own,
        "seed": config.seed,
        "workload": {"name": queries.name, "source": queries.source, "notes": list(queries.notes)},
        "queries": len(queries),
        "energy_scope": fleet.energy_scope,
        "energy_method": method,
        "idle_power": idle_power(fleet),
        "warnings": warnings,
        "baselines": baselines,
        "provenance": provenance(config, fleet),
    }


def _complaints(own: Mapping[str, Any], total: int) -> list[str]:
    """What the person at the screen should know before trusting the table."""
    found = []
    if own["refused"] > REFUSED_WARNING * total:
        reasons = "; ".join(f"{count:,}: {reason}" for reason, count in own["refused_reasons"].items())
        found.append(f"{own['refused']:,} of {total:,} queries are refused ({reasons}).")
    for name, kinds in own["negative_predictions"].items():
        for what, figures in kinds.items():
            amount = f"{figures['priced_j']:.4g} J" if what == "energy" else f"{figures['priced_s']:.4g} s"
            played = "" if what == "energy" else ", where they take no time"
            found.append(
                f"The curve of {name} predicts negative {what} for {figures['queries_priced']:,} queries "
                f"({amount} in sum); {figures['queries_served']:,} of them are served there{played}. "
                "Choose curve=auto for one that cannot."
            )
    for message in found:
        log.warning("%s", message)
    return found
