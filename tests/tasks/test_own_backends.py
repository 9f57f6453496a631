"""Deployments with a backend and a meter of their own."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np
import pytest

from llmsim.api import evaluate, load_config
from llmsim.backends import BACKENDS
from llmsim.backends.contract import Advance
from llmsim.errors import InputError
from llmsim.measurement import METERS
from llmsim.measurement.contract import Reading
from llmsim.measurement.grouped import Grouped
from llmsim.tasks import measuring
from llmsim.tasks.meters import open_meters
from tests.measurement.made_up import TableEngine
from tests.measurement.test_grouped import Desk
from tests.measurement.test_recorded import Broken

WORDS = [
    "hardware=a100_80gb", "model=[llama2_70b,bloom_176b]", "model.bloom_176b.accuracy_pct=50",
    "policy=optimal", "workload.limit=30", "fleet.serving.discipline=static",
    "fleet.serving.max_batch=8", "baselines=[]", "backend=simulator",
]  # fmt: skip


@dataclass
class Board:
    """A backend on a GPU."""

    method: ClassVar[str] = "measured"
    device: str = "board"
    uuids: ClassVar[tuple[str, ...]] = ("GPU-1",)
    cache: int = 10
    opened: ClassVar[list[tuple[str, int]]] = []

    def gpu_uuids(self):
        return self.uuids

    def resident_bytes(self, deployment):
        return {"weights": 60_000_000_000, "cache": self.cache * 10**9, "passes": 0}

    def memory_bytes(self):
        return 155_000_000_000

    def open(self, deployment):
        self.opened.append((deployment.name, self.cache))
        return TableEngine()


@dataclass
class Socket(Board):
    """A backend on the CPU."""

    device: str = "socket"
    uuids: ClassVar[tuple[str, ...]] = ()


@dataclass
class Server(Board):
    """A backend that cannot be asked what it runs."""

    serves_one: ClassVar[str] = "one server cannot be both."


@dataclass
class Guess:
    """Reads nothing."""

    def unavailable(self):
        return None

    def start(self):
        pass

    def stop(self):
        return [Reading("cpu", "cpu_packages", "estimated", "tdp", 100.0, 100.0, 1.0)]

    def close(self):
        pass


@dataclass
class Boards(Guess):
    """Reads GPUs."""

    seen: ClassVar[list[tuple[str, ...]]] = []

    def only(self, uuids):
        self.seen.append(tuple(uuids))

    def unavailable(self):
        return None if self.seen[-1] else "it reads GPUs, and this work is done on none"

    def stop(self):
        return [Reading("gpu0", "gpu_boards", "measured", "made up", 400.0, 400.0, 1.0)]


@pytest.fixture(autouse=True)
def made_up(monkeypatch, tmp_path):
    for registry, names in ((BACKENDS, ("Board", "Server", "Socket")), (METERS, ("Boards", "Guess"))):
        own = {name.lower(): f"tests.tasks.test_own_backends:{name}" for name in names}
        monkeypatch.setitem(registry.__dict__, "built_in", {**registry.built_in, **own})
    monkeypatch.setattr("llmsim.measurement.grouped.LEAST_WINDOW_S", 0.0)
    monkeypatch.chdir(tmp_path)
    Board.opened.clear()
    Boards.seen.clear()


def run(backend="board", meter="boards", **others):
    config = load_config(WORDS)
    return evaluate(
        dataclasses.replace(config, backend={"name": backend}, meter={"name": meter}, **others)
    ).summary


def test_one_server_each_is_enough():
    assert joules(run("server", backends={"bloom_176b": {"cache": 20}}))["bloom_176b"] > 0


def joules(summary):
    return {name.split("@")[0]: item["energy_active_j"] for name, item in summary["deployments"].items()}


def test_work_on_the_cpu_never_has_the_joules_of_the_gpu():
    summary = run(backends={"bloom_176b@a100_80gb": "socket"})
    found = joules(summary)
    assert found["llama2_70b"] > 0
    assert found["bloom_176b"] is None
    assert summary["energy_active_j"] is None
    assert "bloom_176b@a100_80gb: Energy is absent" in " ".join(summary["warnings"])
    assert Boards.seen == [("GPU-1",), ()]


def test_an_estimate_beside_a_measurement_makes_an_estimate_of_the_sum_and_is_told():
    summary = run(backends={"bloom_176b": "socket"}, meters={"bloom_176b": "guess"})
    assert summary["energy_method"] == "estimated"
    assert summary["energy_scope"] == "cpu_packages and gpu_boards"
    assert any("estimated (cpu_packages): bloom_176b" in text for text in summary["warnings"])


def test_later_entries_win_and_settings_without_a_name_change_those_of_the_rest():
    run(backends={"a100_80gb": {"cache": 20}, "llama2_70b": {"cache": 30}})
    assert sorted(Board.opened) == [("bloom_176b@a100_80gb", 20), ("llama2_70b@a100_80gb", 30)]


@pytest.mark.parametrize(
    ("others", "message"),
    [
        ({"backends": {"llama2_7": "board"}}, "backends.llama2_7: no such model.*llama2_70b|llama2_7b"),
        ({"backends": {"llama2_70b": "bord"}}, "backends.llama2_70b.*board"),
        ({"backends": {"llama2_70b": {"cash": 3}}}, "llama2_70b.*cash.*cache"),
        ({"backends": {"llama2_70b": 5}}, "expected a name, or settings"),
        ({"meters": {"llama2_70b": "nvm"}}, "meters.llama2_70b.*nvml"),
        ({"backends": {"llama2_70b": "simulator"}}, "one run has figures of one kind"),
        ({"meters": {"llama2_70b": "guess"}}, "run on one device .board."),
        ({"backend": "server"}, "llama2_70b@a100_80gb, bloom_176b@a100_80gb: one server cannot be both"),
    ],
)
def test_what_cannot_be_is_refused(others, message):
    with pytest.raises(InputError, match=message):
        run(**others)


def test_words_of_the_command_line_give_deployments_their_own():
    words = [
        "backends.cpu=onnxruntime", "backends.llama2_13b={name:torch,cache_tokens:30000}",
        "backends.llama2_7b@cpu.threads=4", "meters.cpu={name:tdp,allow_estimate:true,tdp_w:270}",
    ]  # fmt: skip
    config = load_config(words)
    assert config.backends == {
        "cpu": "onnxruntime",
        "llama2_13b": {"name": "torch", "cache_tokens": 30000},
        "llama2_7b@cpu": {"threads": 4},
    }
    assert config.meters["cpu"]["tdp_w"] == 270
    assert config.baselines == []


def test_a_meter_of_gpus_is_not_opened_for_work_on_none():
    config = dataclasses.replace(load_config(WORDS), meter={"name": "boards"})
    meters, notes = open_meters(config, Socket())
    assert meters == []
    assert "done on none" in notes[0]


def test_one_gpu_under_two_names_is_refused_as_its_joules_would_be_counted_twice():
    with pytest.raises(InputError, match=r"GPU-1.*board, board:0.*llama2_70b.*bloom_176b.*the same device"):
        run(backends={"bloom_176b": {"device": "board:0"}})
    assert Board.opened == []


def test_models_that_an_online_policy_needs_at_once_are_refused_with_sizes_before_any_is_loaded():
    online = {"policy": {"name": "least_loaded"}, "backends": {"llama2_70b": {"cache": 20}}}
    assert run(**online)["queries"] == 30
    assert len(Board.opened) == 2
    Board.opened.clear()
    online["backends"] = {"llama2_70b": {"cache": 30}}
    with pytest.raises(InputError) as refused:
        run(**online)
    said = str(refused.value)
    assert "160.0 GB are needed, 155.0 GB are free" in said
    assert "llama2_70b@a100_80gb: 60.0 GB weights + 30.0 GB cache" in said
    assert "backends.<model>.cache_tokens" in said
    online["policy"] = {"name": "optimal"}
    online["baselines"] = ["least_loaded"]  # also where it comes after one that could have run
    with pytest.raises(InputError, match="160"):
        run(**online)
    assert Board.opened == []
    del online["baselines"]
    run(**online)  # one at a time
    apart = {
        **online,
        "policy": {"name": "least_loaded"},
        "backends": {"llama2_70b": {"name": "socket", "cache": 30}},
    }
    assert run(**apart)["queries"] == 30


class Moody(TableEngine):
    """Takes another time whenever it is asked, and breaks after so many pieces of work."""

    desk = Desk()
    rng = np.random.default_rng(7)
    lasts = 0

    def serve(self, tau_in, tau_out):
        Moody.lasts -= 1
        if Moody.lasts < 0:
            raise Broken
        seconds = float(max(tau_out) * self.rng.uniform(0.005, 0.02))
        self.desk.work(seconds)
        return Advance(seconds, seconds / 2, None)


@pytest.mark.parametrize("meters", [{}, {"bloom_176b": "guess"}])
def test_an_online_run_on_two_devices_goes_on_wherever_it_was_broken_off(monkeypatch, tmp_path, meters):
    """What one device did after work whose joules were lost depends on how long that work took."""
    monkeypatch.setattr(Board, "open", lambda *_: Moody())
    monkeypatch.setattr("llmsim.measurement.grouped.LEAST_WINDOW_S", 20.0)
    windows = partial(Grouped, clock=Moody.desk.clock, rest=Moody.desk.rest)
    monkeypatch.setattr(measuring, "Grouped", windows)
    told = {
        "policy": {"name": "least_loaded"}, "backends": {"bloom_176b": "socket"}, "meters": meters,
    }  # fmt: skip
    for lasts in (6, 11, 17):
        monkeypatch.setattr(measuring, "FOLDER", tmp_path / str(lasts))
        Moody.lasts = lasts
        with pytest.raises(Broken):
            run(**told)
        Moody.lasts = 1000
        whole = run(**told)
        (journal,) = measuring.FOLDER.iterdir()
        kinds = [json.loads(line)["kind"] for line in journal.read_text().splitlines()]
        assert "set_aside" in kinds
        Moody.lasts = 0
        assert run(**told)["makespan_s"] == whole["makespan_s"]
