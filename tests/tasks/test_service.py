"""What a run tells of service, cost, the steady state, time and its own certainty, where it is asked."""

from __future__ import annotations

import json

import numpy as np
import pytest

from llmsim.api import InputError, evaluate, load_config

SMALL = ["workload.limit=300", "fleet=one_each", "fleet.instances=20", "baselines=[random]"]
STATES = ("serve", "prefill", "decode", "wake", "idle", "asleep")


def run(*words):
    return evaluate(load_config([*SMALL, *words]))


@pytest.fixture(scope="module")
def asked():
    return run(
        "slo.ttft_s=20",
        "slo.latency_s=60",
        "tariff.usd_per_kwh=0.1",
        "tariff.gram_co2_per_kwh=400",
        "tariff.pue=1.5",
        "window.warm_up_s=20",
        "series.interval_s=7",
        "perfetto=true",
    )


def test_asking_for_more_changes_no_other_figure(asked):
    plain, more = run().summary, asked.summary
    for key in ("energy_j", "latency_s", "states", "certificate", "saving_at_no_less_accuracy_pct"):
        assert more[key] == plain[key]
    assert plain["slo_attainment_pct"] is plain["carbon_g"] is plain["steady"] is None
    assert "set slo.ttft_s" in plain["absent"]["slo_attainment_pct"]
    assert "set tariff.gram_co2_per_kwh" in plain["absent"]["carbon_g"]
    assert "window.warm_up_s" in plain["absent"]["steady"]


def test_the_objective_counts_the_queries_that_meet_all_of_it(asked):
    table = asked.queries.to_pandas().dropna(subset=["end_s"])
    met = (table.first_token_s - table.arrival_s <= 20) & (table.end_s - table.arrival_s <= 60)
    summary = asked.summary
    assert summary["slo_attainment_pct"] == pytest.approx(100 * met.mean())
    assert summary["energy_active_per_query_in_slo_j"] == pytest.approx(
        summary["energy_active_j"] / met.sum()
    )


def test_the_bill_is_of_all_energy_with_the_sites_overhead(asked):
    for row in (asked.summary, *asked.summary["baselines"].values()):
        kwh = 1.5 * row["energy_j"] / 3.6e6
        assert row["energy_with_pue_j"] == pytest.approx(1.5 * row["energy_j"])
        assert row["cost_energy_usd"] == pytest.approx(0.1 * kwh)
        assert row["carbon_g"] == pytest.approx(400 * kwh)
        assert row["cost_nodes_usd"] == pytest.approx(4.1 * 20 * (1 + 1 + 4) * row["horizon_s"] / 3600)


def test_serving_one_at_a_time_takes_what_was_priced_and_sharing_steps_does_not(asked):
    for row in (asked.summary, *asked.summary["baselines"].values()):
        assert row["energy_priced_j"] == pytest.approx(row["energy_active_j"], rel=1e-12)
        assert row["energy_active_over_priced_pct"] == 0
    shared = run("hardware=h200", "model=llama2_7b", "fleet.serving.pricing_batch=64", "baselines=[]").summary
    (part,) = shared["deployments"].values()
    assert part["energy_active_over_priced_pct"] == pytest.approx(
        100 * (shared["energy_active_j"] / shared["energy_priced_j"] - 1)
    )
    assert part["energy_active_over_priced_pct"] > 50  # steps shared by far fewer than were reckoned with


def test_the_states_of_instances_add_up_to_the_fleets_energy_and_time(asked):
    summary, table = asked.summary, asked.instances.to_pandas()
    seconds = sum(table[f"{state}_s"] for state in STATES)
    assert seconds.to_numpy() == pytest.approx(summary["horizon_s"])
    assert sum(table[f"{state}_j"].sum() for state in STATES) == pytest.approx(summary["energy_j"])
    for state in STATES:
        of_parts = [part["states"][state] for part in summary["deployments"].values()]
        for key in ("instance_s", "energy_j"):
            assert summary["states"][state][key] == pytest.approx(sum(part[key] for part in of_parts))


def test_the_series_integrates_to_the_energy_and_the_waiting_of_the_run(asked):
    table, summary = asked.series.to_pandas(), asked.summary
    length_s = np.minimum(7.0, summary["horizon_s"] - table.time_s)
    assert (table.power_w * length_s).sum() == pytest.approx(summary["energy_j"])
    waited_s = summary["wait_s"]["mean"] * summary["served"]
    assert (table.waiting * length_s).sum() == pytest.approx(waited_s)


def test_the_steady_state_is_that_of_later_queries(asked):
    table = asked.queries.to_pandas().dropna(subset=["end_s"])
    later = table[table.arrival_s >= asked.queries["arrival_s"][0].as_py() + 20]
    steady = asked.summary["steady"]
    assert steady["queries"] == len(later) < asked.summary["served"]
    assert steady["latency_s"]["mean"] == pytest.approx((later.end_s - later.arrival_s).mean())
    assert steady["energy_active_per_query_j"] == pytest.approx(later.energy_j.mean())


def test_every_file_is_written_and_the_page_has_every_table(asked, tmp_path):
    asked.save(tmp_path)
    trace = json.loads((tmp_path / "perfetto.json").read_text())
    assert {event["ph"] for event in trace["traceEvents"]} == {"M", "X", "C"}
    assert (tmp_path / "series.parquet").exists()
    assert (tmp_path / "plots" / "series.png").exists()
    page = (tmp_path / "report.html").read_text()
    for told in ("At no less accuracy than each baseline", "Steady state", "Cost and carbon", "in SLO"):
        assert told in page


def test_load_above_capacity_runs_and_says_that_it_does_not_settle():
    summary = run("fleet.instances=1", "workload.limit=500").summary
    assert "llama2_13b@a100" in summary["unsettled"]
    assert any("do not settle" in text for text in summary["warnings"])
    assert run("fleet.instances=2000").summary["unsettled"] == {}


def test_replications_give_intervals_and_tight_differences_and_change_nothing_else():
    words = ["workload=synthetic", "workload.limit=null", "workload.queries=150", "workload.rate_per_s=0.3"]
    once, often = run(*words).summary, run(*words, "replications=3").summary
    assert once["replications"] is None
    assert often["energy_j"] == once["energy_j"]
    assert often["replications"]["count"] == len(set(often["replications"]["seeds"])) == 3
    other = often["baselines"]["random"]["replications"]
    for key, difference in other["differences"].items():
        mean = often["replications"]["figures"][key]["mean"] - other["figures"][key]["mean"]
        assert difference["mean"] == pytest.approx(mean, abs=1e-6 * (1 + abs(other["figures"][key]["mean"])))
    assert not any("draws nothing" in text for text in often["warnings"])
    same = run("replications=2").summary
    assert same["replications"]["figures"]["energy_active_j"]["half_width"] == 0
    assert any("draws nothing" in text for text in same["warnings"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["slo.ttft_s=0"], r"slo\.ttft_s=0"),
        (["tariff.pue=0.5"], r"tariff\.pue=0\.5"),
        (["window.warm_up_s=-1"], r"window\.warm_up_s=-1"),
        (["window.warm_up_s=1e6"], "leave no query"),
        (["series.interval_s=0"], r"series\.interval_s=0"),
        (["replications=0"], "replications=0"),
    ],
)
def test_what_cannot_be_asked_is_refused(words, message):
    with pytest.raises(InputError, match=message):
        run(*words)
