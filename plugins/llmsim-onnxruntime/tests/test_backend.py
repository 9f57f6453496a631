from types import SimpleNamespace

import numpy as np
import pytest

from llmsim.api import Cell, InputError, OutOfMemory, SizingBackend
from llmsim.testing import BenchConformance, EngineConformance, toy_deployment, toy_model, toy_target
from llmsim_onnxruntime import memory
from llmsim_onnxruntime.backend import OnnxRuntimeBackend
from llmsim_onnxruntime.graph import Making, write_graph
from llmsim_onnxruntime.own import weight_bytes
from llmsim_onnxruntime.resident import Resident
from llmsim_onnxruntime.session import failed_allocations
from llmsim_onnxruntime.weights import random_tensor, shapes

from .exported import exported_file, own_file


def backend(**settings):
    return OnnxRuntimeBackend(**{"threads": 1, "max_tokens": 64, **settings})


def engine(settings=None, **about):
    return backend(**(settings or {})).open(toy_deployment(**about))


class TestEngine(EngineConformance):
    def open_engine(self):
        return engine()


class TestEngineInFourBits(EngineConformance):
    def open_engine(self):
        return engine(precision="int4")


class TestEngineWithoutCache(EngineConformance):
    def open_engine(self):
        return engine(kv_cache=False)


class TestBench(BenchConformance):
    def open_bench(self):
        return backend().open_bench(toy_target())


class TestEngineOfAFile(EngineConformance):
    @pytest.fixture(autouse=True)
    def file(self, tmp_path):
        self.path = str(exported_file(tmp_path, toy_model()))

    def open_engine(self):
        return engine({"path": self.path})


@pytest.mark.parametrize("positions", [False, True])
def test_the_tokens_of_a_file_are_those_of_the_graph_that_it_holds(positions, tmp_path):
    exported = exported_file(tmp_path, toy_model(), positions=positions)
    answers = []
    for path in (exported, tmp_path / "model.onnx"):
        one = engine({"path": str(path)})
        one.serve((5, 17), (6, 6))
        answers.append(one.generated())
    assert answers[0] == answers[1]


def test_a_file_that_copies_its_cache_is_refused(tmp_path):
    path = exported_file(tmp_path, toy_model(), attention="MultiHeadAttention")
    with pytest.raises(InputError, match="copies the whole cache"):
        engine({"path": str(path)})


def test_a_file_of_another_model_is_refused(tmp_path):
    path = own_file(tmp_path, toy_model(num_hidden_layers=1))
    with pytest.raises(InputError, match=r"\(1, 2, 16\).*\(2, 2, 16\)"):
        engine({"path": str(path)})


def test_what_is_no_onnx_file_is_refused(tmp_path):
    (tmp_path / "notes.onnx").write_text("a recipe for soup")
    with pytest.raises(InputError, match="not an ONNX file"):
        engine({"path": str(tmp_path / "notes.onnx")})


@pytest.mark.parametrize(
    ("settings", "about", "message"),
    [
        ({}, {"precision": "bf16"}, "task.precision=fp32"),
        ({}, {"family": "falcon"}, "falcon"),
        ({"threads": 0}, {}, "backend.threads=0"),
        ({"path": "nowhere.onnx"}, {}, "no such file"),
    ],
)
def test_what_cannot_run_is_refused_with_the_reason(settings, about, message):
    with pytest.raises(InputError, match=message):
        backend(**settings).open_bench(toy_target(**about))


def test_conditions_say_random_weights_threads_and_processor():
    conditions = backend(threads=2).open_bench(toy_target()).conditions()
    assert conditions["weights"] == "random"
    assert conditions["threads"] == 2
    assert conditions["device"]


def test_with_and_without_a_cache_the_tokens_are_the_same():
    answers = []
    for kv_cache in (True, False):
        one = engine(kv_cache=kv_cache)
        one.serve((6, 3), (9, 2))
        answers.append(one.generated())
    assert answers[0] == answers[1]


def test_a_generation_tells_its_pass_apart():
    passes = backend().open_bench(toy_target()).prepare(Cell("generation", 2, 6, 5)).run(0.0)
    assert 0 < passes.prefill_s < passes.seconds


def test_a_bench_without_a_cache_generates_one_query_at_a_time():
    bench = backend().open_bench(toy_target(kv_cache=False))
    assert bench.prepare(Cell("generation", 1, 6, 5)).run(0.0).tokens == 5
    with pytest.raises(OutOfMemory, match="one at a time"):
        bench.prepare(Cell("generation", 2, 6, 5))


