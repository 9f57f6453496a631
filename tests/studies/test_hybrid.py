"""The hybrid study: what a split saves, and where that turns."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmsim.policies.threshold import KEYS
from llmsim.studies import hybrid
from llmsim.studies.hybrid import BIG, SMALL
from tests.builders import random_prices


def two(seed: int):
    prices = random_prices(np.random.default_rng(seed), 40, 2)
    fits = np.all(prices.eligible, axis=1)[prices.pair_of]
    return prices.take(np.flatnonzero(fits))


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32), st.sampled_from(KEYS), st.floats(0, 300))
def test_no_threshold_saves_more_than_the_ideal_split_nor_than_the_best_of_its_key(seed, key, watts):
    prices = hybrid.with_host(two(seed), {BIG: watts})
    if not len(prices.queries):
        return
    ideal, (best, threshold) = hybrid.ideal(prices), hybrid.by_threshold(prices, key, None)
    assert ideal.saving_pct >= best.saving_pct - 1e-9
    assert best.saving_pct >= -1e-9
    for limit in (0.0, 8.0, 900.0):
        assert hybrid.by_threshold(prices, key, limit)[0].saving_pct <= best.saving_pct + 1e-9
    assert hybrid.by_threshold(prices, key, threshold)[0].energy_j == pytest.approx(best.energy_j)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32), st.floats(1, 3000))
def test_at_the_watts_where_a_split_turns_it_saves_nothing(seed, limit):
    prices = two(seed)
    small = (
        hybrid.by_threshold(prices, "product", limit)[0].small if len(prices.queries) else np.zeros(0, bool)
    )
    if not small.any():
        return
    turns = hybrid.turns(prices, small)
    alone_j = prices.energy_j[prices.pair_of, BIG].sum()
    for side, key in ((BIG, "turns_at_big_host_w"), (SMALL, "turns_at_small_host_w")):
        at = hybrid.with_host(prices, {side: turns[key]})
        split_j = hybrid.split(at, small).energy_j
        gain_j = at.energy_j[at.pair_of, BIG].sum() - split_j
        assert abs(gain_j) <= 1e-9 * (alone_j + abs(split_j))


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32))
def test_beyond_its_last_turn_the_small_machine_has_no_query(seed):
    prices = two(seed)
    if not len(prices.queries):
        return
    turn_w = hybrid.last_turn_w(prices)
    for watts, some in ((turn_w + 1e-6 + abs(turn_w) * 1e-9, False), (turn_w - 1e-3, True)):
        assert hybrid.ideal(hybrid.with_host(prices, {SMALL: watts})).small.any() == some
