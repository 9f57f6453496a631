"""A measuring backend whose iterations cost what a curve says, times a factor, give or take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from llmsim.backends.contract import Advance, Work
from llmsim.backends.simulator import Simulator
from llmsim.measurement.grouped import Share
from tests.simulation.test_stepped import Metronome


class Pot:
    """Counts the joules of each piece of work, as no meter can; stands for `Grouped`."""

    spent_j: float | None = None
    open = False
    meters = ()

    def __init__(self, *_, **__):
        pass

    def before(self):
        pass

    def after(self, name, seconds):
        return [Share(name, Pot.spent_j, seconds, 1, 0.0, (), "measured", "gpu_boards")]

    def flush(self):
        return []


@dataclass
class Card:
    factor: float = 1.0
    noise: float = 0.0
    device: str = "made-up card"
    method: ClassVar[str] = "measured"

    def open(self, deployment):
        return CardEngine(Simulator().open(deployment), self.factor, self.noise)


class Scaled:
    """Costs times a factor."""

    def __init__(self, costs, factor):
        self.costs, self.factor = costs, factor

    def prefill(self, tokens, past=()):
        return tuple(self.factor * value for value in self.costs.prefill(tokens, past))

    def steps(self, max_batch):
        return [(*(self.factor * v for v in values), limit) for *values, limit in self.costs.steps(max_batch)]


class CardEngine(Metronome):
    def __init__(self, told, factor, noise):
        super().__init__(Scaled(told.costs, factor))
        self.told, self.factor, self.noise = told, factor, noise
        self.rng = np.random.default_rng(3)

    def _drawn(self, scale=1.0):
        return scale * (1.0 + self.noise * self.rng.normal())

    def serve(self, tau_in, tau_out):
        """What the curves say of a batch, times factor and noise; the pot has its joules."""
        took, drawn = self.told.serve(tau_in, tau_out), self._drawn(self.factor)
        Pot.spent_j = took.energy_j * drawn
        return Advance(took.runtime_s * drawn, took.first_token_s * drawn, None)

    def prefill(self, instance, queries, tokens):
        return self._told(super().prefill(instance, queries, tokens))

    def decode(self, instance, most_steps, until_s):
        return self._told(super().decode(instance, most_steps, until_s))

    def _told(self, work):
        """An iteration's work with noise; the pot has its joules, and the meter tells them."""
        drawn = self._drawn()
        Pot.spent_j = work.energy_j * drawn
        return Work(work.runtime_s * drawn, None, work.steps)
