"""The steps between the matrix products on a GPU, fused; few rows of experts stream their weights.

The other products are the library's. On one H200, streaming more of them took 0.8 % off a step of 4 queries
and added 6 % to its power.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import triton
from torch import Tensor

from llmsim_torch import kernels
from llmsim_torch.ops import Cache, Heads, Rotation, Routes, TorchOps

LOG2_E = math.log2(math.e)
# The least rows that the matrix units take at once.
FEWEST_ROWS = 16
# Parts of a cache that one query's attention is divided into, at most.
MOST_SPLITS = 32


@dataclass(frozen=True)
class Streaming:
    """How a product streams its weights: outputs and columns a program takes at once, warps and stages."""

    block_n: int
    block_k: int
    warps: int
    stages: int

    def fits(self, weight: Tensor) -> bool:
        """Whether the weight's shape is a multiple of the blocks."""
        return weight.shape[-2] % self.block_n == 0 and weight.shape[-1] % self.block_k == 0


# Of those tried on an H200, the quickest from 1 to 256 tokens.
GROUPED = Streaming(64, 128, 4, 5)
# Rows of one expert that a program takes at once, at most.
MOST_STREAMED_ROWS = 64
# Rows an expert beyond which the library's grouped product is used.
MOST_GROUPED_ROWS = 48
# Tokens times experts that one program routes, at most.
MOST_ROUTED = 16384


@dataclass(frozen=True)
class Attending:
    """How attention reads a cache: tokens at once, warps, stages, programs wanted per multiprocessor.

    And the fewest parts of a cache, where they are long enough: undivided, the longest context of a batch
    holds up the others. On one H200, steps of Llama-2 7B whose contexts are as a server's took up to 5.8 %
    longer than steps of contexts all alike and of the same mean; with four parts up to 1.3 %, and no step
    that was timed with four took 1 % longer than with the best number (`campaigns/sizes.py`).
    """

    block: int = 64
    warps: int = 4
    stages: int = 3
    programs: int = 4
    fewest: int = 4


