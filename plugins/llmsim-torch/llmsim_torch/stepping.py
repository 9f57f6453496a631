"""Iterations of a batch whose queries come and go: prefill into free slots, steps of all that are in."""

from __future__ import annotations

import heapq
import time
from collections.abc import Sequence

import torch

from llmsim.api import InputError, Work
from llmsim_torch.padding import MOST_CAPTURED_TOKENS, padded
from llmsim_torch.resident import Resident

# Steps are captured for these many queries; a batch between two of them is filled up with an idle slot.
# (up to so many queries, a multiple of)
BATCHES = ((8, 1), (16, 2), (32, 4), (64, 8))
LARGEST_STEP = 16
# Passes over so many prompts together are captured beforehand; over more they are run as they are.
MOST_WARM_PROMPTS = 2
# Longer passes that are run beforehand: over so many prompts, each size so many times the last.
SETTLING_PROMPTS, SETTLING_STEP = (1, 2, 4), 1.15
# A step takes this much longer than the last ones at most: so many can be run without looking at the clock.
SLOWER = 1.2


def filled(batch: int, most: int) -> int:
    """Queries of the captured step that so many are run by."""
    for limit, multiple in BATCHES:
        if batch <= limit:
            return min(-(-batch // multiple) * multiple, most)
    return min(-(-batch // LARGEST_STEP) * LARGEST_STEP, most)


class Stepper:
    """The batch of one instance.

    Args:
        resident: the model and its cache, which is divided among the places.
        max_batch: places.
        longest: tokens of the longest query, prompt and answer.
        seed: of the random prompts.

    Raises:
        InputError: the cache does not hold so many of the longest query.
    """

    def __init__(self, resident: Resident, max_batch: int, longest: int, seed: int) -> None:
        self.resident = resident
        self.max_batch = max_batch
        self.generated: dict[int, list[int]] = {}
        each = resident.arrange(max_batch + 1)  # the last place is the idle one
        if each < longest:
            raise InputError(
                f"{max_batch} places of {longest} tokens and an idle one do not fit the cache of "
                f"{resident.pool_tokens} tokens: backend.cache_tokens={(max_batch + 1) * longest}, or a "
                "smaller fleet.serving.max_batch."
            )
        resident.sealed = False
        self._seed = seed
        self._free = list(range(max_batch))  # ascending, hence already a heap
        self._slots: dict[int, int] = {}
        self._prompts: dict[int, torch.Tensor] = {}
        self._step_s: dict[int, float] = {}

    def warm(self, tokens: Sequence[int]) -> None:
        """Capture steps of every batch, and passes over one and two prompts of these lengths: no others."""
        resident = self.resident
        resident.lengths.zero_()
        if resident.device.type != "cpu":
            for batch in sorted({filled(count, self.max_batch) for count in range(1, self.max_batch + 1)}):
                resident.step([self.max_batch] * batch)
            rooms = sorted({padded(count) for count in tokens})
            for count in range(1, min(MOST_WARM_PROMPTS, self.max_batch) + 1):
                for room in rooms:
                    if count * room <= MOST_CAPTURED_TOKENS:
                        self._pass(count, room)
            self._settle(max(tokens, default=1))
        self._pass(1, max(tokens, default=1))
        resident.lengths.zero_()
        resident.sealed = True
        self._now()

    def _settle(self, longest: int) -> None:
        """Run passes that are too long to be captured: libraries choose, and load, what they run by size."""
        for count in SETTLING_PROMPTS:
            tokens = MOST_CAPTURED_TOKENS // count + 1
            while count <= self.max_batch and tokens <= longest:
                self._pass(count, tokens)
                tokens = round(tokens * SETTLING_STEP)

    def _pass(self, count: int, tokens: int) -> None:
        """A pass over so many prompts, whose results are nobody's."""
        self.resident.prefill(list(range(count)), [torch.zeros(tokens, dtype=torch.int64)] * count)()

    def prefill(self, queries: Sequence[int], tokens: Sequence[int]) -> Work:
        """See `llmsim.api.StepEngine`."""
        slots = [heapq.heappop(self._free) for _ in queries]
        run = self.resident.prefill(slots, [self._known(*each) for each in zip(queries, tokens, strict=True)])
        begin_s = self._now()
        run()
        end_s = self._now()
        self._slots |= dict(zip(queries, slots, strict=True))
        self._note(queries, [self.resident.tokens.clone()])
        return Work(end_s - begin_s)

    def decode(self, most_steps: int, until_s: float) -> Work:
        """See `llmsim.api.StepEngine`."""
        resident, queries = self.resident, list(self._slots)
        batch = filled(len(queries), self.max_batch)
        idle = self.max_batch
        step = resident.step([*self._slots.values(), *[idle] * (batch - len(queries))])
        resident.lengths[idle] = 0
        done, elapsed_s = 0, 0.0
        seen: list[torch.Tensor] = []
        begin_s = self._now()
        while done < most_steps and elapsed_s < until_s:
            for _ in range(self._blindly(batch, most_steps - done, until_s - elapsed_s)):
                step()
                seen.append(resident.tokens.clone())
                done += 1
            elapsed_s = self._now() - begin_s
        self._step_s[batch] = elapsed_s / done
        self._note(queries, seen)
        return Work(elapsed_s, steps=done)

    def release(self, queries: Sequence[int]) -> None:
        """See `llmsim.api.StepEngine`."""
        for query in queries:
            heapq.heappush(self._free, self._slots.pop(query))

    def _blindly(self, batch: int, most: int, left_s: float) -> int:
        """Steps that surely end before the time does, or one."""
        known_s = self._step_s.get(batch)
        if left_s == float("inf"):
            return most
        if known_s is None:
            return 1
        return max(1, min(most, int(left_s / (SLOWER * known_s))))

    def _known(self, query: int, tokens: int) -> torch.Tensor:
        """The tokens of a query so far: a random prompt and, after a preemption, what it had generated.

        Of a query that was begun before a restart, what it had generated is forgotten: random tokens stand
        for it.
        """
        known = self._prompts.get(query, torch.empty(0, dtype=torch.int64))
        known = torch.cat([known, torch.tensor(self.generated.get(query, []), dtype=torch.int64)])[:tokens]
        if len(known) < tokens:
            generator = torch.Generator().manual_seed(self._seed * 1_000_003 + query)
            vocabulary = self.resident.decoder.weights.embedding.shape[0]
            rest = torch.randint(vocabulary, (tokens - len(known),), generator=generator)
            known = torch.cat([known, rest])
        self._prompts.setdefault(query, known)
        return known

    def _note(self, queries: Sequence[int], seen: list[torch.Tensor]) -> None:
        columns = torch.stack(seen, dim=1).tolist()
        for query in queries:
            self.generated.setdefault(query, []).extend(columns[self._slots[query]])

    def _now(self) -> float:
        if self.resident.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()
