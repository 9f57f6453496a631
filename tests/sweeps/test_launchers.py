"""Sweeps by launchers that run jobs at once, for real: slow, and skipped where one is not installed."""

from __future__ import annotations

import csv
import importlib.util
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

WORDS = {
    "joblib": ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"],
    "submitit": ["hydra/launcher=submitit_local"],
    "ray": [
        *("hydra/launcher=ray", "+hydra.launcher.ray.init.num_cpus=2"),
        "+hydra.launcher.ray.init.include_dashboard=false",
    ],
}
RUNS = 12
LONGER = ["-m", f"seed=range(0,{RUNS})", "policy=random", "workload.limit=4000"]

pytestmark = pytest.mark.slow


def words_of(launcher: str) -> list[str]:
    if importlib.util.find_spec(f"hydra_plugins.hydra_{launcher}_launcher") is None:
        pytest.skip(f"hydra-{launcher}-launcher is not installed: pip install 'llmsim[{launcher}]'")
    return WORDS[launcher]


def start(folder: Path, words: list[str], environment: dict[str, str] | None = None) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "llmsim", *words],
        cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def table(folder: Path) -> list[dict[str, str]]:
    (file,) = folder.glob("outputs/sweeps/*/*/runs.csv")
    with file.open(newline="") as lines:
        return list(csv.DictReader(lines))


def kill_a_worker(sweep: subprocess.Popen[str], folder: Path, names: str) -> None:
    """End one process that runs jobs of the sweep, as the system does when memory is short."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        time.sleep(0.02)
        assert sweep.poll() is None, sweep.communicate()[1]
        for place in Path("/proc").glob("[0-9]*") if list(folder.glob("outputs/sweeps/*/*/runs.csv")) else ():
            try:
                mine = (place / "cwd").readlink() == folder
                if mine and names in (place / "cmdline").read_bytes().decode():
                    os.kill(int(place.name), signal.SIGKILL)
                    return
            except OSError:  # it has ended meanwhile
                continue
    pytest.fail(f"no process of the sweep has {names} in its command")


@pytest.mark.parametrize("launcher", WORDS)
def test_every_launcher_runs_every_job_and_loses_none_by_one_that_fails(tmp_path, launcher):
    words = ["-m", "policy=optimal,round_robin", "policy.zeta=0.2,0.8", "workload.limit=40"]
    sweep = start(tmp_path, [*words, *words_of(launcher)])
    _, errors = sweep.communicate(timeout=600)
    assert sweep.returncode == 2, errors
    rows = table(tmp_path)
    assert [row["status"] for row in rows] == ["done", "done", "failed", "failed"]
    assert "RoundRobin has no settings" in errors
    assert list(tmp_path.glob("outputs/sweeps/*/*/report.html"))


def test_a_ray_worker_that_is_killed_loses_nothing(tmp_path):
    sweep = start(tmp_path, [*LONGER, *words_of("ray")])
    kill_a_worker(sweep, tmp_path, "ray::run")
    _, errors = sweep.communicate(timeout=600)
    assert sweep.returncode == 0, errors
    assert [row["status"] for row in table(tmp_path)] == ["done"] * RUNS


def test_ray_runs_a_sweep_on_a_cluster_that_runs_already_elsewhere(tmp_path):
    words_of("ray")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # As Ray's guide to token authentication says: one token, known to the cluster and to who uses it.
    secret = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    environment = os.environ | secret | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    with tempfile.TemporaryDirectory(prefix="ray-") as place:  # a short path: Ray has sockets there
        head = ["ray", "start", "--head", "--block", "--num-cpus=1", f"--port={port}", f"--temp-dir={place}"]
        log = (tmp_path / "cluster.log").open("w")
        cluster = subprocess.Popen(
            [*head, "--include-dashboard=false"], cwd=place, env=environment, stdout=log, stderr=log
        )
        try:
            deadline = time.monotonic() + 120
            while "runtime started" not in (tmp_path / "cluster.log").read_text():
                assert time.monotonic() < deadline, (tmp_path / "cluster.log").read_text()
                time.sleep(0.2)
            words = ["-m", "seed=1,2", "policy=random", "workload.limit=40", "hydra/launcher=ray"]
            address = f"hydra.launcher.ray.init.address=127.0.0.1:{port}"
            sweep = start(tmp_path, [*words, address], environment)
            _, errors = sweep.communicate(timeout=300)
        finally:
            cluster.terminate()
            cluster.wait(60)
            log.close()
    assert sweep.returncode == 0, errors
    assert [row["status"] for row in table(tmp_path)] == ["done", "done"]


def test_a_joblib_worker_that_is_killed_stops_the_sweep_and_resume_runs_the_rest(tmp_path):
    words = [*LONGER, *words_of("joblib")]
    sweep = start(tmp_path, words)
    kill_a_worker(sweep, tmp_path, "popen_loky")
    _, errors = sweep.communicate(timeout=600)
    assert sweep.returncode != 0
    assert "resume=true" in errors
    again = start(tmp_path, [*words, "resume=true"])
    _, errors = again.communicate(timeout=600)
    assert again.returncode == 0, errors
    assert [row["status"] for row in table(tmp_path)] == ["done"] * RUNS
