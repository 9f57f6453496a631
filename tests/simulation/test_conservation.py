"""What holds for every run: queries, time, places, memory and joules are conserved."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmsim.backends.simulator import Simulator
from llmsim.errors import InputError
from llmsim.fleet.deployment import Deployment
from llmsim.fleet.prices import price
from llmsim.fleet.serving import Serving
from llmsim.policies.rotation import WeightedRandom
from llmsim.simulation import driver
from llmsim.simulation.driver import ask, play
from llmsim.simulation.stations import open_station
from llmsim.simulation.tape import Tape
from llmsim.simulation.timeline import STATES, fill, series
from llmsim.specs.target import Target
from tests import builders
from tests.synthetic_phase import synthetic_phase

CURVE = synthetic_phase()


def draw_deployment(rng, number) -> Deployment:
    discipline = str(rng.choice(["serial", "static", "continuous"]))
    model = replace(builders.model(f"m{number}", context_tokens=2000), weight_bytes=16_000)
    memory_gb = float(rng.choice([25e-6, 40e-6, 1.0]))  # 4 bytes a token: some hold only a few queries
    target = Target(model, builders.hardware(memory_gb=memory_gb), 1, "bf16", True, int(rng.integers(1, 20)))
    serving = Serving(
        dispatcher=[None, "shared", "join_shortest", "round_robin"][rng.integers(4)],
        batch_wait_s=float(rng.choice([0.0, 0.5])),
        kv=str(rng.choice(["reserve", "grow"])),
        first=str(rng.choice(["prefill", "decode"])),
        longest_wait_s=[None, 0.4][rng.integers(2)],
        chunk_tokens=[None, 64][rng.integers(2)],
        keep_alive_s=[None, 0.0, 0.7][rng.integers(3)],
        wake_s=float(rng.choice([0.0, 0.3])),
        wake_j=5.0,
        asleep_power_w=2.0,
    )
    instances = int(rng.integers(1, 4))
    return Deployment(f"d{number}", target, CURVE, discipline, instances, 1.0, {}, serving)


def draw_run(seed, n, k):
    rng = np.random.default_rng(seed)
    deployments = [draw_deployment(rng, number) for number in range(k)]
    longest = min(item.longest_query_tokens for item in deployments)
    tau_in = rng.integers(1, longest // 2, n)
    tau_out = rng.integers(1, np.minimum(longest - tau_in, 120) + 1)
    arrival_s = np.cumsum(rng.exponential(0.2, n) * (rng.random(n) < 0.7))
    prices = price(builders.queries(tau_in, tau_out, arrival_s), deployments)
    engines = [Simulator().open(item) for item in deployments]
    tape = Tape()
    router = ask(WeightedRandom(), prices, rng)
    predicted = np.maximum(1, tau_out * rng.lognormal(0, 0.5, n))
    stations = []

    def opened(*args):
        stations.append(open_station(*args))
        return stations[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(driver, "open_station", opened)
        ledger = driver.play(prices.queries, engines, prices, router, predicted=predicted, tape=tape)
    return ledger, tape, stations


@settings(deadline=None, max_examples=150)
@given(st.integers(0, 2**32), st.integers(1, 50), st.integers(1, 3))
def test_every_run_conserves_queries_time_places_and_joules(seed, n, k):
    ledger, tape, stations = draw_run(seed, n, k)
    horizon_s = ledger.end_of_run_s - ledger.arrival_s[0] + 1.0
    # Every query is served once, and its times are in order.
    assert (ledger.start_s >= ledger.arrival_s).all()
    assert (ledger.first_token_s > ledger.start_s).all()
    assert (ledger.end_s >= ledger.first_token_s).all()
    instances = ledger.instances()
    assert instances.queries.sum() == n
    assert all(station.present == 0 for station in stations)
    # Joules by query are joules by instance, and the integral of power.
    active_j = instances.energy_active_j.sum()
    assert ledger.energy_j.sum() == pytest.approx(active_j, rel=1e-9)
    states = instances.states(horizon_s)
    seconds = sum(seconds for seconds, _ in states.values())
    assert seconds == pytest.approx(np.full(len(seconds), horizon_s))
    total_j = sum(joules.sum() for _, joules in states.values())
    assert total_j == pytest.approx(active_j + instances.idle_energy_j(horizon_s).sum())
    filled = fill(tape.stretches(), ledger, horizon_s)
    for name in ("wake", "idle", "asleep"):
        joules = filled.energy_j[filled.activity == STATES.index(name)].sum()
        assert joules == pytest.approx(states[name][1].sum(), abs=1e-6), name
    shown = series(filled, ledger, 0.37, horizon_s)
    lengths = np.diff(np.append(shown.time_s, ledger.arrival_s[0] + horizon_s))
    assert (shown.power_w * lengths).sum() == pytest.approx(total_j)
    assert (shown.waiting * lengths).sum() == pytest.approx(
        (ledger.start_s - ledger.arrival_s).sum(), abs=1e-9
    )
    # No instance does two things at once, time never runs back, no batch is over its limit.
    stretches = tape.stretches()
    for deployment, item in enumerate(ledger.deployments):
        for instance in range(item.instances):
            own = (stretches.deployment == deployment) & (stretches.instance == instance)
            order = np.argsort(stretches.start_s[own], kind="stable")
            start_s, end_s = stretches.start_s[own][order], stretches.end_s[own][order]
            assert (end_s >= start_s).all()
            assert (start_s[1:] >= end_s[:-1] - 1e-12).all()
            assert stretches.batch[own].max(initial=0) <= item.max_batch
    for station in stations:
        for one in getattr(station, "instances", ()):
            assert one.free_blocks == one.kv_blocks
            assert one.context == 0


def test_the_same_seed_gives_the_same_bytes():
    first, second = (draw_run(11, 200, 3)[0] for _ in range(2))
    assert first.sha256() == second.sha256()


def test_sleep_costs_a_wake_and_saves_idle_power():
    rng = np.random.default_rng(0)
    target = Target(builders.model(), builders.hardware(), 1, "bf16", True, 4)
    serving = Serving(keep_alive_s=2.0, wake_s=1.5, wake_j=40.0, asleep_power_w=1.0)
    item = Deployment("d", target, CURVE, "continuous", 1, 1.0, {}, serving)
    prices = price(builders.queries([10, 10], [5, 5], [0.0, 100.0]), [item])
    tape = Tape()
    engine = Simulator().open(item)
    ledger = play(prices.queries, [engine], prices, ask(WeightedRandom(), prices, rng), tape=tape)
    assert ledger.start_s.tolist() == [0.0, 101.5]
    states = ledger.instances().states(200.0)
    assert states["wake"][1].sum() == 40.0
    busy_s = ledger.instances().busy_s.sum()
    assert states["asleep"][0].sum() == pytest.approx(200 - busy_s - 1.5 - 2 * 2.0)
    assert states["idle"][1].sum() == pytest.approx(10.0 * 2 * 2.0)


def test_a_query_curve_cannot_be_served_continuously():
    item = replace(builders.deployment(), discipline="continuous")
    prices = price(builders.queries([10], [5]), [item])
    engine = Simulator().open(item)
    with pytest.raises(InputError, match="needs phase curves"):
        play(prices.queries, [engine], prices, ask(WeightedRandom(), prices, np.random.default_rng(0)))


def test_an_instance_too_small_for_its_weights_is_refused():
    model = replace(builders.model(), weight_bytes=10**12)
    target = Target(model, builders.hardware(memory_gb=80.0), 1, "bf16", True, 4)
    item = Deployment("d", target, CURVE, "continuous", 1, 1.0)
    with pytest.raises(InputError, match="does not fit 1 x box"):
        price(builders.queries([10], [5]), [item])
