"""task=fidelity: the same workload and policies measured and simulated, and what the gap is made of."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmsim.backends import BACKENDS
from llmsim.backends.contract import Engine
from llmsim.backends.simulator import Simulator
from llmsim.config import Config
from llmsim.errors import InputError, did_you_mean
from llmsim.fleet.fleet import Fleet
from llmsim.policies import POLICIES
from llmsim.report.fidelity_page import render
from llmsim.report.fidelity_plots import charts
from llmsim.report.fidelity_summary import Settings, summarise
from llmsim.report.fidelity_table import show
from llmsim.report.fidelity_tables import both_queries, pieces_table
from llmsim.simulation.driver import play
from llmsim.simulation.pieces import Witness, beside
from llmsim.simulation.replications import seeds
from llmsim.studies.fidelity import FIGURES, Row, held
from llmsim.tasks.contest import Contest, Played
from llmsim.tasks.fidelity_cases import Case, case_of
from llmsim.tasks.inputs import Asked, Progress, fleet_of, workload_of
from llmsim.tasks.objective import flat
from llmsim.tasks.own import check_names
from llmsim.tasks.provenance import provenance
from llmsim.workload.queries import Queries

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Compared:
    """What a comparison found.

    Attributes:
        summary: the content of `fidelity.json`.
        rows: the policy, then each baseline.
        queries, pieces: one row a policy and query, and one a piece of measured work.
        config: what was run.
    """

    summary: dict[str, Any]
    rows: Sequence[Row]
    queries: pa.Table
    pieces: pa.Table
    config: Config

    @property
    def objective(self) -> float:
        """What a sweep minimises: the policy's gap of active energy, per cent, whatever its sign."""
        gap = next(iter(self.summary["rows"].values()))["gap_pct"]["energy_active_j"]
        return math.nan if gap is None else abs(float(gap))

    def show(self, console: Any) -> None:
        """Print the tables on a rich console."""
        show(self.summary, console)

    def save(self, folder: Path) -> None:
        """Write `fidelity.json`, the tables, and with report=full the plots and the page."""
        import pyarrow.parquet

        from llmsim.report.plots import draw_charts
        from llmsim.report.write import write_json

        write_json(self.summary, folder / "fidelity.json")
        pyarrow.parquet.write_table(self.queries, folder / "queries.parquet", compression="zstd")
        pyarrow.parquet.write_table(self.pieces, folder / "pieces.parquet", compression="zstd")
        if self.config.report == "full":
            plots = draw_charts(charts(self.summary, self.rows), folder / "plots")
            page = render(self.summary, plots, self.config.to_yaml())
            (folder / "report.html").write_text(page, encoding="utf-8", newline="\n")


@dataclass
class Fidelity:
    """Measured runs, live or from a journal, and the simulator's on the same fleet and curves.

    Attributes:
        case: a shipped comparison, by name; None: the configuration's own.
        energy_interval_pct: half-width of the interval of one measured energy, per cent of it; None: known
            from replications only.
        energy_interval_source: how it is known.
        targets: the largest gap that a figure may have in any row of any seed, per cent, by its dotted key.
        seeds: of the runs, the first of which is shown; empty: the configuration's, and its replications'.
    """

    case: str | None = None
    energy_interval_pct: float | None = None
    energy_interval_source: str | None = None
    targets: dict[str, Any] = field(default_factory=dict)
    seeds: list[int] = field(default_factory=list)

    def run(self, config: Config, progress: Progress | None = None) -> Compared:
        """Play both and compare.

        Raises:
            InputError: anything in the configuration or its files that cannot be used.
        """
        if self.case is None:
            return compare(config, self._settings(), progress)
        case = case_of(self.case, config)
        again = Fidelity(**{k: v for k, v in case.config.task.items() if k not in ("name", "case")})
        return compare(case.config, again._settings(), progress, case)

    def _settings(self) -> Settings:
        pct, source = self.energy_interval_pct, self.energy_interval_source
        if pct is not None and not (math.isfinite(pct) and pct >= 0):
            raise InputError(f"task.energy_interval_pct={pct}: expected a number of at least 0, or null.")
        if pct is not None and not source:
            raise InputError(
                "task.energy_interval_source: say how task.energy_interval_pct is known, such as "
                "task.energy_interval_source='five anchors before and after'."
            )
        if pct is None and source is not None:
            raise InputError(
                f"task.energy_interval_source={source}: there is no interval that it is the source of. Set "
                "task.energy_interval_pct too, or leave it out."
            )
        targets = dict(flat(self.targets))
        for key, limit in targets.items():
            if key not in FIGURES:
                raise InputError(f"task.targets: no figure '{key}'. {did_you_mean(key, FIGURES, 'figure')}")
            if isinstance(limit, bool) or not isinstance(limit, int | float) or not limit >= 0:
                raise InputError(f"task.targets.{key}={limit}: expected per cent, a number of at least 0.")
        if any(seed < 0 for seed in self.seeds) or len({*self.seeds}) < len(self.seeds):
            raise InputError(f"task.seeds={self.seeds}: expected whole numbers from 0 upwards, each once.")
        limits = {key: float(limit) for key, limit in targets.items()}
        return Settings(pct, source, limits, tuple(self.seeds))


