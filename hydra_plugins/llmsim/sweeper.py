"""Hydra's own sweeper, made quick for many short jobs."""

from __future__ import annotations

from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from llmsim.sweeps.loader import QuickLoader
from llmsim.sweeps.warm import WarmLauncher


class QuickSweeper(BasicSweeper):
    """Hydra's grid of jobs, whose configurations share what they have in common."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Hand Hydra's sweeper and launcher the quick loader; keep what jobs share in warm workers."""
        quick = HydraContext(
            config_loader=QuickLoader.over(hydra_context.config_loader), callbacks=hydra_context.callbacks
        )
        super().setup(hydra_context=quick, task_function=task_function, config=config)
        self.launcher = WarmLauncher.over(self.launcher)

    def validate_batch_is_legal(self, batch: Any) -> None:
        """Compose one job of each set of keys and options; jobs of the same differ in values only."""
        alike: dict[tuple[str, ...], Any] = {}
        for words in batch:
            shape = tuple(word.partition("=")[0] if "." in word.partition("=")[0] else word for word in words)
            alike.setdefault(shape, words)
        super().validate_batch_is_legal(list(alike.values()))
