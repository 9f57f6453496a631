"""Composing a configuration: every form of the words, and every typo."""

from __future__ import annotations

import pytest

from llmsim.config import groups, load_config, normalise
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
        (["+policy.zeta=0.3"], ["++policy.zeta=0.3"]),
        (
            ["-m", "workload.limit=5", "hydra.run.dir=x"],
            ["-m", "workload.limit=5", "hydra.run.dir=x", "baselines=[]"],
        ),
    ],
)
def test_words_become_one_form(words, expected):
    assert normalise(words) == expected


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


def test_every_option_of_every_group_composes():
    for group, options in groups().items():
        for option in options:
            load_config([f"{group}={option}"]) if (group, option) != ("policy", "single") else load_config(
                ["policy=single", "policy.deployment=llama2_7b"]
            )


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
        (["policy=single"], "deployment"),
    ],
)
def test_typos_name_the_nearest(words, message):
    with pytest.raises(InputError, match=message):
        load_config(words)
