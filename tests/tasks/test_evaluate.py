"""A whole evaluation from Python: laws that hold between its rows and between runs."""

from __future__ import annotations

import dataclasses

import pyarrow as pa
import pytest

from llmsim.api import InputError, evaluate, load_config

SMALL = ["workload.limit=400", "fleet=one_each", "fleet.instances=30"]


def run(*words):
    return evaluate(load_config([*SMALL, *words]))


@pytest.fixture(scope="module")
def result():
    return run()


def without_timing(summary):
    return {key: value for key, value in summary.items() if key != "timing"}


def test_one_horizon_serves_every_row(result):
    summary = result.summary
    rows = [summary, *summary["baselines"].values()]
    assert len({row["horizon_s"] for row in rows}) == 1
    assert summary["horizon_s"] == max(row["makespan_s"] for row in rows)
    for row in rows:
        powered_s = 53.0 * (30 + 30 + 4 * 30) * summary["horizon_s"]
        busy_s = sum(
            part["devices_per_instance"] * part["utilisation"] * 30 * summary["horizon_s"]
            for part in row["deployments"].values()
        )
        assert row["energy_idle_j"] == pytest.approx(powered_s - 53.0 * busy_s)


def test_a_longer_horizon_adds_idle_energy_only(result):
    longer = run("fleet.horizon_s=100000").summary
    assert longer["horizon_s"] == 100000
    assert longer["energy_active_j"] == result.summary["energy_active_j"]
    assert longer["energy_idle_j"] > result.summary["energy_idle_j"]


def test_a_horizon_that_ends_too_soon_is_stretched_to_the_last_query_and_said(result):
    stretched = run("fleet.horizon_s=1").summary
    assert stretched["horizon_s"] == result.summary["horizon_s"]
    assert any("fleet.horizon_s=1 ends before" in warning for warning in stretched["warnings"])


def test_leaving_out_baselines_changes_no_other_row(result):
    fewer = run("baselines=[random]").summary
    for key in ("energy_active_j", "accuracy_pct", "latency_s", "certificate"):
        assert fewer[key] == result.summary[key]
        assert fewer["baselines"]["random"][key] == result.summary["baselines"]["random"][key]


def test_the_optimum_is_no_worse_than_any_baseline_that_keeps_its_bounds(result):
    summary = result.summary
    constants = summary["certificate"]["constants"]

    def objective(table):
        rows = [row for row in table.to_pylist() if row["deployment"]]
        energy = sum(row["energy_j"] for row in rows) / constants["energy_divided_by_j"]
        accuracy = sum(row["accuracy_pct"] * (row["tau_in"] + row["tau_out"]) for row in rows)
        return 0.5 * energy - 0.5 * accuracy / constants["accuracy_divided_by_pct_tokens"]

    least = summary["certificate"]["lower_bound"]
    assert objective(result.queries) == pytest.approx(summary["certificate"]["objective"], rel=1e-9)
    for label, table in result.baseline_queries.items():
        if summary["baselines"][label]["keeps_bounds"]:
            assert objective(table) >= least - 1e-9 * abs(least)


def test_the_same_seed_repeats_every_figure_and_another_changes_only_what_is_random(result):
    again, other = run(), run("seed=1")
    assert without_timing(again.summary) == without_timing(result.summary)
    assert again.queries.equals(result.queries)
    assert other.queries.equals(result.queries)
    assert not other.baseline_queries["random"].equals(result.baseline_queries["random"])


def test_energy_alone_and_accuracy_alone_are_the_ends_of_the_trade_off(result):
    thrifty, good = run("policy.zeta=1").summary, run("policy.zeta=0").summary
    assert thrifty["energy_active_j"] <= result.summary["energy_active_j"] <= good["energy_active_j"]
    assert thrifty["accuracy_pct"] <= result.summary["accuracy_pct"] <= good["accuracy_pct"]


def test_the_papers_own_form_confesses_its_negative_energy():
    summary = run("curve=interaction", "baselines=[]").summary
    found = summary["negative_predictions"]["llama2_7b@a100"]["energy"]
    assert found["queries_priced"] > 0
    assert found["priced_j"] < 0
    assert summary["negative_predictions"]["llama2_7b@a100"]["runtime"]["priced_s"] < 0
    assert any("predicts negative energy" in warning for warning in summary["warnings"])


