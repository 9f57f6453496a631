"""One policy's run: who was refused, what was planned, what happened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator

from llmsim.backends.contract import Engine
from llmsim.curves.cost import IntArray
from llmsim.errors import InputError
from llmsim.fleet.prices import Prices
from llmsim.policies.contract import OfflinePolicy, OnlinePolicy, Plan, Selective
from llmsim.simulation.driver import ask, follow, play
from llmsim.simulation.ledger import Ledger
from llmsim.simulation.tape import Tape
from llmsim.simulation.traffic import Progress


@dataclass(frozen=True)
class Entry:
    """A policy as a row of a table.

    Attributes:
        label: the row's name.
        policy: what chooses.
        settings: its name and parameters.
    """

    label: str
    policy: OfflinePolicy | OnlinePolicy
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class Run:
    """What one policy did with a workload.

    Attributes:
        label: the row's name in every table.
        policy: the policy's name and parameters.
        prices: the served queries, priced on the whole fleet.
        served: their numbers in the workload, ascending.
        refused: reason to the numbers of the queries refused for it.
        ledger: one row a served query.
        plan: the offline decision, or None for an online policy.
    """

    label: str
    policy: Mapping[str, Any]
    prices: Prices
    served: IntArray
    refused: Mapping[str, IntArray]
    ledger: Ledger
    plan: Plan | None


def admit(prices: Prices) -> tuple[IntArray, dict[str, IntArray]]:
    """Numbers of the queries that fit some deployment, and of those that fit none, by reason.

    Raises:
        InputError: no query fits anywhere.
    """
    fits = prices.fits
    longest = max(item.longest_query_tokens for item in prices.deployments)
    if not fits.any():
        tokens = prices.queries.tau_in + prices.queries.tau_out
        raise InputError(
            f"No query fits: prompt and answer together take at least {int(tokens.min()):,} tokens, and the "
            f"most that a chosen deployment holds is {longest:,}. Choose a model with a longer context, or "
            "give an instance more memory."
        )
    refused = np.flatnonzero(~fits)
    reason = f"prompt and answer are longer than every context (at most {longest:,} tokens)"
    return np.flatnonzero(fits), ({reason: refused} if len(refused) else {})


def _accepted(entry: Entry, workload: Prices) -> tuple[IntArray, dict[str, IntArray]]:
    """The queries that a policy serves, and the others, by reason; raises as `run_policy` does."""
    served, refused = admit(workload)
    if not isinstance(entry.policy, Selective):
        return served, refused
    accepted = entry.policy.accepts(workload)
    left_out = served[~accepted[served]]
    if len(left_out):
        refused = {**refused, f"does not fit {entry.label}": left_out}
    served = served[accepted[served]]
    if not len(served):
        raise InputError(f"{entry.label}: no query fits. Choose a model with a longer context.")
    return served, refused


def _as_chosen(policy: OfflinePolicy, prices: Prices, rng: Generator, chosen: Sequence[int]) -> Plan:
    """What was chosen before; with a certificate where the policy would choose the same by now."""
    before = Plan(np.array(chosen, dtype=np.int64))
    try:
        plan = policy.plan(prices, rng)
    except InputError:  # what it asks for cannot be had by now, and could be when it was measured
        return before
    return plan if np.array_equal(plan.deployment, before.deployment) else before


def run_policy(
    entry: Entry,
    workload: Prices,
    engines: Sequence[Engine],
    rng: Generator,
    progress: Progress | None = None,
    tape: Tape | None = None,
    chosen: Sequence[int] | None = None,
) -> Run:
    """Refuse what fits nowhere, let the policy choose, and play the rest through the fleet.

    Args:
        entry: the policy, and what its row is called.
        workload: all queries, priced on the fleet.
        engines: one a deployment, told what to expect.
        rng: what the policy draws from.
        progress: called now and then with the number of arrivals so far.
        tape: where to write what every instance did when; None: nowhere.
        chosen: the deployment of each served query in a run that was measured: it stays what it was, also
            where the policy would choose otherwise by now.

    Raises:
        InputError: no query fits, the policy cannot be used with these deployments, its bounds cannot be
            met, or other queries were chosen for.
    """
    policy, label = entry.policy, entry.label
    served, refused = _accepted(entry, workload)
    prices = workload.take(served)
    if chosen is not None and len(chosen) != len(served):
        raise InputError(
            f"{label}: {len(chosen)} queries were measured and {len(served)} are served now: the "
            "journal is of another workload, or of other models. Move it away to measure anew."
        )
    plan = None
    if isinstance(policy, OfflinePolicy):
        plan = policy.plan(prices, rng) if chosen is None else _as_chosen(policy, prices, rng, chosen)
        route = follow(plan.deployment)
    else:
        route = ask(policy, prices, rng, chosen)
    ledger = play(prices.queries, engines, prices, route, progress, tape=tape)
    return Run(label, entry.settings, prices, served, refused, ledger, plan)
