"""One fleet, one workload, every policy of a table."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.random import Generator

from llmsim.backends.contract import Backend, Engine
from llmsim.config import Config
from llmsim.errors import InputError
from llmsim.fleet.fleet import Fleet
from llmsim.fleet.prices import Prices, price
from llmsim.policies import POLICIES
from llmsim.policies.bounds import Bounds
from llmsim.policies.contract import OfflinePolicy, Selective
from llmsim.report.account import Horizon, Terms
from llmsim.report.judgement import Judge, objective_of
from llmsim.report.replications import LEVEL, replicated
from llmsim.report.summary import compare
from llmsim.simulation.driver import Router, ask, follow
from llmsim.simulation.replications import seeds
from llmsim.simulation.run import Entry, Run, run_policy
from llmsim.simulation.tape import Tape
from llmsim.tasks.inputs import Asked, Progress, rng_of, step_of, workload_of
from llmsim.tasks.measuring import opened_engines
from llmsim.workload.queries import Queries

log = logging.getLogger(__name__)

Watch = Callable[[str, Sequence[Engine]], Sequence[Engine]]


@dataclass(frozen=True)
class Played:
    """What came of it.

    Attributes:
        runs: the policy's, then each baseline's.
        terms: what their figures share.
        method: how the backend had its joules.
        scope: what they cover; None: what the fleet's hardware says.
        notes: what to know of that.
    """

    runs: list[Run]
    terms: Terms
    method: str
    scope: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Contest:
    """A policy and its baselines on one fleet.

    Attributes:
        config: names them all.
        asked: which figures are wanted.
        fleet: on which they play.
        backend: says what serving costs.
    """

    config: Config
    asked: Asked
    fleet: Fleet
    backend: Backend

    def play(
        self,
        queries: Queries,
        seed: int,
        progress: Progress | None = None,
        tape: Tape | None = None,
        watch: Watch | None = None,
    ) -> Played:
        """Serve the queries under each policy.

        Args:
            seed: of what policies draw.
            tape: where to write what every instance did under the policy itself.
            watch: puts something between a row's engines and the row, when it is played for good.

        Raises:
            InputError: a policy that cannot be used with these deployments or queries.
        """
        prices = price(queries, self.fleet.deployments)
        entries = self._entries()
        bounds = bounds_of(entries[0].policy, prices)
        runs: list[Run] = []
        with opened_engines(self.config, self.backend, self.fleet.deployments) as engines:
            for engine, fits in zip(engines.all, prices.eligible[prices.pair_of].T, strict=True):
                if fits.any():
                    engine.expect(queries.tau_in[fits], queries.tau_out[fits])
            labels = [f"{entry.label}, seed {seed}" for entry in entries]
            for entry, label in zip(entries, labels, strict=True):
                if not isinstance(entry.policy, OfflinePolicy):
                    engines.require_together(label)
            for number, (entry, label) in enumerate(zip(entries, labels, strict=True)):
                step = step_of(progress, f"{entry.label} ({number + 1} of {len(entries)})", len(queries))

                def once(
                    again: bool, tape: Tape | None, number: int = number, label: str = label, step: Any = step
                ) -> Run:
                    """Play the row; by a policy of its own if it is played again: nothing stays then."""
                    chosen = self._entries()[number] if again else entries[number]
                    serving = engines.all if again or watch is None else watch(chosen.label, engines.all)
                    rng, before = _rng_of(seed, number, chosen), engines.chosen(label)
                    return run_policy(chosen, prices, serving, rng, step, tape, before)

                planned = isinstance(entry.policy, OfflinePolicy)
                runs.append(engines.play(label, once, None if number else tape, planned))
        return Played(
            runs, self._terms(queries, runs, bounds), engines.method, engines.scope, tuple(engines.notes)
        )

    def _terms(self, queries: Queries, runs: list[Run], bounds: Bounds | None) -> Terms:
        """What the figures of all rows share."""
        return Terms(
            horizon=horizon_of(queries, runs, self.fleet),
            bounds=bounds,
            judge=Judge(objective_of(self.config.policy)),
            slo=self.asked.slo,
            tariff=self.asked.tariff,
            window=self.asked.window,
            arrivals_s=(float(queries.arrival_s[0]), float(queries.arrival_s[-1])),
        )

    def as_sent(self, run: Run, number: int, seed: int) -> Router:
        """Sends each query where a run sent it; how long its answer will be is foreseen as in that run.

        Args:
            number: the run's place among all of `play`.
            seed: of the run.
        """
        entry = self._entries()[number]
        if isinstance(entry.policy, OfflinePolicy):
            return follow(run.ledger.deployment)
        chosen = run.ledger.deployment.tolist()
        return ask(entry.policy, run.prices, _rng_of(seed, number, entry), chosen)

    def _entries(self) -> list[Entry]:
        """The policy and each baseline, built anew; none is repeated."""
        own = self.config.policy
        entries = [Entry(own["name"], POLICIES.build(own), own)]
        for place, entry in enumerate(self.config.baselines):
            settings = {"name": entry} if isinstance(entry, str) else dict(entry)
            if settings == {"name": "single"}:
                for item in self.fleet.deployments:
                    one = {"name": "single", "deployment": item.name}
                    entries.append(Entry(f"only {item.name}", POLICIES.build(one), one))
                continue
            try:
                policy = POLICIES.build(settings)
            except InputError as error:
                raise InputError(f"baselines[{place}]: {error}") from error
            entries.append(Entry(_label(settings), policy, settings))
        return _distinct(entries)


def _rng_of(seed: int, number: int, entry: Entry) -> Generator:
    """What a policy draws from; the run's own draws the same under any name."""
    return rng_of(seed, entry.label if number else "")


