"""A trace as something else: a part of it, faster or slower, repeated, resampled, or cut to a length."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from llmsim.errors import InputError
from llmsim.workload.columns import MAX_ARRIVAL_S
from llmsim.workload.queries import Queries


def window(queries: Queries, from_s: float, to_s: float, where: str = "workload.window_s") -> Queries:
    """The queries that arrive from `from_s` up to (not including) `to_s`; time starts anew at `from_s`.

    Raises:
        InputError: the window is not one, or is empty.
    """
    if not (math.isfinite(from_s) and 0 <= from_s < to_s):
        raise InputError(f"{where}=[{from_s}, {to_s}]: expected 0 <= from < to, in seconds.")
    inside = (queries.arrival_s >= from_s) & (queries.arrival_s < to_s)
    if not inside.any():
        last_s = float(queries.arrival_s[-1]) if len(queries) else 0.0
        raise InputError(
            f"{where}=[{from_s:g}, {to_s:g}]: no query arrives then; the trace ends at {last_s:g} s."
        )
    part = queries.take(inside)
    return _noted(
        replace(part, arrival_s=part.arrival_s - from_s), f"Seconds {from_s:g} to {to_s:g} of the trace."
    )


def faster(queries: Queries, speed: float, where: str = "workload.speed") -> Queries:
    """The same queries, `speed` times as fast (below 1: slower).

    Raises:
        InputError: the speed is not above 0, or makes the trace longer than a run can hold.
    """
    if not (math.isfinite(speed) and speed > 0):
        raise InputError(f"{where}={speed}: must be a finite number above 0.")
    arrival_s = queries.arrival_s / speed
    if len(arrival_s) and arrival_s[-1] > MAX_ARRIVAL_S:
        raise InputError(f"{where}={speed:g}: the trace would take over 31 years.")
    return _noted(replace(queries, arrival_s=arrival_s), f"Arrivals {speed:g} times as fast as in the trace.")


def repeat(
    queries: Queries, times: int, jitter_s: float, rng: Generator, where: str = "workload.repeat"
) -> Queries:
    """The trace end to end, each arrival of each round moved by a normal time of deviation `jitter_s`.

    A round is as long as the trace and one mean gap; what jitter moves before 0 arrives at 0.

    Raises:
        InputError: fewer than one round, a negative jitter, or more than a run can hold.
    """
    if times < 1:
        raise InputError(f"{where}={times}: at least 1.")
    if not (math.isfinite(jitter_s) and jitter_s >= 0):
        raise InputError(f"{where}_jitter_s={jitter_s}: must be a finite number of at least 0.")
    n = len(queries)
    if n == 0 or times == 1:
        return queries
    length_s = float(queries.arrival_s[-1]) * (1 + 1 / n)
    if length_s * times > MAX_ARRIVAL_S:
        raise InputError(f"{where}={times}: the trace would take over 31 years.")
    arrival_s = (queries.arrival_s + length_s * np.arange(times)[:, None]).ravel()
    index = np.tile(np.arange(n), times)
    if jitter_s:
        arrival_s = np.maximum(arrival_s + jitter_s * rng.standard_normal(len(arrival_s)), 0.0)
        order = np.argsort(arrival_s, kind="stable")
        arrival_s, index = arrival_s[order], index[order]
    note = f"The trace {times} times, end to end" + (f", jitter {jitter_s:g} s." if jitter_s else ".")
    return _noted(replace(queries.take(index), arrival_s=arrival_s), note)


def resample(queries: Queries, arrival_s: NDArray[np.float64], rng: Generator) -> Queries:
    """New arrivals, each with the tokens of a query drawn from the trace: prompt and answer together."""
    if not len(queries):
        raise InputError("A trace without queries has no lengths to draw.")
    index = rng.integers(0, len(queries), len(arrival_s))
    return _noted(
        replace(queries.take(index), arrival_s=arrival_s),
        f"{len(arrival_s):,} queries with lengths drawn in pairs from the trace.",
    )


def shorten(
    queries: Queries, tau_in_max: int | None, tau_out_max: int | None, where: str = "workload"
) -> Queries:
    """The same queries, lengths above the most cut to it; a note says how many. None cuts nothing.

    Raises:
        InputError: a most below 1.
    """
    tau_in, tau_out = queries.tau_in, queries.tau_out
    notes = list(queries.notes)
    if tau_in_max is not None:
        tau_in = _cut(tau_in, tau_in_max, "prompts", notes, f"{where}.tau_in_max")
    if tau_out_max is not None:
        tau_out = _cut(tau_out, tau_out_max, "answers", notes, f"{where}.tau_out_max")
    return replace(queries, tau_in=tau_in, tau_out=tau_out, notes=tuple(notes))


def _cut(tokens: NDArray[np.int64], most: int, what: str, notes: list[str], where: str) -> NDArray[np.int64]:
    """Lengths of at most so many tokens, shape (n,); notes how many were longer."""
    if most < 1:
        raise InputError(f"{where}={most}: at least 1 token (null cuts nothing).")
    longer = int(np.count_nonzero(tokens > most))
    notes.append(f"{longer:,} of {len(tokens):,} {what} are longer than {most:,} tokens, and cut to it.")
    return np.minimum(tokens, most)


def _noted(queries: Queries, note: str) -> Queries:
    """The same, with one more sentence of what was done."""
    return replace(queries, notes=(*queries.notes, note))
