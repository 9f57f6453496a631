import pytest
import torch

from llmsim.api import Cell, InputError, OutOfMemory
from llmsim.testing import BenchConformance, EngineConformance, toy_deployment, toy_target
from llmsim_torch.backend import TorchBackend


def backend(**settings):
    return TorchBackend(**{"device": "cpu", "max_tokens": 64, "cache_tokens": 512, **settings})


def engine(**about):
    return backend().open(toy_deployment(**about))


class TestEngine(EngineConformance):
    def open_engine(self):
        return engine()


class TestEngineOfExperts(EngineConformance):
    def open_engine(self):
        return engine(family="mixtral")


class TestEngineWithoutCache(EngineConformance):
    def open_engine(self):
        return engine(kv_cache=False)


class TestBench(BenchConformance):
    def open_bench(self):
        return backend().open_bench(toy_target())


def test_with_and_without_a_cache_the_tokens_are_the_same():
    tokens = []
    for kv_cache in (True, False):
        one = engine(kv_cache=kv_cache)
        one.serve((6,), (9,))
        tokens.append(one.generated())
    assert tokens[0] == tokens[1]


def test_a_bench_tells_the_prompt_of_a_generation_apart():
    passes = backend().open_bench(toy_target()).prepare(Cell("generation", 2, 6, 5)).run(0.01)
    assert passes.prefill_s is not None
    assert 0 < passes.prefill_s < passes.seconds


def test_a_bench_without_a_cache_generates_one_query_at_a_time():
    bench = backend().open_bench(toy_target(kv_cache=False))
    assert bench.prepare(Cell("generation", 1, 6, 5)).run(0.0).tokens == 5
    with pytest.raises(OutOfMemory, match="one query"):
        bench.prepare(Cell("generation", 2, 6, 5))


def test_conditions_say_random_weights():
    assert backend().open_bench(toy_target()).conditions()["weights"] == "random"


@pytest.mark.parametrize(
    ("settings", "about", "message"),
    [
        ({"device": "tpu"}, {}, "backend.device=tpu"),
        ({}, {"precision": "int3"}, "int3"),
    ],
)
def test_what_cannot_run_is_refused_with_the_reason(settings, about, message):
    with pytest.raises(InputError, match=message):
        backend(**settings).open_bench(toy_target(**about))


def test_a_family_that_is_not_known_is_refused():
    with pytest.raises(InputError, match="falcon"):
        backend().open_bench(toy_target("falcon"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_no_gpu_says_what_to_install():
    assert "driver" in TorchBackend().unavailable()
