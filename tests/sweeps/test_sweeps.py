"""Sweeps by the command: every run in the table, none lost, gone on with where they stopped."""

from __future__ import annotations

import csv
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet
import pytest

from tests.command import llmsim_here, sweep_in
from tests.conftest import SWEEP

SMALL = ["workload.limit=40", "fleet=one_each"]


def table(folder: Path, name: str = "runs.csv") -> list[dict[str, str]]:
    with (folder / name).open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_failed_run_is_told_with_its_reason_and_loses_no_other(swept):
    done, folder = swept
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    reason = "policy.zeta: no such setting. RoundRobin has no settings."
    words = "policy=round_robin policy.zeta=0.2 workload.limit=40 fleet=one_each"
    assert f"run 2: {words}: failed: {reason}" in done.stdout
    assert f"runs 2, 3 failed: {reason}" in done.stderr
    assert [row["status"] for row in table(folder)] == ["done", "done", "failed", "failed"]
    assert [(row["run"], row["reason"]) for row in table(folder, "failed.csv")] == [
        ("2", reason),
        ("3", reason),
    ]


def test_the_table_has_overrides_and_figures_of_every_run(swept):
    _, folder = swept
    rows = table(folder)
    assert [(row["policy"], row["policy.zeta"]) for row in rows[:2]] == [
        ("optimal", "0.2"),
        ("optimal", "0.8"),
    ]
    for row in rows[:2]:
        summary = json.loads((folder / row["run"] / "summary.json").read_text())
        assert float(row["energy_active_j"]) == float(row["objective"]) == summary["energy_active_j"]
        assert float(row["latency_p99_s"]) == summary["latency_s"]["p99"]
    assert rows[2]["energy_active_j"] == ""
    typed = pyarrow.parquet.read_table(folder / "runs.parquet").to_pylist()
    assert [row["energy_j"] for row in typed][2:] == [None, None]
    assert typed[0]["policy.zeta"] == 0.2


def test_the_folder_ends_with_a_plot_and_a_page_and_its_runs_have_none(swept):
    _, folder = swept
    assert (folder / "plots" / "trade_off.svg").exists()
    page = (folder / "report.html").read_text()
    assert "4 runs, 2 failed" in page
    assert "RoundRobin has no settings" in page
    assert not (folder / "0" / "report.html").exists()
    assert (folder / "0" / "queries.parquet").exists()


def test_the_same_command_with_resume_runs_only_what_is_missing(swept, tmp_path):
    _, folder = swept
    shutil.copytree(folder, tmp_path / "outputs" / "sweeps" / "day" / "time")
    copy = sweep_in(tmp_path)
    shutil.rmtree(copy / "1")
    (copy / "runs.csv").unlink()
    kept = (copy / "0" / "summary.json").stat().st_mtime_ns
    done = llmsim_here(tmp_path, *SWEEP, "resume=true")
    assert done.returncode == 2
    assert (copy / "0" / "summary.json").stat().st_mtime_ns == kept
    assert [line.endswith(" (kept)") for line in done.stdout.splitlines()[:2]] == [True, False]
    assert [row["status"] for row in table(copy)] == ["done", "done", "failed", "failed"]
    assert sweep_in(tmp_path) == copy


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["resume=true", *SWEEP], "no sweep of this command"),
        (["resume=nowhere", *SWEEP], "no sweep in nowhere"),
        (["resume=true", *SMALL], "only a sweep"),
        (["-m", "objective.minimise=energy", "seed=1", *SMALL], "no figure 'energy'. Did you mean 'energy"),
        (["-m", "hydra/launcher=joblib", "backend=torch", "seed=1,2", *SMALL], "torch"),
        (["-m", "workload.limt=3,4"], "Did you mean 'workload.limit'"),
    ],
)
def test_what_cannot_be_swept_is_refused_with_a_message(tmp_path, words, message):
    done = llmsim_here(tmp_path, *words)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_patterns_and_the_plus_forms_are_swept_over(tmp_path):
    done = llmsim_here(tmp_path, "-m", "+hardware=a100", "+policy=glob(*robin)", *SMALL)
    assert done.returncode == 0, done.stderr
    assert [row["policy"] for row in table(sweep_in(tmp_path))] == ["round_robin", "weighted_round_robin"]


def test_an_interrupted_sweep_keeps_what_had_ended(tmp_path):
    words = ["-m", "policy=random", "seed=range(0,60)", *SMALL]
    sweep = subprocess.Popen(
        [sys.executable, "-m", "llmsim", *words],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        # Tests that run in the background have an interrupt ignored, and so would what they start.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    while not list(tmp_path.glob("outputs/sweeps/*/*/runs.csv")) and sweep.poll() is None:
        time.sleep(0.05)
    sweep.send_signal(signal.SIGINT)
    _, errors = sweep.communicate(timeout=60)
    assert sweep.returncode == 130
    assert "resume=true" in errors
    ended = len(table(sweep_in(tmp_path)))
    assert 1 <= ended < 60
    assert (sweep_in(tmp_path) / "report.html").exists()
