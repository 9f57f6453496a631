"""A decoder over a preallocated cache: passes over prompts, and steps of one token each."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.attention.bias import causal_lower_right

from llmsim_torch.ops import Cache, Heads, Rotation, TorchOps
from llmsim_torch.weights import Experts, Gated, Layer, Weights

# Attention over prompts. Not cuDNN's: it plans every new length, which took 40 ms for each prompt of a
# batch on an H200, more than its pass takes; the lengths of real queries are new nearly always.
ATTENTION = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]


@dataclass(frozen=True)
class Prompts:
    """Prompts of one pass, their tokens one after the other.

    Attributes:
        tokens: (T,) token ids.
        slots, positions: (T,) where each goes in the cache.
        last: (prompts,) index into `tokens` of each prompt's last one.
        shape: tokens of each prompt; all alike are attended to at once.
        past: tokens of each prompt that are in its cache already.
    """

    tokens: Tensor
    slots: Tensor
    positions: Tensor
    last: Tensor
    shape: tuple[int, ...]
    past: tuple[int, ...]


class Decoder:
    """Runs a model's weights with the given operations.

    Args:
        weights: see `weights_of`.
        heads: shape of attention.
        window: tokens that attention reaches back; None when it is full.
        max_tokens: the longest prompt plus answer.
        ops: `TorchOps`, or its fused equal.
    """

    def __init__(
        self, weights: Weights, heads: Heads, window: int | None, max_tokens: int, ops: TorchOps
    ) -> None:
        self.weights = weights
        self.heads = heads
        self.ops = ops
        self.max_tokens = max_tokens
        # A window that nothing reaches beyond is no window.
        self.window = None if window is None or window >= max_tokens else window
        # Padding of a prompt may lie beyond its end.
        positions = torch.arange(2 * max_tokens, device=weights.norm.device)
        angle = positions[:, None] * weights.inverse_frequencies
        self.rotation = Rotation(angle.cos().contiguous(), angle.sin().contiguous())

    @torch.inference_mode()
    def prefill(self, prompts: Prompts, caches: list[Cache] | None) -> Tensor:
        """One pass over prompts; logits of each one's next token, shape (prompts, vocabulary).

        Args:
            caches: where keys and values go; None: nowhere (no KV cache).
        """
        with sdpa_kernel(ATTENTION):
            return self._prefill(prompts, caches)

    def _prefill(self, prompts: Prompts, caches: list[Cache] | None) -> Tensor:
        residual = F.embedding(prompts.tokens, self.weights.embedding)
        place = (prompts.slots, prompts.positions)
        x: Tensor | None = None
        for number, layer in enumerate(self.weights.layers):
            cache = None if caches is None else caches[number]
            normed = self.ops.add_norm(x, residual, layer.before_attention, self.weights.eps)
            qkv = self.ops.linear(normed, layer.qkv, layer.qkv_bias)
            q, k = self.ops.rope_store(qkv, self.heads, self.rotation, self._norms(layer), cache, place, True)
            values = (self.heads.queries + self.heads.keys) * self.heads.dimension
            v = qkv[:, values:].view(-1, self.heads.keys, self.heads.dimension)
            x = self.ops.linear(self._attend_prompts(prompts, (q, k, v), cache), layer.out)
            x = self._block(self.ops.add_norm(x, residual, layer.before_block, self.weights.eps), layer)
        last = self.ops.add_norm(None, residual[prompts.last] + _rows(x, prompts.last), *self._final())
        return self.ops.linear(last, self.weights.head)

    @torch.inference_mode()
    def step(self, tokens: Tensor, caches: list[Cache], slots: Tensor, lengths: Tensor) -> Tensor:
        """One token of each query; logits of the next, shape (batch, vocabulary).

        Args:
            tokens: (batch,) ids of the tokens to process.
            slots, lengths: (batch,) each query's slot, and the tokens its cache holds so far.
        """
        residual = F.embedding(tokens, self.weights.embedding)
        place = (slots, lengths)
        x: Tensor | None = None
        for layer, cache in zip(self.weights.layers, caches, strict=True):
            normed = self.ops.add_norm(x, residual, layer.before_attention, self.weights.eps)
            qkv = self.ops.linear(normed, layer.qkv, layer.qkv_bias)
            q, _ = self.ops.rope_store(
                qkv, self.heads, self.rotation, self._norms(layer), cache, place, False
            )
            attended = self.ops.attend(q, cache, slots, lengths, self.window)
            x = self.ops.linear(attended, layer.out)
            x = self._block(self.ops.add_norm(x, residual, layer.before_block, self.weights.eps), layer)
        return self.ops.linear(self.ops.add_norm(x, residual, *self._final()), self.weights.head)

    def _final(self) -> tuple[Tensor, float]:
        return self.weights.norm, self.weights.eps

    def _norms(self, layer: Layer) -> tuple[Tensor, Tensor, float] | None:
        return None if layer.qk_norms is None else (*layer.qk_norms, self.weights.eps)

    def _attend_prompts(
        self, prompts: Prompts, qkv: tuple[Tensor, Tensor, Tensor], cache: Cache | None
    ) -> Tensor:
        first = prompts.shape[0]
        if not any(prompts.past) and all(tokens == first for tokens in prompts.shape):
            q, k, v = (x.view(-1, first, *x.shape[1:]).transpose(1, 2) for x in qkv)
            return self._attention(q, k, v, 0).transpose(1, 2).reshape(qkv[0].shape[0], -1)
        parts = []
        begin = 0
        for number, (tokens, past) in enumerate(zip(prompts.shape, prompts.past, strict=True)):
            q, k, v = (x[None, begin : begin + tokens].transpose(1, 2) for x in qkv)
            if past:
                if cache is None:
                    raise ValueError("tokens in the past need a cache")
                slot = prompts.slots[prompts.last[number]]
                k, v = (x[slot, :, : past + tokens][None] for x in (cache.keys, cache.values))
            parts.append(self._attention(q, k, v, past).transpose(1, 2).reshape(tokens, -1))
            begin += tokens
        return torch.cat(parts)

    def _attention(self, q: Tensor, k: Tensor, v: Tensor, past: int) -> Tensor:
        """Causal attention, shapes (prompts, heads, tokens, dimension)."""
        grouped = q.shape[1] != k.shape[1]
        tokens, seen = q.shape[2], k.shape[2]
        if self.window is not None and seen > self.window:
            reach = torch.arange(past, seen, device=q.device)[:, None] - torch.arange(seen, device=q.device)
            mask = (reach >= 0) & (reach < self.window)
            return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=grouped)
        if past == 0:
            return F.scaled_dot_product_attention(q, k, v, is_causal=tokens > 1, enable_gqa=grouped)
        bias = causal_lower_right(tokens, seen)
        return F.scaled_dot_product_attention(q, k, v, attn_mask=bias, enable_gqa=grouped)

    def _block(self, x: Tensor, layer: Layer) -> Tensor:
        block = layer.block
        if isinstance(block, Gated):
            return self.ops.linear(self.ops.silu_mul(self.ops.linear(x, block.gate_up)), block.down)
        return self._mixture(x, block)

    def _mixture(self, x: Tensor, block: Experts) -> Tensor:
        """Each token through its experts, sorted by expert so that each expert's weights are read once."""
        routes = self.ops.route(F.linear(x, block.router), block.per_token)
        inner = self.ops.grouped_linear(x[routes.token], block.gate_up, routes.ends)
        outer = self.ops.grouped_linear(self.ops.silu_mul(inner), block.down, routes.ends)
        return self.ops.weigh(outer, routes)


def _rows(x: Tensor | None, rows: Tensor) -> Tensor:
    if x is None:
        raise ValueError("a model without layers")
    return x[rows]
