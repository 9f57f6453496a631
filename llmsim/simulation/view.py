"""What a router sees of the fleet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from heapq import heapreplace

from llmsim.fleet.prices import Prices
from llmsim.simulation.forecast import Forecast


class View:
    """The fleet as a router knows it: what it sent, what came back, and what it predicts of the rest.

    When a query would be done is predicted as if each deployment were one queue, first come first served,
    before as many places as its instances hold queries. The prediction is put right at every completion by
    how far it was off, and whenever a place is free there is no wait at all.

    Args:
        predict: makes the run's predictions; called when the first is asked for.
    """

    def __init__(self, prices: Prices, predict: Callable[[], Forecast]) -> None:
        size = len(prices.deployments)
        self.now_s = 0.0
        self.query = 0
        self.eligible: Sequence[int] = ()
        self.present = [0] * size
        self.slots = [item.instances * item.max_batch for item in prices.deployments]
        self._prices = prices
        self._predict = predict
        self._known: Forecast | None = None
        # Completions are followed from the first time that one is asked for.
        self._timed = False
        self._scores: list[float] | None = None
        self._runtime_s: list[float] = []
        self._runtime_of = -1
        # When each place is predicted to be free, as heaps; and when each query is predicted to be done.
        self._free_s = [[0.0] * slots for slots in self.slots]
        self._done_s: dict[int, float] = {}

    @property
    def _forecast(self) -> Forecast:
        """Predictions, made when a policy first asks: most ask for none."""
        if self._known is None:
            self._known = self._predict()
        return self._known

    @property
    def length(self) -> float:
        """Predicted generated tokens of the query at hand."""
        return self._forecast.length(self.query)

    @property
    def energy_j(self) -> Sequence[float]:
        """As in FleetView."""
        table, row = self._forecast.row(self.query)
        return table.energy_j(row)

    @property
    def runtime_s(self) -> Sequence[float]:
        """As in FleetView."""
        if self._runtime_of != self.query:  # asked for once a deployment by `completion_s`
            table, row = self._forecast.row(self.query)
            self._runtime_s, self._runtime_of = table.runtime_s(row), self.query
        return self._runtime_s

    @property
    def accuracy_pct(self) -> Sequence[float]:
        """As in FleetView."""
        if self._prices.queries.accuracy_pct:
            values: list[float] = self._prices.accuracy_pct[self.query].tolist()
            return values
        if self._scores is None:
            self._scores = self._prices.accuracy_pct[0].tolist()
        return self._scores

    def completion_s(self, deployment: int) -> float:
        """As in FleetView."""
        self._timed = True
        return self._start_s(deployment) + self.runtime_s[deployment]

    def sent(self, deployment: int) -> None:
        """The query at hand goes to a deployment."""
        if self._timed:
            end_s = self.completion_s(deployment)
            heapreplace(self._free_s[deployment], end_s)
            self._done_s[self.query] = end_s
        self.present[deployment] += 1

    def done(self, query: int, deployment: int, now_s: float, tau_out: int) -> None:
        """A query has come back, with so many tokens."""
        self.present[deployment] -= 1
        if self._known is not None:
            self._known.done(tau_out)
        predicted_s = self._done_s.pop(query, now_s)
        if predicted_s != now_s:
            free_s = self._free_s[deployment]
            heapreplace(free_s, free_s[0] + now_s - predicted_s)

    def _start_s(self, deployment: int) -> float:
        """When the query at hand would begin on a deployment, s."""
        if self.present[deployment] < self.slots[deployment]:
            return self.now_s
        return max(self.now_s, self._free_s[deployment][0])
