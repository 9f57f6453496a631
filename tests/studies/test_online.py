"""The online study: the script's queue and router, and their laws."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmsim.backends.simulator import Simulator
from llmsim.fleet.prices import price
from llmsim.policies.rotation import RoundRobin
from llmsim.simulation.run import Entry, run_policy
from llmsim.studies.online import OnlineStudy, corrections
from llmsim.studies.thesis_router import ThesisRouter
from tests.builders import deployment, queries


def play(work, fleet, policy):
    prices = price(work, fleet)
    engines = [Simulator().open(item) for item in fleet]
    return run_policy(Entry("x", policy, {"name": "x"}), prices, engines, np.random.default_rng(0)).ledger


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32), st.integers(1, 60), st.integers(1, 6))
def test_the_scripts_instances_come_free_in_the_order_in_which_they_started(seed, n, instances):
    rng = np.random.default_rng(seed)
    work = queries(rng.integers(1, 90, n), rng.integers(1, 90, n), np.sort(rng.uniform(0, 10, n)))
    serial = deployment(seconds=0.02, instances=instances)
    ledger = play(work, [replace(serial, discipline="thesis_script")], RoundRobin())
    freed_s: list[float] = []
    for j, (arrival_s, tokens) in enumerate(zip(work.arrival_s, work.tau_in + work.tau_out, strict=True)):
        start_s = max(arrival_s, freed_s[j - instances]) if j >= instances else arrival_s
        assert ledger.start_s[j] == pytest.approx(start_s, abs=1e-12)
        assert ledger.end_s[j] == pytest.approx(start_s + 0.02 * tokens)
        freed_s.append(max(start_s + 0.02 * tokens, freed_s[-1] if freed_s else 0.0))
    assert (ledger.start_s >= play(work, [serial], RoundRobin()).start_s - 1e-9).all()


def study(n: int) -> OnlineStudy:
    """A hundredth of the thesis's fleet, at a hundredth of its rate; printed curves are thrice too slow."""
    rng = np.random.default_rng(1)
    # Few long queries among short ones: they hold up the rest.
    tau_out = np.where(rng.random(n) < 0.02, 600, rng.integers(20, 200, n))
    work = queries(np.full(n, 20), tau_out)
    sizes = {"a": (8, 0.1, 1), "b": (32, 0.15, 1), "c": (30, 0.7, 4)}
    fleet = tuple(
        deployment(name, joules=300 * s, seconds=s, instances=i, share=1 / 3, accuracy=50 + 50 * s)
        for name, (i, s, _) in sizes.items()
    )
    fleet = tuple(
        replace(item, target=replace(item.target, n_devices=sizes[item.name[0]][2])) for item in fleet
    )
    fitting = tuple(
        replace(item, curve=replace(item.curve, seconds_per_token=item.curve.seconds_per_token / 3))
        for item in fleet
    )
    return OnlineStudy(work, fleet, fitting, Simulator(), 0.052, 0)


def test_the_script_takes_ten_at_a_tick_and_gives_every_device_an_instance():
    stage = study(100).script()
    assert [item.instances for item in stage.deployments] == [8, 32, 120]
    assert np.bincount((stage.queries.arrival_s * 0.052).round().astype(int)).tolist() == [10] * 10
    assert [item.instances for item in study(100).right().deployments] == [8, 32, 30]


def test_its_waits_are_at_the_small_model_and_end_when_an_instance_comes_free_when_done():
    records = list(corrections(study(1500), lambda _: None))
    waits = {(r["way"], r["policy"]): r for r in records}
    script = waits["as its script did", "round_robin"]
    assert script["mean_wait_s a@box"] > 0.1
    assert script["mean_wait_s b@box"] == script["mean_wait_s c@box"] == 0
    assert waits["as its script did", "only a@box"]["mean_wait_s"] > 10 * script["mean_wait_s"]
    assert waits["but instances free when done", "round_robin"]["mean_wait_s"] < 0.01
    assert waits["all four put right", "round_robin"]["mean_wait_s"] < 0.01
    energy = {r["way"]: r["energy_j"] for r in records if r["policy"] == "round_robin"}
    assert len({round(value) for value in energy.values()}) == 1  # the queue costs no energy


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 2**32), st.floats(0.01, 100), st.floats(0, 1))
def test_the_scripts_router_does_not_see_that_one_model_is_dearer_than_another(seed, factor, zeta):
    rng = np.random.default_rng(seed)
    n = 250
    work = queries(rng.integers(1, 90, n), rng.integers(1, 90, n), np.arange(n) * 0.3)

    def routes(joules):
        # Powers of two leave the hats as they are to the last bit.
        fleet = [deployment("a", joules=1.0), deployment("b", joules=joules)]
        return play(work, fleet, ThesisRouter(zeta)).deployment.tolist()

    assert routes(1.0) == routes(2.0 ** round(np.log2(factor)))


def test_what_its_router_answers_depends_on_what_came_before():
    rng = np.random.default_rng(0)
    n = 300
    work = queries(rng.integers(1, 90, n), rng.integers(1, 90, n), np.arange(n) * 1.0)
    fleet = [deployment("a", joules=1.0), deployment("b", joules=9.0, accuracy=80.0)]
    swept = ThesisRouter(0.0)
    play(work, fleet, swept)
    swept.zeta = 1.0
    assert (
        play(work, fleet, swept).deployment.tolist()
        != play(work, fleet, ThesisRouter(1.0)).deployment.tolist()
    )
