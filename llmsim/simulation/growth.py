"""KV blocks that queries take beyond those they were admitted with, without a look at each step.

A query that has outgrown its blocks takes one more every 16 steps. How many a batch has taken after any
number of steps depends only on how many queries stand at each of the 16 phases, so the step at which memory
runs out is found at once.
"""

from __future__ import annotations

import heapq

from llmsim.fleet.memory import BLOCK_TOKENS


class Growth:
    """The growing queries of one instance.

    A query whose own blocks are full after step `full` holds `(S - full + 15) // 16` more after step S, up to
    its limit (a sliding window ends growth). Steps are the instance's decode steps since its start.
    """

    __slots__ = ("_counts", "_full", "_offset", "_turns")

    def __init__(self) -> None:
        self._full: dict[int, int] = {}  # growing query to the step that fills its own blocks
        self._counts = [0] * BLOCK_TOKENS  # growing queries by `full` modulo 16
        self._offset = 0  # sum of `full` over 16, rounded down
        self._turns: list[tuple[int, int, int, int]] = []  # (step, query, full, limit); limit 0 begins growth

    def add(self, query: int, full: int, limit: int | None, now: int, finish: int) -> None:
        """A query is admitted after step `now`, to finish after step `finish`.

        Args:
            full: the step after which its own blocks are full.
            limit: the most blocks it takes beyond its own; None where nothing limits it.
        """
        begin = full - BLOCK_TOKENS + 1  # the formula is right from here on
        if begin <= now:
            self._begin(query, full)
        elif begin < finish:
            heapq.heappush(self._turns, (begin, query, full, 0))
        if limit is not None and full + limit * BLOCK_TOKENS < finish:
            heapq.heappush(self._turns, (full + limit * BLOCK_TOKENS, query, full, limit))

    def remove(self, query: int) -> None:
        """A query has finished; one that did not grow is passed over."""
        full = self._full.pop(query, None)
        if full is not None:
            self._counts[full % BLOCK_TOKENS] -= 1
            self._offset -= full // BLOCK_TOKENS

    def evict(self, query: int) -> None:
        """A query leaves before it has finished, with all that was still to come of it."""
        self.remove(query)
        self._turns = [turn for turn in self._turns if turn[1] != query]
        heapq.heapify(self._turns)

    def taken(self, step: int) -> int:
        """Blocks that growing queries hold beyond their own after `step`."""
        whole, phase = divmod(step + BLOCK_TOKENS - 1, BLOCK_TOKENS)
        return len(self._full) * whole - sum(self._counts[phase + 1 :]) - self._offset

    def next_step(self, free: int) -> int | None:
        """The step after which the instance must look at its memory again; None: never.

        Either a query begins or ends growing, or the step after it would take more than `free` blocks.
        """
        turn = self._turns[0][0] if self._turns else None
        growing = len(self._full)
        if not growing:
            return turn
        whole, left = divmod(free + self._offset, growing)
        # Over the next 16 steps each growing query takes one block more; `left` more of them fit.
        over = whole * BLOCK_TOKENS
        taking = 0
        for count in self._counts:
            taking += count
            if taking > left:
                break
            over += 1
        return over if turn is None or over < turn else turn

    def turn(self, step: int) -> list[tuple[int, int]]:
        """Begin and end the growth that is due by `step`.

        Returns:
            Queries that have stopped growing, with the blocks that have become their own for good.
        """
        ended = []
        while self._turns and self._turns[0][0] <= step:
            _, query, full, limit = heapq.heappop(self._turns)
            if limit:
                self.remove(query)
                ended.append((query, limit))
            else:
                self._begin(query, full)
        return ended

    def _begin(self, query: int, full: int) -> None:
        """From here on the formula counts the query."""
        self._full[query] = full
        self._counts[full % BLOCK_TOKENS] += 1
        self._offset += full // BLOCK_TOKENS
