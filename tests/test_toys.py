"""The toy models of `llmsim.testing` are described as any other, and the simulator serves them."""

from dataclasses import asdict

import pytest

from llmsim.backends.simulator import Simulator
from llmsim.specs.hardware import Hardware
from llmsim.specs.model import Model
from llmsim.testing import toy_deployment, toy_model
from llmsim.testing.toys import FAMILIES


@pytest.mark.parametrize("family", FAMILIES)
def test_a_toy_is_a_description_that_a_file_could_hold(family):
    item = toy_deployment(family, kv_cache=False)
    model, hardware = item.target.model, item.target.hardware
    assert Model.from_config(model.name, asdict(model)) == model
    assert Hardware.from_config(hardware.name, asdict(hardware)) == hardware
    assert Simulator().open(item).serve((3,), (4,)).energy_j == 7.0


def test_what_is_asked_of_a_toy_wins_over_its_family():
    assert (
        toy_model("qwen2", tied_embeddings=False, vocab_size=7).param_count < toy_model("qwen2").param_count
    )
