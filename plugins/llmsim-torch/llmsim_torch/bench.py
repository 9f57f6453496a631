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
        once: launches one execution, or its steps where it has a prefill.
        tokens: what it generates.
        device: where it runs.
        prefill: launches what comes first, and is told apart; None: nothing is.
    """

    once: Callable[[], object]
    tokens: int
    device: torch.device
    prefill: Callable[[], object] | None = None

    def run(self, seconds: float) -> Passes:
        """See `llmsim.api.Exercise`."""
        try:
            return self._on_gpu(seconds) if self.device.type == "cuda" else self._on_cpu(seconds)
        except torch.OutOfMemoryError as error:
            raise OutOfMemory(str(error).splitlines()[0]) from error

    def _on_cpu(self, seconds: float) -> Passes:
        count, prefill_s, begin = 0, 0.0, time.perf_counter()
        while count == 0 or time.perf_counter() - begin < seconds:
            if self.prefill is not None:
                began = time.perf_counter()
                self.prefill()
                prefill_s += time.perf_counter() - began
            self.once()
            count += 1
        apart = None if self.prefill is None else prefill_s
        return Passes(count, time.perf_counter() - begin, self.tokens, apart)

    def _on_gpu(self, seconds: float) -> Passes:
        torch.cuda.synchronize(self.device)
        begin_s, waiting = time.perf_counter(), deque[torch.cuda.Event]()
        first = last = _now()
        firsts: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []
        count = 0
        while count == 0 or time.perf_counter() - begin_s < seconds:
            if self.prefill is not None:
                self.prefill()
                firsts.append((last, _now()))
            self.once()
            count += 1
            last = _now()
            waiting.append(last)
            if len(waiting) > PASSES_AHEAD:
                waiting.popleft().synchronize()
        torch.cuda.synchronize(self.device)
        prefill_s = sum(begin.elapsed_time(end) for begin, end in firsts) / 1000
        apart = None if self.prefill is None else prefill_s
        return Passes(count, first.elapsed_time(last) / 1000, self.tokens, apart)


def _now() -> torch.cuda.Event:
    """A mark in the device's stream of work."""
    event = torch.cuda.Event(enable_timing=True)
    event.record()
    return event


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
        return Loop(steps, cell.tau_out, self.resident.device, prefill)

    def _steps(self, cell: Cell, slots: list[int]) -> Callable[[], None]:
        """The decode steps of a cell, from caches that hold its prompts."""
        step = self.resident.step(slots)
        lengths = self.resident.lengths

        def run() -> None:
            """All steps from the same contexts: a repeat must not attend to what the last one wrote."""
            lengths.fill_(cell.tau_in)
            for _ in range(cell.tau_out - 1):
                step()

        return run

    def _without_cache(self, cell: Cell, recompute: Recompute) -> Loop:
        if cell.batch != 1:
            raise OutOfMemory("without a KV cache one query is served at a time")
        prompt = self._prompts(cell)[0].to(self.resident.device)

        def run() -> None:
            """A whole answer."""
            recompute.begin(prompt)
            recompute.generate(cell.tau_in, cell.tau_out)

        for tokens in range(cell.tau_in, cell.tau_in + cell.tau_out):
            recompute.prepare(tokens)
        return Loop(run, cell.tau_out, self.resident.device)

    def _prompts(self, cell: Cell) -> list[torch.Tensor]:
        vocabulary = self.resident.decoder.weights.embedding.shape[0]
        return list(torch.randint(vocabulary, (cell.batch, cell.tau_in), generator=self._generator))
