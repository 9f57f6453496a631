"""What a GPU captures, on a CPU that says that it is one: nothing is captured while work is measured."""

import numpy as np
import pytest
import torch

from llmsim.testing import toy_deployment
from llmsim_torch import resident
from llmsim_torch.backend import TorchBackend


class Pretended(str):
    """The CPU, for PyTorch; a GPU for whoever asks what it is."""

    type = "cuda"


@pytest.fixture
def captures(monkeypatch):
    """One entry a capture; its work runs thrice, of which the last time stands for the replay."""
    found = []

    def captured(work, memory):
        found.append(work)
        for _ in range(2):
            work()
        return work, memory

    monkeypatch.setattr(resident, "captured", captured)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda *_: None)
    return found


def engines(**about):
    """One on a GPU that is none, and the same on the CPU."""
    found = []
    for device in (Pretended("cpu"), torch.device("cpu")):
        backend = TorchBackend(device="cpu", max_tokens=64, cache_tokens=1024)
        one = backend.open(toy_deployment(**about))
        one._resident.device = device
        found.append(one)
    return found


@pytest.mark.parametrize(
    ("discipline", "batches"),
    [
        ("static", [((9, 3, 5, 9, 2, 1, 4, 7), (4, 1, 6, 2, 2, 2, 2, 2)), ((9, 3, 5), (4, 1, 6))]),
        ("serial", [((17,), (5,)), ((3,), (9,))]),
    ],
)
def test_batches_are_captured_before_they_are_served(captures, discipline, batches):
    pretending, plain = engines(discipline=discipline)
    for one in (pretending, plain):
        one.expect(np.array([3, 17]), np.array([9, 9]))
        one.warm()
    for batch in batches:
        pretending.prepare(*batch)
        before = len(captures)
        assert before
        for one in (pretending, plain):
            one.serve(*batch)
        assert len(captures) == before
        assert pretending.generated() == plain.generated()


def test_nothing_is_captured_amid_iterations(captures):
    pretending, plain = engines()
    for one in (pretending, plain):
        one.expect(np.array([3, 17, 9]), np.array([9, 9, 9]))
        one.begin(1, 7)
        one.warm()
    before = len(captures)
    assert before
    for one in (pretending, plain):
        one.prefill(0, [0], [17])
        one.decode(0, 3, float("inf"))
        one.prefill(0, [1, 2, 3], [3, 9, 9])  # more prompts than are captured
        one.decode(0, 2, float("inf"))
        one.release(0, [0])
        one.prefill(0, [4, 5], [9, 5])
        one.decode(0, 4, float("inf"))
    assert len(captures) == before
    for query in range(6):
        assert pretending.generated_by(query) == plain.generated_by(query)
