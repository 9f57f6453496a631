"""task=wilkins_offline: the offline case study of the paper, three ways."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

import llmsim
from llmsim.config import Config
from llmsim.errors import InputError
from llmsim.fleet.deployment import Deployment
from llmsim.fleet.prices import price
from llmsim.policies.objective import NORMALISATIONS, known
from llmsim.report import study_offline as shown
from llmsim.report.study import Study
from llmsim.studies.offline import CaseStudy, baselines, sweep
from llmsim.studies.printed import printed_curve
from llmsim.tasks.inputs import Progress, fleet_of, rng_of, workload_of
from llmsim.tasks.provenance import provenance
from llmsim.workload.queries import Queries

SCHEMA_VERSION = 1  # of summary.json


@dataclass
class WilkinsOffline:
    """The offline case study.

    Attributes:
        zetas: weights of energy.
        few: a number of queries to do it with, the first ones; then it is done with all.
        min_share: each model gets at least this part of its gamma.
        normalise: how energy and accuracy are made comparable, as in policy=optimal.
    """

    zetas: list[float] = field(default_factory=lambda: [0.0, 0.5, 1.0])
    few: int = 200
    min_share: float = 0.25
    normalise: str = "minmax"

    def __post_init__(self) -> None:
        check_zetas(self.zetas)
        known("task.normalise", self.normalise, NORMALISATIONS)
        if self.few < 1:
            raise InputError(f"task.few={self.few}: at least 1 query is needed.")
        if not 0 <= self.min_share <= 1:
            raise InputError(f"task.min_share={self.min_share}: expected a part, from 0 to 1.")

    def run(self, config: Config, progress: Progress | None = None) -> Study:
        """Do the study.

        Raises:
            InputError: anything in the configuration or its files that cannot be used.
        """
        fleet = fleet_of(config, progress)
        queries = that_fit(workload_of(config), fleet.deployments)
        printed = as_printed(fleet.deployments)
        names = [item.name for item in fleet.deployments]
        records: list[dict[str, Any]] = []
        for size in sorted({min(self.few, len(queries)), len(queries)}):
            if progress is not None:
                progress(f"{size} queries", 0, 1)
            part = queries.take(np.arange(size))
            study = CaseStudy(
                price(part, printed), price(part, fleet.deployments), self.min_share, self.normalise
            )
            rng = rng_of(config.seed, "random")
            records += [
                {"queries": size, **record} for record in (*sweep(study, self.zetas), *baselines(study, rng))
            ]
        best = [r for r in records if r["way"] == "fitting" and r["queries"] == len(queries)]
        return Study(
            title="The offline case study of Wilkins et al., three ways",
            findings=shown.findings(records, names),
            grids=shown.grids(records, names),
            charts=shown.charts(records),
            tables={"plans": records},
            summary={
                "schema_version": SCHEMA_VERSION,
                "llmsim_version": llmsim.__version__,
                "workload": {"name": queries.name, "source": queries.source, "notes": list(queries.notes)},
                "plans": records,
                "provenance": provenance(config, fleet),
            },
            objective=min(r["energy_fitting_j"] for r in best),
        )


def check_zetas(zetas: Sequence[float]) -> None:
    """Refuse weights that are none.

    Raises:
        InputError: naming the first.
    """
    if not zetas:
        raise InputError("task.zetas=[]: at least one weight of energy is needed, such as [0.5].")
    for zeta in zetas:
        if not 0 <= zeta <= 1:
            raise InputError(f"task.zetas: {zeta} is none: expected numbers from 0 (accuracy) to 1 (energy).")


def that_fit(queries: Queries, deployments: Sequence[Deployment]) -> Queries:
    """The queries that fit every deployment, which a study can send anywhere.

    Raises:
        InputError: there are none.
    """
    prices = price(queries, deployments)
    fits = np.all(prices.eligible, axis=1)[prices.pair_of]
    if not fits.any():
        longest = min(item.longest_query_tokens for item in deployments)
        raise InputError(f"No query of {queries.name} fits: the shortest context holds {longest:,} tokens.")
    if fits.all():
        return queries
    note = f"{int((~fits).sum()):,} queries that do not fit every deployment are left out."
    return replace(queries.take(fits), notes=(*queries.notes, note))


def as_printed(deployments: Sequence[Deployment]) -> tuple[Deployment, ...]:
    """The same deployments with the curves as printed.

    Raises:
        InputError: no curve was printed of one of them.
    """
    found = []
    for item in deployments:
        curve = printed_curve(item.target.hardware.trials_name, item.target.model.trials_name)
        found.append(replace(item, curve=curve))
    return tuple(found)