def test_a_batch_that_memory_does_not_hold_is_out_of_memory_before_it_is_allocated(monkeypatch):
    bench = backend().open_bench(toy_target())
    monkeypatch.setattr("llmsim_onnxruntime.resident.available_bytes", lambda: 10_000_000)
    with pytest.raises(OutOfMemory, match="GB are available"):
        bench.prepare(Cell("decode", 4096, 16, 2))
    assert bench.prepare(Cell("decode", 2, 16, 2)).run(0.0).tokens == 1


def test_a_longer_pass_over_the_same_cache_is_held_against_the_memory_too(monkeypatch):
    one = engine()
    one.serve((3,), (50,))
    monkeypatch.setattr("llmsim_onnxruntime.resident.available_bytes", lambda: 1000)
    with pytest.raises(InputError, match="GB are available"):
        one.serve((40,), (1,))
    one.serve((3,), (50,))


def test_a_full_disk_is_refused_with_where_else_to_write(monkeypatch):
    monkeypatch.setattr("llmsim_onnxruntime.own.disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(InputError, match="Set TMPDIR"):
        engine()


def test_weights_that_memory_does_not_hold_are_out_of_memory(monkeypatch):
    monkeypatch.setattr("llmsim_onnxruntime.own.available_bytes", lambda: 1000)
    with pytest.raises(OutOfMemory, match="weights"):
        backend().open_bench(toy_target())


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("std::bad_alloc")])
def test_a_failed_allocation_is_out_of_memory(error):
    with pytest.raises(OutOfMemory), failed_allocations():
        raise error


def test_a_containers_limit_counts_where_it_is_less_than_the_machine_has(tmp_path):
    (tmp_path / "meminfo").write_text("MemTotal: 900 kB\nMemAvailable: 800 kB\n")
    assert memory.available_bytes(tmp_path / "meminfo", tmp_path) == 800 * 1024
    (tmp_path / "memory.max").write_text("500000\n")
    (tmp_path / "memory.current").write_text("400000\n")
    (tmp_path / "memory.stat").write_text("anon 100000\ninactive_file 50000\n")
    assert memory.available_bytes(tmp_path / "meminfo", tmp_path) == 150_000
    assert memory.available_bytes(tmp_path / "nothing", tmp_path) is None


@pytest.mark.parametrize("precision", ["fp32", "int8", "int4"])
def test_the_bytes_of_the_weights_are_foreseen(precision, tmp_path):
    model = toy_model(hidden_size=512, intermediate_size=1024, head_dim=128)
    every = shapes(model)
    write_graph(model, lambda name: random_tensor(name, every[name], 0), Making(precision, 8), tmp_path)
    written = (tmp_path / "model.onnx.data").stat().st_size
    assert weight_bytes(model, precision) == pytest.approx(written, rel=0.03)


def test_a_batch_keeps_all_its_places_until_its_longest_answer_ends(monkeypatch):
    batches = []
    step = Resident.step

    def counted(resident, rows):
        run = step(resident, rows)
        return lambda: batches.append(rows) or run()

    monkeypatch.setattr(Resident, "step", counted)
    one = engine()
    one.serve((3, 9, 5), (4, 1, 6))
    assert batches == [3] * 5
    together = one.generated()
    one.serve((3,), (4,))
    assert together[0] == one.generated()[0]


def test_a_warmed_engine_gives_the_same_tokens():
    answers = []
    for warmed in (False, True):
        one = engine(discipline="static")
        one.expect(np.array([3, 9, 5]), np.array([4, 1, 6]))
        if warmed:
            one.warm()
        one.serve((3, 9, 5), (4, 1, 6))
        answers.append(one.generated())
    assert answers[0] == answers[1]


def test_a_batch_that_can_not_fit_is_refused_before_it_is_served():
    small = engine(discipline="static")
    small.expect(np.array([30, 10]), np.array([10, 34]))
    with pytest.raises(InputError, match=r"8 x \(40 \+ 34\).*workload.tau_in_max"):
        small.expect(np.array([40, 10]), np.array([10, 34]))


def test_what_an_engine_holds_is_foreseen():
    one, asked = backend(), toy_deployment(discipline="static")
    assert isinstance(one, SizingBackend)
    foreseen = one.resident_bytes(asked)
    assert foreseen["weights"] == weight_bytes(toy_model(), "fp32")
    resident = one.open(asked)._resident
    resident.arrange(asked.max_batch, 64)
    assert foreseen["cache"] == sum(cache.nbytes for cache in resident._caches.values())
    assert one.memory_bytes() > 0
