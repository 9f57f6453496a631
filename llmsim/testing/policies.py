"""What every policy must do.

>>> from llmsim.testing import PolicyConformance
>>> class TestMine(PolicyConformance):
...     def policy(self):
...         return MyPolicy(most=0.5)
"""

from __future__ import annotations

import dataclasses
from functools import lru_cache
from typing import Any

import numpy as np

from llmsim.api import OfflinePolicy, OnlinePolicy, load_config
from llmsim.backends import BACKENDS
from llmsim.curves.cost import IntArray
from llmsim.fleet.prices import Prices, price
from llmsim.simulation.run import Entry, Run, run_policy
from llmsim.tasks.inputs import fleet_of, workload_of
from llmsim.testing.checks import require

SEED = 7


class PolicyConformance:
    """Eligible choices, determinism, nothing kept between runs. Override `policy`.

    Attributes:
        words: the configuration that it is played on.
    """

    words: tuple[str, ...] = ("workload.limit=300", "fleet=one_each", "fleet.instances=3")

    def policy(self) -> OfflinePolicy | OnlinePolicy:
        """A new policy, with parameters that suit `words`."""
        raise NotImplementedError

    def test_its_fields_are_its_parameters(self) -> None:
        """A dataclass, so that the command line can set and check them."""
        policy = self.policy()
        require(dataclasses.is_dataclass(policy), f"{type(policy).__name__} is not a dataclass")

    def test_every_query_goes_where_it_fits(self) -> None:
        """Prompt and answer within the chosen deployment's context."""
        run = self._run(self.policy())
        chosen = run.ledger.deployment
        fits = run.prices.eligible[run.prices.pair_of, chosen]
        said = f"{int((~fits).sum())} of {len(fits)} queries do not fit where they were sent"
        require(bool(fits.all()), said)

    def test_the_same_seed_gives_the_same_choices(self) -> None:
        """All chance comes from the generator that it is given."""
        self._same(self._choices(self.policy()), self._choices(self.policy()), "with the same seed")

    def test_an_earlier_run_is_forgotten(self) -> None:
        """`begin` starts anew."""
        policy = self.policy()
        self._same(self._choices(policy), self._choices(policy), "in its second run")

    def _same(self, one: IntArray, other: IntArray, when: str) -> None:
        """All queries served go to the same deployments, shape (n,), in both runs."""
        said = f"{int((one != other).sum())} of {len(one)} queries go elsewhere {when}"
        require(np.array_equal(one, other), said)

    def _choices(self, policy: OfflinePolicy | OnlinePolicy) -> IntArray:
        return self._run(policy).ledger.deployment

    def _run(self, policy: OfflinePolicy | OnlinePolicy) -> Run:
        """The policy's run on the suite's fleet and queries, always by the same seed."""
        prices, engines = _bench(self.words)
        entry = Entry("policy", policy, {"name": "policy"})
        return run_policy(entry, prices, engines, np.random.default_rng(SEED))


@lru_cache(maxsize=4)
def _bench(words: tuple[str, ...]) -> tuple[Prices, list[Any]]:
    """Priced queries, and engines that serve them."""
    config = load_config([*words, "baselines=[]"])
    queries = workload_of(config)
    fleet = fleet_of(config, None)
    backend = BACKENDS.build("simulator")
    engines = [backend.open(item) for item in fleet.deployments]
    for engine in engines:
        engine.expect(queries.tau_in, queries.tau_out)
    return price(queries, fleet.deployments), engines
