"""The steps between the matrix products, for any device: what the GPU's fused kernels must equal."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Heads:
    """Shape of attention: query heads, key (and value) heads, and the dimension of one."""

    queries: int
    keys: int
    dimension: int

    @property
    def width(self) -> int:
        """Columns of a row of queries, keys and values."""
        return (self.queries + 2 * self.keys) * self.dimension


@dataclass(frozen=True)
class Rotation:
    """Cosines and sines of every position, float32, each of shape (positions, dimension / 2)."""

    cos: Tensor
    sin: Tensor


@dataclass
class Cache:
    """Keys and values of one layer, each of shape (slots, key heads, tokens, dimension)."""

    keys: Tensor
    values: Tensor


@dataclass(frozen=True)
class Routes:
    """Which experts T tokens go to, k each.

    Attributes:
        share: (T, k), the weight of each expert's answer; sums to 1 over k.
        place: (T, k), the row among all T * k, sorted by expert.
        token: (T * k,), whose row it is.
        ends: (experts,), int32, where each expert's rows end.
    """

    share: Tensor
    place: Tensor
    token: Tensor
    ends: Tensor


class TorchOps:
    """Plain PyTorch. Runs anywhere; the reference of the fused kernels."""

    def add_norm(self, x: Tensor | None, residual: Tensor, weight: Tensor, eps: float) -> Tensor:
        """Add x to the residual in place; the normalised residual, scaled by weight. Shapes (T, width)."""
        if x is not None:
            residual += x
        value = residual.float()
        normed = value * torch.rsqrt(value.square().mean(-1, keepdim=True) + eps)
        return normed.to(residual.dtype) * weight

    def silu_mul(self, gate_up: Tensor) -> Tensor:
        """silu(gate) * up of rows that hold gate, then up."""
        gate, up = gate_up.chunk(2, dim=-1)
        return F.silu(gate) * up

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
        """Rotated queries (T, Hq, D) and keys (T, Hk, D); keys and values go into the cache too.

        Args:
            qkv: (T, heads.width).
            norms: scales of query and key norms, and their epsilon.
            place: slot and position of each of the T tokens; positions beyond the cache are not kept.
            keep_keys: False: the keys are wanted in the cache only, and what is returned of them is empty.
        """
        slots, positions = place
        q, k, v = self._parts(qkv, heads)
        if norms is not None:
            q, k = (self.add_norm(None, x, scale, norms[2]) for x, scale in ((q, norms[0]), (k, norms[1])))
        cos, sin = rotation.cos[positions][:, None], rotation.sin[positions][:, None]
        q, k = self._turn(q, cos, sin), self._turn(k, cos, sin)
        if cache is not None:
            kept = positions < cache.keys.shape[2]
            cache.keys[slots[kept], :, positions[kept]] = k[kept]
            cache.values[slots[kept], :, positions[kept]] = v[kept]
        return q, k if keep_keys else k[:0]

    def attend(self, q: Tensor, cache: Cache, slots: Tensor, lengths: Tensor, window: int | None) -> Tensor:
        """Attention of one new token of each query over its cache, (B, Hq * D).

        Args:
            lengths: (B,), tokens in the cache before the new one, whose keys are there already.
            window: tokens that attention reaches back, the new one included.
        """
        out = torch.empty_like(q)
        for row in range(q.shape[0]):
            slot, end = int(slots[row]), int(lengths[row]) + 1
            begin = 0 if window is None else max(end - window, 0)
            k, v = (x[slot, :, begin:end].unsqueeze(0) for x in (cache.keys, cache.values))
            single = q[row].view(1, q.shape[1], 1, -1)
            out[row] = F.scaled_dot_product_attention(single, k, v, enable_gqa=True)[0, :, 0]
        return out.flatten(1)

    def linear(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """x @ weight.T + bias."""
        return F.linear(x, weight, bias)

    def grouped_linear(self, x: Tensor, weight: Tensor, ends: Tensor) -> Tensor:
        """Rows ends[e-1]..ends[e] of x through weight[e]; weight is (experts, out, in)."""
        out = x.new_empty(x.shape[0], weight.shape[1])
        begin = 0
        for expert, end in enumerate(ends.tolist()):
            out[begin:end] = F.linear(x[begin:end], weight[expert])
            begin = end
        return out

    def route(self, logits: Tensor, per_token: int) -> Routes:
        """Send each token to its likeliest experts; logits are (T, experts)."""
        share, expert = F.softmax(logits.float(), dim=-1).topk(per_token, dim=-1)
        chosen = expert.flatten()
        order = chosen.argsort(stable=True)
        place = torch.empty_like(order)
        place[order] = torch.arange(len(order), device=order.device)
        number = torch.arange(logits.shape[1], device=logits.device)
        ends = (chosen[:, None] == number).sum(0).cumsum(0).to(torch.int32)
        share = share / share.sum(dim=-1, keepdim=True)
        return Routes(share, place.view(expert.shape), order // per_token, ends)

    def weigh(self, x: Tensor, routes: Routes) -> Tensor:
        """Sum of each token's rows of x, each times its share."""
        return (x[routes.place] * routes.share[..., None].to(x.dtype)).sum(1)

    @staticmethod
    def _parts(qkv: Tensor, heads: Heads) -> tuple[Tensor, ...]:
        rows = qkv.view(qkv.shape[0], -1, heads.dimension)
        return rows.split((heads.queries, heads.keys, heads.keys), dim=1)

    @staticmethod
    def _turn(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        a, b = x.float().chunk(2, dim=-1)
        return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1).to(x.dtype)
