"""The steady part of a run: without the warm-up from an empty fleet, and the cool-down to one."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from llmsim.curves.cost import BoolArray
from llmsim.errors import InputError
from llmsim.simulation.ledger import Ledger

# The queue grows when the later half of the window waits longer than the earlier by this factor, and by more
# than this part of a mean service time.
GROWTH_FACTOR = 1.5
GROWTH_SERVICES = 0.5


@dataclass(frozen=True)
class Window:
    """Which queries count, by their arrival.

    Attributes:
        warm_up_s: seconds after the first arrival that are cut.
        cool_down_s: seconds before the last arrival that are cut.
    """

    warm_up_s: float = 0.0
    cool_down_s: float = 0.0

    def inside(self, ledger: Ledger) -> BoolArray:
        """Whether each query counts, shape (n,).

        Raises:
            InputError: a time that is negative or not finite, or nothing is left.
        """
        for key in ("warm_up_s", "cool_down_s"):
            value = getattr(self, key)
            if not (math.isfinite(value) and value >= 0):
                raise InputError(f"{key}={value}: must be a finite number of seconds, at least 0.")
        arrival_s = ledger.arrival_s
        if not len(arrival_s):
            return np.zeros(0, dtype=bool)
        first_s, last_s = float(arrival_s[0]), float(arrival_s[-1])
        inside: BoolArray = (arrival_s >= first_s + self.warm_up_s) & (arrival_s <= last_s - self.cool_down_s)
        if not inside.any():
            raise InputError(
                f"warm_up_s={self.warm_up_s:g} and cool_down_s={self.cool_down_s:g} leave no query of a "
                f"trace of {last_s - first_s:g} s."
            )
        return inside


def take(ledger: Ledger, chosen: BoolArray) -> Ledger:
    """The chosen queries' rows; what the instances did stays whole."""
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
    """Why the run has no steady state (the load is above capacity), or None where its queue settles."""
    n = len(ledger.arrival_s)
    if n < 100:
        return None
    waits = ledger.start_s - ledger.arrival_s
    service_s = float((ledger.end_s - ledger.start_s).mean())
    earlier, later = float(waits[n // 4 : n // 2].mean()), float(waits[3 * n // 4 :].mean())
    if later > GROWTH_FACTOR * earlier and later - earlier > GROWTH_SERVICES * service_s:
        return (
            f"the queue does not settle: the mean wait grows from {earlier:.3g} s in the second quarter of "
            f"the run to {later:.3g} s in the last. The load is above capacity, and the figures depend on "
            "the run's length."
        )
    return None
