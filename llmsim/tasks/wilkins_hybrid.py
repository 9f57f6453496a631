"""task=wilkins_hybrid: one model on a small machine and a big one, thresholds between them."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import llmsim
from llmsim.arguments import groups
from llmsim.config import Config, load_config
from llmsim.errors import InputError, did_you_mean
from llmsim.fleet.deployment import Deployment
from llmsim.fleet.prices import Prices, price
from llmsim.policies.threshold import KEYS
from llmsim.report import study_hybrid as shown
from llmsim.report.study import Study
from llmsim.studies import hybrid
from llmsim.studies.hybrid import BIG, SMALL
from llmsim.studies.printed import printed_curve
from llmsim.tasks.curves import trials_of
from llmsim.tasks.inputs import Progress, fleet_of, workload_of
from llmsim.tasks.provenance import provenance
from llmsim.tasks.wilkins_offline import that_fit

log = logging.getLogger(__name__)

SCHEMA_VERSION = 1  # of summary.json
Record = dict[str, Any]


@dataclass
class WilkinsHybrid:
    """The hybrid study, of the first two hardware of a run and its one model.

    Attributes:
        workloads: names of workloads; the run's own is not used.
        thresholds: tokens, each tried on tau_in, on tau_out and (squared) on their product.
        rule: the threshold of which it is said where its saving turns.
        big_host_w: powers of the big machine's host, watts, added to its GPU's.
    """

    workloads: list[str] = field(default_factory=lambda: ["alpaca", "gsm8k"])
    thresholds: list[int] = field(default_factory=lambda: [8, 32, 128, 512])
    rule: int = 32
    big_host_w: list[float] = field(default_factory=lambda: [0.0, 100.0])

    def __post_init__(self) -> None:
        known = groups()["workload"]
        for name in self.workloads:
            if name not in known:
                raise InputError(f"task.workloads: {name}. {did_you_mean(name, known, 'workload')}")
        for threshold in (*self.thresholds, self.rule):
            if threshold < 0:
                raise InputError(f"task.thresholds and task.rule: {threshold} tokens: expected at least 0.")
        for power_w in self.big_host_w:
            if not (math.isfinite(power_w) and power_w >= 0):
                raise InputError(f"task.big_host_w: {power_w} W: expected a finite number of at least 0.")
        if not (self.workloads and self.thresholds and self.big_host_w):
            raise InputError("task.workloads, task.thresholds and task.big_host_w need an entry each.")

    def run(self, config: Config, progress: Progress | None = None) -> Study:
        """Do the study.

        Raises:
            InputError: anything in the configuration or its files that cannot be used.
        """
        fleet = fleet_of(config, progress)
        if len(fleet.deployments) != 2:
            names = ", ".join(item.name for item in fleet.deployments)
            raise InputError(
                f"task=wilkins_hybrid needs two deployments, the small one first, and has {names}. Choose "
                "such as hardware=[m1_pro,a100] model=[llama2_7b]."
            )
        curves = _curves(config, fleet.deployments, progress)
        workloads = {
            name: that_fit(workload_of(load_config([f"workload={name}"])), fleet.deployments)
            for name in self.workloads
        }
        tables: dict[str, list[Record]] = {"ideal": [], "thresholds": [], "hosts": [], "turns": []}
        for name, queries in workloads.items():
            for way, deployments in curves.items():
                if progress is not None:
                    progress(f"{name}, {way}", 0, 1)
                for table, record in self._records(price(queries, deployments)):
                    tables[table].append({"workload": name, "curves": way, **record})
        names_of = [item.name for item in fleet.deployments]
        error = fleet.deployments[SMALL].provenance["left_out_error"]
        fitting = next(r for r in tables["ideal"] if r["curves"] == shown.FITTING)
        return Study(
            title="The hybrid study of Wilkins, Keshav and Mortier",
            findings=shown.findings(tables, names_of, self.rule, error["energy_mape_pct"]),
            grids=shown.grids(tables, names_of, self.rule),
            charts=shown.charts(tables, names_of),
            tables=tables,
            summary={
                "schema_version": SCHEMA_VERSION,
                "llmsim_version": llmsim.__version__,
                "small": names_of[SMALL],
                "big": names_of[BIG],
                "workloads": {
                    name: {"queries": len(queries), "source": queries.source}
                    for name, queries in workloads.items()
                },
                "energy_scope": fleet.energy_scope,
                **tables,
                "provenance": provenance(config, fleet),
            },
            objective=fitting["energy_j"],
        )

    def _records(self, prices: Prices) -> Iterator[tuple[str, Record]]:
        """The records of one workload by some curves, with the table that each belongs to."""
        best = hybrid.ideal(prices)
        every, none = best.small | True, best.small & False
        yield "ideal", {"split": "ideal", **best.record()}
        yield "ideal", {"split": "small alone", **hybrid.split(prices, every).record()}
        yield "ideal", {"split": "big alone", **hybrid.split(prices, none).record()}
        yield from (("thresholds", record) for record in hybrid.sweep(prices, self.thresholds))
        yield from (("hosts", record) for record in hybrid.hosts(prices, self.big_host_w))
        yield "turns", {"rule": "ideal", "turns_at_small_host_w": hybrid.last_turn_w(prices)}
        for key in KEYS:
            limit = float(self.rule) ** 2 if key == "product" else float(self.rule)
            found, _ = hybrid.by_threshold(prices, key, limit)
            yield "turns", {"rule": key, **found.record(), **hybrid.turns(prices, found.small)}


def _curves(
    config: Config, fitting: tuple[Deployment, ...], progress: Progress | None
) -> Mapping[str, tuple[Deployment, ...]]:
    """The two deployments by each of the curves that the study holds against each other."""
    small, big = fitting
    of_gpu = hybrid.gpu_only(trials_of(config), *_names(small))
    ways = {shown.FITTING: fitting, shown.GPU_ONLY: (replace(small, curve=of_gpu), big)}
    try:
        printed = _printed(small), _printed(big)
    except InputError as reason:
        log.warning("Without the curves as printed: %s", reason)
        return ways
    three_terms = fleet_of(replace(config, curve={"name": "interaction"}), progress).deployments[SMALL]
    return {shown.PRINTED: printed, shown.SOUND: (three_terms, printed[BIG]), **ways}


def _printed(deployment: Deployment) -> Deployment:
    """The deployment with the curve as printed; raises InputError where none was."""
    return replace(deployment, curve=printed_curve(*_names(deployment)))


def _names(deployment: Deployment) -> tuple[str, str]:
    """What trials call the hardware and the model."""
    return deployment.target.hardware.trials_name, deployment.target.model.trials_name
