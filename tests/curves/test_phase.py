"""Phase curves: their sums are those of their steps, and their error is what the trials allow."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmsim import trials
from llmsim.curves import library, store
from llmsim.curves.forms import build
from llmsim.errors import InputError

TARGETS = [
    (system, model, devices)
    for system in ("dgx-a100-80gb", "dgx-h100-80gb")
    for model, devices in (("bloom-176b", 8), ("llama2-70b", None), ("llama2-70b", 4), ("llama2-70b", 8))
]


@pytest.fixture(scope="module")
def shipped():
    return trials.shipped()


@pytest.fixture(scope="module")
def fitted(shipped):
    return library.fit(shipped, system="dgx-a100-80gb", model="llama2-70b", n_devices=4)


@pytest.fixture(scope="module")
def curve(fitted):
    return fitted.curve


@pytest.mark.parametrize(("system", "model", "devices"), TARGETS)
def test_phases_are_predicted_within_their_targets_left_out(shipped, system, model, devices):
    fitted = library.fit(shipped, system=system, model=model, n_devices=devices)
    assert fitted.n_devices == (devices or 2)  # the fewest measured, unless said
    p = fitted.provenance
    assert p["curves"]["decode"]["loco_mape_pct"] <= 5
    assert p["curves"]["prefill"]["loco_mape_pct"] <= 12
    assert p["left_out_error"]["runtime_mape_pct"] <= 5
    if system == "dgx-a100-80gb":
        assert p["left_out_error"]["energy_mape_pct"] <= 6
        assert p["energy_scope"] == "gpu_boards"
    else:
        assert p["left_out_error"]["energy_mape_pct"] is None
        assert (p["energy_scope"], p["energy_absent_because"]) == (None, "no measurement")


batches, contexts, counts = st.integers(1, 128), st.integers(1, 100_000), st.integers(1, 5_000)


@settings(max_examples=40, deadline=None)
@given(batch=batches, context=contexts, steps=counts)
def test_a_closed_sum_equals_its_steps_one_by_one(curve, batch, context, steps):
    once = curve.decode(batch, context, steps)
    each = curve.decode(batch, context + batch * np.arange(steps), 1)
    assert float(once.runtime_s) == pytest.approx(each.runtime_s.sum(), rel=1e-10)
    assert float(once.energy_j) == pytest.approx(each.energy_j.sum(), rel=1e-10)


def test_nothing_takes_no_time(curve):
    assert float(curve.decode(4, 100, 0).runtime_s) == 0.0
    assert float(curve.decode(4, 100, 0).energy_j) == 0.0


def test_a_pass_is_one_row_of_prompts(curve):
    one = curve.prefill(np.array([100, 200, 300]))
    many = curve.prefill(np.array([[100, 200, 300], [600, 1, 1]]))
    assert one.runtime_s.shape == ()
    assert many.runtime_s.shape == (2,)
    assert many.runtime_s[0] == one.runtime_s


def test_a_cached_past_costs_attention_and_is_flagged_for_it_was_never_measured():
    prefill = build("prefill")
    theta = np.array([0.0, 0.0, 0.0, 1.0])
    whole = prefill.design(np.array([1]), np.array([2000]), np.array([2000**2])).evaluate(theta)[0]
    chunks = prefill.design(
        np.array([1, 1]), np.array([1500, 500]), np.array([1500**2, 500**2 + 2 * 500 * 1500])
    ).evaluate(theta)[0]
    assert chunks.sum() == pytest.approx(whole[0])


def test_what_was_not_measured_together_is_flagged(curve):
    assert not curve.prefill(np.array([512])).extrapolated
    assert curve.prefill(np.array([512]), 512).extrapolated
    assert curve.prefill(np.full(64, 512)).extrapolated == np.False_
    assert curve.prefill(np.full(64, 8192)).extrapolated
    assert curve.decode(64, 64 * 4096, 1).extrapolated
    assert not curve.decode(1, 4096, 100).extrapolated


def test_a_query_alone_is_its_phases_one_after_the_other(curve):
    cost = curve.cost(np.array([512]), np.array([128]))
    phases = curve.prefill(np.array([512])), curve.decode(1, 513, 127)
    assert cost.runtime_s[0] == pytest.approx(float(phases[0].runtime_s + phases[1].runtime_s))
    assert cost.energy_j[0] == pytest.approx(float(phases[0].energy_j + phases[1].energy_j))


def test_a_form_of_whole_queries_does_not_fit_phases(shipped):
    with pytest.raises(InputError, match="use curve=auto"):
        library.fit(shipped, system="dgx-a100-80gb", model="llama2-70b", form="roofline")


def test_phase_curves_are_read_back_to_the_last_bit(fitted, tmp_path):
    store.save(fitted, tmp_path / "phase.yaml")
    again = store.load(tmp_path / "phase.yaml")
    before, after = (c.decode(8, np.arange(10) * 1000, 100) for c in (fitted.curve, again.curve))
    np.testing.assert_array_equal(before.runtime_s, after.runtime_s)
    np.testing.assert_array_equal(before.energy_se_j, after.energy_se_j)
    assert again.provenance == fitted.provenance


STEPS = (np.array([1, 8, 64]), np.array([600, 5_000, 70_000]))
PASSES = (np.array([1, 1, 16]), np.array([128, 8192, 8192]), np.array([128**2, 8192**2, 16 * 512**2]))
SECONDS = np.array([0.1, 0.02, 0.1])


@pytest.mark.parametrize(
    ("name", "form", "inputs"),
    [
        ("decode", {}, STEPS),
        ("decode", {"routed": True}, STEPS),
        ("prefill", {}, PASSES),
        ("prefill", {"sharpness": None}, PASSES),
        ("phase_energy", {}, (np.array([512, 8192]), np.array([127, 127]), np.array([127, 2032]))),
        ("decode_energy", {"miss": 0.75}, (*STEPS, SECONDS)),
        ("prefill_energy", {}, (*PASSES[1:], SECONDS)),
    ],
)
def test_derivatives_of_phase_forms_agree_with_differences(name, form, inputs):
    form = build(name, form)
    scales = {
        "sharpness": 3.0,
        "miss": 0.75,
        "overlap": 0.1,
        "limit": 1.0,
        "floor": 0.05,
        "step": 0.05,
        "linear": 0.002,
    }
    theta = np.array([scales.get(parameter.name, 0.001) for parameter in form.parameters()])
    design = form.design(*inputs)
    _, slope = design.evaluate(theta)
    for k in range(len(theta)):
        h = np.zeros_like(theta)
        h[k] = 1e-5 * theta[k]
        difference = (design.evaluate(theta + h)[0] - design.evaluate(theta - h)[0]) / (2 * h[k])
        np.testing.assert_allclose(slope[:, k], difference, rtol=1e-4, atol=1e-6)
