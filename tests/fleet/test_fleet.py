"""How the devices of a fleet become instances: sizes, shares, and what is said of what is missing."""

import math
import re
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmsim.config import load_config
from llmsim.curves.library import FittedCurve, NoCurve
from llmsim.errors import InputError
from llmsim.fleet.fleet import MOST_INSTANCES, FleetSpec, build
from llmsim.fleet.serving import Serving
from tests import builders
from tests.builders import LinearCurve
from tests.synthetic_phase import synthetic_phase

# Descriptions do not change: laws of many examples need not read them anew.
hardware, model = cache(builders.hardware), cache(builders.model)
PAPERS = ("llama2_7b", "llama2_13b", "llama2_70b")


def fit_with(sizes=None, missing=(), curve=None):
    """A fit that knows every pair but the missing, each measured with so many devices (1 unless said)."""

    def fit(node, chosen, n_devices):
        if (chosen.name, node.name) in missing:
            raise NoCurve(f"no trials of {chosen.name}")
        measured = (sizes or {}).get(chosen.name, 1)
        return FittedCurve(
            curve or LinearCurve(), n_devices or measured, False, 4, "bf16", {"source": f"{chosen.name} here"}
        )

    return fit


def fleet(*, names=("a", "b"), nodes=("box",), sizes=None, missing=(), curve=None, **settings):
    spec = FleetSpec(name="test", **settings)
    boxes = [node if not isinstance(node, str) else hardware(node) for node in nodes]
    return build(spec, boxes, [model(name) for name in names], fit_with(sizes, missing, curve))


def instances(built):
    return {item.name: item.instances for item in built.deployments}


def test_the_papers_data_centre_has_the_papers_instances():
    config = load_config(["fleet=wilkins"])
    spec = FleetSpec.from_config(config.fleet)
    built = build(spec, [hardware("a100")], [model(name) for name in PAPERS], fit_with({"llama2_70b": 8}))
    assert [item.instances for item in built.deployments] == [800, 3200, 3000]
    assert [item.target.n_devices for item in built.deployments] == [1, 1, 4]
    assert [item.share for item in built.deployments] == pytest.approx([0.05, 0.2, 0.75])
    assert (built.notes, built.absent, built.horizon_s) == ((), {}, None)


weights = st.lists(st.integers(1, 30), min_size=1, max_size=5)


@given(weights, st.data())
def test_devices_are_shared_out_by_weight_and_the_largest_whole_instances_fit(shares, data):
    names = [f"m{i}" for i in range(len(shares))]
    sizes = data.draw(st.fixed_dictionaries({name: st.integers(1, 8) for name in names}))
    devices = data.draw(st.integers(1, 5000))
    gamma = dict(zip(names, shares, strict=True))
    try:
        built = fleet(names=names, sizes=sizes, devices=devices, shares=gamma)
    except InputError as error:
        needed = int(re.search(r"fleet\.devices to at least (\d+)", str(error))[1])
        assert needed > devices
        assert min(instances(fleet(names=names, sizes=sizes, devices=needed, shares=gamma)).values()) >= 1
        if needed - 1 > devices:
            with pytest.raises(InputError, match="too small"):
                fleet(names=names, sizes=sizes, devices=needed - 1, shares=gamma)
        return
    total = sum(shares)
    for item in built.deployments:
        # In whole numbers: n instances fit the share, n + 1 do not.
        share, size = gamma[item.target.model.name] * devices, item.target.n_devices * total
        assert item.instances == share // size >= 1
    assert sum(item.instances * item.target.n_devices for item in built.deployments) <= devices
    assert sum(item.share for item in built.deployments) == pytest.approx(1)


def test_a_share_that_is_whole_on_paper_loses_no_instance_to_rounding():
    assert 100 * 0.29 < 29  # in floating point
    assert instances(fleet(devices=100, shares={"a": 0.29, "b": 0.71})) == {"a@box": 29, "b@box": 71}


