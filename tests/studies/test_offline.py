"""The offline case study: what its three ways must satisfy."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from llmsim.fleet.prices import price
from llmsim.studies.offline import CaseStudy, baselines, sweep
from tests.builders import deployment, queries

ZETAS = [0.0, 0.2, 0.5, 0.8, 1.0]


def study(seed: int, n: int) -> CaseStudy:
    """n queries on three models, dearer and better in turn, at two sets of prices."""
    rng = np.random.default_rng(seed)
    work = queries(rng.integers(1, 60, n), rng.integers(1, 60, n))

    def prices(scale):
        joules = np.sort(rng.uniform(1, 10, 3)) * scale
        return price(
            work,
            [
                deployment(name, joules=float(j), seconds=0.01 * j, share=share, accuracy=accuracy)
                for name, j, share, accuracy in zip(
                    "abc", joules, (0.05, 0.2, 0.75), (51.0, 56.0, 65.0), strict=True
                )
            ],
        )

    return CaseStudy(prices(3.0), prices(1.0), 0.25, "minmax")


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 2**32), st.integers(12, 60))
@example(2115609, 13)  # equally wide segments of its frontier
def test_the_equations_never_cost_more_than_the_script_and_energy_falls_with_its_weight(seed, n):
    case = study(seed, n)
    records = list(sweep(case, ZETAS))
    counts = [f"queries {name}" for name in case.names]
    of = {way: [r for r in records if r["way"] == way] for way in ("script", "equations", "fitting")}
    for script, equations in zip(of["script"], of["equations"], strict=True):
        assert equations["objective"] <= script["objective"] + 1e-9 * n
        assert script["least_energy_fitting_j"] <= script["energy_fitting_j"] * (1 + 1e-12)
        assert script["energy_fitting_j"] <= script["most_energy_fitting_j"] * (1 + 1e-12)
    for way, judged_by in (("equations", "energy_printed_j"), ("fitting", "energy_fitting_j")):
        energy_j = [r[judged_by] for r in of[way]]
        assert all(b <= a * (1 + 1e-9) for a, b in pairwise(energy_j))
    # Only counts matter to the script, and all but the least go to one model.
    least = case.bounds.lower
    for r in of["script"]:
        assert sorted(np.array([r[key] for key in counts]) - least)[:2] == [0, 0]
    for r in records:
        assert sum(r[key] for key in counts) == n
        assert all(r[key] >= low for key, low in zip(counts, least, strict=True))
        assert 0 <= (r["saving_left_pct"] or 0.0) < 100


def test_each_model_gets_a_quarter_of_its_gamma_in_whole_queries_and_at_least_one():
    assert study(0, 200).bounds.lower.tolist() == [3, 10, 38]
    assert study(0, 12).bounds.lower.tolist() == [1, 1, 3]


def test_the_baselines_are_those_of_the_paper():
    case = study(1, 30)
    found = {r["way"]: r for r in baselines(case, np.random.default_rng(0))}
    assert list(found) == ["round_robin", "random", "only a@box", "only b@box", "only c@box"]
    assert [found["round_robin"][f"queries {name}"] for name in case.names] == [10, 10, 10]
    assert found["only c@box"]["accuracy_pct"] == pytest.approx(65.0)
    assert found["only a@box"]["saving_left_pct"] is None  # it breaks the bounds
