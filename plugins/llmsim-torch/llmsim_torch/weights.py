"""Models by transformers' own classes, and their weights as the decoder wants them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from llmsim.api import InputError

if TYPE_CHECKING:
    from llmsim.api import Model

# Families whose layers the decoder knows: rotary positions, RMS norms, gated blocks.
DENSE = ("llama", "mistral", "qwen2", "qwen3")
MIXTURES = ("mixtral", "qwen3_moe")
FAMILIES = (*DENSE, *MIXTURES)
# What a checkpoint must have as its model is described: figures would else be those of another model.
SHAPE = (
    "model_type", "hidden_size", "intermediate_size", "moe_intermediate_size", "num_hidden_layers",
    "num_attention_heads", "num_key_value_heads", "num_local_experts", "num_experts", "num_experts_per_tok",
)  # fmt: skip
# Standard deviation of random weights; that of the checkpoints before training.
RANDOM_STD = 0.02


@dataclass(frozen=True)
class Experts:
    """A mixture's weights: router (E, width), gate_up (E, 2 * inner, width), down (E, width, inner)."""

    router: Tensor
    gate_up: Tensor
    down: Tensor
    per_token: int


@dataclass(frozen=True)
class Gated:
    """A gated block's weights: gate_up (2 * inner, width), down (width, inner)."""

    gate_up: Tensor
    down: Tensor


@dataclass(frozen=True)
class Layer:
    """One layer's weights; queries, keys and values are one matrix, and so are gate and up."""

    before_attention: Tensor
    qkv: Tensor
    qkv_bias: Tensor | None
    qk_norms: tuple[Tensor, Tensor] | None
    out: Tensor
    before_block: Tensor
    block: Gated | Experts


@dataclass(frozen=True)
class Weights:
    """A decoder's weights, shared with the transformers model they came from."""

    embedding: Tensor
    layers: tuple[Layer, ...]
    norm: Tensor
    head: Tensor
    eps: float
    inverse_frequencies: Tensor

    @property
    def bytes_per_step(self) -> int:
        """Bytes of all weights but the embedding, which a step reads a few rows of only."""
        tensors = [self.norm, self.head]
        for layer in self.layers:
            found = [layer.before_attention, layer.qkv, layer.out, layer.before_block]
            found += [layer.block.gate_up, layer.block.down]
            tensors += found if layer.qkv_bias is None else [*found, layer.qkv_bias]
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def configuration(model: Model) -> Any:
    """transformers' configuration of an architecture.

    Raises:
        ValueError: a family that the decoder does not know.
    """
    from transformers import AutoConfig

    if model.family not in FAMILIES:
        raise ValueError(f"the family '{model.family}' is not one of {', '.join(FAMILIES)}")
    values: dict[str, Any] = {
        "hidden_size": model.hidden_size,
        "intermediate_size": model.intermediate_size,
        "num_hidden_layers": model.num_hidden_layers,
        "num_attention_heads": model.num_attention_heads,
        "num_key_value_heads": model.num_key_value_heads,
        "head_dim": model.head_dim,
        "vocab_size": model.vocab_size,
        "max_position_embeddings": model.context_tokens,
        "tie_word_embeddings": model.tied_embeddings,
        "sliding_window": model.sliding_window_tokens,
        "initializer_range": RANDOM_STD,
    }
    if model.family == "mixtral":
        values |= {"num_local_experts": model.experts, "num_experts_per_tok": model.experts_per_token}
    elif model.family == "qwen3_moe":
        values |= {
            "num_experts": model.experts,
            "num_experts_per_tok": model.experts_per_token,
            "moe_intermediate_size": model.intermediate_size,
            "norm_topk_prob": True,
        }
    return AutoConfig.for_model(model.family, **values)


def random_model(model: Model, device: torch.device, dtype: torch.dtype, seed: int) -> nn.Module:
    """A model of that architecture with normal random weights, by transformers' own class."""
    from transformers import AutoModelForCausalLM

    torch.manual_seed(seed)
    with torch.device(device):
        made = AutoModelForCausalLM.from_config(configuration(model), dtype=dtype)
    ready: nn.Module = made.eval().requires_grad_(False)
    return ready


def checkpoint(name: str, model: Model, device: torch.device, dtype: torch.dtype) -> nn.Module:
    """A checkpoint of an architecture, from a folder or a hub; code that comes with one is never run.

    Raises:
        InputError: there is none of that name, or it is of another architecture.
    """
    from transformers import AutoModelForCausalLM

    try:
        loaded = AutoModelForCausalLM.from_pretrained(name, dtype=dtype, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise InputError(
            f"backend.checkpoint={name}: cannot be loaded ({str(error).splitlines()[0]})"
        ) from error
    described = configuration(model)
    wrong = [
        f"{key} {had} and {wanted}"
        for key in SHAPE
        for had, wanted in ((getattr(loaded.config, key, None), getattr(described, key, None)),)
        # Where layers are mixtures, what a dense one would have says nothing.
        if had != wanted and not (key == "intermediate_size" and hasattr(described, "moe_intermediate_size"))
    ]
    if wrong:
        raise InputError(
            f"backend.checkpoint={name}: it is not a checkpoint of {model.name}: {'; '.join(wrong)} as "
            "described: choose the model= that it is of, or give each model one of its own, by "
            "backends.<model>.checkpoint."
        )
    ready: nn.Module = loaded.to(device).eval().requires_grad_(False)
    return ready


def weights_of(causal: Any) -> Weights:
    """The weights of a transformers model, fused. The model keeps working: it now looks into the fused ones.

    Raises:
        ValueError: a family that the decoder does not know.
    """
    family = causal.config.model_type
    if family not in FAMILIES:
        raise ValueError(f"the family '{family}' is not one of {', '.join(FAMILIES)}")
    inner = causal.model
    return Weights(
        embedding=inner.embed_tokens.weight,
        layers=tuple(_layer(layer, causal.config) for layer in inner.layers),
        norm=inner.norm.weight,
        head=causal.lm_head.weight,
        eps=causal.config.rms_norm_eps,
        inverse_frequencies=inner.rotary_emb.inv_freq.float(),
    )


def _layer(layer: Any, config: Any) -> Layer:
    attention = layer.self_attn
    projections = (attention.q_proj, attention.k_proj, attention.v_proj)
    biased = projections[0].bias is not None
    normed = hasattr(attention, "q_norm")
    return Layer(
        before_attention=layer.input_layernorm.weight,
        qkv=_fuse([item.weight for item in projections]),
        qkv_bias=_fuse([item.bias for item in projections]) if biased else None,
        qk_norms=(attention.q_norm.weight, attention.k_norm.weight) if normed else None,
        out=attention.o_proj.weight,
        before_block=layer.post_attention_layernorm.weight,
        block=_block(layer.mlp, config),
    )


def _block(block: Any, config: Any) -> Gated | Experts:
    if not hasattr(block, "experts"):
        gate_up = _fuse([block.gate_proj.weight, block.up_proj.weight])
        return Gated(gate_up, block.down_proj.weight)
    experts = block.experts
    return Experts(block.gate.weight, experts.gate_up_proj, experts.down_proj, config.num_experts_per_tok)


def _fuse(tensors: list[Tensor]) -> Tensor:
    """The tensors one below the other; each becomes a view of its part, so that nothing is held twice."""
    fused = torch.cat([tensor.detach() for tensor in tensors])
    begin = 0
    for tensor in tensors:
        end = begin + tensor.shape[0]
        tensor.data = fused[begin:end]
        begin = end
    return fused