@given(weights, st.floats(1e-6, 1e6))
def test_only_the_ratio_of_shares_counts(shares, factor):
    names = [f"m{i}" for i in range(len(shares))]
    one = fleet(names=names, devices=100_000, shares=dict(zip(names, map(float, shares), strict=True)))
    scaled = {name: share * factor for name, share in zip(names, shares, strict=True)}
    other = fleet(names=names, devices=100_000, shares=scaled)
    assert instances(one) == instances(other)
    assert [item.share for item in one.deployments] == pytest.approx(
        [item.share for item in other.deployments]
    )


def test_shares_are_normalised_on_each_hardware_over_the_models_it_has():
    built = fleet(nodes=("x", "y"), devices=100, shares={"a": 1.0, "b": 3.0}, missing={("b", "y")})
    assert instances(built) == {"a@x": 25, "b@x": 75, "a@y": 100}
    assert [item.share for item in built.deployments] == pytest.approx([0.2, 0.6, 0.2])


def test_one_hardware_may_have_its_own_number_of_devices():
    assert instances(fleet(nodes=("x", "y"), devices=10, devices_by_hardware={"y": 4})) == {
        "a@x": 5, "b@x": 5, "a@y": 2, "b@y": 2,
    }  # fmt: skip
    assert instances(fleet(nodes=("y",), devices_by_hardware={"y": 4})) == {"a@y": 2, "b@y": 2}
    with pytest.raises(InputError, match=r"devices_by_hardware has no x, and fleet\.devices is null"):
        fleet(nodes=("x", "y"), devices_by_hardware={"y": 4})


def test_devices_per_instance_are_asked_of_the_fit_and_else_as_measured():
    built = fleet(devices=16, sizes={"a": 2, "b": 2}, devices_per_instance={"b": 8})
    assert [item.target.n_devices for item in built.deployments] == [2, 8]
    assert instances(built) == {"a@box": 4, "b@box": 1}


def test_a_set_number_of_instances_needs_no_devices():
    assert instances(fleet(nodes=("x", "y"), instances=7, sizes={"a": 1000})) == {
        "a@x": 7, "b@x": 7, "a@y": 7, "b@y": 7,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"devices": 1}, r"a's share of 1 box devices is 0\.5, and one instance needs 1\. .* at least 2,"),
        (
            {"devices": 8, "sizes": {"b": 4}, "shares": {"a": 3.0, "b": 1.0}},
            r"b's share of 8 box devices is 2, and one instance needs 4\. .* at least 16, give b a larger",
        ),
        ({"devices": 2 * MOST_INSTANCES + 2}, "more than 10,000,000 instances of a model"),
    ],
)
def test_a_fleet_that_is_too_small_or_too_large_says_what_would_do(settings, says):
    with pytest.raises(InputError, match=says):
        fleet(**settings)


def test_a_pair_without_a_curve_is_listed_with_its_reason():
    built = fleet(nodes=("x", "y"), devices=4, missing={("a", "x"), ("b", "y")})
    assert instances(built) == {"b@x": 4, "a@y": 4}
    assert built.absent == {"a@x": "no trials of a", "b@y": "no trials of b"}


def test_a_fleet_without_any_curve_is_refused_with_every_reason():
    with pytest.raises(InputError, match="None of the chosen pairs") as error:
        fleet(devices=4, missing={("a", "box"), ("b", "box")})
    assert "\n  a@box: no trials of a\n  b@box: no trials of b" in str(error.value)


def test_an_error_that_is_not_about_a_missing_curve_is_not_hidden():
    others = fit_with()

    def fit(node, chosen, n_devices):
        if chosen.name == "a":
            raise InputError("the trials mix power caps")
        return others(node, chosen, n_devices)

    with pytest.raises(InputError, match=r"^the trials mix power caps$"):
        build(FleetSpec(name="test", devices=4), [hardware()], [model("a"), model("b")], fit)


