"""Which instance of a deployment gets a query: dispatchers."""

from __future__ import annotations

from heapq import heappop, heappush
from typing import Protocol


class Dispatcher(Protocol):
    """Chooses among the instances of one deployment.

    Attributes:
        present: queries that were sent to an instance and have not yet left it.
    """

    present: int

    def choose(self) -> int:
        """The instance that gets the next query."""
        ...

    def left(self, instance: int) -> None:
        """A query has left an instance."""
        ...


def dispatcher(name: str, instances: int) -> Dispatcher:
    """A dispatcher: `join_shortest` or `round_robin`."""
    # With one instance all dispatchers are the same.
    return JoinShortest(instances) if name == "join_shortest" and instances > 1 else RoundRobin(instances)


class RoundRobin:
    """Each instance in turn."""

    __slots__ = ("_instances", "_next", "present")

    def __init__(self, instances: int) -> None:
        self.present = 0
        self._instances = instances
        self._next = 0

    def choose(self) -> int:
        """The next in the cycle."""
        self.present += 1
        chosen = self._next
        self._next = (chosen + 1) % self._instances
        return chosen

    def left(self, instance: int) -> None:
        """One query less in all."""
        self.present -= 1


class JoinShortest:
    """The instance with the fewest queries, waiting and served together; of equals, the lowest number.

    Instances are kept by their number of queries, each such level a heap of numbers, so that a choice costs
    the logarithm of their number. An entry of a level counts only while the instance has that many queries;
    one that no longer does stays until it comes to the top, and is not added twice.
    """

    __slots__ = ("_levels", "_listed", "_lowest", "present", "queries")

    def __init__(self, instances: int) -> None:
        self.present = 0
        self.queries = [0] * instances
        self._levels = [list(range(instances))]  # ascending, hence already a heap
        self._listed = [bytearray(b"\x01" * instances)]
        self._lowest = 0

    def choose(self) -> int:
        """The emptiest instance, which then has one query more."""
        level = self.fewest()
        chosen = heappop(self._levels[level])
        self._listed[level][chosen] = 0
        level += 1
        self.queries[chosen] = level
        if level == len(self._levels) or not self._listed[level][chosen]:
            self._list(chosen, level)
        self.present += 1
        return chosen

    def fewest(self) -> int:
        """Queries of the emptiest instance."""
        queries, level = self.queries, self._lowest
        while True:
            heap = self._levels[level]
            while heap:
                if queries[heap[0]] == level:
                    self._lowest = level
                    return level
                self._listed[level][heappop(heap)] = 0
            level += 1

    def add(self, instance: int) -> None:
        """The instance has one query more, which was not sent there by choice."""
        level = self.queries[instance] + 1
        self.queries[instance] = level
        if level == len(self._levels) or not self._listed[level][instance]:
            self._list(instance, level)
        self.present += 1

    def left(self, instance: int) -> None:
        """The instance has one query less."""
        self.present -= 1
        level = self.queries[instance] - 1
        self.queries[instance] = level
        if not self._listed[level][instance]:
            self._list(instance, level)
        if level < self._lowest:
            self._lowest = level

    def _list(self, instance: int, level: int) -> None:
        """Enter the instance under its number of queries."""
        if level == len(self._levels):
            self._levels.append([])
            self._listed.append(bytearray(len(self.queries)))
        self._listed[level][instance] = 1
        heappush(self._levels[level], instance)
