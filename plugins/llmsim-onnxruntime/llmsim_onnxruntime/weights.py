"""Random weights of an architecture, tensor by tensor, under the names that its checkpoints give them."""

from __future__ import annotations

import zlib
from concurrent.futures import ThreadPoolExecutor
from math import prod
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from llmsim_onnxruntime.session import usable_cores

if TYPE_CHECKING:
    from llmsim.api import Model

# Families whose layers the graph knows: rotary positions, RMS norms, gated blocks, no experts.
FAMILIES = ("llama", "mistral", "qwen2", "qwen3")
# Standard deviation of random weights; that of the checkpoints before training.
RANDOM_STD = 0.02
# Values that are drawn by a generator of their own, so that threads can share the work.
DRAWN_AT_ONCE = 1 << 18
EMBEDDING, HEAD, LAST_NORM = "model.embed_tokens.weight", "lm_head.weight", "model.norm.weight"

FloatArray = NDArray[np.float32]


def layer_name(layer: int, what: str) -> str:
    """The name of a layer's tensor, such as ``model.layers.3.mlp.up_proj.weight``."""
    return f"model.layers.{layer}.{what}"


def shapes(model: Model) -> dict[str, tuple[int, ...]]:
    """Every tensor's shape; matrices are (outputs, inputs). A tied head is the embedding, and not listed."""
    width, inner = model.hidden_size, model.intermediate_size
    queries = model.num_attention_heads * model.head_dim
    keys = model.num_key_value_heads * model.head_dim
    layer: dict[str, tuple[int, ...]] = {
        "input_layernorm.weight": (width,),
        "self_attn.q_proj.weight": (queries, width),
        "self_attn.k_proj.weight": (keys, width),
        "self_attn.v_proj.weight": (keys, width),
        "self_attn.o_proj.weight": (width, queries),
        "post_attention_layernorm.weight": (width,),
        "mlp.gate_proj.weight": (inner, width),
        "mlp.up_proj.weight": (inner, width),
        "mlp.down_proj.weight": (width, inner),
    }
    if model.qkv_bias:
        rows = {"q": queries, "k": keys, "v": keys}
        layer |= {f"self_attn.{letter}_proj.bias": (count,) for letter, count in rows.items()}
    if model.qk_norm:
        layer |= {f"self_attn.{name}_norm.weight": (model.head_dim,) for name in "qk"}
    found = {EMBEDDING: (model.vocab_size, width), LAST_NORM: (width,)}
    if not model.tied_embeddings:
        found[HEAD] = (model.vocab_size, width)
    for number in range(model.num_hidden_layers):
        found |= {layer_name(number, what): shape for what, shape in layer.items()}
    return found


def random_tensor(name: str, shape: tuple[int, ...], seed: int) -> FloatArray:
    """One tensor, the same whenever and in whatever order it is drawn: normal, a norm's around 1."""
    drawn = np.empty(prod(shape), dtype=np.float32)
    mean = np.float32(1 if "norm" in name else 0)
    tensor = zlib.crc32(name.encode())

    def draw(begin: int) -> None:
        """Fill the part that begins there, by a generator of its own."""
        part = drawn[begin : begin + DRAWN_AT_ONCE]
        np.random.default_rng([seed, tensor, begin]).standard_normal(dtype=np.float32, out=part)
        part *= np.float32(RANDOM_STD)
        part += mean

    with ThreadPoolExecutor(usable_cores()) as threads:
        list(threads.map(draw, range(0, drawn.size, DRAWN_AT_ONCE)))
    return drawn.reshape(shape)