@dataclass
class TritonOps(TorchOps):
    """Fused kernels; equal to `TorchOps` up to rounding.

    Attributes:
        attending: see `Attending`.
        grouped: how experts' weights are streamed; None: the library's grouped product.
    """

    attending: Attending = Attending()
    grouped: Streaming | None = GROUPED

    def add_norm(self, x: Tensor | None, residual: Tensor, weight: Tensor, eps: float) -> Tensor:
        """As in `TorchOps`, in one pass over each row."""
        rows, width = residual.shape
        out = torch.empty_like(residual)
        block = triton.next_power_of_2(width)
        kernels.add_norm_kernel[(rows,)](
            residual if x is None else x, residual, weight, out, eps, width,
            has_x=x is not None, block=block, num_warps=8 if block > 1024 else 4,
        )  # fmt: skip
        return out

    def silu_mul(self, gate_up: Tensor) -> Tensor:
        """As in `TorchOps`, in one pass over each row."""
        rows, width = gate_up.shape[0], gate_up.shape[1] // 2
        out = gate_up.new_empty(rows, width)
        block = 1024
        grid = (rows, triton.cdiv(width, block))
        kernels.silu_mul_kernel[grid](gate_up, out, width, block=block, num_warps=4)
        return out

    def rope_store(
        self,
        qkv: Tensor,
        heads: Heads,
        rotation: Rotation,
        norms: tuple[Tensor, Tensor, float] | None,
        cache: Cache | None,
        place: tuple[Tensor, Tensor],
        keep_keys: bool,
    ) -> tuple[Tensor, Tensor]:
        """As in `TorchOps`, norms, rotation and cache in one kernel."""
        tokens = qkv.shape[0]
        q = qkv.new_empty(tokens, heads.queries, heads.dimension)
        k = qkv.new_empty(tokens if keep_keys else 0, heads.keys, heads.dimension)
        many = 8
        grid = (tokens, triton.cdiv(heads.queries + 2 * heads.keys, many))
        kernels.rope_store_kernel[grid](
            qkv, q, k, qkv if cache is None else cache.keys, qkv if cache is None else cache.values,
            rotation.cos, rotation.sin,
            qkv if norms is None else norms[0], qkv if norms is None else norms[1],
            *place, 0.0 if norms is None else norms[2],
            0 if cache is None else cache.keys.shape[2],
            hq=heads.queries, hk=heads.keys, d=heads.dimension, heads=many,
            qk_norm=norms is not None, keep_k=keep_keys, num_warps=4,
        )  # fmt: skip
        return q, k

    def attend(self, q: Tensor, cache: Cache, slots: Tensor, lengths: Tensor, window: int | None) -> Tensor:
        """As in `TorchOps`; a long cache is attended in parts side by side, which are then combined."""
        batch, hq, d = q.shape
        hk, tokens = cache.keys.shape[1:3]
        how = self.attending
        splits = self._splits(batch * hk, tokens, q.device)
        out = torch.empty_like(q)
        alone = splits == 1
        part = out if alone else q.new_empty(batch, hq, splits, d, dtype=torch.float32)
        stat = out if alone else q.new_empty(batch, hq, splits, 2, dtype=torch.float32)
        rows = max(FEWEST_ROWS, triton.next_power_of_2(hq // hk))
        kernels.attend_kernel[(batch, hk, splits)](
            q, cache.keys, cache.values, out, part, stat, slots, lengths,
            LOG2_E / math.sqrt(d), tokens, window or 0,
            hq=hq, hk=hk, d=d, rows=rows, block=how.block, splits=splits,
            num_warps=how.warps, num_stages=how.stages,
        )  # fmt: skip
        if not alone:
            kernels.combine_kernel[(batch * hq,)](part, stat, out, d=d, splits=splits, num_warps=4)
        return out.view(batch, hq * d)

    def grouped_linear(self, x: Tensor, weight: Tensor, ends: Tensor) -> Tensor:
        """As in `TorchOps`; few rows an expert stream its weights, many take the library's product."""
        rows = x.shape[0] // weight.shape[0]
        how = self.grouped
        if how is not None and rows <= MOST_GROUPED_ROWS and how.fits(weight):
            return stream(x, weight, ends, how)
        return torch._grouped_mm(x, weight.transpose(-2, -1), offs=ends)

    def route(self, logits: Tensor, per_token: int) -> Routes:
        """As in `TorchOps`, in one kernel while all logits fit a block."""
        n_tokens, n_experts = logits.shape
        tokens, experts = max(2, triton.next_power_of_2(n_tokens)), triton.next_power_of_2(n_experts)
        if tokens * experts > MOST_ROUTED:
            return super().route(logits, per_token)
        share = logits.new_empty(n_tokens, per_token, dtype=torch.float32)
        place = logits.new_empty(n_tokens, per_token, dtype=torch.int32)
        token = logits.new_empty(n_tokens * per_token, dtype=torch.int32)
        ends = logits.new_empty(n_experts, dtype=torch.int32)
        kernels.route_kernel[(1,)](
            logits, share, place, token, ends, n_tokens, n_experts,
            per_token=per_token, tokens=tokens, experts=experts, num_warps=4,
        )  # fmt: skip
        return Routes(share, place, token, ends)

    def weigh(self, x: Tensor, routes: Routes) -> Tensor:
        """As in `TorchOps`, without the weighed rows in between."""
        tokens, per_token = routes.share.shape
        width = x.shape[1]
        out = x.new_empty(tokens, width)
        block = 1024
        kernels.weigh_kernel[(tokens, triton.cdiv(width, block))](
            x, routes.share, routes.place, out, width, per_token=per_token, block=block, num_warps=4
        )
        return out

    def _splits(self, heads: int, tokens: int, device: torch.device) -> int:
        multiprocessors = torch.cuda.get_device_properties(device).multi_processor_count
        wanted = self.attending.programs * multiprocessors / heads
        return splits_of(wanted, self.attending.fewest, tokens // (2 * self.attending.block))


def splits_of(wanted: float, fewest: int, most: int) -> int:
    """Parts that a cache is divided into: a power of two, which the kernel that joins them needs.

    Args:
        wanted: as many as keep the device busy; the next power of two above.
        fewest: at least so many, if they are long enough.
        most: that are long enough to be worth it; 1 at least, whatever is said.
    """
    largest: int = 1 << (max(1, min(MOST_SPLITS, most)).bit_length() - 1)
    return min(largest, 1 << (max(1, fewest, round(wanted)) - 1).bit_length())


def stream(x: Tensor, weight: Tensor, ends: Tensor, how: Streaming) -> Tensor:
    """Rows ends[e-1]..ends[e] of x through weight[e], streamed; see `kernels.stream_linear_kernel`."""
    experts, n_out, width = weight.shape
    out = x.new_empty(x.shape[0], n_out)
    # Routing is uneven: room for twice the mean, or else a second turn.
    rows = triton.next_power_of_2(max(1, x.shape[0] // experts * 2))
    block_m = min(MOST_STREAMED_ROWS, max(FEWEST_ROWS, rows))
    kernels.stream_linear_kernel[(n_out // how.block_n, experts)](
        x, weight, out, ends, n_out, width,
        block_m=block_m, block_n=how.block_n, block_k=how.block_k,
        num_warps=how.warps, num_stages=how.stages,
    )  # fmt: skip
    return out
