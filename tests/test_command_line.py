"""The command itself, as a person runs it: what it leaves, what it prints, how it refuses."""

from __future__ import annotations

import json
import subprocess
import sys

import pyarrow.parquet
import pytest

from tests.command import llmsim, llmsim_here, result_of

SMALL = ["workload.limit=300", "fleet=one_each", "fleet.instances=20"]


def test_a_run_leaves_every_file_it_promises(finished):
    _, folder = finished
    names = {path.name for path in folder.iterdir()}
    assert names >= {
        "summary.json", "queries.parquet", "instances.parquet", "plan.csv", "plots", "report.html",
        "llmsim.log", ".hydra",
    }  # fmt: skip
    assert len(list((folder / "plots").glob("*.png"))) == len(list((folder / "plots").glob("*.svg"))) >= 4


def test_the_summary_has_the_documented_keys_and_adds_up(finished):
    _, folder = finished
    summary = json.loads((folder / "summary.json").read_text())
    documented = {
        "policy", "seed", "queries", "refused", "energy_j", "energy_active_j", "energy_idle_j",
        "energy_per_query_j", "energy_per_output_token_j", "energy_scope", "accuracy_pct", "horizon_s",
        "makespan_s", "utilisation",
        "latency_s", "wait_s", "ttft_s", "certificate", "deployments", "baselines", "provenance", "timing",
    }  # fmt: skip
    assert documented <= summary.keys()
    assert summary["queries"] == 300
    assert summary["energy_j"] == summary["energy_active_j"] + summary["energy_idle_j"]
    assert summary["served"] + summary["refused"] == 300
    for row in [summary, *summary["baselines"].values()]:
        parts = row["deployments"].values()
        assert sum(part["queries"] for part in parts) == row["served"]
        assert sum(part["energy_active_j"] for part in parts) == pytest.approx(row["energy_active_j"])
        assert sum(part["energy_idle_j"] for part in parts) == pytest.approx(row["energy_idle_j"])
        assert row["makespan_s"] <= summary["horizon_s"]
    assert set(summary["baselines"]) == {
        "round_robin", "random", "weighted_round_robin", "weighted_random",
        "only llama2_7b@a100", "only llama2_13b@a100", "only llama2_70b@a100",
    }  # fmt: skip


def test_every_query_is_served_once_or_refused_with_a_reason(finished):
    _, folder = finished
    table = pyarrow.parquet.read_table(folder / "queries.parquet").to_pylist()
    assert [row["query"] for row in table] == list(range(300))
    for row in table:
        served = row["deployment"] is not None
        assert served == (row["refused"] is None)
        if served:
            assert row["arrival_s"] <= row["start_s"] < row["first_token_s"] <= row["end_s"]
            assert row["energy_j"] > 0
        else:
            assert row["tau_in"] + row["tau_out"] > 4096
            assert row["start_s"] is row["energy_j"] is None


def test_the_tables_agree_with_the_summary(finished):
    _, folder = finished
    summary = json.loads((folder / "summary.json").read_text())
    queries = pyarrow.parquet.read_table(folder / "queries.parquet")
    instances = pyarrow.parquet.read_table(folder / "instances.parquet")
    total = sum(joules for joules in queries["energy_j"].to_pylist() if joules is not None)
    assert total == pytest.approx(summary["energy_active_j"])
    assert sum(instances["energy_j"].to_pylist()) == pytest.approx(summary["energy_j"])
    assert instances.num_rows == 60
    busy = sum(instances["busy_s"].to_pylist())
    assert summary["utilisation"] == pytest.approx(busy / (60 * summary["horizon_s"]))


def test_savings_are_quoted_only_against_rows_that_keep_the_bounds(finished):
    _, folder = finished
    summary = json.loads((folder / "summary.json").read_text())
    for label, row in summary["baselines"].items():
        if label.startswith("only "):
            assert row["saving_active_pct"] is None
            assert "breaks the bounds" in row["absent"]["saving_active_pct"]
        else:
            ours, theirs = summary["energy_active_j"], row["energy_active_j"]
            assert row["saving_active_pct"] == pytest.approx(100 * (theirs - ours) / theirs)


def test_the_screen_shows_the_table_and_no_control_codes_when_it_is_not_a_terminal(finished):
    done, folder = finished
    assert "round_robin" in done.stdout
    assert "\x1b" not in done.stdout + done.stderr
    assert folder.name in done.stdout


