"""Triton kernels of a decode step: what the framework would do in many launches, in one each.

Shapes: T tokens in a pass, B queries, Hq query heads, Hk key (and value) heads, D head dimension, S slots of
the cache, C tokens a slot holds. The cache of a layer is (S, Hk, C, D), so that one head of one query reads
consecutive bytes.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def add_norm_kernel(
    x_ptr, residual_ptr, weight_ptr, out_ptr, eps, width, has_x: tl.constexpr, block: tl.constexpr
):
    """residual += x; out = residual / rms(residual) * weight. One program a row."""
    row = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, block)
    mask = column < width
    value = tl.load(residual_ptr + row * width + column, mask=mask, other=0.0).to(tl.float32)
    if has_x:
        value += tl.load(x_ptr + row * width + column, mask=mask, other=0.0).to(tl.float32)
        rounded = value.to(residual_ptr.dtype.element_ty)
        tl.store(residual_ptr + row * width + column, rounded, mask=mask)
        value = rounded.to(tl.float32)
    scale = tl.rsqrt(tl.sum(value * value, axis=0) / width + eps)
    normed = (value * scale).to(out_ptr.dtype.element_ty)
    weight = tl.load(weight_ptr + column, mask=mask, other=0.0)
    tl.store(out_ptr + row * width + column, normed * weight, mask=mask)


@triton.jit
def silu_mul_kernel(gate_up_ptr, out_ptr, width, block: tl.constexpr):
    """out = silu(gate) * up, where a row of gate_up is gate then up."""
    row = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1) * block + tl.arange(0, block)
    mask = column < width
    gate = tl.load(gate_up_ptr + row * 2 * width + column, mask=mask, other=0.0).to(tl.float32)
    up = tl.load(gate_up_ptr + row * 2 * width + width + column, mask=mask, other=0.0)
    active = (gate * tl.sigmoid(gate)).to(out_ptr.dtype.element_ty)
    tl.store(out_ptr + row * width + column, active * up, mask=mask)


@triton.jit
def rope_store_kernel(
    qkv_ptr, q_ptr, k_ptr, k_cache_ptr, v_cache_ptr, cos_ptr, sin_ptr,
    q_norm_ptr, k_norm_ptr, slot_ptr, position_ptr, eps,
    cache_tokens,
    hq: tl.constexpr, hk: tl.constexpr, d: tl.constexpr, heads: tl.constexpr,
    qk_norm: tl.constexpr, keep_k: tl.constexpr,
):  # fmt: skip
    """Rotate queries and keys, put keys and values where they belong in the cache.

    One program a token and a group of `heads` heads of its row of qkv (queries, keys, values).
    """
    token = tl.program_id(0).to(tl.int64)
    head = tl.program_id(1) * heads + tl.arange(0, heads)
    half: tl.constexpr = d // 2
    low = tl.arange(0, half)
    total: tl.constexpr = hq + 2 * hk
    inside = (head < total)[:, None]
    row = qkv_ptr + token * total * d
    first = tl.load(row + head[:, None] * d + low[None, :], mask=inside, other=0.0)
    second = tl.load(row + head[:, None] * d + half + low[None, :], mask=inside, other=0.0)
    position = tl.load(position_ptr + token).to(tl.int64)
    slot = tl.load(slot_ptr + token).to(tl.int64)
    is_q = (head < hq)[:, None]
    is_k = ((head >= hq) & (head < hq + hk))[:, None]
    a = first.to(tl.float32)
    b = second.to(tl.float32)
    if qk_norm:
        scale = tl.rsqrt((tl.sum(a * a, axis=1) + tl.sum(b * b, axis=1)) / d + eps)[:, None]
        wa = tl.where(is_q, tl.load(q_norm_ptr + low)[None, :], tl.load(k_norm_ptr + low)[None, :])
        wb = tl.where(
            is_q, tl.load(q_norm_ptr + half + low)[None, :], tl.load(k_norm_ptr + half + low)[None, :]
        )
        a = ((a * scale).to(first.dtype) * wa).to(tl.float32)
        b = ((b * scale).to(first.dtype) * wb).to(tl.float32)
    cos = tl.load(cos_ptr + position * half + low)[None, :]
    sin = tl.load(sin_ptr + position * half + low)[None, :]
    turned_a = (a * cos - b * sin).to(first.dtype)
    turned_b = (b * cos + a * sin).to(first.dtype)
    q_out = q_ptr + token * hq * d + head[:, None] * d + low[None, :]
    tl.store(q_out, turned_a, mask=is_q)
    tl.store(q_out + half, turned_b, mask=is_q)
    if keep_k:
        k_out = k_ptr + token * hk * d + (head[:, None] - hq) * d + low[None, :]
        tl.store(k_out, turned_a, mask=is_k)
        tl.store(k_out + half, turned_b, mask=is_k)
    stored = position < cache_tokens
    k_head = slot * hk + head[:, None] - hq
    k_at = k_cache_ptr + (k_head * cache_tokens + position) * d + low[None, :]
    tl.store(k_at, turned_a, mask=is_k & stored)
    tl.store(k_at + half, turned_b, mask=is_k & stored)
    is_v = ((head >= hq + hk) & (head < total))[:, None]
    v_at = v_cache_ptr + ((k_head - hk) * cache_tokens + position) * d + low[None, :]
    tl.store(v_at, first, mask=is_v & stored)
    tl.store(v_at + half, second, mask=is_v & stored)


@triton.jit
def attend_kernel(
    q_ptr, k_cache_ptr, v_cache_ptr, out_ptr, part_ptr, stat_ptr, slot_ptr, length_ptr,
    scale, cache_tokens, window,
    hq: tl.constexpr, hk: tl.constexpr, d: tl.constexpr,
    rows: tl.constexpr, block: tl.constexpr, splits: tl.constexpr,
):  # fmt: skip
    """Attention of one new token of each query over its cache, the cache divided into `splits` parts.

    One program a query, a key head and a part. With one part it writes the output; with several it writes
    the unscaled sum and its (maximum, denominator), which `combine_kernel` puts together.
    """
    query = tl.program_id(0)
    head = tl.program_id(1)
    part = tl.program_id(2)
    group: tl.constexpr = hq // hk
    length = tl.load(length_ptr + query) + 1
    slot = tl.load(slot_ptr + query).to(tl.int64)
    start = tl.maximum(length - window, 0) if window > 0 else 0
    start = start // block * block
    share = tl.cdiv(tl.cdiv(length - start, splits), block) * block
    low = start + part * share
    high = tl.minimum(low + share, length)
    row = tl.arange(0, rows)
    column = tl.arange(0, d)
    q_at = query.to(tl.int64) * hq * d + (head * group + row[:, None]) * d + column[None, :]
    q = tl.load(q_ptr + q_at, mask=(row < group)[:, None], other=0.0)
    base = (slot * hk + head) * cache_tokens * d
    best = tl.full([rows], -1.0e30, tl.float32)
    total = tl.zeros([rows], tl.float32)
    acc = tl.zeros([rows, d], tl.float32)
    for at in range(low, high, block):
        token = at + tl.arange(0, block)
        seen = token < high
        where = base + token[:, None].to(tl.int64) * d + column[None, :]
        k = tl.load(k_cache_ptr + where, mask=seen[:, None], other=0.0)
        score = tl.dot(q, tl.trans(k)) * scale
        if window > 0:
            seen = seen & (token >= length - window)
        score = tl.where(seen[None, :], score, -1.0e30)
        new_best = tl.maximum(best, tl.max(score, axis=1))
        weight = tl.exp2(score - new_best[:, None])
        weight = tl.where(seen[None, :], weight, 0.0)
        shrink = tl.exp2(best - new_best)
        total = total * shrink + tl.sum(weight, axis=1)
        v = tl.load(v_cache_ptr + where, mask=seen[:, None], other=0.0)
        acc = acc * shrink[:, None] + tl.dot(weight.to(v.dtype), v)
        best = new_best
    mine = (row < group)[:, None]
    if splits == 1:
        value = acc / total[:, None]
        tl.store(out_ptr + q_at, value.to(out_ptr.dtype.element_ty), mask=mine)
    else:
        head_row = (query.to(tl.int64) * hq + head * group + row) * splits + part
        tl.store(part_ptr + head_row[:, None] * d + column[None, :], acc, mask=mine)
        tl.store(stat_ptr + head_row * 2, best, mask=row < group)
        tl.store(stat_ptr + head_row * 2 + 1, total, mask=row < group)


@triton.jit
def combine_kernel(part_ptr, stat_ptr, out_ptr, d: tl.constexpr, splits: tl.constexpr):
    """Put the parts of `attend_kernel` together; one program a query and a head."""
    head_row = tl.program_id(0).to(tl.int64)
    part = tl.arange(0, splits)
    column = tl.arange(0, d)
    best = tl.load(stat_ptr + (head_row * splits + part) * 2)
    total = tl.load(stat_ptr + (head_row * splits + part) * 2 + 1)
    shrink = tl.exp2(best - tl.max(best, axis=0))
    shrink = tl.where(total > 0, shrink, 0.0)
    acc = tl.load(part_ptr + (head_row * splits + part)[:, None] * d + column[None, :])
    value = tl.sum(acc * shrink[:, None], axis=0) / tl.sum(total * shrink, axis=0)
    tl.store(out_ptr + head_row * d + column, value.to(out_ptr.dtype.element_ty))


@triton.jit
def stream_linear_kernel(
    x_ptr, weight_ptr, out_ptr, end_ptr, n_out, width,
    block_m: tl.constexpr, block_n: tl.constexpr, block_k: tl.constexpr,
):  # fmt: skip
    """Rows end[e-1] .. end[e] of x times weight[e] transposed: each weight is read once and streamed.

    weight is (E, n_out, width). One program a block of outputs and an expert. `width` must be a multiple of
    block_k and `n_out` of block_n.
    """
    expert = tl.program_id(1).to(tl.int64)
    column = tl.program_id(0) * block_n + tl.arange(0, block_n)
    begin = tl.load(end_ptr + expert - 1, mask=expert > 0, other=0)
    end = tl.load(end_ptr + expert)
    k = tl.arange(0, block_k)
    weight_at = weight_ptr + expert * n_out * width + column[:, None].to(tl.int64) * width + k[None, :]
    for first in range(begin, end, block_m):
        row = first + tl.arange(0, block_m)
        inside = (row < end)[:, None]
        x_at = x_ptr + row[:, None].to(tl.int64) * width + k[None, :]
        acc = tl.zeros([block_m, block_n], tl.float32)
        for at in range(0, width, block_k):
            weight = tl.load(weight_at + at)
            x = tl.load(x_at + at, mask=inside, other=0.0)
            acc += tl.dot(x, tl.trans(weight))
        out_at = out_ptr + row[:, None].to(tl.int64) * n_out + column[None, :]
        tl.store(out_at, acc.to(out_ptr.dtype.element_ty), mask=inside)


@triton.jit
def _best_expert(chances, experts: tl.constexpr):
    """Each row's largest chance, and a mask of where it is (the first of equals)."""
    best = tl.max(chances, axis=1)
    number = tl.argmax(chances, axis=1)
    column = tl.arange(0, experts)
    return best, column[None, :] == number[:, None]


