"""The online study: a data centre under a stream of queries, as its script played it and as it should be.

*Script*: the curves as printed; ten queries at every tick, though there are as many ticks a second as there
should be queries; 12,000 instances of the largest model, though each needs four devices; instances that come
free in the order in which they started; and a router that normalises costs within each model's own past.
*Right*: curves that fit, arrivals at the stated rate, as many instances as the devices suffice for, a queue,
and costs on one scale.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from llmsim.backends.contract import Backend, Engine
from llmsim.fleet.deployment import Deployment
from llmsim.fleet.prices import Prices, price
from llmsim.policies.contract import OnlinePolicy
from llmsim.policies.cost_aware import QueueAware, ZetaCost
from llmsim.policies.rotation import Random, RoundRobin, Single
from llmsim.simulation.metrics import wait_s
from llmsim.simulation.run import Entry, run_policy
from llmsim.studies.figures_of_plan import figures_of
from llmsim.studies.thesis_router import ThesisRouter
from llmsim.workload.arrivals import Poisson
from llmsim.workload.queries import Queries

Record = dict[str, Any]
Told = Callable[[str], None]
SCRIPT, RIGHT = "script", "right"
# Queries that the script takes at a tick; there are as many ticks a second as there should be queries.
A_TICK = 10
PENALTY = 0.1
# The script's router at the last zeta of a sweep, without what the sweep has left.
NO_PAST = "zeta_cost without a past"


@dataclass(frozen=True)
class Stage:
    """A fleet and its queries, priced.

    Attributes:
        label: what it stands for.
        queries: in order of arrival.
        deployments: the fleet.
        backend: what says the cost.
    """

    label: str
    queries: Queries
    deployments: tuple[Deployment, ...]
    backend: Backend = field(repr=False)

    @cached_property
    def prices(self) -> Prices:
        """The queries on the fleet."""
        return price(self.queries, self.deployments)

    @cached_property
    def engines(self) -> list[Engine]:
        """One a deployment; they remember what queries cost."""
        engines = [self.backend.open(item) for item in self.deployments]
        for engine in engines:
            engine.expect(self.queries.tau_in, self.queries.tau_out)
        return engines

    def run(self, name: str, policy: OnlinePolicy, seed: int) -> Record:
        """The figures of a policy: the thesis's, of queries that were served."""
        rng = np.random.default_rng(seed)
        run = run_policy(Entry(name, policy, {"name": name}), self.prices, self.engines, rng)
        chosen = run.ledger.deployment
        waits_s = wait_s(run.ledger)
        figures = figures_of(run.prices, chosen)
        counts = np.bincount(chosen, minlength=len(self.deployments)).tolist()
        return {
            "way": self.label,
            "policy": name,
            "energy_j": float(run.ledger.energy_j.sum()),
            "accuracy_pct": figures.accuracy_pct,
            "mean_wait_s": float(waits_s.mean()),
            "longest_wait_s": float(waits_s.max()),
            "mean_latency_s": float((run.ledger.end_s - run.ledger.arrival_s).mean()),
            **{f"queries {d.name}": n for d, n in zip(self.deployments, counts, strict=True)},
            **{
                f"mean_wait_s {item.name}": float(waits_s[chosen == place].mean()) if counts[place] else None
                for place, item in enumerate(self.deployments)
            },
        }


