"""task=evaluate: a workload, a fleet, a policy and its baselines; what it costs and how good it is."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import llmsim
from llmsim.backends import BACKENDS
from llmsim.config import Config
from llmsim.errors import InputError
from llmsim.fleet.fleet import Fleet
from llmsim.policies import POLICIES
from llmsim.report.summary import SCHEMA_VERSION, compare
from llmsim.report.tables import instances_table, plan_table, queries_table, series_table
from llmsim.simulation.chrome_trace import write_trace
from llmsim.simulation.ledger import Ledger
from llmsim.simulation.tape import Stretches, Tape
from llmsim.simulation.timeline import fill
from llmsim.tasks.contest import Contest, Played, replicate
from llmsim.tasks.inputs import Asked, Progress, fleet_of, workload_of
from llmsim.tasks.own import check_names
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
        series: power, queue and batch over time, one row an interval and deployment; None: not asked for.
        trace: what every instance did when, for Perfetto, with the ledger; None: not asked for.
        config: what was run.
    """

    summary: dict[str, Any]
    queries: pa.Table
    instances: pa.Table
    plan: pa.Table
    baseline_queries: Mapping[str, pa.Table]
    series: pa.Table | None
    trace: tuple[Stretches, Ledger] | None
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
        write_tables(folder, self.queries, self.instances, self.plan, self.series)
        if self.config.report == "full":
            self._illustrate(folder)
        if self.trace is not None:
            write_trace(*self.trace, folder / "perfetto.json")

    def _illustrate(self, folder: Path) -> None:
        """Plots and the page that shows them."""
        from llmsim.report.drawing import Drawing
        from llmsim.report.page import write
        from llmsim.report.plots import draw

        drawing = Drawing(self.summary, self.queries, self.baseline_queries, self.series)
        plots = draw(drawing, folder / "plots")
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
    POLICIES.build(config.policy)  # first: a mistake here must not cost the time of what follows
    backend = BACKENDS.build(config.backend)
    check_names(config)
    if config.clock == "wall" and backend.method == "simulated":
        raise InputError(
            f"clock=wall: backend={config.backend['name']} runs nothing that takes time. Choose a backend "
            "that measures, or clock=simulated."
        )
    asked = Asked.from_config(config)
    with watch("workload"):
        queries = workload_of(config)
    with watch("curves"):
        fleet = fleet_of(config, progress)
    contest = Contest(config, asked, fleet, backend)
    tape = Tape() if asked.interval_s is not None or asked.perfetto else None
    with watch("policies"):
        played = contest.play(queries, config.seed, progress, tape)
    with watch("tables"):
        own, horizon_s = played.runs[0], played.terms.horizon.length_s
        summary = _summary(config, fleet, queries, played)
        filled = None if tape is None else fill(tape.stretches(), own.ledger, horizon_s)
        result = Evaluation(
            summary=summary,
            queries=queries_table(own, queries),
            instances=instances_table(own, horizon_s),
            plan=plan_table(own),
            baseline_queries={run.label: queries_table(run, queries) for run in played.runs[1:]},
            series=None
            if filled is None or asked.interval_s is None
            else series_table(filled, own.ledger, asked.interval_s, horizon_s),
            trace=(filled, own.ledger) if filled is not None and asked.perfetto else None,
            config=config,
        )
    if asked.replications > 1:
        with watch("replications"):
            replicate(contest, queries, summary, progress)
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


def _summary(config: Config, fleet: Fleet, queries: Queries, played: Played) -> dict[str, Any]:
    """The content of `summary.json`, but for its times."""
    found, terms = compare(played.runs, played.terms), played.terms
    for message in found["warnings"]:
        log.warning("%s", message)
    warnings = [*fleet.notes, *(f"{pair} is left out: {reason}" for pair, reason in fleet.absent.items())]
    warnings += [*found["warnings"], *played.notes]
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
        "energy_scope": played.scope or fleet.energy_scope,
        "energy_method": played.method,
        "slo": asdict(terms.slo),
        "tariff": asdict(terms.tariff),
        "window": asdict(terms.window),
        "replications": None,
        "idle_power": idle_power(fleet),
        "warnings": warnings,
        "provenance": provenance(config, fleet),
    }
