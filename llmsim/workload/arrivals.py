"""When queries arrive: processes with a mean rate, each drawn from a generator that is passed in."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.random import Generator

from llmsim.config import parse
from llmsim.errors import InputError, did_you_mean
from llmsim.workload.columns import MAX_ARRIVAL_S, FloatArray

SECONDS_PER_DAY = 86_400.0


class Arrivals(Protocol):
    """A process of arrivals. Implementations are dataclasses; their fields are their settings."""

    def check(self, where: str) -> None:
        """Raises InputError, naming the setting under `where`, unless there is such a process."""
        ...

    def draw(self, count: int, rng: Generator) -> FloatArray:
        """Arrival times of so many queries, seconds from the start, non-decreasing, shape (count,)."""
        ...


@dataclass(frozen=True)
class AtOnce:
    """All queries are there at the start: the offline case."""

    def check(self, where: str) -> None:
        """Nothing can be wrong."""

    def draw(self, count: int, rng: Generator) -> FloatArray:
        """Zeros."""
        return np.zeros(count)


@dataclass(frozen=True)
class Poisson:
    """Independent arrivals: exponential times between them.

    Attributes:
        rate_per_s: mean arrivals a second.
    """

    rate_per_s: float

    def check(self, where: str) -> None:
        """Raises InputError unless the rate is above 0."""
        _above_zero(self.rate_per_s, f"{where}.rate_per_s")

    def draw(self, count: int, rng: Generator) -> FloatArray:
        """Sums of exponential gaps."""
        return np.cumsum(rng.exponential(1 / self.rate_per_s, count))


@dataclass(frozen=True)
class Gamma:
    """Gamma-distributed times between arrivals: burstier than Poisson above a cv of 1, more even below.

    Attributes:
        rate_per_s: mean arrivals a second.
        cv: coefficient of variation of the times between them.
    """

    rate_per_s: float
    cv: float

    def check(self, where: str) -> None:
        """Raises InputError unless rate and cv are above 0."""
        _above_zero(self.rate_per_s, f"{where}.rate_per_s")
        _above_zero(self.cv, f"{where}.cv")

    def draw(self, count: int, rng: Generator) -> FloatArray:
        """Sums of gamma gaps of shape 1/cv^2."""
        shape = self.cv**-2
        return np.cumsum(rng.gamma(shape, 1 / (shape * self.rate_per_s), count))


@dataclass(frozen=True)
class Weibull:
    """Weibull-distributed times between arrivals: a heavier tail than Poisson below a shape of 1.

    Attributes:
        rate_per_s: mean arrivals a second.
        shape: of the distribution; 1 is Poisson.
    """

    rate_per_s: float
    shape: float

    def check(self, where: str) -> None:
        """Raises InputError unless rate and shape are above 0."""
        _above_zero(self.rate_per_s, f"{where}.rate_per_s")
        _above_zero(self.shape, f"{where}.shape")

    def draw(self, count: int, rng: Generator) -> FloatArray:
        """Sums of Weibull gaps, scaled to the mean rate."""
        scale_s = 1 / (self.rate_per_s * math.gamma(1 + 1 / self.shape))
        return np.cumsum(scale_s * rng.weibull(self.shape, count))


@dataclass(frozen=True)
class OnOff:
    """Poisson while on, none while off, for exponential times: an interrupted Poisson process.

    Attributes:
        rate_per_s: mean arrivals a second over all time.
        on_s, off_s: mean length of a burst and of a pause.
    """

    rate_per_s: float
    on_s: float
    off_s: float

    def check(self, where: str) -> None:
        """Raises InputError unless all are above 0."""
        for key in ("rate_per_s", "on_s", "off_s"):
            _above_zero(getattr(self, key), f"{where}.{key}")

    def draw(self, count: int, rng: Generator) -> FloatArray:
        """Arrivals on the clock that stands still during pauses, which are then put in."""
        on_rate = self.rate_per_s * (self.on_s + self.off_s) / self.on_s
        busy_s = np.cumsum(rng.exponential(1 / on_rate, count))
        pauses = int(rng.poisson(busy_s[-1] / self.on_s)) if count else 0
        begin_s = np.sort(rng.uniform(0, busy_s[-1], pauses)) if count else np.zeros(0)
        lost_s = np.concatenate([[0.0], np.cumsum(rng.exponential(self.off_s, pauses))])
        before = np.searchsorted(begin_s, busy_s, side="left")
        arrival_s: FloatArray = busy_s + lost_s[before]
        return arrival_s


@dataclass(frozen=True)
class Diurnal:
    """A Poisson process whose rate follows the day: `rate * (1 + depth * cos(2 pi (t - peak) / period))`.

    Attributes:
        rate_per_s: mean arrivals a second over a whole period.
        depth: from 0 (even) to 1 (nothing at the lowest hour).
        peak_s: when the rate is highest, seconds from the start.
        period_s: length of a day.
    """

    rate_per_s: float
    depth: float = 0.6
    peak_s: float = 0.5 * SECONDS_PER_DAY
    period_s: float = SECONDS_PER_DAY

    def check(self, where: str) -> None:
        """Raises InputError unless there is such a day."""
        _above_zero(self.rate_per_s, f"{where}.rate_per_s")
        _above_zero(self.period_s, f"{where}.period_s")
        if not 0 <= self.depth <= 1:
            raise InputError(f"{where}.depth={self.depth}: must be 0 to 1.")
        if not math.isfinite(self.peak_s):
            raise InputError(f"{where}.peak_s={self.peak_s}: must be a finite number of seconds.")

    def draw(self, count: int, rng: Generator) -> FloatArray:
        """By thinning (Lewis and Shedler 1979): candidates at the highest rate, kept as the rate says."""
        kept: list[FloatArray] = []
        missing, now_s = count, 0.0
        highest = self.rate_per_s * (1 + self.depth)
        while missing > 0:
            size = int(missing * (1 + self.depth) * 1.1) + 16
            candidates = now_s + np.cumsum(rng.exponential(1 / highest, size))
            phase = 2 * np.pi * (candidates - self.peak_s) / self.period_s
            share = (1 + self.depth * np.cos(phase)) / (1 + self.depth)
            some = candidates[rng.random(size) < share][:missing]
            kept.append(some)
            missing -= len(some)
            now_s = float(candidates[-1])
        return np.concatenate(kept) if kept else np.zeros(0)


PROCESSES: Mapping[str, type[Any]] = {
    "at_once": AtOnce,
    "poisson": Poisson,
    "gamma": Gamma,
    "weibull": Weibull,
    "on_off": OnOff,
    "diurnal": Diurnal,
}


def from_config(node: Mapping[str, Any], where: str = "workload.arrivals") -> Arrivals:
    """The process of a configuration node: `process` names it, the rest are its settings.

    Raises:
        InputError: an unknown process or setting, or a value out of range.
    """
    values = dict(node)
    name = values.pop("process", None)
    if name not in PROCESSES:
        raise InputError(f"{where}.process={name}: {did_you_mean(str(name), PROCESSES, 'process')}")
    process: Arrivals = parse(PROCESSES[name], values, where)
    process.check(where)
    return process


def draw(process: Arrivals, count: int, rng: Generator, where: str = "workload.arrivals") -> FloatArray:
    """Arrival times, checked.

    Raises:
        InputError: they reach beyond what a run can hold (31 years).
    """
    arrival_s = process.draw(count, rng)
    if count and not (math.isfinite(arrival_s[-1]) and arrival_s[-1] <= MAX_ARRIVAL_S):
        raise InputError(f"{where}: {count:,} queries at this rate would take over 31 years.")
    return arrival_s


def _above_zero(value: float, where: str) -> None:
    """Raises InputError unless a setting is a finite number above 0."""
    if not (math.isfinite(value) and value > 0):
        raise InputError(f"{where}={value}: must be a finite number above 0.")