def test_the_same_command_twice_gives_the_same_bytes_whatever_is_reported(finished, tmp_path):
    _, folder = finished
    llmsim(tmp_path, "hardware=a100", "policy=optimal", "report=figures", *SMALL)
    again = result_of(tmp_path)
    for name in ("queries.parquet", "instances.parquet", "plan.csv"):
        assert (folder / name).read_bytes() == (again / name).read_bytes()
    first, second = (json.loads((place / "summary.json").read_text()) for place in (folder, again))
    first.pop("timing")
    second.pop("timing")
    assert json.dumps(first) == json.dumps(second)


def test_several_hardware_and_a_pair_without_curves(tmp_path):
    done = llmsim_here(
        tmp_path, "+hardware=[a100,m1_pro]", "model=[llama2_7b,llama2_13b]", "workload.limit=40",
        "baselines=[]", "fleet=one_each", "report=figures",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    summary = json.loads((result_of(tmp_path) / "summary.json").read_text())
    assert set(summary["deployments"]) == {"llama2_7b@a100", "llama2_13b@a100", "llama2_7b@m1_pro"}
    assert any("llama2_13b@m1_pro is left out" in warning for warning in summary["warnings"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-m", "+hardware=a1000,a100"], "Did you mean 'a100'"),
        (["policy.zeta=2"], "policy.zeta=2.0: expected a number from 0"),
        (["policy.zta=1"], "policy.zta: no such setting. Did you mean 'zeta'"),
        (["workload=csv"], "workload.path"),
        (["workload=csv", "workload.path=nowhere.csv"], "nowhere.csv"),
        (["workload.limit=0"], "workload.limit"),
        (["fleet.devices=10"], "The fleet is too small"),
        (["hardware=b200"], "None of the chosen pairs"),
        (["model=qwen3_8b"], "None of the chosen pairs"),
        (["trials.path=nowhere.csv"], "nowhere.csv"),
        (["hydra.run.dir=/dev/null/here", *SMALL], "/dev/null"),
        (["curve.name=linear"], "linear"),
        (["baselines=[rond_robin]"], "Did you mean 'round_robin'"),
        (["nonsense"], "nonsense"),
    ],
)  # fmt: skip
def test_bad_input_gets_a_message_a_non_zero_exit_and_no_traceback(tmp_path, words, message):
    done = llmsim_here(tmp_path, *words)
    assert done.returncode != 0
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("outputs/**/summary.json"))


@pytest.mark.parametrize(
    ("words", "message"),
    [  # refused by our reading of the words, by a run, by Hydra's
        (["+hardware=a1000"], "Did you mean 'a100'"),
        (["policy.min_share=2", *SMALL], "lower bounds of"),
        (["--resolve"], "resolve"),
    ],
)
def test_a_process_that_is_given_bad_input_ends_with_the_message_alone(tmp_path, words, message):
    done = llmsim(tmp_path, *words)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("words", "shown"),
    [(["--help"], ["round_robin", "azure_conv"]), (["+hardware=a100", "--cfg", "job"], ["zeta: 0.5"])],
)
def test_the_choices_and_the_settings_are_shown_without_running_or_importing_what_runs(
    tmp_path, words, shown
):
    script = (
        "import sys, runpy\n"
        f"sys.argv = ['llmsim', *{words!r}]\n"
        "try:\n    runpy.run_module('llmsim', run_name='__main__')\nexcept SystemExit as left:\n"
        "    assert not left.code\n"
        "heavy = {'numpy', 'matplotlib', 'lmfit', 'ortools', 'pyarrow', 'scipy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert all(text in done.stdout for text in shown)
    assert not list(tmp_path.glob("outputs/**/summary.json"))


@pytest.mark.parametrize("redirection", ["| head -1", ">&-", "2>&-", "> /dev/full"])
def test_a_closed_or_full_output_loses_no_result(tmp_path, redirection):
    words = f"{sys.executable} -m llmsim {' '.join(SMALL)} baselines=[] report=figures {redirection}"
    done = subprocess.run(words, shell=True, cwd=tmp_path, capture_output=True, text=True)
    assert (result_of(tmp_path) / "queries.parquet").exists()
    assert "Traceback" not in done.stderr
