"""Who waits, who is in the batch, and what memory they hold: the scheduler of the continuous discipline.

It counts decode steps, not seconds, and so decides alike whether a curve or a device says what a step takes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from heapq import heapify, heappop, heappush

import numpy as np

from llmsim.fleet.memory import BLOCK_TOKENS
from llmsim.simulation.book import Book
from llmsim.simulation.growth import Growth
from llmsim.simulation.limits import Limits


class Slots:
    """The queries of one instance.

    At a boundary: `leave` lets finished queries go; then `admit` gives waiting ones their places, first come
    first served, while batch and memory allow, and `begin` has each decode after its prefill; where none is
    admitted, `make_room` preempts the youngest until the next step fits in memory.

    Attributes:
        waiting: queries that are not in the batch, in the order they will enter.
        held: queries in the batch, the youngest last, with the KV blocks that are theirs.
        finishing: heap of (step after which it finishes, query) over the batch.
        steps: decode steps done since the instance started.
        context: prompt and generated tokens of the batch, summed, after `steps`.
        free_blocks: KV blocks that belong to no query; growing queries take theirs from these.
        blocked: whether the first waiting query waits for another to leave.
    """

    __slots__ = (
        "admission_blocks",
        "blocked",
        "book",
        "context",
        "finishing",
        "free_blocks",
        "grows_from_prompt",
        "growth",
        "held",
        "kv_blocks",
        "max_batch",
        "steps",
        "waiting",
        "window_blocks",
    )

    def __init__(self, book: Book, limits: Limits, admission_blocks: Sequence[int] | None) -> None:
        """An empty batch.

        Args:
            admission_blocks: blocks that each query of the book is admitted with the first time; None:
                they are not known yet.
        """
        self.book = book
        self.admission_blocks = admission_blocks
        self.waiting: deque[int] = deque()
        self.held: dict[int, int] = {}
        self.finishing: list[tuple[int, int]] = []
        self.growth: Growth | None = None
        self.steps = 0
        self.context = 0
        self.blocked = False
        self.max_batch = limits.max_batch
        self.kv_blocks = self.free_blocks = limits.kv_blocks
        self.window_blocks = limits.window_blocks
        self.grows_from_prompt = limits.kv == "grow"

    def blocks_needed(self, query: int) -> int:
        """KV blocks that a query is admitted with: at least those of its first decode step."""
        book = self.book
        if self.admission_blocks is not None and query not in book.generated:
            return self.admission_blocks[query]
        known = book.tau_in[query] + book.generated.get(query, 0) + 1
        tokens = known if self.grows_from_prompt else max(known, book.tau_in[query] + book.predicted[query])
        return min(-(-tokens // BLOCK_TOKENS), self.window_blocks, self.kv_blocks)

    def may_enter(self, query: int) -> bool:
        """Whether batch and memory have room for the query, as they are after `steps`."""
        return len(self.held) < self.max_batch and self.blocks_needed(query) <= self._room()

    def admit(self) -> list[int]:
        """Give waiting queries places and memory while there is room; those that got them."""
        waiting, held, blocks_needed = self.waiting, self.held, self.blocks_needed
        room = self.free_blocks if self.growth is None else self._room()
        places = self.max_batch - len(held)
        admitted: list[int] = []
        while waiting and places:
            query = waiting[0]
            blocks = blocks_needed(query)
            if blocks > room:
                break
            waiting.popleft()
            places -= 1
            room -= blocks
            self.free_blocks -= blocks
            held[query] = blocks
            admitted.append(query)
        self.blocked = bool(waiting)
        return admitted

    def begin(self, query: int) -> int:
        """An admitted query decodes from here on; its prefill has given it a token.

        Returns:
            Tokens to prefill: its prompt and, after a preemption, what it had generated.
        """
        book, steps = self.book, self.steps
        prompt, left = book.tau_in[query], book.tau_out[query] - 1
        if query in book.generated:
            done = book.generated.pop(query)
            prompt += done
            left -= done
        self.context += prompt + 1
        heappush(self.finishing, (steps + left, query))
        blocks = self.held[query]
        if prompt + left > blocks * BLOCK_TOKENS and blocks < self.window_blocks:
            self._grow(query, prompt, blocks, steps + left)
        return prompt

    def leave(self) -> list[int]:
        """Let go the queries that finish after `steps`."""
        finishing, held, book = self.finishing, self.held, self.book
        steps = self.steps
        gone = []
        if self.growth is not None:
            for query, blocks in self.growth.turn(steps):
                held[query] += blocks
                self.free_blocks -= blocks
        while finishing and finishing[0][0] == steps:
            query = heappop(finishing)[1]
            self.free_blocks += held.pop(query)
            self.context -= book.tau_in[query] + book.tau_out[query]
            if self.growth is not None:
                self.growth.remove(query)
            gone.append(query)
        if gone:
            self.blocked = False
        return gone

    def make_room(self) -> list[int]:
        """Preempt the youngest until the next step fits in memory; they wait again, before all others."""
        growth = self.growth
        if growth is None:
            return []
        book = self.book
        gone = []
        while growth.taken(self.steps + 1) > self.free_blocks:
            query, blocks = self.held.popitem()
            self.free_blocks += blocks
            book.generated[query] = self._withdraw(query)
            book.preemptions[query] = book.preemptions.get(query, 0) + 1
            self.waiting.appendleft(query)
            self.blocked = True
            gone.append(query)
        return gone

    def _withdraw(self, query: int) -> int:
        """Take a query out of the batch before it has finished; the tokens it has generated."""
        if self.growth is not None:
            self.growth.evict(query)
        entry = next(item for item in self.finishing if item[1] == query)
        self.finishing.remove(entry)
        heapify(self.finishing)
        done = self.book.tau_out[query] - (entry[0] - self.steps)
        self.context -= self.book.tau_in[query] + done
        return done

    def next_step(self) -> int:
        """The step after which a query finishes, or memory wants looking at."""
        finish = self.finishing[0][0]
        if self.growth is not None:
            look = self.growth.next_step(self.free_blocks)
            if look is not None and look < finish:
                # Memory that is short already is looked at now.
                return max(look, self.steps)
        return finish

    def _room(self) -> int:
        """Blocks that neither a query has nor the next step takes."""
        if self.growth is None:
            return self.free_blocks
        return self.free_blocks - self.growth.taken(self.steps + 1)

    def _grow(self, query: int, prompt: int, blocks: int, finish: int) -> None:
        """Follow a query that will outgrow the blocks it was admitted with."""
        if self.growth is None:
            self.growth = Growth()
        limit = None if self.window_blocks > self.kv_blocks else self.window_blocks - blocks
        full = self.steps + blocks * BLOCK_TOKENS - prompt
        self.growth.add(query, full, limit, self.steps, finish)


def admission_blocks(book: Book, limits: Limits) -> list[int] | None:
    """KV blocks that each query is admitted with the first time: those of `Slots.blocks_needed`, at once.

    None where they depend on predictions that are still to be made.
    """
    if limits.kv == "reserve" and not book.foreseen:
        return None
    tokens = np.array(book.tau_in, dtype=np.int64) + 1
    if limits.kv == "reserve":
        tokens += np.maximum(np.array(book.predicted, dtype=np.int64) - 1, 0)
    # A prediction may be longer than all memory; a query that is too long itself was refused beforehand.
    most = min(limits.window_blocks, limits.kv_blocks)
    blocks: list[int] = np.minimum(-(-tokens // BLOCK_TOKENS), most).tolist()
    return blocks