@triton.jit
def route_kernel(
    logits_ptr, share_ptr, place_ptr, token_ptr, end_ptr, n_tokens, n_experts,
    per_token: tl.constexpr, tokens: tl.constexpr, experts: tl.constexpr,
):  # fmt: skip
    """Which experts each token goes to, with what share, and its place among rows sorted by expert.

    One program for all. share, place (T, per_token); token: the token of each sorted row; end: where each
    expert's rows end.
    """
    row = tl.arange(0, tokens)
    column = tl.arange(0, experts)
    inside = (row < n_tokens)[:, None] & (column < n_experts)[None, :]
    at = row[:, None] * n_experts + column[None, :]
    logits = tl.load(logits_ptr + at, mask=inside, other=-1.0e30).to(tl.float32)
    raised = tl.exp(logits - tl.max(logits, axis=1)[:, None])
    chances = raised / tl.sum(raised, axis=1)[:, None]
    left = chances
    chosen = tl.zeros([tokens, experts], tl.int32)
    total = tl.zeros([tokens], tl.float32)
    for _ in tl.static_range(per_token):
        best, mine = _best_expert(left, experts)
        total += best
        chosen += tl.where(mine & inside, 1, 0)
        left = tl.where(mine, -1.0, left)
    count = tl.sum(chosen, axis=0)
    end = tl.cumsum(count, axis=0)
    tl.store(end_ptr + column, end, mask=column < n_experts)
    # A token goes to an expert once, so the rows of an expert follow the order of their tokens.
    places = (end - count)[None, :] + tl.cumsum(chosen, axis=0) - chosen
    left = chances
    for choice in tl.static_range(per_token):
        best, mine = _best_expert(left, experts)
        left = tl.where(mine, -1.0, left)
        place = tl.sum(tl.where(mine, places, 0), axis=1)
        valid = row < n_tokens
        tl.store(share_ptr + row * per_token + choice, best / total, mask=valid)
        tl.store(place_ptr + row * per_token + choice, place, mask=valid)
        tl.store(token_ptr + place, row, mask=valid)


@triton.jit
def weigh_kernel(x_ptr, share_ptr, place_ptr, out_ptr, width, per_token: tl.constexpr, block: tl.constexpr):
    """out of a token: the sum of its experts' rows, each times its share."""
    token = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1) * block + tl.arange(0, block)
    mask = column < width
    acc = tl.zeros([block], tl.float32)
    for choice in tl.static_range(per_token):
        share = tl.load(share_ptr + token * per_token + choice)
        place = tl.load(place_ptr + token * per_token + choice).to(tl.int64)
        acc += share * tl.load(x_ptr + place * width + column, mask=mask, other=0.0).to(tl.float32)
    tl.store(out_ptr + token * width + column, acc.to(out_ptr.dtype.element_ty), mask=mask)
