"""The fused kernels against plain PyTorch, in Triton's interpreter: no GPU is needed."""

import os

import numpy as np
import pytest
import torch

pytest.importorskip("triton")

from llmsim_torch.ops import Cache, Heads, Rotation, TorchOps
from llmsim_torch.triton_ops import Attending, Streaming, TritonOps

pytestmark = pytest.mark.skipif(
    os.environ.get("TRITON_INTERPRET") != "1" or np.lib.NumpyVersion(np.__version__) >= "2.3.0",
    reason="not in Triton's interpreter, or it does not run with this NumPy",
)
PLAIN = TorchOps()


class Fused(TritonOps):
    """As on a GPU with few multiprocessors."""

    def __init__(self, splits=2):
        super().__init__(attending=Attending(block=16), grouped=Streaming(32, 32, 4, 2))
        self.splits = splits

    def _splits(self, heads, tokens, device):
        return self.splits


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def test_add_norm():
    x, weight = torch.randn(5, 48), torch.randn(48)
    residuals = [torch.ones(5, 48), torch.ones(5, 48)]
    first, second = (
        ops.add_norm(x, residual, weight, 1e-6)
        for ops, residual in zip((PLAIN, Fused()), residuals, strict=True)
    )
    torch.testing.assert_close(first, second)
    torch.testing.assert_close(*residuals)


def test_silu_mul():
    x = torch.randn(3, 200)
    torch.testing.assert_close(PLAIN.silu_mul(x), Fused().silu_mul(x))


@pytest.mark.parametrize("normed", [False, True])
@pytest.mark.parametrize("keep", [False, True])
def test_rope_store(normed, keep):
    heads = Heads(4, 2, 16)
    angle = torch.randn(40, 8)
    rotation = Rotation(angle.cos(), angle.sin())
    norms = (torch.randn(16), torch.randn(16), 1e-6) if normed else None
    # The last position lies beyond the cache: it is not kept.
    place = (torch.tensor([2, 0, 1]), torch.tensor([5, 0, 33]))
    qkv = torch.randn(3, heads.width)
    results = []
    for ops in (PLAIN, Fused()):
        cache = Cache(torch.zeros(3, 2, 32, 16), torch.zeros(3, 2, 32, 16))
        q, k = ops.rope_store(qkv, heads, rotation, norms, cache, place, keep)
        results.append((q, k, cache.keys, cache.values))
    for first, second in zip(*results, strict=True):
        torch.testing.assert_close(first, second, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("splits", [1, 4])
@pytest.mark.parametrize("window", [None, 9])
@pytest.mark.parametrize("queries", [2, 14])
def test_attend(splits, window, queries):
    cache = Cache(torch.randn(4, 2, 64, 16), torch.randn(4, 2, 64, 16))
    q = torch.randn(3, queries, 16)
    slots, lengths = torch.tensor([3, 0, 2]), torch.tensor([0, 17, 63], dtype=torch.int32)
    torch.testing.assert_close(
        PLAIN.attend(q, cache, slots, lengths, window),
        Fused(splits).attend(q, cache, slots, lengths, window),
        atol=1e-5,
        rtol=1e-5,
    )


@pytest.mark.parametrize("tokens", [1, 5, 33])
@pytest.mark.parametrize(("experts", "per_token"), [(4, 2), (6, 3)])
def test_routing_and_experts(tokens, experts, per_token):
    logits, x = torch.randn(tokens, experts), torch.randn(tokens, 64)
    weight = torch.randn(experts, 96, 64)
    results = []
    for ops in (PLAIN, Fused()):
        routes = ops.route(logits, per_token)
        rows = ops.grouped_linear(x[routes.token], weight, routes.ends)
        results.append((routes.share, routes.ends, ops.weigh(rows, routes)))
    for first, second in zip(*results, strict=True):
        torch.testing.assert_close(first, second, atol=1e-3, rtol=1e-4)
