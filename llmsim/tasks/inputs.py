"""What every task begins with: the queries, the fleet, generators."""

from __future__ import annotations

import logging
import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator

from llmsim.arguments import groups
from llmsim.config import Config, parse
from llmsim.errors import InputError
from llmsim.fleet.fleet import Fleet, FleetSpec, build
from llmsim.simulation.metrics import ServiceLevel, Tariff
from llmsim.simulation.window import Window
from llmsim.specs.hardware import Hardware
from llmsim.specs.model import Model
from llmsim.tasks.curves import fitter
from llmsim.workload.queries import Queries

log = logging.getLogger(__name__)

Progress = Callable[[str, int, int], None]

# More than any interval needs; each is a whole run.
MOST_REPLICATIONS = 10_000


def workload_of(config: Config, seed: int | None = None) -> Queries:
    """The queries of a run; what was done to them on the way in goes to the log.

    Args:
        seed: of what is drawn; None: the configuration's.
    """
    from llmsim.workload import check_scored
    from llmsim.workload.settings import load

    queries = load(config.workload, rng_of(config.seed if seed is None else seed, "workload"))
    notes = check_scored(queries, list(config.model), [*groups()["model"], *config.model])
    queries = replace(queries, notes=(*queries.notes, *notes))
    for note in queries.notes:
        log.info("%s", note)
    return queries


def fleet_of(config: Config, progress: Progress | None) -> Fleet:
    """The deployments of a run; what was assumed or left out goes to the log."""
    spec = FleetSpec.from_config(config.fleet)
    hardware = [Hardware.from_config(name, node) for name, node in config.hardware.items()]
    models = [Model.from_config(name, node) for name, node in config.model.items()]
    if not hardware or not models:
        raise InputError("Choose at least one hardware and one model, such as hardware=a100 model=llama2_7b.")
    known = groups()
    spec.check_names([*known["model"], *config.model], [*known["hardware"], *config.hardware])
    fleet = build(
        spec, hardware, models, fitter(config, step_of(progress, "curves", len(hardware) * len(models)))
    )
    for note in fleet.notes:
        log.warning("%s", note)
    for pair, reason in fleet.absent.items():
        log.warning("%s is left out: %s", pair, reason)
    return fleet


@dataclass(frozen=True)
class SeriesSpec:
    """The `series` part of the configuration.

    Attributes:
        interval_s: length of the intervals; None: no series.
    """

    interval_s: float | None = None


@dataclass(frozen=True)
class Asked:
    """Which figures a run is asked for, beyond those that every run has.

    Attributes:
        slo, tariff, window: as in `conf/config.yaml`.
        interval_s: of the time series; None: none.
        perfetto: whether a trace is written.
        replications: runs, at least 1.
    """

    slo: ServiceLevel
    tariff: Tariff
    window: Window
    interval_s: float | None
    perfetto: bool
    replications: int

    @classmethod
    def from_config(cls, config: Config) -> Asked:
        """What a configuration asks for.

        Raises:
            InputError: unknown keys, wrong types, or values out of range.
        """
        slo = parse(ServiceLevel, config.slo, "slo")
        tariff = parse(Tariff, config.tariff, "tariff")
        window = parse(Window, config.window, "window")
        slo.check("slo")
        tariff.check("tariff")
        window.check("window")
        interval_s = parse(SeriesSpec, config.series, "series").interval_s
        if interval_s is not None and not (math.isfinite(interval_s) and interval_s > 0):
            raise InputError(f"series.interval_s={interval_s}: must be a number of seconds above 0, or null.")
        if not 1 <= config.replications <= MOST_REPLICATIONS:
            raise InputError(
                f"replications={config.replications}: expected a number from 1 to {MOST_REPLICATIONS:,}."
            )
        return cls(slo, tariff, window, interval_s, config.perfetto, config.replications)


def step_of(progress: Progress | None, stage: str, total: int) -> Callable[[int], None] | None:
    """Progress within one stage of so many steps."""
    return None if progress is None else lambda done: progress(stage, done, total)


def rng_of(seed: int, purpose: str) -> Generator:
    """A generator of its own for each purpose, so that adding a baseline changes no other row."""
    return np.random.default_rng([seed, zlib.crc32(purpose.encode())])
