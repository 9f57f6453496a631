"""The router that the thesis's script had, defects and all: for the study of it, not for use."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from llmsim.errors import InputError
from llmsim.fleet.deployment import Deployment
from llmsim.policies.contract import FleetView

# Queries of a model's own past that its costs are normalised by.
WINDOW = 100
# Accumulated costs are forgotten at every tenth query of a model, and at each once its window is full.
FORGET_EVERY = 10
# Before a model has a past, its costs are normalised by those of a query of so many tokens, in and out.
FIRST_TOKENS = 2048


class Window:
    """The latest values of one kind of one model, and their range.

    Attributes:
        least, width: what a value is normalised by: 0 at the least, 1 at the most.
    """

    __slots__ = ("_most", "_values", "least", "width")

    def __init__(self, most: float) -> None:
        """No value yet: normalised from 0 to `most`."""
        self._values: deque[float] = deque(maxlen=WINDOW)
        self.least, self._most, self.width = 0.0, most, most

    def __len__(self) -> int:
        return len(self._values)

    def add(self, value: float) -> None:
        """One more, and the oldest less when the window is full."""
        values = self._values
        leaving = values[0] if len(values) == WINDOW else value
        values.append(value)
        if len(values) == 1 or leaving in (self.least, self._most):
            self.least, self._most = min(values), max(values)
        else:
            self.least, self._most = min(self.least, value), max(self._most, value)
        self.width = self._most - self.least or math.inf  # where all are equal a hat is 0


class Past:
    """The latest queries of one model, and what they make of a cost."""

    __slots__ = ("accuracy", "energy_j")

    def __init__(self, energy_j: float, accuracy: float) -> None:
        """No query yet: normalised from 0 to the values given."""
        self.energy_j, self.accuracy = Window(energy_j), Window(accuracy)

    def add(self, energy_j: float, accuracy: float) -> None:
        """One query more."""
        self.energy_j.add(energy_j)
        self.accuracy.add(accuracy)

    def cost(self, zeta: float, energy_j: float, accuracy: float) -> float:
        """`zeta * e_hat - (1 - zeta) * a_hat`."""
        e, a = self.energy_j, self.accuracy
        return zeta * (energy_j - e.least) / e.width - (1 - zeta) * (accuracy - a.least) / a.width


@dataclass
class ThesisRouter:
    """The least accumulated cost, normalised within each model's own latest queries.

    So the dearest of a model's last hundred queries costs 1 there, whether the model is small or large: what
    is lost is the difference between models, which the choice should be about. As the accumulated costs are
    forgotten at nearly every query, hardly anything accumulates. And the windows outlive a run: where zeta is
    swept, what one run leaves decides how the next begins.

    Attributes:
        zeta: weight of energy, in [0, 1].
        penalty: cost of each query that waits: 0.1 with queue awareness, else 0.
    """

    zeta: float
    penalty: float = 0.0

    def __post_init__(self) -> None:
        self._past: list[Past] = []

    def begin(self, deployments: Sequence[Deployment], rng: Generator) -> None:
        """Nothing accumulated; the past stays.

        Raises:
            InputError: a deployment has no energy curve, or its model no score.
        """
        self._sum = [0.0] * len(deployments)
        self._sent: dict[int, tuple[float, float]] = {}
        if self._past:
            return
        tokens = np.array([FIRST_TOKENS])
        for item in deployments:
            energy_j, score = item.price(tokens, tokens).energy_j, item.target.model.accuracy_pct
            if energy_j is None or score is None:
                raise InputError(f"{item.name} has no energy curve or no accuracy, which this router needs.")
            self._past.append(Past(float(energy_j[0]), score * 2 * FIRST_TOKENS))

    def route(self, tau_in: int, tau_out_hat: float, view: FleetView) -> int:
        """The first of the least."""
        tokens = tau_in + tau_out_hat
        energy_j, scores, zeta = view.energy_j, view.accuracy_pct, self.zeta
        least, chosen, own = math.inf, view.eligible[0], 0.0
        for index in view.eligible:
            cost = self._past[index].cost(zeta, energy_j[index], scores[index] * tokens)
            waiting = max(view.present[index] - view.slots[index], 0)
            value = self._sum[index] + cost + self.penalty * waiting
            if value < least:
                least, chosen, own = value, index, cost
        self._sum[chosen] += own
        self._sent[view.query] = energy_j[chosen], scores[chosen] * tokens
        past = self._past[chosen]
        if len(past.energy_j) % FORGET_EVERY == 0:
            self._sum = [0.0] * len(self._sum)
        past.add(energy_j[chosen], scores[chosen] * tokens)
        return chosen

    def done(self, query: int, deployment: int) -> None:
        """Its cost, reckoned anew by what has come since, is taken off."""
        self._sum[deployment] -= self._past[deployment].cost(self.zeta, *self._sent.pop(query))
