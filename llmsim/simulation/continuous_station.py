"""The instances of one continuous deployment, and which of them a query is sent to."""

from __future__ import annotations

from collections import deque

from llmsim.errors import InputError
from llmsim.fleet.deployment import Network
from llmsim.simulation.chunked import ChunkedInstance
from llmsim.simulation.continuous import ContinuousInstance
from llmsim.simulation.dispatch import JoinShortest, dispatcher
from llmsim.simulation.hall import Fed, Hall
from llmsim.simulation.stepped import SteppedInstance


class ContinuousStation:
    """The instances of one deployment; each query is sent to one of them.

    With the `shared` dispatcher a query waits in the deployment's queue until an instance has a place in its
    batch; the emptiest one has it. Otherwise it is sent to an instance at its arrival.
    """

    def __init__(self, hall: Hall, dispatch: str, network: Network | None = None) -> None:
        count = hall.meters.instances
        self._sent = hall.floor.book.instance
        self._tau_in = hall.floor.book.tau_in
        self._deliver = hall.floor.traffic.deliver
        self._network = network
        self._backlog: deque[int] = deque()
        self._shared = JoinShortest(count) if dispatch == "shared" else None
        self._most = hall.limits.max_batch
        self._dispatcher = self._shared or dispatcher(dispatch, count)
        hall.left = self._left if self._shared else self._dispatcher.left
        kind = _kind(hall)
        self.instances = [kind(hall, number) for number in range(count)]

    def arrive(self, query: int) -> None:
        """A query comes in now."""
        if self._shared is not None and self._shared.fewest() >= self._most:
            self._backlog.append(query)
            return
        chosen = self._dispatcher.choose()
        self._sent[query] = chosen
        if self._network is None:
            self.instances[chosen].arrive(query)
        else:
            self._travel(query, chosen, self._network)

    def _travel(self, query: int, number: int, network: Network) -> None:
        """The query goes to its instance over the network."""
        delay_s = network.latency_s[number] + network.per_token_s[number] * self._tau_in[query]
        self._deliver(delay_s, self.instances[number].arrive, query)

    @property
    def present(self) -> int:
        """Queries that have come and not yet left."""
        return len(self._backlog) + self._dispatcher.present

    def _left(self, number: int) -> None:
        """A place is free: the query that has waited longest takes it at this boundary."""
        self._dispatcher.left(number)
        if self._backlog and self._shared is not None:
            query = self._backlog.popleft()
            self._shared.add(number)
            self._sent[query] = number
            if self._network is None:
                self.instances[number].waiting.append(query)
            else:
                self._travel(query, number, self._network)


def _kind(hall: Hall) -> type[ContinuousInstance]:
    """How the instances of a deployment go from boundary to boundary.

    Raises:
        InputError: pieces of prompts on an engine that runs its iterations.
    """
    if hall.limits.chunk_tokens is None:
        return SteppedInstance if isinstance(hall.costs, Fed) else ContinuousInstance
    if isinstance(hall.costs, Fed):
        raise InputError(
            f"fleet.serving.chunk_tokens={hall.limits.chunk_tokens}: a measuring backend prefills prompts "
            "whole. Leave it null."
        )
    return ChunkedInstance