@dataclass(frozen=True)
class OnlineStudy:
    """What the study is about.

    Attributes:
        queries: all of them; their arrivals are not used.
        printed, fitting: the fleet by the curves as printed, and by those that fit.
        backend: what says the cost.
        rate_per_s: queries a second.
        seed: of arrivals and of random choices.
    """

    queries: Queries
    printed: tuple[Deployment, ...]
    fitting: tuple[Deployment, ...]
    backend: Backend
    rate_per_s: float
    seed: int

    def script(self, rate_per_s: float | None = None) -> Stage:
        """The stage as the script had it."""
        fleet = tuple(one_device_each(replace(item, discipline="thesis_script")) for item in self.printed)
        return Stage(SCRIPT, self._in_tens(rate_per_s or self.rate_per_s), fleet, self.backend)

    def right(self, rate_per_s: float | None = None) -> Stage:
        """The stage as it should be."""
        return Stage(RIGHT, self._one_by_one(rate_per_s or self.rate_per_s), self.fitting, self.backend)

    def corrections(self) -> Iterator[Stage]:
        """The stage as the script had it, with each of its four defects put right alone, and with all."""
        script = self.script()
        yield replace(script, label="as its script did")
        queued = tuple(replace(item, discipline="serial") for item in script.deployments)
        yield replace(script, label="but instances free when done", deployments=queued)
        one_by_one = self._one_by_one(self.rate_per_s)
        yield replace(script, label="but one query a tick, not ten", queries=one_by_one)
        fewer = tuple(replace(item, discipline="thesis_script") for item in self.printed)
        yield replace(script, label="but as many instances as devices allow", deployments=fewer)
        curves = {item.name: item.curve for item in self.fitting}
        fitting = tuple(replace(item, curve=curves[item.name]) for item in script.deployments)
        yield replace(script, label="but curves that fit", deployments=fitting)
        yield replace(self.right(), label="all four put right")

    def _in_tens(self, rate_per_s: float) -> Queries:
        """The queries as the script let them in: ten at every tick, and so at ten times the rate."""
        ticks = np.arange(len(self.queries)) // A_TICK
        return replace(self.queries, arrival_s=ticks / rate_per_s)

    def _one_by_one(self, rate_per_s: float) -> Queries:
        """The queries as a Poisson process at the stated rate."""
        rng = np.random.default_rng([self.seed, 1])
        return replace(self.queries, arrival_s=Poisson(rate_per_s).draw(len(self.queries), rng))


def one_device_each(deployment: Deployment) -> Deployment:
    """As many instances as devices, as if each instance needed one: n_K unused."""
    return replace(deployment, instances=deployment.instances * deployment.target.n_devices)


def policies(zeta: float) -> Mapping[str, OnlinePolicy]:
    """The thesis's two algorithms with costs on one scale, and a query's own cost alone."""
    return {
        "zeta_cost": ZetaCost(zeta=zeta),
        "queue_aware": QueueAware(zeta=zeta, penalty=PENALTY),
        "own cost": ZetaCost(zeta=zeta, accumulate=False),
    }


def zeta_sweep(study: OnlineStudy, zetas: Sequence[float], told: Told) -> Iterator[Record]:
    """A record of each way's policies at each zeta, and of the baselines, whose zeta is None."""
    right, script = study.right(), study.script()
    # One router for all: the script's windows outlive a run.
    plain, aware = ThesisRouter(0.0), ThesisRouter(0.0, PENALTY)
    for zeta in zetas:
        plain.zeta = aware.zeta = zeta
        routers = {"zeta_cost": plain, "queue_aware": aware}
        for stage, chosen in ((script, routers), (right, policies(zeta))):
            for name, policy in chosen.items():
                told(f"{stage.label}: {name}, zeta {zeta:g}")
                yield {"zeta": zeta, "rate_per_s": study.rate_per_s, **stage.run(name, policy, study.seed)}
    for stage in (script, right):
        baselines: Mapping[str, OnlinePolicy] = {"round_robin": RoundRobin(), "random": Random()}
        if stage is script:
            baselines = {f"{NO_PAST}, zeta {zetas[-1]:g}": ThesisRouter(zetas[-1]), **baselines}
        for name, policy in baselines.items():
            told(f"{stage.label}: {name}")
            yield {"zeta": None, "rate_per_s": study.rate_per_s, **stage.run(name, policy, study.seed)}


def rate_sweep(study: OnlineStudy, rates: Sequence[float], zeta: float, told: Told) -> Iterator[Record]:
    """A record of each way's policies at each rate of arrivals, and of round robin."""
    plain, aware = ThesisRouter(zeta), ThesisRouter(zeta, PENALTY)
    routers: Mapping[str, OnlinePolicy] = {"zeta_cost": plain, "queue_aware": aware}
    for rate in rates:
        for stage, chosen in ((study.script(rate), routers), (study.right(rate), policies(zeta))):
            for name, policy in {**chosen, "round_robin": RoundRobin()}.items():
                told(f"{stage.label}: {name}, {rate:g} queries/s")
                at = zeta if name in chosen else None
                yield {"zeta": at, "rate_per_s": rate, **stage.run(name, policy, study.seed)}


def corrections(study: OnlineStudy, told: Told) -> Iterator[Record]:
    """A record of round robin, and of the first model alone, with each of the script's defects put right."""
    for stage in study.corrections():
        first = stage.deployments[0].name
        for name, policy in (("round_robin", RoundRobin()), (f"only {first}", Single(first))):
            told(f"{stage.label}: {name}")
            yield {"zeta": None, "rate_per_s": study.rate_per_s, **stage.run(name, policy, study.seed)}
