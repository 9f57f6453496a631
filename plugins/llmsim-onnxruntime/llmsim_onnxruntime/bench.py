"""A resident graph as a campaign's bench: cells made ready, and run back to back."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from llmsim.api import Cell, OutOfMemory, Passes
from llmsim_onnxruntime.recompute import Recompute
from llmsim_onnxruntime.resident import IntArray, Resident

SEED = 20260101


@dataclass
class Loop:
    """A cell, ready to run.

    Attributes:
        once: runs one execution, or its steps where it has a prefill.
        tokens: what it generates.
        prefill: runs what comes first, and is told apart; None: nothing is.
    """

    once: Callable[[], object]
    tokens: int
    prefill: Callable[[], object] | None = None

    def run(self, seconds: float) -> Passes:
        """See `llmsim.api.Exercise`."""
        count, prefill_s, begin_s = 0, 0.0, time.perf_counter()
        while count == 0 or time.perf_counter() - begin_s < seconds:
            if self.prefill is not None:
                began_s = time.perf_counter()
                self.prefill()
                prefill_s += time.perf_counter() - began_s
            self.once()
            count += 1
        apart = None if self.prefill is None else prefill_s
        return Passes(count, time.perf_counter() - begin_s, self.tokens, apart)


class OnnxRuntimeBench:
    """Cells of one resident graph.

    Args:
        resident: the graph.
        kv_cache: False: generation recomputes everything for each token.
        conditions: what its trials are measured under.
    """

    def __init__(
        self, resident: Resident, kv_cache: bool, conditions: dict[str, str | int | float | bool]
    ) -> None:
        self._resident: Resident | None = resident
        self._kv_cache = kv_cache
        self._conditions = conditions
        self._rng = np.random.default_rng(SEED)

    def prepare(self, cell: Cell) -> Loop:
        """See `llmsim.api.Bench`."""
        resident = self._open()
        most = resident.dimensions.max_tokens
        if cell.tokens > most:
            raise OutOfMemory(f"{cell.tokens} tokens; the longest query is {most}")
        if not self._kv_cache:
            return self._without_cache(resident, cell)
        new = 1 if cell.experiment == "decode" else cell.tau_in
        resident.arrange(cell.batch, cell.tokens, new)
        resident.tokens[:] = self._prompts(cell.batch, 1)
        steps = self._steps(resident, cell)
        if cell.experiment == "decode":
            return Loop(steps, cell.tau_out - 1)
        prefill = resident.prefill(list(self._prompts(cell.batch, cell.tau_in)))
        if cell.experiment == "prefill":
            return Loop(prefill, 1)
        return Loop(steps, cell.tau_out, prefill)

    def conditions(self) -> dict[str, str | int | float | bool]:
        """See `llmsim.api.Bench`."""
        return self._conditions

    def close(self) -> None:
        """Forget the graph; its memory goes with the last one who knows it."""
        self._resident = None

    def _steps(self, resident: Resident, cell: Cell) -> Callable[[], None]:
        """The decode steps of a cell, from caches that hold its prompts."""
        step = resident.step(cell.batch)

        def run() -> None:
            """From the cell's context again, however often it is run."""
            resident.lengths[:] = cell.tau_in
            for _ in range(cell.tau_out - 1):
                step()

        return run

    def _without_cache(self, resident: Resident, cell: Cell) -> Loop:
        """A whole query; nothing else can be measured without a cache."""
        if cell.batch != 1 or cell.experiment != "generation":
            raise OutOfMemory("without a KV cache whole queries are served, one at a time")
        recompute = Recompute(resident)
        recompute.arrange(cell.tokens)
        prompt = self._prompts(1, cell.tau_in)[0]
        return Loop(lambda: recompute.generate(prompt, cell.tau_out), cell.tau_out)

    def _prompts(self, batch: int, tokens: int) -> IntArray:
        """Random prompts, shape (batch, tokens)."""
        return self._rng.integers(self._open().dimensions.vocab_size, size=(batch, tokens))

    def _open(self) -> Resident:
        """The graph; raises ValueError on a bench that is closed."""
        if self._resident is None:
            raise ValueError("this bench is closed")
        return self._resident
