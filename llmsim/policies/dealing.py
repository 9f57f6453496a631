"""Queries dealt between plans that keep the bounds together but not each alone.

Dealt in turns, the queries of each plan are a sample of all, and what they use is off by as much as a sample
is: with n queries by about sqrt(n) of them, which an exact solver would have to find room for. So some of
those on which the plans differ are dealt last, large ones first, each to the plan that brings what is used
nearest to the bounds (error diffusion); what is then left is of the size of the smallest queries.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from llmsim.curves.cost import FloatArray, IntArray
from llmsim.policies.resources import ResourceProblem
from llmsim.policies.sifting import best_places

# Multiples of it, less their whole part, fill the unit interval evenly from any place on.
_GOLDEN = (5**0.5 - 1) / 2
# Groups that are dealt last, in square roots of the number of groups: by so much the others miss the bounds.
_LAST = 16.0


def dealt(
    problem: ResourceProblem, prices: FloatArray, parts: tuple[tuple[FloatArray, float], ...]
) -> NDArray[np.int16]:
    """A deployment for each group, shape (g,): each follows one of the plans, by their parts.

    Args:
        prices: nearly optimal ones; bounds that have a price are to be kept with equality.
        parts: prices of plans, with the part of the queries that is to follow each.
    """
    groups = len(problem.count)
    share = np.array([part for _, part in parts])
    share /= share.sum()
    turn = np.arange(groups) * _GOLDEN % 1.0
    follows = np.minimum(np.searchsorted(np.cumsum(share), turn, side="right"), len(parts) - 1)
    first, _ = best_places(problem, parts[0][0])
    places = first.copy()
    differs = np.zeros(groups, dtype=bool)
    for number, (at, _) in enumerate(parts[1:], start=1):
        plan, _ = best_places(problem, at)
        places[follows == number] = plan[follows == number]
        differs |= plan != first
    last = np.flatnonzero(differs)
    last = last[:: max(int(len(last) / (_LAST * groups**0.5)), 1)]
    if len(last):
        part = problem.rows(last, problem.bounds)
        plans = np.array([best_places(part, at)[0] for at, _ in parts])
        places[last] = _balanced(problem, prices, places, last, plans, share)
    return places


def _balanced(
    problem: ResourceProblem,
    prices: FloatArray,
    places: NDArray[np.int16],
    last: IntArray,
    plans: NDArray[np.int16],
    share: FloatArray,
) -> NDArray[np.int16]:
    """Places of the last groups, shape (l,), each from one of its plans, shape (p, l), at the priced bounds."""
    missed = problem.missed(places, prices)
    now = problem.taken(places[last], last, prices)
    taken = np.array([problem.taken(plan, last, prices) for plan in plans])
    mean = np.einsum("p,plr->lr", share, taken)
    error = missed + (mean - now).sum(axis=0)
    change = np.ascontiguousarray((taken - mean).transpose(1, 0, 2))
    chosen = np.zeros(len(last), dtype=np.int64)
    for group in np.argsort(-np.abs(taken).sum(axis=(0, 2)), kind="stable").tolist():
        trials = error + change[group]
        plan = int(np.einsum("pr,pr->p", trials, trials).argmin())
        chosen[group], error = plan, trials[plan]
    balanced: NDArray[np.int16] = plans[chosen, np.arange(len(last))]
    return balanced