def test_the_default_form_predicts_no_negative_energy(result):
    assert result.summary["negative_predictions"] == {}


def test_a_model_without_an_accuracy_score_leaves_accuracy_absent_with_the_reason():
    config = load_config([*SMALL, "policy=round_robin", "baselines=[]", "model.llama2_7b.accuracy_pct=null"])
    summary = evaluate(config).summary
    assert summary["accuracy_pct"] is None
    assert "llama2_7b" in summary["absent"]["accuracy_pct"]
    assert summary["deployments"]["llama2_13b@a100"]["accuracy_pct"] == pytest.approx(55.69)
    assert "accuracy_pct" not in summary["deployments"]["llama2_13b@a100"]["absent"]


def test_a_hardware_without_idle_power_leaves_idle_energy_absent_with_the_remedy():
    summary = run("hardware.a100.idle_power_w=null", "baselines=[]").summary
    assert summary["energy_idle_j"] is summary["energy_j"] is summary["energy_per_query_j"] is None
    assert summary["energy_active_j"] > 0
    assert "set hardware.a100.idle_power_w" in summary["absent"]["energy_idle_j"]


def test_a_fleet_without_shares_for_a_chosen_model_is_equal_and_says_so():
    result = evaluate(load_config(["workload.limit=50", "model=[llama2_7b,mistral_7b]", "baselines=[]"]))
    instances = {name: part["instances"] for name, part in result.summary["deployments"].items()}
    assert instances == {"llama2_7b@a100": 8000, "mistral_7b@a100": 8000}
    assert any("share the fleet equally" in warning for warning in result.summary["warnings"])


def test_the_papers_fleet_has_its_instances():
    result = evaluate(load_config(["workload.limit=50", "baselines=[]"]))
    instances = [part["instances"] for part in result.summary["deployments"].values()]
    assert instances == [800, 3200, 3000]


def test_a_workloads_own_accuracy_column_is_used(tmp_path):
    trace = tmp_path / "trace.csv"
    rows = "".join(f"{i},100,{50 + i},{90 if i % 2 else 10}\n" for i in range(20))
    trace.write_text("arrival_s,tau_in,tau_out,accuracy_llama2_7b\n" + rows)
    words = ["workload=csv", f"workload.path={trace}", "model=llama2_7b", "baselines=[]"]
    table = evaluate(load_config(words)).queries
    assert table["accuracy_pct"].to_pylist() == [10.0, 90.0] * 10


def test_a_configuration_is_plain_data_and_survives_a_round_trip():
    config = load_config(SMALL)
    copy = type(config)(**dataclasses.asdict(config))
    assert copy.sha256() == config.sha256()
    assert isinstance(evaluate(copy).queries, pa.Table)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["fleet.devices=0"], r"fleet\.devices=0: a fleet needs at least 1"),
        (["fleet.instances=0"], r"fleet\.instances=0"),
        (["fleet.instances=100000000000"], "at most 10,000,000"),
        (["fleet.shares.lama2_7b=0.5"], r"fleet\.shares\.lama2_7b: no such model. Did you mean 'llama2_7b'"),
        (["fleet.devices_by_hardware.a10=5"], r"fleet\.devices_by_hardware\.a10: no such hardware"),
        (["policy.min_share=1e300"], r"policy\.min_share=1e\+300"),
        (["trials.path=[5]"], r"trials\.path"),
        (["baselines=[{name: optimal, zeta: 2}]"], r"baselines\[0\]: policy\.zeta=2"),
        (["fleet.horizon_s=-1"], r"fleet\.horizon_s=-1"),
        (["fleet.horizon_s=nan"], r"fleet\.horizon_s=nan"),
        (["hardware=[]"], "Choose at least one hardware"),
        (["policy=single", "policy.deployment=llama2_7"], "Did you mean 'llama2_7b@a100'"),
        (["backend.name=simulater"], "Did you mean 'simulator'"),
        (["policy.max_share=0.5"], "upper bounds of"),
        (["baselines=[{name: random, speed: 3}]"], "speed: no such setting"),
        (["model.llama2_7b.context_tokens=1", "model=llama2_7b"], "No query fits"),
    ],
)
def test_what_cannot_be_run_is_refused(words, message):
    with pytest.raises(InputError, match=message):
        run(*words)
