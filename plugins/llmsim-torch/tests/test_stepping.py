"""Queries that come and go."""

import numpy as np
import pytest

from llmsim.api import InputError, StepEngine, WarmingEngine
from llmsim.testing import StepConformance
from llmsim_torch.backend import TorchBackend
from llmsim_torch.stepping import filled

from .tiny import deployment


def engine(cache_tokens=1024, **about):
    backend = TorchBackend(device="cpu", max_tokens=64, cache_tokens=cache_tokens)
    return backend.open(deployment(**about))


class TestSteps(StepConformance):
    def open_engine(self):
        return engine()


class TestWarmedSteps(StepConformance):
    def open_engine(self):
        one = engine()
        begin = one.begin
        one.begin = lambda *about: begin(*about) or one.warm()
        return one


def test_it_is_an_engine_that_runs_iterations():
    assert isinstance(engine(), StepEngine)
    assert isinstance(engine(), WarmingEngine)


@pytest.mark.parametrize(("instances", "kv_cache", "said"), [(2, True, "2 instances"), (1, False, "without")])
def test_what_iterations_cannot_be_run_of_is_refused(instances, kv_cache, said):
    with pytest.raises(InputError, match=said):
        engine(kv_cache=kv_cache).begin(instances, 4)


def test_places_that_do_not_fit_say_what_would():
    small = engine(cache_tokens=128)
    small.expect(np.array([30]), np.array([30]))
    with pytest.raises(InputError, match="cache_tokens=540"):
        small.begin(1, 8)


def test_a_batch_is_filled_up_to_a_captured_one():
    assert [filled(batch, 100) for batch in (1, 8, 9, 17, 33, 65, 99)] == [1, 8, 10, 20, 40, 80, 100]
