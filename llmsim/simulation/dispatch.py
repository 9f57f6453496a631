"""Which instance of a deployment gets a query: dispatchers."""

from __future__ import annotations

from heapq import heappop, heappush
from typing import Protocol

from llmsim.errors import InputError, did_you_mean

DISPATCHERS = ("shared", "join_shortest", "round_robin")


class Dispatcher(Protocol):
    """Chooses among the instances of one deployment."""

    def choose(self) -> int:
        """The instance that gets the next query."""
        ...

    def left(self, instance: int) -> None:
        """A query has left an instance."""
        ...


def dispatcher(name: str, instances: int) -> Dispatcher:
    """The dispatcher of that name.

    Raises:
        InputError: there is none.
    """
    if name not in DISPATCHERS:
        raise InputError(f"dispatcher={name}: {did_you_mean(name, DISPATCHERS, 'dispatcher')}")
    if name == "join_shortest" and instances > 1:
        return JoinShortest(instances)
    return RoundRobin(instances)  # one instance is all the same


class RoundRobin:
    """Each instance in turn."""

    __slots__ = ("_instances", "_next")

    def __init__(self, instances: int) -> None:
        self._instances = instances
        self._next = 0

    def choose(self) -> int:
        """The next in the cycle."""
        chosen = self._next
        self._next = (chosen + 1) % self._instances
        return chosen

    def left(self, instance: int) -> None:
        """Nothing is kept."""


class JoinShortest:
    """The instance with the fewest queries, waiting and served together; of equals, the lowest number.

    Instances are kept by their number of queries, each such level a heap of numbers, so that a choice costs
    the logarithm of their number. An entry of a level counts only while the instance has that many queries;
    one that no longer does stays until it comes to the top, and is not added twice.
    """

    __slots__ = ("_levels", "_listed", "_lowest", "queries")

    def __init__(self, instances: int) -> None:
        self.queries = [0] * instances
        self._levels = [list(range(instances))]  # ascending, hence already a heap
        self._listed = [bytearray(b"\x01" * instances)]
        self._lowest = 0

    def choose(self) -> int:
        """The emptiest instance, which then has one query more."""
        queries, level = self.queries, self._lowest
        while True:
            heap = self._levels[level]
            while heap:
                chosen = heap[0]
                if queries[chosen] == level:
                    self._lowest = level
                    heappop(heap)
                    self._listed[level][chosen] = 0
                    queries[chosen] = level + 1
                    self._list(chosen, level + 1)
                    return chosen
                self._listed[level][chosen] = 0
                heappop(heap)
            level += 1

    def left(self, instance: int) -> None:
        """The instance has one query less."""
        level = self.queries[instance] - 1
        self.queries[instance] = level
        if not self._listed[level][instance]:
            self._list(instance, level)
        if level < self._lowest:
            self._lowest = level

    def _list(self, instance: int, level: int) -> None:
        if level == len(self._levels):
            self._levels.append([])
            self._listed.append(bytearray(len(self.queries)))
        if not self._listed[level][instance]:
            self._listed[level][instance] = 1
            heappush(self._levels[level], instance)
