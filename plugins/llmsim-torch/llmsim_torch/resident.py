"""A model in memory, ready to serve: its cache, its captured passes, and which products stream."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from llmsim_torch.capture import captured
from llmsim_torch.decoder import Decoder, Prompts
from llmsim_torch.ops import Cache
from llmsim_torch.padding import MOST_CAPTURED_TOKENS, padded

# Spread of random keys and values; that of a product of normalised rows with random weights.
CACHE_STD = 1.28


@dataclass
class Pass:
    """A captured pass: its inputs, and what runs it."""

    prompts: Prompts
    run: Callable[[], None]


class Resident:
    """A decoder with its cache, and the state of each slot.

    A slot holds one query. The cache is one pool; `arrange` divides it among the slots.

    Args:
        decoder: what runs.
        pool_tokens: tokens that the cache holds, over all slots.

    Raises:
        torch.OutOfMemoryError: the pool does not fit.
    """

    def __init__(self, decoder: Decoder, pool_tokens: int) -> None:
        self.decoder = decoder
        self.pool_tokens = pool_tokens
        like = decoder.weights.norm
        self.device = like.device
        heads = decoder.heads
        size = pool_tokens * heads.keys * heads.dimension
        # Never zeros: they would draw less power than what a cache really holds.
        self._pools = [
            tuple(torch.empty(size, dtype=like.dtype, device=self.device).normal_(0, CACHE_STD) for _ in "kv")
            for _ in decoder.weights.layers
        ]
        self.slots = 0
        self.caches: list[Cache] = []
        self.tokens = torch.empty(0, dtype=torch.int64)
        self.lengths = torch.empty(0, dtype=torch.int32)
        self._steps: dict[tuple[int, int], tuple[Tensor, Callable[[], None]]] = {}
        self._chosen: dict[tuple[int, int], tuple[int, ...]] = {}
        self._passes: dict[tuple[int, int, int], Pass] = {}
        self._memory: tuple[int, int] | None = None

    def arrange(self, slots: int) -> int:
        """Divide the pool among so many slots; tokens that each holds. What the slots held is lost."""
        if slots != self.slots:
            heads = self.decoder.heads
            each = min(self.pool_tokens // slots, self.decoder.max_tokens)
            shape = (slots, heads.keys, each, heads.dimension)
            count = slots * heads.keys * each * heads.dimension
            self.caches = [Cache(k[:count].view(shape), v[:count].view(shape)) for k, v in self._pools]
            vocabulary = self.decoder.weights.embedding.shape[0]
            self.tokens = torch.randint(vocabulary, (slots,), device=self.device)
            self.lengths = torch.zeros(slots, dtype=torch.int32, device=self.device)
            self.slots = slots
            self._steps.clear()
            self._chosen.clear()
            self._passes.clear()
            self._memory = None  # a pool goes with the last graph that used it
        return self.caches[0].keys.shape[2]

    def step(self, slots: Sequence[int]) -> Callable[[], None]:
        """What runs one step of the queries in these slots; captured on a GPU, once for each batch."""
        batch = len(slots)
        key = (self.slots, batch)
        if key not in self._steps:
            chosen = torch.zeros(batch, dtype=torch.int64, device=self.device)
            chosen.copy_(torch.tensor(slots))
            before = self.lengths.clone(), self.tokens.clone()
            run = self._captured(lambda: self._step(chosen))
            self.lengths.copy_(before[0])
            self.tokens.copy_(before[1])
            self._steps[key] = (chosen, run)
            self._chosen[key] = tuple(slots)
        chosen, run = self._steps[key]
        if self._chosen.get(key) != tuple(slots):
            chosen.copy_(torch.tensor(slots))
            self._chosen[key] = tuple(slots)
        return run

    def prefill(
        self, slots: Sequence[int], prompts: Sequence[Tensor], keep: bool = True
    ) -> Callable[[], None]:
        """What runs one pass over prompts from their first token, each into its slot.

        Args:
            slots: one a prompt.
            prompts: token ids of each, on any device.
            keep: False: keys and values are not kept (no KV cache).
        """
        lengths = [len(prompt) for prompt in prompts]
        room = padded(max(lengths))
        if self.device.type == "cpu" or room * len(prompts) > MOST_CAPTURED_TOKENS:
            given = self._prompts(slots, prompts, lengths)
            return lambda: self._prefill(given, keep)
        key = (len(prompts), room, int(keep))
        if key not in self._passes:
            blank = torch.zeros(room, dtype=torch.int64)
            given = self._prompts(slots, [blank] * len(prompts), [room] * len(prompts))
            before = self.lengths.clone(), self.tokens.clone()
            run = self._captured(lambda: self._prefill(given, keep))
            self.lengths.copy_(before[0])
            self.tokens.copy_(before[1])
            self._passes[key] = Pass(given, run)
        found = self._passes[key]
        self._fill(found.prompts, slots, prompts, room)
        return found.run

    def _fill(self, into: Prompts, slots: Sequence[int], prompts: Sequence[Tensor], room: int) -> None:
        tokens = torch.zeros(len(prompts), room, dtype=torch.int64)
        for row, prompt in zip(tokens, prompts, strict=True):
            row[: len(prompt)] = prompt
        last = [row * room + len(prompt) - 1 for row, prompt in enumerate(prompts)]
        into.tokens.copy_(tokens.view(-1))
        into.slots.copy_(torch.tensor(slots).repeat_interleave(room))
        into.last.copy_(torch.tensor(last))

    def _prompts(self, slots: Sequence[int], prompts: Sequence[Tensor], lengths: list[int]) -> Prompts:
        count = torch.tensor(lengths)
        return Prompts(
            tokens=torch.cat([prompt.cpu() for prompt in prompts]).to(self.device),
            slots=torch.tensor(slots).repeat_interleave(count).to(self.device),
            positions=torch.cat([torch.arange(length) for length in lengths]).to(self.device),
            last=(count.cumsum(0) - 1).to(self.device),
            shape=tuple(lengths),
            past=(0,) * len(lengths),
        )

    def _step(self, chosen: Tensor) -> None:
        lengths = self.lengths[chosen]
        logits = self.decoder.step(self.tokens[chosen], self.caches, chosen, lengths)
        self.tokens[chosen] = logits.argmax(-1)
        self.lengths[chosen] = lengths + 1

    def _prefill(self, prompts: Prompts, keep: bool) -> None:
        logits = self.decoder.prefill(prompts, self.caches if keep else None)
        slots = prompts.slots[prompts.last]
        self.tokens[slots] = logits.argmax(-1)
        self.lengths[slots] = (prompts.positions[prompts.last] + 1).to(torch.int32)

    def _captured(self, work: Callable[[], None]) -> Callable[[], None]:
        """The work as a CUDA graph; on a CPU as it is."""
        if self.device.type == "cpu":
            return work
        run, self._memory = captured(work, self._memory)
        return run
