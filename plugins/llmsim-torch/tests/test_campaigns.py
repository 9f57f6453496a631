"""The fidelity campaign: its runs are words that llmsim knows; a capacity is where a queue stops settling."""

import sys
from pathlib import Path

import numpy as np
import pytest

from llmsim.api import load_config

CAMPAIGNS = Path(__file__).parents[1] / "campaigns"


@pytest.fixture(autouse=True)
def scripts(monkeypatch):
    monkeypatch.syspath_prepend(str(CAMPAIGNS))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if str(CAMPAIGNS) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def test_every_run_of_the_fidelity_campaign_composes():
    import fidelity_plan

    setting = fidelity_plan.Setting(False, Path("trials.csv"), Path("conf"))
    found = {"capacity_per_s": 13.0, "serial_per_s": 4.0}
    configs = {piece.name: load_config(piece.words(found)) for piece in fidelity_plan.pieces(setting)}
    assert configs["continuous_30"].workload["arrivals"]["rate_per_s"] == pytest.approx(3.9)
    assert configs["wall"].clock == "wall"
    assert configs["hybrid"].backends["cpu"]["name"] == "onnxruntime"
    hashes = {config.work_sha256() for config in configs.values()}
    assert len(hashes) == len(configs)  # no two share a journal


def test_a_fleet_serves_as_many_queries_as_its_bottleneck_lets_through():
    import capacity

    words = ["hardware=h200", "model=llama2_7b", "fleet=one_each", "policy=round_robin", "workload=synthetic"]
    words += ["workload.tau_in_cv=0", "workload.tau_out_cv=0", "fleet.serving.discipline=serial"]
    config = load_config(words)
    found = capacity.capacity(config, 2000)
    _, service_s, _ = capacity.waits_of(config, 10)(1e-3)
    assert found.saturated_per_s == pytest.approx(1 / service_s, rel=1e-6)
    # Poisson arrivals: with so few queries, a queue just above the limit cannot be told from one at it.
    assert found.capacity_per_s == pytest.approx(found.saturated_per_s, rel=0.05)


def test_waits_that_grow_with_time_are_thrice_as_long_in_the_second_half():
    import capacity

    assert capacity.growth(np.arange(10_000.0), 0.0) == pytest.approx(3.0, rel=1e-3)
    assert capacity.growth(np.full(10_000, 2.0), 1.0) == 1.0
