"""How many parameters an architecture has, counted from its dimensions."""

from __future__ import annotations

from dataclasses import dataclass

from llmsim.specs.model import Model

BYTES_PER_BF16 = 2


@dataclass(frozen=True)
class ParameterCount:
    """Parameters of a model.

    Attributes:
        total: all of them.
        active: those one token touches (its experts only).
    """

    total: int
    active: int


def count_parameters(model: Model) -> ParameterCount:
    """Parameters of a decoder: embedding, layers, last norm, and an output head unless it is tied.

    A layer has attention, an MLP (or a router and its experts) and norms. Positions have no parameters in
    the architectures described here (rotary, or ALiBi).
    """
    heads = 1 if model.tied_embeddings else 2
    outside = heads * model.vocab_size * model.hidden_size + (1 + model.embedding_norm) * _norm(model)
    shared = _attention(model) + model.norms_per_layer * _norm(model) + model.hidden_size * model.experts
    layers = model.num_hidden_layers
    return ParameterCount(
        total=outside + layers * (shared + max(1, model.experts) * _mlp(model)),
        active=outside + layers * (shared + max(1, model.experts_per_token) * _mlp(model)),
    )


def count_kv_bytes_per_token(model: Model, bytes_per_value: int = BYTES_PER_BF16) -> int:
    """Bytes of keys and values that one token adds to the cache, over all layers."""
    per_layer = 2 * model.num_key_value_heads * model.head_dim
    return model.num_hidden_layers * per_layer * bytes_per_value


def _attention(model: Model) -> int:
    """Parameters of a layer's projections of queries, keys, values and output, with biases and norms."""
    queries = model.num_attention_heads * model.head_dim
    keys_values = 2 * model.num_key_value_heads * model.head_dim
    matrices = model.hidden_size * (queries + keys_values) + queries * model.hidden_size
    biases = model.qkv_bias * (queries + keys_values) + model.linear_bias * model.hidden_size
    return matrices + biases + model.qk_norm * 2 * model.head_dim


def _mlp(model: Model) -> int:
    """Parameters of one block, or of one expert."""
    matrices = model.mlp_matrices * model.hidden_size * model.intermediate_size
    biases = (model.mlp_matrices - 1) * model.intermediate_size + model.hidden_size
    return matrices + model.linear_bias * biases


def _norm(model: Model) -> int:
    return model.hidden_size * (1 + model.norm_bias)
