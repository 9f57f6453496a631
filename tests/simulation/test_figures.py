"""Figures of service, steady windows, replications and traces, on runs that can be checked by hand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from llmsim.backends.simulator import Simulator
from llmsim.errors import InputError
from llmsim.fleet.prices import price
from llmsim.simulation.chrome_trace import write_trace
from llmsim.simulation.driver import follow, play
from llmsim.simulation.metrics import ServiceLevel, Tariff, bill, fairness, service, states
from llmsim.simulation.replications import interval, paired, seeds
from llmsim.simulation.tape import Tape
from llmsim.simulation.timeline import fill, series
from llmsim.simulation.window import Window, take, unsettled
from tests import builders


def run(tau_out, arrival_s, instances=1, tape=None):
    """Serial, 0.01 s a token: 100 prompt tokens take 1 s, and 1 J a token."""
    item = builders.deployment(instances=instances)
    n = len(tau_out)
    prices = price(builders.queries([100] * n, tau_out, arrival_s), [item])
    engine = Simulator().open(item)
    engine.expect(prices.queries.tau_in, prices.queries.tau_out)
    return play(prices.queries, [engine], prices, follow(np.zeros(n, np.int64)), tape=tape)


def test_latencies_throughput_and_what_met_the_objective():
    ledger = run([100, 100, 1], [0.0, 1.0, 10.0])
    figures = service(ledger, ServiceLevel(ttft_s=1.5, latency_s=5.0))
    assert figures["latency_s"]["mean"] == pytest.approx((2 + 3 + 1.01) / 3)
    assert figures["wait_s"]["mean"] == pytest.approx(1 / 3)
    assert figures["ttft_s"]["p50"] == pytest.approx(1.01)
    # A query of one token has no time between tokens.
    assert figures["tpot_s"]["mean"] == pytest.approx(0.99 / 99)
    assert figures["throughput_queries_per_s"] == pytest.approx(3 / 11.01)
    assert figures["slo_attainment_pct"] == pytest.approx(200 / 3)
    assert figures["energy_active_per_query_in_slo_j"] == pytest.approx((200 + 200 + 101) / 2)


def test_equal_queries_are_served_fairly_and_a_late_one_is_not():
    assert fairness(run([50, 50, 50, 50], [0.0, 10.0, 20.0, 30.0])) == pytest.approx(
        {"short_to_long": 1.0, "jain": 1.0}
    )
    assert fairness(run([50, 50, 50, 50], [0.0] * 4))["jain"] < 0.9


def test_the_bill_multiplies_cost_and_carbon_by_pue_and_energy_only_apart():
    ledger = run([100], [0.0])
    horizon_s = 3600.0
    energy_j = 200 + 10.0 * (horizon_s - 2)
    found = states(ledger.instances(), horizon_s)
    assert found["idle"]["energy_j"] == pytest.approx(10.0 * (horizon_s - 2))
    found = bill(
        energy_j, ledger.deployments, horizon_s, Tariff(usd_per_kwh=0.1, gram_co2_per_kwh=300.0, pue=1.5)
    )
    assert found["energy_with_pue_j"] == pytest.approx(1.5 * energy_j)
    assert found["cost_energy_usd"] == pytest.approx(1.5 * energy_j / 3.6e6 * 0.1)
    assert found["carbon_g"] == pytest.approx(1.5 * energy_j / 3.6e6 * 300)
    assert found["cost_nodes_usd"] is None


def test_a_node_hour_costs_what_the_hardware_says():
    ledger = run([100], [0.0])
    item = ledger.deployments[0]
    target = replace(item.target, hardware=replace(item.target.hardware, usd_per_hour=4.0))
    found = bill(200.0, [replace(item, target=target)], 1800.0, Tariff())
    assert found["cost_nodes_usd"] == pytest.approx(2.0)
    assert found["carbon_g"] is None


def test_settings_out_of_range_are_refused():
    for setting in (ServiceLevel(ttft_s=0.0), Tariff(pue=0.9), Tariff(usd_per_kwh=-1.0)):
        with pytest.raises(InputError, match=r"slo\."):
            setting.check("slo")


def test_the_window_cuts_both_ends_by_arrival():
    ledger = run([10] * 5, [0.0, 10.0, 20.0, 30.0, 40.0])
    inside = Window(warm_up_s=5.0, cool_down_s=10.0).inside(ledger.arrival_s)
    assert inside.tolist() == [False, True, True, True, False]
    assert take(ledger, inside).arrival_s.tolist() == [10.0, 20.0, 30.0]
    with pytest.raises(InputError, match="leave no query"):
        Window(warm_up_s=100.0).inside(ledger.arrival_s)


def test_load_above_capacity_is_said_not_to_settle():
    rng = np.random.default_rng(0)
    gaps = rng.exponential(1.0, 400)
    assert unsettled(run([100] * 400, np.cumsum(gaps))) is not None
    assert unsettled(run([100] * 400, np.cumsum(4 * gaps))) is None


def test_a_series_has_the_power_queue_and_batch_of_each_interval():
    tape = Tape()
    ledger = run([100, 100], [0.0, 1.0], tape=tape)
    shown = series(fill(tape.stretches(), ledger, 6.0), ledger, 1.0, 6.0)
    assert shown.power_w == pytest.approx([100, 100, 100, 100, 10, 10])
    assert shown.waiting == pytest.approx([0, 1, 0, 0, 0, 0])
    assert shown.serving == pytest.approx([1, 1, 1, 1, 0, 0])


def test_a_trace_opens_in_perfetto(tmp_path):
    tape = Tape()
    ledger = run([100, 100], [0.0, 1.0], instances=2, tape=tape)
    write_trace(fill(tape.stretches(), ledger, 5.0), ledger, tmp_path / "trace.json")
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    spans = [event for event in events if event["ph"] == "X"]
    assert sum(span["dur"] for span in spans) == pytest.approx(2 * 5.0 * 1e6)
    assert {span["tid"] for span in spans} == {0, 1}
    assert sum(span["args"]["energy_j"] for span in spans) == pytest.approx(400 + 10.0 * 6)
    assert {event["args"]["name"] for event in events if event["ph"] == "M"} == {"m@box"}


def test_an_interval_covers_the_mean_as_often_as_it_says():
    rng = np.random.default_rng(1)
    inside = sum(5.0 in interval(rng.normal(5.0, 2.0, 8).tolist(), 0.9) for _ in range(2000))
    assert inside / 2000 == pytest.approx(0.9, abs=0.02)
    with pytest.raises(InputError, match="at least 2"):
        interval([1.0])


def test_pairs_under_one_seed_are_tighter_than_means():
    rng = np.random.default_rng(2)
    common = rng.normal(0, 10, 20)
    ours, theirs = common + rng.normal(1, 0.1, 20), common + rng.normal(0, 0.1, 20)
    difference = paired(ours.tolist(), theirs.tolist())
    assert 1.0 in difference
    assert difference.half_width < 0.1 * interval(ours.tolist()).half_width


def test_the_first_seeds_do_not_depend_on_how_many_follow():
    assert seeds(7, 20)[:10] == seeds(7, 10)
    assert len(set(seeds(7, 100))) == 100


def test_another_process_gives_the_same_bytes():
    code = (
        "import sys; sys.path.insert(0, '.')\n"
        "from tests.simulation.test_conservation import draw_run\n"
        "print(draw_run(5, 150, 3)[0].sha256())"
    )
    hashes = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }
    assert len(hashes) == 1
