"""A resident model as a campaign's bench: cells made ready, run back to back, timed by the device."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import torch

from llmsim.api import Cell, OutOfMemory, Passes
from llmsim_torch.recompute import Recompute
from llmsim_torch.resident import Resident

# Passes that wait on the device while the host prepares more: it never idles, and a stop is soon obeyed.
PASSES_AHEAD = 1
SEED = 20260101


@dataclass
class Loop:
    """A cell, ready to run.

    Attributes:
        once: launches one execution.
        tokens: what it generates.
        device: where it runs.
    """

    once: Callable[[], object]
    tokens: int
    device: torch.device

    def run(self, seconds: float) -> Passes:
        """See `llmsim.api.Exercise`."""
        try:
            return self._on_gpu(seconds) if self.device.type == "cuda" else self._on_cpu(seconds)
        except torch.OutOfMemoryError as error:
            raise OutOfMemory(str(error).splitlines()[0]) from error

    def _on_cpu(self, seconds: float) -> Passes:
        count, begin = 0, time.perf_counter()
        while count == 0 or time.perf_counter() - begin < seconds:
            self.once()
            count += 1
        return Passes(count, time.perf_counter() - begin, self.tokens)

    def _on_gpu(self, seconds: float) -> Passes:
        torch.cuda.synchronize(self.device)
        count, begin_s = 0, time.perf_counter()
        first = torch.cuda.Event(enable_timing=True)
        first.record()
        waiting: deque[torch.cuda.Event] = deque()
        while count == 0 or time.perf_counter() - begin_s < seconds:
            self.once()
            count += 1
            last = torch.cuda.Event(enable_timing=True)
            last.record()
            waiting.append(last)
            if len(waiting) > PASSES_AHEAD:
                waiting.popleft().synchronize()
        torch.cuda.synchronize(self.device)
        return Passes(count, first.elapsed_time(waiting[-1]) / 1000, self.tokens)


class TorchBench:
    """Cells of one resident model.

    Args:
        resident: the model and its cache.
        kv_cache: False: generation recomputes everything for each token.
        conditions: what its trials are measured under.
    """

    def __init__(
        self,
        resident: Resident,
        kv_cache: bool,
        conditions: dict[str, str | int | float | bool],
    ) -> None:
        self.resident = resident
        self.kv_cache = kv_cache
        self._conditions = conditions
        self._generator = torch.Generator().manual_seed(SEED)
        decoder = resident.decoder
        self._recompute = None if kv_cache else Recompute(decoder, decoder.max_tokens)

    def prepare(self, cell: Cell) -> Loop:
        """See `llmsim.api.Bench`."""
        try:
            return self._loop(cell)
        except torch.OutOfMemoryError as error:
            torch.cuda.empty_cache()
            raise OutOfMemory(str(error).splitlines()[0]) from error

    def conditions(self) -> dict[str, str | int | float | bool]:
        """See `llmsim.api.Bench`."""
        return self._conditions

    def close(self) -> None:
        """Forget the model; its memory goes with the last one who knows it."""
        del self.resident, self._recompute

    def _loop(self, cell: Cell) -> Loop:
        if cell.tokens > self.resident.decoder.max_tokens:
            raise OutOfMemory(
                f"{cell.tokens} tokens; the longest query is {self.resident.decoder.max_tokens}"
            )
        if self._recompute is not None:
            return self._without_cache(cell, self._recompute)
        each = self.resident.arrange(cell.batch)
        if cell.tokens > each:
            raise OutOfMemory(
                f"{cell.batch} queries of {cell.tokens} tokens; the cache holds {self.resident.pool_tokens}"
            )
        slots = list(range(cell.batch))
        steps = self._steps(cell, slots) if cell.experiment != "prefill" else None
        if cell.experiment == "decode" and steps is not None:
            return Loop(steps, cell.tau_out - 1, self.resident.device)
        prefill = self.resident.prefill(slots, self._prompts(cell))
        if steps is None:
            return Loop(prefill, 1, self.resident.device)
        return Loop(lambda: (prefill(), steps()), cell.tau_out, self.resident.device)

    def _steps(self, cell: Cell, slots: list[int]) -> Callable[[], None]:
        """The decode steps of a cell, from caches that hold its prompts."""
        step = self.resident.step(slots)
        lengths = self.resident.lengths

        def run() -> None:
            lengths.fill_(cell.tau_in)
            for _ in range(cell.tau_out - 1):
                step()

        return run

    def _without_cache(self, cell: Cell, recompute: Recompute) -> Loop:
        if cell.batch != 1:
            raise OutOfMemory("without a KV cache one query is served at a time")
        prompt = self._prompts(cell)[0].to(self.resident.device)

        def run() -> None:
            recompute.begin(prompt)
            recompute.generate(cell.tau_in, cell.tau_out)

        for tokens in range(cell.tau_in, cell.tau_in + cell.tau_out):
            recompute.prepare(tokens)
        return Loop(run, cell.tau_out, self.resident.device)

    def _prompts(self, cell: Cell) -> list[torch.Tensor]:
        vocabulary = self.resident.decoder.weights.embedding.shape[0]
        return list(torch.randint(vocabulary, (cell.batch, cell.tau_in), generator=self._generator))
