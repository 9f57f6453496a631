"""A model in memory, ready to serve: its cache, its captured passes, and which products stream."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from llmsim_torch.capture import captured
from llmsim_torch.decoder import Decoder, Prompts
from llmsim_torch.ops import Cache
from llmsim_torch.padding import MOST_CAPTURED_TOKENS, padded

# Spread of random keys and values; that of a product of normalised rows with random weights.
CACHE_STD = 1.28


MARGIN_TOKENS = 8
# Divisions of the pool whose captured passes are kept at once.
MOST_ARRANGEMENTS = 24


@dataclass
class Pass:
    """A captured pass: its inputs, and what runs it."""

    prompts: Prompts
    run: Callable[[], None]


@dataclass
class Arrangement:
    """The pool divided among so many slots, and what was captured over it.

    Attributes:
        caches: one a layer, views of the pool.
        tokens, lengths: (slots,) the token each slot processes next, and the tokens its cache holds.
        steps: by batch: the slots of the captured step as a tensor, as numbers, and what runs it.
        passes: captured prefills, by prompts, room, and whether keys and values are kept.
    """

    caches: list[Cache]
    tokens: Tensor
    lengths: Tensor
    steps: dict[int, Step] = field(default_factory=dict)
    passes: dict[tuple[int, int, bool], Pass] = field(default_factory=dict)

    @property
    def slots(self) -> int:
        """How many there are."""
        return len(self.lengths)


@dataclass
class Step:
    """A captured step: the slots that it is of, as a tensor and as numbers, and what runs it."""

    chosen: Tensor
    slots: tuple[int, ...]
    run: Callable[[], None]


class Resident:
    """A decoder with its cache, and the state of each slot.

    A slot holds one query. The cache is one pool; `arrange` divides it among the slots.

    Args:
        decoder: what runs.
        pool_tokens: tokens that the cache holds, over all slots.

    Attributes:
        sealed: no more passes over prompts are captured, which takes longer than to run them.

    Raises:
        torch.OutOfMemoryError: the pool does not fit.
    """

    def __init__(self, decoder: Decoder, pool_tokens: int) -> None:
        self.decoder = decoder
        self.pool_tokens = pool_tokens
        self.sealed = False
        like = decoder.weights.norm
        self.device = like.device
        heads = decoder.heads
        # What settles before a capture runs a step or two past a slot's end.
        size = (pool_tokens * heads.keys + MARGIN_TOKENS) * heads.dimension
        # Never zeros: they would draw less power than what a cache really holds.
        self._pools = [
            tuple(torch.empty(size, dtype=like.dtype, device=self.device).normal_(0, CACHE_STD) for _ in "kv")
            for _ in decoder.weights.layers
        ]
        self._memory: tuple[int, int] | None = None
        self._arranged: dict[int, Arrangement] = {}
        self._warmed: set[int] = set()
        self._now = Arrangement([], torch.empty(0, dtype=torch.int64), torch.empty(0, dtype=torch.int32))

    @property
    def caches(self) -> list[Cache]:
        """One a layer, divided among the slots."""
        return self._now.caches

    @property
    def tokens(self) -> Tensor:
        """(slots,) the token that each slot processes next."""
        return self._now.tokens

    @property
    def lengths(self) -> Tensor:
        """(slots,) tokens that each slot's cache holds."""
        return self._now.lengths

    def arrange(self, slots: int) -> int:
        """Divide the pool among so many slots; tokens that each holds. What the slots held is lost.

        What was captured over an earlier division is kept for when it comes back: all are views of one pool.
        """
        if slots != self._now.slots:
            found = self._arranged.pop(slots, None)
            if found is None:
                found = self._divided(slots)
                if len(self._arranged) >= MOST_ARRANGEMENTS:
                    self._drop_oldest()
            self._arranged[slots] = self._now = found
        return self._now.caches[0].keys.shape[2]

    def _drop_oldest(self) -> None:
        del self._arranged[next(iter(self._arranged))]  # the first is the one that was left longest ago
        if not any(item.steps or item.passes for item in self._arranged.values()):
            self._memory = None  # a pool goes with the last graph that used it

    def _divided(self, slots: int) -> Arrangement:
        heads = self.decoder.heads
        each = min(self.pool_tokens // slots, self.decoder.max_tokens)
        shape = (slots, heads.keys, each, heads.dimension)
        count = slots * heads.keys * each * heads.dimension
        vocabulary = self.decoder.weights.embedding.shape[0]
        return Arrangement(
            [Cache(k[:count].view(shape), v[:count].view(shape)) for k, v in self._pools],
            torch.randint(vocabulary, (slots,), device=self.device),
            torch.zeros(slots, dtype=torch.int32, device=self.device),
        )

    def knows_step(self, batch: int) -> bool:
        """Whether a step of so many queries is captured."""
        return batch in self._now.steps

    def step(self, slots: Sequence[int]) -> Callable[[], None]:
        """What runs one step of the queries in these slots; captured on a GPU, once for each batch."""
        wanted = tuple(slots)
        found = self._now.steps.get(len(wanted))
        if found is None:
            chosen = torch.tensor(wanted, device=self.device)
            before = self.lengths.clone(), self.tokens.clone()
            found = Step(chosen, wanted, self._captured(lambda: self._step(chosen)))
            self.lengths.copy_(before[0])
            self.tokens.copy_(before[1])
            self._now.steps[len(wanted)] = found
        if found.slots != wanted:
            found.chosen.copy_(torch.tensor(wanted))
            found.slots = wanted
        return found.run

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
        key = (len(prompts), room, keep)
        unknown = self.sealed and key not in self._now.passes
        if self.device.type == "cpu" or room * len(prompts) > MOST_CAPTURED_TOKENS or unknown:
            given = self._prompts(slots, prompts, lengths)
            self._warm(sum(lengths), lambda: self._prefill(given, keep))
            return lambda: self._prefill(given, keep)
        if key not in self._now.passes:
            blank = torch.zeros(room, dtype=torch.int64)
            given = self._prompts(slots, [blank] * len(prompts), [room] * len(prompts))
            before = self.lengths.clone(), self.tokens.clone()
            run = self._captured(lambda: self._prefill(given, keep))
            self.lengths.copy_(before[0])
            self.tokens.copy_(before[1])
            self._now.passes[key] = Pass(given, run)
        found = self._now.passes[key]
        self._fill(found.prompts, slots, prompts, room)
        return found.run

    def _warm(self, tokens: int, run: Callable[[], None]) -> None:
        """Run a pass that is not captured, unless one of about so many tokens was: libraries load then.

        Doing it again changes nothing: the same keys and values are put into the same places.
        """
        size = tokens.bit_length()
        if self.device.type != "cpu" and not self.sealed and size not in self._warmed:
            self._warmed.add(size)
            run()

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
