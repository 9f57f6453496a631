"""What every task begins with: the queries, the fleet, generators."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.random import Generator

from llmsim.arguments import groups
from llmsim.config import Config
from llmsim.errors import InputError
from llmsim.fleet.fleet import Fleet, FleetSpec, build
from llmsim.specs.hardware import Hardware
from llmsim.specs.model import Model
from llmsim.tasks.curves import fitter
from llmsim.workload.queries import Queries

log = logging.getLogger(__name__)

Progress = Callable[[str, int, int], None]


def workload_of(config: Config) -> Queries:
    """The queries of a run; what was done to them on the way in goes to the log."""
    from llmsim.workload import check_scored
    from llmsim.workload.settings import load

    queries = load(config.workload, rng_of(config.seed, "workload"))
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


def step_of(progress: Progress | None, stage: str, total: int) -> Callable[[int], None] | None:
    """Progress within one stage of so many steps."""
    return None if progress is None else lambda done: progress(stage, done, total)


def rng_of(seed: int, purpose: str) -> Generator:
    """A generator of its own for each purpose, so that adding a baseline changes no other row."""
    return np.random.default_rng([seed, zlib.crc32(purpose.encode())])