@pytest.mark.parametrize(
    ("settings", "notes"),
    [
        ({"devices": 8, "shares": {"a": 1.0, "b": 2.0}}, []),
        ({"devices": 8}, ["fleet.shares has no a, b: all models share the fleet equally."]),
        (
            {"devices": 8, "shares": {"a": 5.0}},
            ["fleet.shares has no b: all models share the fleet equally."],
        ),
        ({"instances": 1}, []),
        (
            {"instances": 1, "shares": {"b": 5.0}},
            ["fleet.shares has no a: all models share the fleet equally."],
        ),
        (
            {"instances": 3, "devices": 8},
            ["fleet.instances=3 is set for every deployment: fleet.devices is not used."],
        ),
    ],
)
def test_what_is_assumed_is_noted(settings, notes):
    built = fleet(**settings)
    assert list(built.notes) == notes
    if any("equally" in note for note in notes):
        assert len({item.share for item in built.deployments}) == 1


def test_a_share_of_a_model_that_is_not_chosen_changes_nothing():
    shares = {"a": 1.0, "b": 3.0}
    assert instances(fleet(devices=8, shares={**shares, "c": 99.0})) == instances(
        fleet(devices=8, shares=shares)
    )


def test_a_deployment_has_the_conditions_of_its_trials():
    (item,) = fleet(names=("a",), devices=8, sizes={"a": 2}).deployments
    target = item.target
    assert (item.name, target.model.name, target.hardware.name) == ("a@box", "a", "box")
    assert (target.n_devices, target.precision, target.kv_cache, target.max_batch) == (2, "bf16", False, 4)
    assert item.provenance == {"source": "a here"}
    assert item.idle_power_w == 20.0


def test_the_discipline_is_the_curves_unless_it_is_set():
    def discipline(**settings):
        return fleet(names=("a",), devices=1, **settings).deployments[0].discipline

    assert discipline() == "serial"
    assert discipline(curve=synthetic_phase()) == "continuous"
    assert discipline(curve=synthetic_phase(), serving=Serving(discipline="static")) == "static"


def test_the_scope_of_the_joules_is_named_by_hardware_where_it_differs():
    gpu, cpu = hardware("x", energy_scope="GPU boards"), hardware("y", energy_scope="whole node")
    assert fleet(nodes=(gpu,), instances=1).energy_scope == "GPU boards"
    assert (
        fleet(nodes=(gpu, hardware("z", energy_scope="GPU boards")), instances=1).energy_scope == "GPU boards"
    )
    assert fleet(nodes=(gpu, cpu), instances=1).energy_scope == "x: GPU boards; y: whole node"


@pytest.mark.parametrize(
    ("node", "says"),
    [
        ({}, r"fleet\.devices is null: set it, or fleet\.instances"),
        ({"devices": 0}, r"fleet\.devices=0: a fleet needs at least 1"),
        ({"instances": -1}, r"fleet\.instances=-1"),
        ({"instances": MOST_INSTANCES + 1}, r"fleet\.instances=10000001: expected at most 10,000,000"),
        ({"devices_by_hardware": {"a100": 0}}, r"fleet\.devices_by_hardware\.a100=0"),
        ({"devices": 1, "devices_per_instance": {"m": 0}}, r"fleet\.devices_per_instance\.m=0"),
        ({"devices": 1, "shares": {"m": 0.0}}, r"fleet\.shares\.m=0\.0: a share is a positive"),
        ({"devices": 1, "shares": {"m": math.inf}}, r"fleet\.shares\.m=inf"),
        ({"devices": 1, "horizon_s": 0.0}, r"fleet\.horizon_s=0\.0: expected a positive number"),
        ({"devices": 1, "serving": {"kv": "hoard"}}, r"fleet\.serving\.kv=hoard"),
        ({"devicess": 1}, r"fleet\.devicess: no such setting\. Did you mean 'devices'"),
    ],
)
def test_an_impossible_setting_is_refused_by_name(node, says):
    with pytest.raises(InputError, match=says):
        FleetSpec.from_config({"name": "test", **node})


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"shares": {"lama": 1.0}}, r"fleet\.shares\.lama: no such model\. Did you mean 'llama'"),
        ({"devices_per_instance": {"lama": 1}}, r"fleet\.devices_per_instance\.lama: no such model"),
        ({"devices_by_hardware": {"a10": 1}}, r"fleet\.devices_by_hardware\.a10: no such hardware.*'a100'"),
    ],
)
def test_a_setting_for_what_does_not_exist_is_refused_with_the_nearest(settings, says):
    with pytest.raises(InputError, match=says):
        FleetSpec(name="test", **settings).check_names(["llama", "mistral"], ["a100", "h100"])
    FleetSpec(name="test", shares={"llama": 1.0}, devices_by_hardware={"h100": 2}).check_names(
        ["llama", "mistral"], ["a100", "h100"]
    )


