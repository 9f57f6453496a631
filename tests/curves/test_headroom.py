"""Passes amid steps: quicker than passes on end, as long as a board has joules to spare above its limit."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmsim import trials
from llmsim.backends.phase import CurveCosts
from llmsim.backends.simulator import PhaseCurveEngine
from llmsim.curves import library, store
from llmsim.curves.headroom import HELD, UNHELD, Headroom, work_bound
from llmsim.curves.phase_check import checks
from llmsim.curves.phase_fit import GENERATION, Phased, fit_phases
from llmsim.curves.scores import scores
from llmsim.trials.table import Trials

TRUE = Headroom(seconds=0.83, joules=1.1, budget_j=48.0, limit_w=697.0)
CELLS = [
    (1, 250, 17), (1, 500, 17), (1, 1000, 3), (1, 1000, 13), (1, 2000, 33), (4, 500, 33), (4, 1000, 9),
    (8, 1000, 65), (16, 1000, 129), (32, 1000, 161),
]  # fmt: skip


@pytest.fixture(scope="module")
def rows():
    shipped = trials.shipped()
    return library.rows_of(shipped, "h200", "llama2-7b", 1, True)


@pytest.fixture(scope="module")
def plain(rows):
    return fit_phases(rows)[0]


@pytest.fixture(scope="module")
def curve(plain):
    limit_w = float(plain.energy.prefill.theta[-1])
    return dataclasses.replace(plain, headroom=dataclasses.replace(TRUE, limit_w=limit_w))


def generations(rows, curve):
    """Rows of whole batches that take what the curve says."""
    batch, tau_in, tau_out = np.array(CELLS).T
    cost = curve.cost(tau_in, tau_out, batch)
    steps_s = curve.decode(batch, batch * (tau_in + 1), tau_out - 1).runtime_s
    columns = {name: np.repeat(rows[name][:1], len(CELLS)) for name in rows.columns}
    columns |= {
        "batch": batch, "tau_in": tau_in, "tau_out": tau_out, "runtime_s": cost.runtime_s,
        "energy_j": cost.energy_j, "prefill_s": cost.runtime_s - steps_s,
        "decode_step_s": steps_s / (tau_out - 1),
    }  # fmt: skip
    return Trials({name: np.concatenate([rows[name], columns[name]]) for name in rows.columns})


def test_a_fit_finds_the_headroom_that_generations_were_made_with(rows, curve):
    found, _, left_out = fit_phases(generations(rows, curve))
    for name in ("seconds", "joules", "budget_j"):
        assert getattr(found.headroom, name) == pytest.approx(getattr(TRUE, name), rel=1e-3), name
    assert found.headroom.fit["prefill_time_mape_pct"] < 1e-3
    assert {name: out.mape_pct < 1e-2 for name, out in left_out.items()} == dict.fromkeys(GENERATION, True)


def test_generations_are_in_no_fit_of_single_phases(rows, curve, plain):
    mixed = generations(rows, curve)
    assert len(Phased.of(mixed).whole) == len(CELLS)
    again = fit_phases(mixed)[0]
    for name, part in plain.parts().items():
        assert np.array_equal(again.parts()[name].theta, part.theta), name


def test_too_few_generations_tell_nothing_and_neither_do_those_that_are_as_on_end(rows, curve, plain):
    mixed = generations(rows, curve)
    found, _, left_out = fit_phases(mixed.take(np.arange(len(rows) + 4)))
    assert found.headroom is None
    assert left_out["generation_prefill"].mape_pct > 5  # they are predicted as on end all the same
    assert fit_phases(generations(rows, plain))[0].headroom is None  # passes that are no quicker


lengths = st.integers(1, 4000)


@settings(max_examples=60, deadline=None)
@given(tokens=st.lists(lengths, min_size=1, max_size=20), spare_j=st.floats(0, 200))
def test_a_pass_lies_between_full_clocks_and_passes_on_end(curve, tokens, spare_j):
    costs = CurveCosts(curve)
    on_end, full = costs.prefill(tokens), costs.spared(tokens, 1e9)
    seconds, joules = costs.spared(tokens, spare_j)
    assert full[0] - 1e-12 <= seconds <= on_end[0] + 1e-12
    assert full[0] >= TRUE.seconds * on_end[0] - 1e-12
    if sum(tokens) < 30 and len(tokens) == 1:  # the weights bound it, on which clocks do not act
        assert full[0] == pytest.approx(on_end[0], rel=0.01)
    assert costs.budget is not None
    # No more is drawn above the limit than there is to spare.
    assert joules - costs.budget.limit_w * seconds <= spare_j + 1e-9


@settings(max_examples=60, deadline=None)
@given(share=st.floats(0.3, 1.0), bound=st.floats(0, 1), spare_j=st.floats(0, 200))
def test_a_pass_below_the_limit_on_end_gains_nothing_and_one_at_it_all(share, bound, spare_j):
    seconds, joules = np.full(2, 0.02), TRUE.limit_w * 0.02 * np.array([share, share - 1e-9])
    found_s, found_j = TRUE.passes(seconds, joules, np.full(2, bound), np.full(2, spare_j))
    assert np.ptp(found_s) < 1e-8  # no leap
    if share <= UNHELD:
        assert found_s == pytest.approx(seconds, rel=1e-12)
        assert found_j == pytest.approx(joules, rel=1e-12)
    if share >= HELD and bound == 1:
        assert TRUE.passes(seconds, joules, np.ones(2), np.full(2, 1e15))[0] == pytest.approx(0.83 * seconds)


def test_halfway_to_the_limit_a_pass_gains_half():
    watts = TRUE.limit_w * np.array([0.94, 0.955, 0.97, 1.0])
    seconds, joules = TRUE.passes(np.ones(4), watts, np.ones(4), np.full(4, 1e15))
    assert seconds == pytest.approx([1.0, 0.915, 0.83, 0.83])
    assert joules / watts == pytest.approx([1.0, 1.05, 1.1, 1.1])


@settings(max_examples=100, deadline=None)
@given(tokens=st.integers(1, 400), spare_j=st.floats(0, 50))
def test_one_pass_costs_what_the_headroom_says_of_many(curve, tokens, spare_j):
    costs, inputs = CurveCosts(curve), [np.array([x]) for x in (1, tokens, tokens**2)]
    on_end = [np.array([x]) for x in costs.prefill([tokens])]
    found = curve.headroom.passes(*on_end, work_bound(curve.prefill_time, *inputs), np.array([spare_j]))
    assert costs.spared([tokens], spare_j) == pytest.approx([x[0] for x in found], rel=1e-9)


@settings(max_examples=40, deadline=None)
@given(tau_in=st.integers(1, 3000), tau_out=st.integers(1, 400), batch=st.integers(1, 40))
def test_a_batch_costs_what_the_curve_says(curve, tau_in, tau_out, batch):
    served = PhaseCurveEngine(curve, 64).serve([tau_in] * batch, [tau_out] * batch)
    cost = curve.cost(np.array([tau_in]), np.array([tau_out]), batch)
    assert served.runtime_s == pytest.approx(cost.runtime_s[0], rel=1e-9)
    assert served.energy_j == pytest.approx(cost.energy_j[0], rel=1e-9)


@settings(max_examples=60, deadline=None)
@given(
    on_end_s=st.floats(0.005, 1.0),
    left_j=st.floats(-5, 60),
    budget_j=st.floats(0, 60),
    watts=st.floats(500, 697),
)
def test_repeated_passes_come_to_what_single_ones_settle_at(on_end_s, left_j, budget_j, watts):
    headroom = dataclasses.replace(TRUE, budget_j=budget_j)
    seconds, joules = np.array([on_end_s]), np.array([watts * on_end_s])
    all_of_it = np.ones(1)
    full_s, full_j = headroom.passes(seconds, joules, all_of_it, np.array([1e15]))
    above_j = max(full_j[0] - TRUE.limit_w * full_s[0], 0.0)
    spare_j = budget_j
    for _ in range(2000):
        share = 0.0 if spare_j == 0 else spare_j / (spare_j + above_j)
        spare_j = min(max(spare_j - share * above_j + left_j, 0.0), budget_j)
    settled = headroom.passes(seconds, joules, all_of_it, np.array([spare_j]))
    assert headroom.repeated(seconds, joules, all_of_it, np.array([left_j])) == pytest.approx(
        np.array(settled), rel=2e-3
    )


def test_generations_measured_to_check_are_held_against_the_curve(rows, curve):
    mixed = generations(rows, curve)
    marks = np.where(np.arange(len(mixed)) >= len(mixed) - 3, "check", mixed["quality"])
    columns = {name: mixed[name] for name in mixed.columns}
    made = Trials({**columns, "quality": marks.astype(mixed["quality"].dtype)})
    (record,) = [one for one in scores(made) if one["target"] == "generation_prefill"]
    assert record["form"] == "headroom"
    assert record["cells"] == len(CELLS) - 3
    assert record["transfer"]["check"] < 0.1
    plain_checks = checks(made, rows, fit_phases(rows)[0])
    assert plain_checks["generation_prefill"] > 1
    assert "prefill" not in plain_checks  # no generation is taken for a pass on end


def test_a_curve_keeps_its_headroom_in_a_file(rows, curve, tmp_path):
    shipped = trials.shipped()
    fitted = library.fit(shipped, system="h200", model="llama2-7b", n_devices=1, kv_cache=True)
    store.save(dataclasses.replace(fitted, curve=curve), tmp_path / "c.yaml")
    assert store.load(tmp_path / "c.yaml").curve.headroom == curve.headroom
