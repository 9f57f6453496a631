"""What a router sees: what it sent, what came back, and predictions that never peek."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmsim.backends.simulator import Simulator
from llmsim.errors import InputError
from llmsim.fleet.prices import price
from llmsim.policies import POLICIES
from llmsim.simulation.run import Entry, run_policy
from tests.builders import deployment, queries, random_prices


def play(prices, policy, seed=0):
    engines = [Simulator().open(item) for item in prices.deployments]
    return run_policy(Entry("x", policy, {"name": "x"}), prices, engines, np.random.default_rng(seed))


class Spy:
    """Sends everything to the first that fits and writes down what it saw."""

    predictor = "oracle"

    def begin(self, deployments, rng):
        self.saw, self.gone = [], []

    def route(self, tau_in, tau_out_hat, view):
        index = view.eligible[0]
        self.saw.append((tuple(view.present), view.completion_s(index), tau_out_hat, view.energy_j[index]))
        return index

    def done(self, query, deployment):
        self.gone.append(query)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32), st.integers(1, 60), st.integers(1, 3))
def test_with_the_truth_told_completions_on_one_queue_are_predicted_exactly(seed, n, instances):
    rng = np.random.default_rng(seed)
    prices = price(
        queries(rng.integers(1, 60, n), rng.integers(1, 60, n), np.sort(rng.uniform(0, 5, n))),
        [deployment(instances=instances)],
    )
    spy = Spy()
    ledger = play(prices, spy).ledger
    assert [row[1] for row in spy.saw] == pytest.approx(ledger.end_s.tolist())
    assert [row[3] for row in spy.saw] == pytest.approx(ledger.energy_j.tolist())
    assert sorted(spy.gone) == list(range(n))


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32), st.integers(1, 60))
def test_a_router_sees_who_is_present(seed, n):
    prices = random_prices(np.random.default_rng(seed), n, 2)
    spy = Spy()
    ledger = play(prices, spy).ledger
    for query, row in enumerate(spy.saw):
        now_s = ledger.arrival_s[query]
        for index in range(2):
            sent = ledger.deployment[:query] == index
            assert row[0][index] == (sent & (ledger.end_s[:query] > now_s)).sum()


POLICIES_THAT_PREDICT = [
    {"name": "zeta_cost"}, {"name": "queue_aware", "penalty": 0.5}, {"name": "energy_slo", "slo_s": 1.0},
    {"name": "dual_price", "first_queries": 5, "min_share": 0.3}, {"name": "least_loaded"},
    {"name": "power_of_two"},
]  # fmt: skip


@settings(deadline=None, max_examples=40)
@given(
    st.integers(0, 2**32),
    st.sampled_from(POLICIES_THAT_PREDICT),
    st.sampled_from(["mean", "quantile"]),
)
def test_unseen_lengths_change_no_choice_until_a_completion_differs(seed, node, predictor):
    rng = np.random.default_rng(seed)
    n = 60
    base = random_prices(rng, n, 3)
    deployments = [replace(item, instances=2) for item in base.deployments]
    changed_from = int(rng.integers(0, n))
    tau_out = base.queries.tau_out.copy()
    tau_out[changed_from:] = rng.integers(1, 60, n - changed_from)
    node = node if node["name"] in ("least_loaded", "power_of_two") else {**node, "predictor": predictor}
    # A context that all fit: whether a query fits is told, by its true length.
    deployments = [
        replace(item, target=replace(item.target, model=replace(item.target.model, context_tokens=1000)))
        for item in deployments
    ]
    one = play(price(base.queries, deployments), POLICIES.build(node)).ledger
    other = play(price(replace(base.queries, tau_out=tau_out), deployments), POLICIES.build(node)).ledger
    differ_s = np.minimum(one.end_s, other.end_s)[one.end_s != other.end_s].min(initial=np.inf)
    before = base.queries.arrival_s < differ_s
    assert one.deployment[before].tolist() == other.deployment[before].tolist()


@pytest.mark.parametrize("predictor", ["mean", {"name": "noisy", "sigma": 2.0}, "quantile"])
def test_a_prediction_changes_no_answer(predictor):
    prices = random_prices(np.random.default_rng(1), 50, 1)
    told = play(prices, POLICIES.build({"name": "zeta_cost", "predictor": "oracle"})).ledger
    guessed = play(prices, POLICIES.build({"name": "zeta_cost", "predictor": predictor})).ledger
    assert guessed.energy_j.tolist() == told.energy_j.tolist()
    assert guessed.end_s.tolist() == told.end_s.tolist()


def test_a_policy_that_asks_for_joules_that_nobody_measured_says_whose():
    prices = price(queries([10], [10]), [deployment("a"), deployment("b", joules=None)])
    with pytest.raises(InputError, match="b@box has no energy curve, and the policy asks"):
        play(prices, POLICIES.build({"name": "energy_slo", "slo_s": 1.0}))
