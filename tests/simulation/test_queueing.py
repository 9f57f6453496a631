"""The simulator against queueing theory: mean waits by replications, with seeds fixed beforehand."""

from __future__ import annotations

import pytest

from tests.simulation.queueing import Queue, replicate

SEED = 1909  # the year of Erlang's first paper


@pytest.mark.parametrize(
    ("queue", "queries", "replications"),
    [
        (Queue("deterministic", 1, 0.3), 8_000, 25),
        (Queue("deterministic", 1, 0.7), 16_000, 25),
        (Queue("two lengths", 1, 0.3), 12_000, 25),
        pytest.param(Queue("two lengths", 1, 0.7), 40_000, 25, marks=pytest.mark.slow),
        pytest.param(Queue("deterministic", 1, 0.9), 250_000, 30, marks=pytest.mark.slow),
        pytest.param(Queue("two lengths", 1, 0.9), 300_000, 30, marks=pytest.mark.slow),
        pytest.param(Queue("exponential", 4, 0.3), 150_000, 25, marks=pytest.mark.slow),
        pytest.param(Queue("exponential", 4, 0.7), 80_000, 25, marks=pytest.mark.slow),
        pytest.param(Queue("exponential", 4, 0.9), 250_000, 30, marks=pytest.mark.slow),
    ],
    ids=lambda value: f"{value.service}-{value.servers}-{value.load}" if isinstance(value, Queue) else "",
)
def test_mean_waits_are_those_of_theory(queue, queries, replications):
    """M/D/1 and M/G/1 by Pollaczek and Khinchine, M/M/c by Erlang's C, and Little's law in each run."""
    found, little = replicate(queue, queries, replications, SEED)
    assert queue.mean_wait_s in found, (queue.mean_wait_s, found)
    assert found.relative_half_width <= 0.02, found
    assert little < 1e-9
