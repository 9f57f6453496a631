"""task=wilkins_online: the thesis's online study, as its script played it and as it should be."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np

import llmsim
from llmsim.backends import BACKENDS
from llmsim.config import Config
from llmsim.errors import InputError
from llmsim.report import study_online as shown
from llmsim.report.study import Study
from llmsim.studies.online import OnlineStudy, corrections, rate_sweep, zeta_sweep
from llmsim.tasks.inputs import Progress, fleet_of, workload_of
from llmsim.tasks.provenance import provenance
from llmsim.tasks.wilkins_offline import as_printed, check_zetas, that_fit

SCHEMA_VERSION = 1  # of summary.json


@dataclass
class WilkinsOnline:
    """The online study.

    Attributes:
        zetas: weights of energy, in the order in which the script's windows outlive its runs.
        rate_per_s: queries a second while zeta is swept.
        rates: queries a second that are swept.
        zeta: weight of energy while the rate is swept.
        rate_queries: the first so many queries, while the rate is swept.
    """

    zetas: list[float] = field(default_factory=lambda: [0.0, 0.5, 1.0])
    rate_per_s: float = 5.2002
    rates: list[float] = field(default_factory=lambda: [1.0, 100.0])
    zeta: float = 0.5
    rate_queries: int = 20_000

    def __post_init__(self) -> None:
        check_zetas(self.zetas)
        check_zetas([self.zeta])
        if not self.rates:
            raise InputError("task.rates=[]: at least one rate is needed, such as [5.2].")
        if self.rate_queries < 1:
            raise InputError(f"task.rate_queries={self.rate_queries}: at least 1 query is needed.")
        for rate in (self.rate_per_s, *self.rates):
            if not (math.isfinite(rate) and rate > 0):
                raise InputError(f"task.rate_per_s and task.rates: {rate} queries/s: expected above 0.")

    def run(self, config: Config, progress: Progress | None = None) -> Study:
        """Do the study.

        Raises:
            InputError: anything in the configuration or its files that cannot be used.
        """
        fleet = fleet_of(config, progress)
        queries = that_fit(workload_of(config), fleet.deployments)
        study = OnlineStudy(
            queries=queries,
            printed=as_printed(fleet.deployments),
            fitting=fleet.deployments,
            backend=BACKENDS.build(config.backend),
            rate_per_s=self.rate_per_s,
            seed=config.seed,
        )

        def told(what: str) -> None:
            """Say what is being played; how much is left is not known."""
            if progress is not None:
                progress(what, 0, 1)

        some = replace(study, queries=queries.take(np.arange(min(self.rate_queries, len(queries)))))
        tables = {
            "corrections": list(corrections(study, told)),
            "zeta": list(zeta_sweep(study, self.zetas, told)),
            "rate": list(rate_sweep(some, self.rates, self.zeta, told)),
        }
        names = [item.name for item in fleet.deployments]
        own = [r for r in tables["zeta"] if (r["way"], r["policy"]) == ("right", "own cost")]
        return Study(
            title="The online study of Wilkins's thesis, as its script did it and as it should be",
            findings=shown.findings(tables, names),
            grids=shown.grids(tables, names),
            charts=shown.charts(tables),
            tables=tables,
            summary={
                "schema_version": SCHEMA_VERSION,
                "llmsim_version": llmsim.__version__,
                "workload": {"name": queries.name, "source": queries.source, "notes": list(queries.notes)},
                "queries": len(queries),
                "rate_queries": len(some.queries),
                "instances": {item.name: item.instances for item in fleet.deployments},
                **tables,
                "provenance": provenance(config, fleet),
            },
            objective=min(r["energy_j"] for r in own),
        )
