"""The steady part of a run: without the warm-up from an empty fleet, and the cool-down to one."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from llmsim.curves.cost import BoolArray, FloatArray
from llmsim.errors import InputError
from llmsim.simulation.ledger import Ledger

# The queue grows when each quarter of the queries waits longer than the one before, and the last longer than
# the second by this factor, and by more than this part of a mean service time.
GROWTH_FACTOR = 1.5
GROWTH_SERVICES = 0.5
FEWEST_QUERIES = 100


@dataclass(frozen=True)
class Window:
    """Which queries count, by their arrival.

    Attributes:
        warm_up_s: seconds after the first arrival that are cut.
        cool_down_s: seconds before the last arrival that are cut.
    """

    warm_up_s: float = 0.0
    cool_down_s: float = 0.0

    @property
    def cuts(self) -> bool:
        """Whether anything is cut."""
        return self.warm_up_s > 0 or self.cool_down_s > 0

    def check(self, where: str) -> None:
        """Raises InputError, naming the setting under `where`, unless both are times."""
        for key in ("warm_up_s", "cool_down_s"):
            value = getattr(self, key)
            if not (math.isfinite(value) and value >= 0):
                raise InputError(f"{where}.{key}={value}: must be a finite number of seconds, at least 0.")

    def inside(self, arrival_s: FloatArray, span_s: tuple[float, float] | None = None) -> BoolArray:
        """Whether each query counts, shape (n,).

        Args:
            arrival_s: in order.
            span_s: first and last arrival of the trace, where others than these are in it.

        Raises:
            InputError: nothing is left.
        """
        if not len(arrival_s):
            return np.zeros(0, dtype=bool)
        first_s, last_s = (float(arrival_s[0]), float(arrival_s[-1])) if span_s is None else span_s
        inside: BoolArray = (arrival_s >= first_s + self.warm_up_s) & (arrival_s <= last_s - self.cool_down_s)
        if not inside.any():
            raise InputError(
                f"window.warm_up_s={self.warm_up_s:g} and window.cool_down_s={self.cool_down_s:g} leave no "
                f"query of a trace of {last_s - first_s:g} s."
            )
        return inside


def take(ledger: Ledger, chosen: BoolArray) -> Ledger:
    """The rows of the chosen queries, shape (n,); what the instances did stays whole."""
    columns = (
        "arrival_s",
        "deployment",
        "instance",
        "start_s",
        "first_token_s",
        "end_s",
        "energy_j",
        "tau_in",
        "tau_out",
        "network_s",
        "preemptions",
    )
    return replace(ledger, **{name: getattr(ledger, name)[chosen] for name in columns})


def unsettled(ledger: Ledger) -> str | None:
    """How the queue grows where the load is above capacity, so that there is no steady state; else None.

    Queries that all arrive at once are no load that could settle: None.
    """
    n = len(ledger.arrival_s)
    if n < FEWEST_QUERIES or ledger.arrival_s[0] == ledger.arrival_s[-1]:
        return None
    waits = ledger.start_s - ledger.arrival_s
    service_s = float((ledger.end_s - ledger.start_s).mean())
    cuts = (n // 4, n // 2, 3 * n // 4, n)
    earlier, middle, later = (float(waits[a:b].mean()) for a, b in pairwise(cuts))
    sustained = earlier < middle < later
    if sustained and later > GROWTH_FACTOR * earlier and later - earlier > GROWTH_SERVICES * service_s:
        return (
            f"the mean wait grows from {earlier:,.1f} s in the second quarter of the queries to "
            f"{later:,.1f} s in the last"
        )
    return None