def _distinct(entries: Sequence[Entry]) -> list[Entry]:
    """Each policy once, and each label: figures and journals know a run by it.

    A baseline without parameters may be the run's own policy with others; it has what its class sets.
    """
    found: list[Entry] = []
    for entry in entries:
        if any(entry.settings == other.settings or entry.policy == other.policy for other in found):
            continue
        taken = any(entry.label == other.label for other in found)
        found.append(replace(entry, label=f"{entry.label} (defaults)") if taken else entry)
    return found


def _label(settings: Mapping[str, Any]) -> str:
    """A baseline's name, with the parameters that it was given."""
    parameters = ", ".join(f"{key}={value}" for key, value in settings.items() if key != "name")
    return f"{settings.get('name')} ({parameters})" if parameters else str(settings.get("name"))


def bounds_of(policy: Any, prices: Prices) -> Bounds | None:
    """The bounds on counts that the run's policy keeps, or None where it keeps none."""
    if not hasattr(policy, "bounds"):
        return None
    served = policy.accepts(prices) if isinstance(policy, Selective) else prices.fits
    bounds: Bounds = policy.bounds(
        [item.share for item in prices.deployments],
        [item.name for item in prices.deployments],
        int(served.sum()),
    )
    return bounds


def horizon_of(queries: Queries, runs: list[Run], fleet: Fleet) -> Horizon:
    """One horizon for all rows of a table, so that a straggler of one changes no other's idle energy.

    One that the fleet sets is stretched to the last end: idle time cannot be counted while queries run.
    """
    start_s = float(queries.arrival_s[0])
    longest_s = max(run.ledger.end_of_run_s for run in runs)
    if fleet.horizon_s is None:
        return Horizon(start_s, longest_s)
    return Horizon(start_s, max(start_s + fleet.horizon_s, longest_s))


def replicate(
    contest: Contest, queries: Queries, summary: dict[str, Any], progress: Progress | None = None
) -> None:
    """Play the contest under more seeds, and put intervals of all figures into the summary.

    The run itself is the first replication, so that asking for more changes no other figure.

    Args:
        queries: the run's own.
        summary: the run's own, from `compare`.
    """
    count, first = contest.asked.replications, contest.config.seed
    found: list[Mapping[str, Any]] = [summary]
    others = seeds(first, count - 1)
    drawn = False
    for number, seed in enumerate(others):
        if progress is not None:
            progress(f"replication {number + 2} of {count}", number, len(others))
        again = workload_of(contest.config, seed)
        drawn |= not _same(queries, again)
        played = contest.play(again, seed)
        found.append(compare(played.runs, played.terms))
    own, baselines = replicated(found)
    summary["replications"] = {"count": count, "level": LEVEL, "seeds": [first, *others], **own}
    for label, figures in baselines.items():
        summary["baselines"][label]["replications"] = figures
    if not drawn:
        text = (
            f"replications={count}: this workload draws nothing, so that every replication has the same "
            "queries and the intervals cover the policies' own chance only. Set workload.arrivals, or "
            "workload.repeat with workload.repeat_jitter_s, or choose workload=synthetic."
        )
        log.warning("%s", text)
        summary["warnings"].append(text)


def _same(one: Queries, other: Queries) -> bool:
    """Whether two workloads have the same arrivals and lengths."""
    return all(
        np.array_equal(getattr(one, name), getattr(other, name))
        for name in ("arrival_s", "tau_in", "tau_out")
    )
