"""Composing a configuration: every form of the words, and every typo."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import pytest

from llmsim.arguments import groups, normalise
from llmsim.config import Config, _needs_no_parsing, load_config, parse
from llmsim.errors import InputError


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["+hardware=a100", "+policy=optimal"], ["hardware=a100", "policy=optimal"]),
        (["hardware=a100"], ["hardware=a100"]),
        (["+hardware=a100", "+hardware=m1_pro"], ["hardware=[a100,m1_pro]"]),
        (["+hardware=[a100,v100]"], ["hardware=[a100,v100]"]),
        (["policy.zeta=0.3"], ["++policy.zeta=0.3"]),
        (["++policy.zeta=0.3"], ["++policy.zeta=0.3"]),
        (["backend=torch"], ["backend=torch", "baselines=[]"]),
        (["backend=torch", "baselines=[random]"], ["backend=torch", "baselines=[random]"]),
        (["backend=simulator"], ["backend=simulator"]),
        (["+policy.zeta=0.3"], ["++policy.zeta=0.3"]),
        (
            ["-m", "workload.limit=5", "hydra.run.dir=x"],
            ["-m", "workload.limit=5", "hydra.run.dir=x", "baselines=[]", "report=figures"],
        ),
        (
            ["-m", "seed=1", "--cfg", "job"],
            ["-m", "seed=1", "baselines=[]", "report=figures", "--cfg", "job"],
        ),
        (["task=compare", "runs=[a,b]"], ["task=compare", "task.runs=[a,b]"]),
    ],
)
def test_words_become_one_form(words, expected):
    assert normalise(words) == expected


def test_equal_numbers_of_other_types_are_parsed_apart_and_no_result_is_shared():
    @dataclass
    class Anything:
        value: Any = None

    parsed = [parse(Anything, {"value": value}, "") for value in (1, 1.0, True, [1], [1])]
    assert [type(item.value) for item in parsed] == [int, float, bool, list, list]
    parsed[3].value.append(2)
    assert parsed[4].value == parse(Anything, {"value": [1]}, "").value == [1]


@pytest.mark.parametrize("words", [[], ["experiment=first_look", "seed=3"], ["fleet.shares.llama2_7b=0.3"]])
def test_a_run_that_needs_no_parsing_is_what_parsing_gives(words):
    config = load_config(words)
    assert _needs_no_parsing(asdict(config))
    assert parse(Config, asdict(config), "") == config


def test_normalising_twice_changes_nothing():
    once = normalise(["+hardware=a100", "+model=llama2_7b", "policy.zeta=1", "-m", "seed=3"])
    assert normalise(once) == once


def test_the_default_is_the_papers_case():
    config = load_config()
    assert list(config.hardware) == ["a100"]
    assert list(config.model) == ["llama2_7b", "llama2_13b", "llama2_70b"]
    assert config.workload["name"] == "azure_conv"
    assert config.policy["zeta"] == 0.5
    assert config.fleet["devices"] == 16000


def test_several_hardware_are_chosen_at_once():
    assert list(load_config(["hardware=[a100,m1_pro]"]).hardware) == ["a100", "m1_pro"]


def test_an_experiment_wins_over_the_groups_but_not_over_the_words():
    assert load_config(["experiment=first_look"]).workload["limit"] == 500
    assert load_config(["experiment=first_look", "workload.limit=7"]).workload["limit"] == 7


def test_the_same_words_have_the_same_hash_and_others_another():
    assert load_config(["seed=3"]).sha256() == load_config(["seed=3"]).sha256()
    assert load_config(["seed=3"]).sha256() != load_config(["seed=4"]).sha256()


def test_energy_slo_keeps_what_is_asked_of_the_run_unless_told():
    asked = ["policy=energy_slo", "slo.latency_s=9"]
    assert load_config(asked).policy["slo_s"] == 9.0
    assert load_config([*asked, "policy.slo_s=5"]).policy["slo_s"] == 5.0


def test_every_option_of_every_group_composes():
    options = groups()
    load_config([f"{group}=[{','.join(options.pop(group))}]" for group in ("hardware", "model")])
    for experiment in options.pop("experiment"):
        load_config([f"experiment={experiment}"])
    for turn in range(max(map(len, options.values()))):
        words = [f"{group}={names[turn % len(names)]}" for group, names in options.items()]
        load_config([*words, *(["policy.deployment=llama2_7b"] if "policy=single" in words else [])])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["hardware=a10"], r"hardware=a10: no such hardware\. Did you mean 'a1"),
        (["+hardware=a1000"], "Did you mean 'a100'"),
        (["model=llama_7b"], "Did you mean 'llama2_7b'"),
        (["policy=optimum"], "Did you mean 'optimal'"),
        (["workload=azure_con"], "Did you mean 'azure_conv'"),
        (["fleet=wilkin"], "Did you mean 'wilkins'"),
        (["experiment=first_lok"], "Did you mean 'first_look'"),
        (["hardwear=a100"], "Did you mean 'hardware'"),
        (["+hardwear=a100"], "Did you mean 'hardware'"),
        (["sed=3"], "Did you mean 'seed'"),
        (["workload.limt=3"], "Did you mean 'workload.limit'"),
        (["fleet.device=3"], "Did you mean 'fleet.devices'"),
        (["hardware=a100", "hardware=v100"], "several at once|Several at once"),
        (["hardware=a100,v100"], r"several at once, or add -m"),
        (["seed=many"], "seed"),
        (["policy=single"], r"policy\.deployment: this setting must be given"),
        (["seed=-1"], "seed=-1: expected a whole number from 0"),
        (["hardware=null"], "hardware=None: choose one"),
        (["baselines=[5]"], r"baselines\[0\]=5: expected a policy's name"),
        (["baselines=[[random]]"], r"baselines\[0\]"),
        (["=5"], "name is missing"),
        (["-m"], "expected a word such as"),
        (["hardware=glob(z*)"], "matches none of"),
        (["hydra.run.dri=x"], "Did you mean 'hydra.run.dir'"),
        (["hydra/launcher=jobli"], r"hydra/launcher=jobli: no such option\. Did you mean 'joblib'"),
        (["meter=zeus"], r"meter=zeus is not installed\. Install it: pip install"),
    ],
)
def test_typos_name_the_nearest(words, message):
    with pytest.raises(InputError, match=message):
        load_config(words)


def test_a_configuration_is_composed_inside_another_hydra_application_which_goes_on(tmp_path):
    from hydra import compose, initialize_config_dir

    (tmp_path / "config.yaml").write_text("foo: 1\n")
    with initialize_config_dir(str(tmp_path), version_base="1.3"):
        assert load_config(["seed=3"]).seed == 3
        assert compose("config").foo == 1


def test_configurations_are_composed_from_several_threads():
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda n: load_config([f"seed={n}"]).seed, range(4))) == list(range(4))


def test_a_name_can_be_added_to_the_fleets_mappings():
    fleet = load_config(["fleet.devices_by_hardware.a100=5", "fleet.shares={mistral_7b: 1.0}"]).fleet
    assert fleet["devices_by_hardware"] == {"a100": 5}
    assert fleet["shares"]["mistral_7b"] == 1.0


def test_a_deployments_own_settings_can_be_named_whatever_its_name():
    words = [
        "fleet.deployments.llama2_7b@a100.serving.max_batch=4",
        "fleet.deployments.llama2_13b@a100.serving.kv=grow",
        "fleet.deployments.llama2_13b.serving.first=decode",
        "fleet.topology.nodes_per_rack=4",
        "workload.arrivals.process=poisson",
    ]
    config = load_config(words)
    assert config.fleet["deployments"] == {
        "llama2_7b@a100": {"serving": {"max_batch": 4}},
        "llama2_13b@a100": {"serving": {"kv": "grow"}},
        "llama2_13b": {"serving": {"first": "decode"}},
    }
    assert config.fleet["topology"] == {"nodes_per_rack": 4}
    assert config.workload["arrivals"] == {"process": "poisson"}
    assert normalise(normalise(words)) == normalise(words)


def test_an_unknown_key_inside_a_mapping_is_named():
    with pytest.raises(InputError, match=r"slo\.ttf_s: no such setting\. Did you mean 'slo\.ttft_s'"):
        load_config(["slo={ttf_s: 3}"])
