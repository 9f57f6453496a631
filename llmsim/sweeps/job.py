"""One job of a sweep: run, write down what it came to, lose no other."""

from __future__ import annotations

import gc
import logging
import math
import time
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmsim.arguments import overrides_of
from llmsim.config import Config, from_composed
from llmsim.errors import InputError
from llmsim.report.main_figures import figures_of
from llmsim.sweeps.record import DONE, FAILED, Record, finite
from llmsim.tasks import TASKS
from llmsim.tasks.objective import Objective

if TYPE_CHECKING:
    from omegaconf import DictConfig

log = logging.getLogger(__name__)


def job(composed: DictConfig) -> float:
    """What Hydra calls for each job, in whichever process a launcher runs it.

    Returns:
        What the sweep minimises; infinity for a run that failed, whose reason is in its record, so that a
        search takes it for the worst and goes on.
    """
    from hydra.core.hydra_config import HydraConfig

    hydra = HydraConfig.get()
    folder = Path(hydra.runtime.output_dir)
    number, overrides = int(hydra.job.num), overrides_of(list(hydra.overrides.task))
    start = time.perf_counter()
    sha256 = ""
    try:
        config = from_composed(composed)
        sha256 = config.sha256()
        earlier = Record.read(folder)
        if earlier is not None and earlier.status == DONE and earlier.config_sha256 == sha256:
            log.info("done before")
            return _number(earlier.objective)
        objective, figures = run(config, folder)
        record = Record(number, overrides, DONE, "", finite(objective), figures)
    except InputError as error:
        log.info("failed: %s", error)
        record = Record(number, overrides, FAILED, str(error))
    except Exception as error:  # one run's bug must not lose the others
        log.exception("failed unexpectedly")
        said = (
            f"a bug in llmsim or a plug-in: {type(error).__name__}: {error}. Traceback: the run's llmsim.log."
        )
        record = Record(number, overrides, FAILED, said)
    _settle()
    seconds = time.perf_counter() - start
    fields = record.__dict__ | {"seconds": round(seconds, 4), "config_sha256": sha256}
    Record(**fields).write(folder)
    return _number(record.objective)


def run(config: Config, folder: Path) -> tuple[float, dict[str, float | None]]:
    """Run a configuration into a folder; the objective and the main figures.

    Raises:
        InputError: anything in the configuration that cannot be used, or a folder that cannot be written.
    """
    goal = Objective.from_config(config)
    result: Any = TASKS.build(config.task).run(config)
    try:
        result.save(folder)
    except OSError as error:
        raise InputError(f"{error.filename or folder}: cannot be written ({error.strerror}).") from error
    return goal.of(result), figures_of(getattr(result, "summary", None))


@lru_cache(maxsize=1)
def _settle() -> None:
    """After the first job: what is loaded by now stays, and need not be looked through for garbage."""
    gc.collect()
    gc.freeze()


def _number(value: float | None) -> float:
    """What Hydra's sweepers compare: a run without an objective is the worst."""
    return math.inf if value is None else value
