"""The shipped hardware and model files, and what a description refuses."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from llmsim.config import load_config
from llmsim.errors import InputError
from llmsim.specs.hardware import Hardware
from llmsim.specs.model import Model
from llmsim.specs.parameters import BYTES_PER_BF16, count_kv_bytes_per_token, count_parameters

CONF = Path(__file__).parents[2] / "conf"
HARDWARE = sorted((CONF / "hardware").glob("*.yaml"))
MODELS = sorted((CONF / "model").glob("*.yaml"))

# Published totals, to the last digit where the checkpoint states one.
PUBLISHED_PARAMETERS = {
    "llama2_7b": 6_738_415_616,
    "llama2_13b": 13_015_864_320,
    "llama2_70b": 68_976_648_192,
    "mixtral_8x7b": 46_702_792_704,
    "qwen2_5_7b": 7_615_616_512,
    "gemma2_9b": 9_241_705_984,
    "bloom_176b": 176_247_271_424,
}


@functools.cache
def plain(path: Path) -> dict[str, Any]:
    node = OmegaConf.to_container(OmegaConf.load(path))
    assert isinstance(node, dict)
    chosen_with = {"defaults"}  # for Hydra, which takes it out
    return {str(key): value for key, value in node.items() if key not in chosen_with}


def model(name: str) -> Model:
    return Model.from_config(name, plain(CONF / "model" / f"{name}.yaml"))


def hardware(name: str) -> Hardware:
    return Hardware.from_config(name, plain(CONF / "hardware" / f"{name}.yaml"))


def stem(path: Path) -> str:
    return path.stem


@pytest.mark.parametrize("path", HARDWARE + MODELS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_the_header_names_the_file(path: Path) -> None:
    assert path.read_text().splitlines()[0] == f"# @package {path.parent.name}.{path.stem}"


@pytest.mark.parametrize("name", ["a100", "h200"])
def test_the_models_that_a_hardware_names_are_those_that_are_chosen_with_it(name: str) -> None:
    named = hardware(name).models
    default = ["llama2_7b", "llama2_13b", "llama2_70b"]
    assert list(load_config([f"hardware={name}"]).model) == (named or default)
    assert list(load_config([f"hardware={name}", "model=bloom_176b"]).model) == ["bloom_176b"]


def test_only_hardware_that_was_seen_to_do_so_names_models() -> None:
    assert [path.stem for path in HARDWARE if hardware(path.stem).models] == ["h200"]


@pytest.mark.parametrize("path", HARDWARE, ids=stem)
def test_every_hardware_is_understood_and_says_where_its_facts_are_from(path: Path) -> None:
    node = hardware(path.stem)
    assert node.name == path.stem
    assert node.spec_source
    assert node.spec_status in ("verified", "partly verified", "derived", "unverified", "absent")
    assert node.idle_power_source, "an idle power has a source, and a missing one a reason"
    assert node.energy_scope
    assert (node.usd_per_hour is None) == (node.price_source is None)
    if node.idle_power_w is not None and node.tdp_w is not None:
        assert node.idle_power_w < node.tdp_w


@pytest.mark.parametrize("path", MODELS, ids=stem)
def test_every_model_is_understood_and_says_where_its_facts_are_from(path: Path) -> None:
    described = model(path.stem)
    assert described.name == path.stem
    assert described.family
    assert described.dims_source
    assert described.accuracy_source
    assert (described.accuracy_pct is None) == described.accuracy_source.startswith("absent: ")


@pytest.mark.parametrize("path", MODELS, ids=stem)
def test_the_sizes_of_a_model_follow_from_its_dimensions(path: Path) -> None:
    described = model(path.stem)
    count = count_parameters(described)
    assert (described.param_count, described.active_param_count) == (count.total, count.active)
    assert described.weight_bytes == BYTES_PER_BF16 * described.param_count
    assert described.kv_bytes_per_token == count_kv_bytes_per_token(described)


@pytest.mark.parametrize(("name", "total"), PUBLISHED_PARAMETERS.items())
def test_the_parameter_count_is_the_published_one(name: str, total: int) -> None:
    assert count_parameters(model(name)).total == total


def test_the_hardware_of_each_measured_system_is_named_once() -> None:
    systems = [node.trials_system for node in map(hardware, map(stem, HARDWARE)) if node.trials_system]
    assert sorted(systems) == [
        "dgx-a100-80gb", "dgx-h100-80gb", "m1-pro", "palmetto-a100", "palmetto-v100", "swing-a100",
    ]  # fmt: skip


def test_the_paper_node_idles_at_its_measured_power_without_a_model() -> None:
    a100 = hardware("a100")
    assert (a100.devices_per_node, a100.memory_gb, a100.idle_power_w) == (8, 40, 53)
    assert not a100.idle_power_model_loaded
    assert "measured" in str(a100.idle_power_source)


def test_the_host_cpu_claims_no_datasheet_facts() -> None:
    cpu = hardware("cpu")
    assert (cpu.peak_tflops, cpu.bandwidth_gb_s, cpu.tdp_w, cpu.idle_power_w) == (None,) * 4


@given(st.sampled_from([path.stem for path in MODELS]), st.integers(1, 64))
def test_more_experts_add_parameters_but_only_a_router_to_the_active_ones(name: str, more: int) -> None:
    base = model(name)
    mixture = dataclasses.replace(base, experts=8, experts_per_token=2)
    larger = dataclasses.replace(base, experts=8 + more, experts_per_token=2)
    small, large = count_parameters(mixture), count_parameters(larger)
    assert large.total > small.total
    assert large.active - small.active == base.num_hidden_layers * base.hidden_size * more


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"tpd_w": 1}, "hardware.a100.tpd_w: no such setting. Did you mean 'tdp_w'?"),
        ({"tdp_w": "much"}, "hardware.a100.tdp_w"),
        ({"tdp_w": -1.0}, "hardware.a100.tdp_w: -1.0 must be a number above 0"),
        ({"idle_power_w": 0.0}, "hardware.a100.idle_power_w: 0.0 must be a number above 0"),
        ({"memory_gb": float("nan")}, "hardware.a100.memory_gb: nan must be"),
        ({"devices_per_node": 0}, "hardware.a100.devices_per_node: 0 must be"),
        ({"kind": "gpuu"}, "hardware.a100.kind: 'gpuu'. Did you mean 'gpu'?"),
        ({"headroom": {"work": 0.8}}, "hardware.a100.headroom: expected work, gain, budget_j; got work."),
        ({"headroom": {"work": 1.2, "gain": 0.5, "budget_j": 9.0}}, "hardware.a100.headroom.work=1.2"),
    ],
)
def test_a_wrong_hardware_is_refused_by_its_key(change: dict[str, Any], says: str) -> None:
    node = plain(CONF / "hardware" / "a100.yaml")
    with pytest.raises(InputError) as caught:
        Hardware.from_config("a100", {**node, **change})
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"hidden_sise": 1}, "model.llama2_7b.hidden_sise: no such setting. Did you mean 'hidden_size'?"),
        ({"context_tokens": 0}, "model.llama2_7b.context_tokens: 0 must be"),
        ({"accuracy_pct": 101.0}, "model.llama2_7b.accuracy_pct: 101.0 is not a percentage"),
        ({"num_key_value_heads": 5}, "5 does not divide the 32 attention heads"),
        ({"experts": 8}, "model.llama2_7b.experts_per_token: 0 of 8"),
        ({"experts_per_token": 2}, "model.llama2_7b.experts_per_token: 2 of 0"),
    ],
)
def test_a_wrong_model_is_refused_by_its_key(change: dict[str, Any], says: str) -> None:
    node = plain(CONF / "model" / "llama2_7b.yaml")
    with pytest.raises(InputError) as caught:
        Model.from_config("llama2_7b", {**node, **change})
    assert says in str(caught.value)
