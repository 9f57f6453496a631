"""The continuous discipline over an engine that runs its iterations, held against the simulator."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmsim.backends.contract import StepEngine, Work
from llmsim.errors import InputError
from llmsim.simulation.limits import Limits
from tests.builders import queries
from tests.simulation.costs import AffineCosts
from tests.simulation.fleets import play_continuous
from tests.simulation.test_continuous import agree, draw_limits, draw_workload, predict


class Metronome:
    """Steps through iterations of known costs, and knows who is in the batch with how many tokens."""

    def __init__(self, costs, joules=True):
        self.costs, self.joules = costs, joules
        self.batches: list[dict[int, int]] = []
        self.admissions: list[tuple[int, ...]] = []

    def begin(self, instances, max_batch):
        self.batches = [{} for _ in range(instances)]
        self.steps = self.costs.steps(max_batch)

    def prefill(self, instance, queries, tokens):
        batch = self.batches[instance]
        assert not set(queries) & set(batch)
        batch.update({query: count + 1 for query, count in zip(queries, tokens, strict=True)})
        self.admissions.append(tuple(queries))
        seconds, joules = self.costs.prefill(tokens)
        return Work(seconds, joules if self.joules else None)

    def decode(self, instance, most_steps, until_s):
        batch = self.batches[instance]
        seconds = joules = 0.0
        done = 0
        while done < most_steps:
            done += 1
            base_s, slope_s, base_j, slope_j, limit_w = self.steps[len(batch)]
            context = sum(batch.values())
            step_s = base_s + slope_s * context
            seconds += step_s
            joules += min(base_j + slope_j * context, limit_w * step_s)
            for query in batch:
                batch[query] += 1
            if seconds >= until_s:
                break
        return Work(seconds, joules if self.joules else None, done)

    def release(self, instance, queries):
        for query in queries:
            del self.batches[instance][query]

    def expect(self, tau_in, tau_out):
        pass

    def serve(self, tau_in, tau_out):
        raise AssertionError("the continuous discipline serves no whole batches")

    def close(self):
        pass


@settings(deadline=None, max_examples=80)
@given(st.integers(0, 2**32), st.integers(1, 60), st.integers(1, 3))
def test_an_engine_of_known_costs_gives_what_the_simulator_gives(seed, n, instances):
    rng = np.random.default_rng(seed)
    drawn = draw_limits(rng)
    limits = Limits(
        drawn.max_batch, drawn.kv_blocks, drawn.kv, drawn.window_tokens, prefill_after_s=drawn.prefill_after_s
    )
    workload = draw_workload(rng, n, limits.kv_blocks, limits.window_tokens)
    predicted = predict(rng, workload.tau_out)
    costs = AffineCosts()
    engine = Metronome(costs)
    assert isinstance(engine, StepEngine)
    book, meters, _ = play_continuous(workload, predicted, engine, limits, instances)
    wanted, wanted_meters, _ = play_continuous(workload, predicted, costs, limits, instances)
    assert list(book.instance) == list(wanted.instance)
    assert book.preemptions == wanted.preemptions
    for name in ("start_s", "first_token_s", "end_s"):
        agree(getattr(book, name), getattr(wanted, name), name)
    for name in ("prefill_s", "prefill_j", "decode_s", "decode_j"):
        agree(getattr(meters, name), getattr(wanted_meters, name), name)
    agree(book.energy_j, wanted.energy_j, "joules")
    assert not any(engine.batches)
    assert sorted({query for group in engine.admissions for query in group}) == list(range(n))


def test_joules_that_are_not_known_yet_are_absent():
    book, meters, _ = play_continuous(
        queries([10, 20], [4, 1], [0.0, 0.001]), None, Metronome(AffineCosts(), joules=False), Limits(8), 1
    )
    assert np.isnan(book.energy_j).all()
    assert np.isnan(meters.prefill_j).all()
    assert np.isfinite(book.end_s).all()


def test_prompts_in_pieces_are_refused():
    with pytest.raises(InputError, match="chunk_tokens=32"):
        play_continuous(
            queries([10], [4], [0.0]), None, Metronome(AffineCosts()), Limits(8, chunk_tokens=32), 1
        )
