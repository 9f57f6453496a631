"""Costs of phases with round numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from llmsim.backends.phase import Budget


@dataclass(frozen=True)
class AffineCosts:
    """`decode`: c0 + c1*batch + c2*context, joules limited; `prefill`: a floor in quadrature with the rest.

    The limit is met by batches of some ten queries, and left again as their contexts grow.
    """

    decode_s: tuple[float, float, float] = (4e-3, 2e-5, 3e-8)
    decode_j: tuple[float, float, float] = (1.6, 2e-2, 1.2e-5)
    prefill_s: tuple[float, float, float, float] = (4e-3, 5e-4, 3.2e-5, 5e-10)
    prefill_j: tuple[float, float, float, float] = (1.6, 0.1, 2e-2, 3e-7)
    limit_w: float = 440.0

    def prefill(self, tokens, past=()):
        """As in `llmsim.backends.phase.PhaseCosts`: seconds and joules of a pass."""
        squares = sum(count * count for count in tokens)
        squares += 2 * sum(count * old for count, old in zip(tokens, past, strict=False))
        size = (len(tokens), sum(tokens), squares)
        return _total(self.prefill_s, size), _total(self.prefill_j, size)

    def steps(self, max_batch):
        """As in `llmsim.backends.phase.PhaseCosts`: a step of 0 to `max_batch` queries."""
        seconds, joules = self.decode_s, self.decode_j
        return [
            (
                seconds[0] + seconds[1] * batch,
                seconds[2],
                joules[0] + joules[1] * batch,
                joules[2],
                self.limit_w,
            )
            for batch in range(max_batch + 1)
        ]


@dataclass(frozen=True)
class SparingCosts(AffineCosts):
    """Passes take four fifths of their time as long as there are joules to spare above the limit."""

    prefill_j: tuple[float, float, float, float] = (1.6, 0.1, 1.4e-2, 2e-7)
    budget: Budget = field(default_factory=lambda: Budget(most_j=3.0, limit_w=440.0))

    def prefill(self, tokens, past=()):
        """On end: the power limit holds joules down, and nothing is to spare."""
        seconds, joules = super().prefill(tokens, past)
        return seconds, min(joules, self.limit_w * seconds)

    def spared(self, tokens, spare_j):
        """Full clocks for as much of the pass as its joules above the limit can be paid for."""
        seconds, joules = self.prefill(tokens)
        quick_s, dear_j = 0.8 * seconds, 1.05 * joules
        above_j = dear_j - self.limit_w * quick_s
        if above_j <= spare_j:
            return quick_s, dear_j
        share = spare_j / above_j
        return seconds + share * (quick_s - seconds), joules + share * (dear_j - joules)


def _total(terms, size):
    return math.hypot(terms[0], sum(term * amount for term, amount in zip(terms[1:], size, strict=True)))
