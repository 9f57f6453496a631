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
from llmsim.policies.sifting import places_at

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
    first = places_at(problem, parts[0][0])
    places = first.copy()
    differs = np.zeros(groups, dtype=bool)
    for number, (at, _) in enumerate(parts[1:], start=1):
        plan = places_at(problem, at)
        places[follows == number] = plan[follows == number]
        differs |= plan != first
    last = np.flatnonzero(differs)
    last = last[:: max(int(len(last) / (_LAST * groups**0.5)), 1)]
    if len(last) and prices.any():
        part = problem.rows(last, problem.bounds)
        plans = np.array([places_at(part, at) for at, _ in parts])
        taken = np.array([part.taken(plan, prices) for plan in plans])
        others = problem.missed(places, prices) - part.taken(places[last], prices).sum(axis=0)
        places[last] = plans[_balanced(others, taken, share), np.arange(len(last))]
    return places


def _balanced(others: FloatArray, taken: FloatArray, share: FloatArray) -> IntArray:
    """The plan that each of the last groups follows, shape (l,), so that no bound is missed by much.

    Args:
        others: by how much all other groups exceed each of b bounds, shape (b,).
        taken: what each group takes of them by each of p plans, shape (p, l, b).
        share: of the queries, for each plan, shape (p,).
    """
    used = np.count_nonzero(taken, axis=(0, 1))
    unit = np.abs(taken).sum(axis=(0, 1)) / np.maximum(used, 1)  # a query of mean size
    unit = np.where(unit > 0, unit, np.inf)  # what none of them takes they cannot mend
    taken = taken / unit
    mean = np.einsum("p,plb->lb", share, taken)
    error = others / unit + mean.sum(axis=0)
    change = np.ascontiguousarray((taken - mean).transpose(1, 0, 2))
    chosen = np.zeros(len(mean), dtype=np.int64)
    for group in np.argsort(-np.abs(taken).sum(axis=(0, 2)), kind="stable").tolist():
        trials = error + change[group]
        chosen[group] = np.einsum("pb,pb->p", trials, trials).argmin()
        error = trials[chosen[group]]
    return chosen
