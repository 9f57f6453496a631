"""task=pareto: its files, and what is refused."""

from __future__ import annotations

import csv
import json

import pytest

from llmsim.config import load_config
from llmsim.errors import InputError
from llmsim.tasks import TASKS

WORDS = ["task=pareto", "workload.limit=300", "policy.min_share=0.25"]


@pytest.fixture(scope="module", params=[False, True], ids=["free", "bounded"])
def saved(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pareto")
    config = load_config([*WORDS, f"task.keep_bounds={request.param}"])
    found = TASKS.build(config.task).run(config)
    found.save(folder)
    return folder, found, request.param


def test_the_table_goes_from_least_energy_to_greatest_accuracy(saved):
    folder, found, bounded = saved
    with (folder / "frontier.csv").open() as file:
        rows = list(csv.DictReader(file))
    told = json.loads((folder / "frontier.json").read_text())
    assert len(rows) == told["points"]
    energy = [float(row["energy_j"]) for row in rows]
    assert energy == sorted(energy)
    assert energy[0] == told["least_energy"]["energy_j"]
    assert float(rows[-1]["accuracy_pct"]) == told["most_accurate"]["accuracy_pct"]
    for row in rows:
        assert sum(int(row[f"queries {name}"]) for name in found.names) == told["served"]
    assert (told["bounds"] is not None) is bounded
    assert told["bracket"] <= 1e-4
    assert found.objective == told["knee"]["energy_j"]


def test_a_plot_is_drawn(saved):
    folder, _, _ = saved
    assert (folder / "plots" / "frontier.png").stat().st_size > 1000
    assert (folder / "plots" / "frontier.svg").stat().st_size > 1000


def test_bounds_of_a_policy_that_has_none_are_refused():
    config = load_config(["task=pareto", "policy=random", "task.keep_bounds=true", "workload.limit=50"])
    with pytest.raises(InputError, match="the policy has no bounds on counts"):
        TASKS.build(config.task).run(config)


def test_a_bracket_is_positive():
    config = load_config(["task=pareto", "task.bracket=0"])
    with pytest.raises(InputError, match=r"task\.bracket=0"):
        TASKS.build(config.task).run(config)