def test_a_deployment_may_be_served_in_its_own_way_and_the_nearest_name_wins():
    node = {
        "name": "test",
        "instances": 1,
        "serving": {"max_batch": 2, "kv": "grow"},
        "deployments": {
            "a": {"serving": {"max_batch": 8, "discipline": "static"}},
            "y": {"serving": {"max_batch": 4}},
            "a@y": {"serving": {"max_batch": 16}},
        },
    }
    spec = FleetSpec.from_config(node)
    spec.check_names(["a", "b"], ["x", "y"])
    built = build(spec, [hardware("x"), hardware("y")], [model("a"), model("b")], fit_with()).deployments
    found = {item.name: (item.discipline, item.serving.max_batch, item.serving.kv) for item in built}
    assert found == {
        "a@x": ("static", 8, "grow"),
        "b@x": ("serial", 2, "grow"),
        "a@y": ("static", 16, "grow"),
        "b@y": ("serial", 4, "grow"),
    }


@pytest.mark.parametrize(
    ("deployments", "says"),
    [
        ({"lama": {}}, r"fleet\.deployments\.lama: no such model, hardware or model@hardware.*'llama'"),
        ({"llama@h10": {}}, r"fleet\.deployments\.llama@h10: .*'llama@h100'"),
        ({"llama": {"serving": {"kv": "hoard"}}}, r"fleet\.deployments\.llama\.serving\.kv=hoard"),
        ({"llama": {"servin": {}}}, r"fleet\.deployments\.llama\.servin: no such setting.*'serving'"),
        ({"llama": 5}, r"fleet\.deployments\.llama=5: expected settings"),
        ({"llama": {"instances": 0}}, r"fleet\.deployments\.llama\.instances=0: at least 1"),
    ],
)
def test_a_mistake_about_a_deployment_names_it(deployments, says):
    def check():
        spec = FleetSpec.from_config({"name": "test", "devices": 1, "deployments": deployments})
        spec.check_names(["llama", "mistral"], ["h100"])

    with pytest.raises(InputError, match=says):
        check()


def test_instances_that_are_set_leave_the_rest_of_the_devices_to_the_others():
    sizes, shares = {"b": 2}, {"a": 1.0, "b": 1.0, "c": 3.0}
    settings = {"names": ("a", "b", "c"), "sizes": sizes, "shares": shares}
    built = fleet(devices=20, deployments={"b": {"instances": 4}}, **settings)
    assert instances(built) == {"a@box": 3, "b@box": 4, "c@box": 9}
    assert [item.share for item in built.deployments] == pytest.approx([0.2, 0.2, 0.6])
    one = fleet(instances=1, deployments={"a@box": {"instances": 7}}, **settings)
    assert instances(one) == {"a@box": 7, "b@box": 1, "c@box": 1}
    every = {name: {"instances": 2} for name in "abc"}
    assert set(instances(fleet(deployments=every, **settings)).values()) == {2}
    with pytest.raises(InputError, match="a's share of 0 remaining box devices is 0"):
        fleet(devices=8, deployments={"b": {"instances": 4}}, **settings)
