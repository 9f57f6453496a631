"""A search by Optuna, for real: slow, and skipped where its sweeper is not installed."""

from __future__ import annotations

import csv
import subprocess
import sys

import pytest
import yaml


@pytest.mark.slow
def test_a_search_finds_the_least_energy_within_its_limits_whatever_fails(tmp_path):
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper", reason="pip install 'llmsim[optuna]'")
    words = [
        *("-m", "hydra/sweeper=optuna", "hydra.sweeper.n_trials=20", "hydra.sweeper.sampler.seed=1"),
        *("policy=choice(optimal,round_robin)", "policy.zeta=interval(0,1)", "workload.limit=100"),
        *("objective.at_least.accuracy_pct=54", "fleet=one_each"),
    ]
    done = subprocess.run(
        [sys.executable, "-m", "llmsim", *words], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 2, done.stderr
    (table,) = tmp_path.glob("outputs/sweeps/*/*/runs.csv")
    rows = list(csv.DictReader(table.open()))
    assert len(rows) == 20
    assert {row["status"] for row in rows if row["policy"] == "round_robin"} == {"failed"}
    within = [row for row in rows if row["status"] == "done" and float(row["accuracy_pct"]) >= 54]
    found = yaml.safe_load((table.parent / "optimization_results.yaml").read_text())
    assert found["best_value"] == min(float(row["energy_active_j"]) for row in within)
    assert found["best_params"]["policy"] == "optimal"
