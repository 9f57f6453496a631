from dataclasses import replace

import numpy as np
import pytest
import torch

from llmsim.api import Cell, InputError, OutOfMemory, SizingBackend
from llmsim.testing import BenchConformance, EngineConformance, toy_deployment, toy_target
from llmsim.testing.toys import FAMILIES
from llmsim_torch.backend import TorchBackend
from llmsim_torch.resident import MARGIN_TOKENS, Resident
from llmsim_torch.weights import random_model

from .tiny import made


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


@pytest.mark.parametrize("family", ["llama", "qwen3_moe"])
def test_a_checkpoint_is_run_as_the_model_that_it_is_of_and_as_no_other(family, tmp_path):
    model = toy_target(family).model
    random_model(model, torch.device("cpu"), torch.float32, 0).save_pretrained(tmp_path)
    of = backend(checkpoint=str(tmp_path))
    assert of.open(toy_deployment(family)).serve((3,), (2,)).runtime_s > 0
    deeper = toy_deployment(family)
    deeper = replace(deeper, target=replace(deeper.target, model=replace(model, num_hidden_layers=3)))
    with pytest.raises(InputError, match=r"not a checkpoint of .*: num_hidden_layers 2 and 3 as described"):
        of.open(deeper)
    with pytest.raises(InputError, match=f"model_type {family} and mistral"):
        of.open(toy_deployment("mistral"))


def test_a_checkpoint_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"backend\.checkpoint=.*nowhere: cannot be loaded"):
        backend(checkpoint=str(tmp_path / "nowhere")).open(toy_deployment())


def test_a_query_that_is_too_long_names_the_settings():
    with pytest.raises(InputError, match=r"200 tokens.* holds 64: backend\.max_tokens=64"):
        engine().expect(np.array([100]), np.array([100]))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_no_gpu_says_what_to_install():
    assert "driver" in TorchBackend().unavailable()


def test_a_batch_keeps_all_its_places_until_its_longest_answer_ends(monkeypatch):
    batches = []
    step = Resident.step

    def counted(resident, slots):
        run = step(resident, slots)
        return lambda: batches.append(len(slots)) or run()

    monkeypatch.setattr(Resident, "step", counted)
    one = engine()
    one.serve((3, 9, 5), (4, 1, 6))
    assert batches == [3] * 5
    together = one.generated()
    one.serve((3,), (4,))
    assert together[0] == one.generated()[0]


def test_a_batch_that_can_not_fit_is_refused_before_it_is_served_with_what_would_mend_it():
    small = engine(discipline="static")
    small.expect(np.array([30, 10]), np.array([10, 34]))
    with pytest.raises(InputError, match=r"8 x \(40 \+ 34\).*workload.tau_in_max"):
        small.expect(np.array([40, 10]), np.array([10, 34]))
    with pytest.raises(InputError, match=r"9 x \(30 \+ 30\).*cache_tokens=540"):
        small.serve((30,) * 9, (30,) * 9)


@pytest.mark.parametrize("family", FAMILIES)
def test_what_an_engine_holds_is_foreseen_to_the_byte(family):
    one = backend(cache_tokens=512)
    assert isinstance(one, SizingBackend)
    asked = toy_deployment(family=family)
    foreseen = one.resident_bytes(asked)
    resident = one.open(asked)._resident
    weights = made(family).parameters()
    assert foreseen["weights"] == sum(item.numel() * item.element_size() for item in weights)
    margin = 2 * 2 * MARGIN_TOKENS * 16 * 4  # layers, keys and values, tokens, dimension, bytes
    held = sum(pool.numel() * pool.element_size() for pools in resident._pools for pool in pools)
    assert foreseen["cache"] == held - margin
    assert one.memory_bytes() > 0


@pytest.mark.parametrize("kv_cache", [True, False])
def test_a_warmed_and_prepared_engine_gives_the_same_tokens(kv_cache):
    answers = []
    for warmed in (False, True):
        one = engine(kv_cache=kv_cache, discipline="static")
        one.expect(np.array([3, 9, 5]), np.array([4, 1, 6]))
        if warmed:
            one.warm()
            one.prepare((3, 9, 5), (4, 1, 6))
        one.serve((3, 9, 5), (4, 1, 6))
        answers.append(one.generated())
    assert answers[0] == answers[1]