def compare(
    config: Config, settings: Settings, progress: Progress | None = None, case: Case | None = None
) -> Compared:
    """Simulate, measure, and hold one against the other; the simulator first, as it costs no device time.

    Raises:
        InputError: as `Fidelity.run`.
    """
    POLICIES.build(config.policy)
    backend = BACKENDS.build(config.backend)
    if backend.method == "simulated":
        raise InputError(
            "task=fidelity holds the simulator against measured runs: choose what measures, such as "
            "backend=torch, or play a journal by backend=recorded backend.path=FILE."
        )
    check_names(config)
    asked = Asked.from_config(config)
    if settings.seeds and asked.replications > 1:
        raise InputError(
            f"task.seeds={list(settings.seeds)} and replications={asked.replications}: each says how "
            "often the runs are repeated. Leave one out."
        )
    every = settings.seeds or (config.seed, *seeds(config.seed, asked.replications)[: asked.replications - 1])
    queries, fleet = workload_of(config, every[0]), fleet_of(config, progress)
    by_simulator = Contest(simulating(config), asked, fleet, BACKENDS.build("simulator"))
    contests = by_simulator, Contest(config, asked, fleet, backend)
    rows, played = both(contests, queries, every[0], progress)
    found = [rows]
    for seed in every[1:]:
        # Of the journal as it is in the end: what is said of it is then said again when it is played.
        again, played = both(contests, workload_of(config, seed), seed, progress)
        found.append(again)
    summary = summarise([{row.label: held(row) for row in one} for one in found], every, settings)
    summary |= _facts(config, fleet, queries, played, case)
    return Compared(summary, rows, both_queries(rows, queries), pieces_table(rows), config)


def simulating(config: Config) -> Config:
    """The same run by the simulator."""
    return replace(config, backend={"name": "simulator"}, backends={}, meters={}, clock="simulated")


def both(
    contests: tuple[Contest, Contest], queries: Queries, seed: int, progress: Progress | None
) -> tuple[list[Row], Played]:
    """One seed's rows, and what is to be known of the measured runs.

    Args:
        contests: the simulator's, and the one that measures.
    """
    simulating, measuring = contests
    deployments = measuring.fleet.deployments
    simulated = simulating.play(queries, seed, progress)
    engines: list[Engine] = [Simulator().open(item) for item in deployments]
    fits = simulated.runs[0].prices.queries
    for engine in engines:
        engine.expect(fits.tau_in, fits.tau_out)
    seen: dict[str, list[Witness]] = {}

    def watch(label: str, measured: Sequence[Engine]) -> Sequence[Engine]:
        """Let each engine be seen at work, by policy."""
        seen[label] = [Witness(engine) for engine in measured]
        return seen[label]

    measured = measuring.play(queries, seed, progress, watch=watch)
    rows = []
    for number, (ours, theirs) in enumerate(zip(measured.runs, simulated.runs, strict=True)):
        route = simulating.as_sent(ours, number, seed)
        routed = play(ours.prices.queries, engines, ours.prices, route)
        pieces = [
            beside(witness.seen, costs, ours.ledger, index)
            for index, (witness, costs) in enumerate(zip(seen[ours.label], engines, strict=True))
        ]
        rows.append(Row(ours, pieces, routed, theirs, float(queries.arrival_s[0])))
    return rows, measured


def _facts(
    config: Config, fleet: Fleet, queries: Queries, played: Played, case: Case | None
) -> dict[str, Any]:
    """What was compared, and where it is from."""
    return {
        "workload": {"name": queries.name, "source": queries.source, "notes": list(queries.notes)},
        "queries": len(queries),
        "disciplines": {item.name: item.discipline for item in fleet.deployments},
        "backend": config.backend["name"],
        "backends": dict(config.backends),
        "energy_method": played.method,
        "energy_scope": played.scope or fleet.energy_scope,
        "notes": [*fleet.notes, *played.notes],
        "case": None if case is None else case.record(),
        "provenance": provenance(config, fleet),
    }
