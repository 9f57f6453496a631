"""Queries drawn at random: Poisson arrivals, log-normal lengths."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llmsim.errors import InputError
from llmsim.workload.columns import MAX_ARRIVAL_S, MAX_TOKENS
from llmsim.workload.queries import Queries

# More queries than fit in the memory of an ordinary machine: a slip.
MAX_QUERIES = 100_000_000


@dataclass(frozen=True)
class Lengths:
    """A log-normal distribution of token counts, rounded and clipped to [1, maximum].

    Attributes:
        mean: mean before clipping, tokens, at least 1.
        cv: coefficient of variation (standard deviation over mean) before clipping; 0 makes all alike.
        maximum: the most tokens a query has.
    """

    mean: float
    cv: float
    maximum: int

    def check(self, where: str) -> None:
        """Raises InputError, naming the setting under `where`, unless such lengths exist."""
        if not 1 <= self.maximum <= MAX_TOKENS:
            raise InputError(f"{where}_max={self.maximum}: must be 1 to {MAX_TOKENS:,} tokens.")
        if not 1 <= self.mean <= self.maximum:
            raise InputError(f"{where}_mean={self.mean:g}: must be 1 to {where}_max ({self.maximum}) tokens.")
        if not (math.isfinite(self.cv) and self.cv >= 0):
            raise InputError(f"{where}_cv={self.cv:g}: must be a finite number of at least 0.")

    def draw(self, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Independent lengths, tokens, shape (count,)."""
        sigma2 = math.log1p(self.cv**2)
        tokens = rng.lognormal(math.log(self.mean) - sigma2 / 2, math.sqrt(sigma2), count)
        return np.clip(np.rint(tokens), 1, self.maximum).astype(np.int64)


def synthetic(
    count: int,
    rate_per_s: float,
    tau_in: Lengths,
    tau_out: Lengths,
    rng: np.random.Generator,
    where: str = "workload",
) -> Queries:
    """Queries that arrive as a Poisson process, with independent log-normal lengths.

    Args:
        count: number of queries.
        rate_per_s: mean arrivals per second.
        tau_in, tau_out: lengths of prompts and answers.
        rng: every draw comes from it, in the order arrivals, prompts, answers.
        where: the settings' place in the configuration, for errors.

    Raises:
        InputError: a setting that describes no workload.
    """
    if not 1 <= count <= MAX_QUERIES:
        raise InputError(f"{where}.queries={count}: must be 1 to {MAX_QUERIES:,}.")
    if not (math.isfinite(rate_per_s) and rate_per_s > 0):
        raise InputError(f"{where}.rate_per_s={rate_per_s:g}: must be a finite number above 0.")
    if count / rate_per_s > MAX_ARRIVAL_S:
        raise InputError(f"{where}.rate_per_s={rate_per_s:g}: {count} queries would take over 31 years.")
    tau_in.check(f"{where}.tau_in")
    tau_out.check(f"{where}.tau_out")
    return Queries(
        arrival_s=np.cumsum(rng.exponential(1 / rate_per_s, count)),
        tau_in=tau_in.draw(count, rng),
        tau_out=tau_out.draw(count, rng),
        name="synthetic",
        source="drawn at random: Poisson arrivals, log-normal lengths",
    )
