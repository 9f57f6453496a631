"""Hydra's callback of a sweep: the table grows as jobs end, and the last job leaves plots and a page."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.experimental.callback import Callback
from hydra.types import RunMode

if TYPE_CHECKING:
    from hydra.core.utils import JobReturn
    from omegaconf import DictConfig


class SweepTable(Callback):
    """Runs in the parent (`on_multirun_*`) and in the workers (`on_job_end`); it keeps nothing between."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Note the command, by which `resume=true` finds the folder."""
        from llmsim.sweeps.command import note
        from llmsim.sweeps.loader import words_in

        given = config.hydra.overrides
        note(words_in(given.task), words_in(given.hydra), _folder(config))

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        """Add the run's row to the table, and say on the screen that it has ended."""
        job_return.cfg = job_return.hydra_cfg = None  # Hydra keeps them of every job until the sweep ends
        if config.hydra.mode != RunMode.MULTIRUN and config.hydra.job.get("num") is None:
            return
        from llmsim.sweeps.record import Record, kept
        from llmsim.sweeps.screen import line
        from llmsim.sweeps.table import append

        place = Path(config.hydra.runtime.output_dir)
        record = Record.read(place)
        if record is None:
            return
        append(record, place.parents[len(Path(str(config.hydra.sweep.subdir)).parts) - 1])
        print(line(record, kept(place)), flush=True)

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Write what shows all runs: tables, plot, page."""
        from llmsim.sweeps.finish import finish

        for said in finish(_folder(config)):
            print(said)
        sys.stdout.flush()


def _folder(config: DictConfig) -> Path:
    return Path(str(config.hydra.sweep.dir))
