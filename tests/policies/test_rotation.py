"""Policies that look at nothing: counts follow what they promise."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmsim.errors import InputError
from llmsim.policies.rotation import Random, RoundRobin, Single, WeightedRandom, WeightedRoundRobin
from tests.builders import Seen, deployment

SHARES = [0.05, 0.2, 0.75]


def routes(policy, eligible, n, shares=SHARES, seed=0):
    policy.begin(
        [deployment(f"m{i}", share=share) for i, share in enumerate(shares)], np.random.default_rng(seed)
    )
    return [policy.route(1, 1.0, Seen(eligible)) for _ in range(n)]


def test_round_robin_takes_turns():
    assert routes(RoundRobin(), (0, 1, 2), 7) == [0, 1, 2, 0, 1, 2, 0]


def test_round_robin_passes_over_what_does_not_fit():
    assert routes(RoundRobin(), (0, 2), 4) == [0, 2, 0, 2]


@settings(deadline=None)
@given(st.lists(st.floats(0.01, 1), min_size=1, max_size=5), st.integers(1, 300))
def test_weighted_round_robin_keeps_to_the_shares_at_every_moment(weights, n):
    shares = [weight / sum(weights) for weight in weights]
    counts = Counter(routes(WeightedRoundRobin(), range(len(shares)), n, shares))
    for index, share in enumerate(shares):
        assert abs(counts[index] - share * n) < len(shares)


@pytest.mark.parametrize(("policy", "shares"), [(Random(), [1 / 3] * 3), (WeightedRandom(), SHARES)])
def test_random_policies_follow_their_shares(policy, shares):
    n = 20_000
    counts = Counter(routes(policy, (0, 1, 2), n))
    for index, share in enumerate(shares):
        assert abs(counts[index] / n - share) < 5 * np.sqrt(share * (1 - share) / n)


def test_weighted_random_shares_out_what_is_eligible():
    counts = Counter(routes(WeightedRandom(), (0, 1), 20_000))
    assert counts[2] == 0
    assert counts[0] / 20_000 == pytest.approx(0.2, abs=0.02)


@pytest.mark.parametrize("policy", [RoundRobin(), WeightedRoundRobin(), Random(), WeightedRandom()])
def test_beginning_again_with_the_same_seed_repeats_the_routes(policy):
    assert routes(policy, (0, 1, 2), 50, seed=3) == routes(policy, (0, 1, 2), 50, seed=3)


def test_single_answers_to_the_deployments_name_and_to_its_models():
    assert routes(Single("m1@box"), (0, 1, 2), 2) == [1, 1]
    assert routes(Single("m1"), (0, 1, 2), 2) == [1, 1]


def test_single_refuses_a_name_that_is_not_there():
    with pytest.raises(InputError, match="Did you mean 'm1@box'"):
        routes(Single("m1@bix"), (0, 1, 2), 1)
