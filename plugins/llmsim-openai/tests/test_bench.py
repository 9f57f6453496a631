"""Campaigns against a server with stated delays: what each cell shows of them, and what cannot be told."""

import socket
from types import SimpleNamespace

import pytest

from llmsim.api import Cell, InputError, NotMeasured, Reading, load_config
from llmsim.tasks import characterize, meters
from llmsim.tasks.characterize import Characterize
from llmsim.testing import BenchConformance
from llmsim_openai.backend import OpenAIBackend
from llmsim_openai.place import is_here

from .stub import Behaviour, serving

PREFILL_S, STEP_S = 0.06, 0.02


@pytest.fixture
def does():
    return Behaviour(prefill_s=PREFILL_S, step_s=STEP_S)


@pytest.fixture
def url(does):
    with serving(does) as address:
        yield address


def bench(url, context_tokens=4096, kv_cache=True, **settings):
    target = SimpleNamespace(kv_cache=kv_cache, model=SimpleNamespace(context_tokens=context_tokens))
    return OpenAIBackend(url=url, **{"timeout_s": 10.0, "max_tokens": 512, **settings}).open_bench(target)


class TestBench(BenchConformance):
    @pytest.fixture(autouse=True)
    def _served(self, does, url):
        does.prefill_s = does.step_s = 0.001
        self.url = url

    def open_bench(self):
        return bench(self.url)


def test_each_cell_takes_the_time_of_its_phase(url):
    opened = bench(url)
    for cell, seconds in (
        (Cell("prefill", 3, 8, 1), PREFILL_S),
        (Cell("decode", 3, 64, 9), 8 * STEP_S),
        (Cell("generation", 1, 8, 5), PREFILL_S + 4 * STEP_S),
    ):
        exercise = opened.prepare(cell)
        found = min(exercise.run(0.0).seconds for _ in range(6))
        assert seconds <= found < 1.5 * seconds  # a busy machine adds to most passes, not to all
    opened.close()


@pytest.mark.parametrize("lumps", [1, 4])
def test_queries_that_begin_one_after_another_are_timed_where_all_decode(does, url, lumps):
    does.queues, does.lumps = "prefill", lumps
    opened = bench(url)
    exercise = opened.prepare(Cell("decode", 4, 64, 9))
    if lumps > 1:  # whole answers only, and their begins are too far apart
        with pytest.raises(NotMeasured, match="several tokens in one part"):
            exercise.run(0.0)
        return
    passes = exercise.run(0.0)
    assert 8 * STEP_S <= passes.seconds / passes.count < 16 * STEP_S
    said = opened.conditions()
    assert (
        said["decode_tokens_ahead"] >= 6
    )  # three prompts of three steps' time, less what a busy machine adds
    assert said["decode_steps_together"] >= 8
    asked = does.bodies[-1]
    assert len(asked["prompt"]) + asked["max_tokens"] / 2 == 64 + 9 / 2  # the same mean context
    opened.close()


def test_what_cannot_be_told_is_not_measured_and_says_why(does, url):
    opened = bench(url)
    does.queues = "all"
    with pytest.raises(NotMeasured, match="of 2 queries at once, all were decoding together for 0 steps"):
        opened.prepare(Cell("decode", 2, 8, 5)).run(0.0)
    assert opened.prepare(Cell("decode", 1, 8, 5)).run(0.0).count == 1
    does.most_context = 20
    with pytest.raises(NotMeasured, match="the context is 20 tokens"):
        opened.prepare(Cell("prefill", 1, 30, 1)).run(0.0)
    with pytest.raises(InputError, match="kv_cache=true"):
        bench(url, kv_cache=False)
    does.most_context, does.takes_tokens, does.begins = 100, False, 4
    with pytest.raises(NotMeasured, match="the server adds 4"):
        bench(url).prepare(Cell("prefill", 1, 4, 1))


def test_no_prompt_of_numbers_begins_as_another(does, url):
    opened = bench(url)
    opened.prepare(Cell("prefill", 4, 30, 1)).run(0.2)
    opened.prepare(Cell("decode", 2, 30, 5)).run(0.0)
    prompts = [tuple(body["prompt"][:4]) for body in does.bodies[1:]]
    assert len(set(prompts)) == len(prompts) > 8
    assert "different" in opened.conditions()["prompts"]


def test_joules_of_decode_need_a_window_that_is_decodes(url):
    near, far = bench(url), bench(url, here=False)
    cell = Cell("decode", 1, 200, 5)
    exercise = near.prepare(cell)
    exercise.run(0.0)  # finds how many steps that takes
    assert exercise.run(0.0).alone
    assert near.conditions()["decode_window_pct"] >= 95
    assert near.conditions()["decode_steps"] > 19 * PREFILL_S / STEP_S
    short = near.prepare(Cell("decode", 1, 8, 5))
    short.run(0.0)
    assert not short.run(0.0).alone  # a prompt of eight tokens has no room for so many
    assert not far.prepare(cell).run(0.0).alone
    assert far.conditions()["decode_steps"] == 4
    near.close()
    far.close()


def test_a_server_is_here_by_its_address_unless_said_otherwise(url):
    assert is_here(url)
    assert is_here("http://localhost:8000/v1")
    assert is_here("http://[::1]:8000/v1") == socket.has_ipv6
    assert not is_here("http://192.0.2.7:8000/v1")
    assert not is_here("http://no-such-host.invalid/v1")
    assert not OpenAIBackend(url=url).elsewhere
    assert OpenAIBackend(url=url, here=False).elsewhere
    assert not OpenAIBackend(url="http://192.0.2.7:8000/v1", here=True).elsewhere


class Lamp:
    """A meter of 40 W."""

    def unavailable(self):
        return None

    def start(self):
        pass

    def stop(self):
        return [Reading("gpu0", "gpu_boards", "measured", "energy_counter", 40.0, 40.0, 1.0)]

    def close(self):
        pass


@pytest.mark.parametrize("here", [True, False])
def test_a_campaign_of_a_server_ends_with_labelled_trials(url, tmp_path, monkeypatch, here):
    monkeypatch.setattr(meters, "METERS", SimpleNamespace(build=lambda node: Lamp()))
    monkeypatch.setattr(characterize, "measure_idle", lambda *_: {"sum_w": 10.0})
    monkeypatch.chdir(tmp_path)
    words = ["task=characterize", "backend=openai", "hardware=h200", "model=llama3_1_8b"]
    config = load_config([*words, f"backend.url={url}", f"backend.here={str(here).lower()}"])
    task = Characterize(
        prefill_tokens=[16], prefill_batch=[1, 2], decode_context=[200], decode_batch=[1], steps=4,
        tau_in=[16], tau_out=[3], window_s=0.0, settle_s=0.0, least=2, most=2,
    )  # fmt: skip
    found = task.run(config)
    joules = {record["experiment"]: record["energy_j"] for record in found.records}
    assert {record["outcome"] for record in found.records} == {"completed"}
    if not here:
        assert set(joules.values()) == {None}
        assert any("done elsewhere" in note for note in found.notes)
        return
    assert 1 <= joules["decode"] / (40 * 4 * STEP_S) < 3
    assert 1 <= joules["prefill"] / (40 * PREFILL_S) < 3
    assert {trial["scope"] for trial in found.trials} == {"gpu_boards"}
