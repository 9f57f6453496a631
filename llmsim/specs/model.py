"""A language model: architecture, sizes, context and accuracy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from llmsim.config import parse
from llmsim.errors import InputError
from llmsim.specs.checks import require_positive

# Figures that are above zero wherever they are known.
POSITIVE = (
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "vocab_size",
    "mlp_matrices",
    "norms_per_layer",
    "context_tokens",
    "sliding_window_tokens",
    "param_count",
    "active_param_count",
    "weight_bytes",
    "kv_bytes_per_token",
)


@dataclass(frozen=True)
class Model:
    """A language model, one YAML in `conf/model`.

    Attributes:
        name: the name in `conf/model` and in every table.
        title, hf_id: the name people use, and the checkpoint's.
        hidden_size .. mlp_matrices: architecture dimensions (`intermediate_size` is one expert's; `experts`
            is 0 for a dense model; `mlp_matrices` is 3 for gated blocks, 2 for plain ones).
        family: the architecture, by the name its checkpoints give it (llama, qwen2, ...).
        qkv_bias, linear_bias: biases on the query, key and value projections; on every other matrix of a
            layer.
        qk_norm: a norm of `head_dim` on queries and one on keys.
        norms_per_layer, norm_bias, embedding_norm: norms of `hidden_size` in a layer; whether a norm has a
            bias beside its scale; a norm after the embedding.
        context_tokens: the longest prompt plus answer, tokens.
        sliding_window_tokens: attention window, tokens; None when attention is full.
        param_count, active_param_count: parameters, and those one token touches.
        weight_bytes: bytes of the weights in bf16.
        kv_bytes_per_token: bytes of KV cache one token takes, bf16, all layers.
        accuracy_pct: the accuracy score A_K of the paper, percent; None where no score is known.
        accuracy_source, dims_source: where the figures are from, or why there is none.
        trials_model: the `model` of its rows in the trials; None: the same as `name`.
    """

    name: str
    title: str
    hf_id: str
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    vocab_size: int
    experts: int
    experts_per_token: int
    mlp_matrices: int
    tied_embeddings: bool
    context_tokens: int
    param_count: int
    active_param_count: int
    weight_bytes: int
    kv_bytes_per_token: int
    family: str = ""
    qkv_bias: bool = False
    linear_bias: bool = False
    qk_norm: bool = False
    norms_per_layer: int = 2
    norm_bias: bool = False
    embedding_norm: bool = False
    sliding_window_tokens: int | None = None
    accuracy_pct: float | None = None
    accuracy_source: str | None = None
    dims_source: str = ""
    trials_model: str | None = None

    @property
    def trials_name(self) -> str:
        """The `model` of its rows in the trials."""
        return self.trials_model or self.name

    @classmethod
    def from_config(cls, name: str, node: Mapping[str, Any]) -> Model:
        """The model described by a configuration node.

        Raises:
            InputError: an unknown key, a value of the wrong type, or a figure that no model can have.
        """
        where = f"model.{name}"
        model = parse(cls, {**node, "name": name}, where)
        for key in POSITIVE:
            require_positive(getattr(model, key), f"{where}.{key}")
        if model.accuracy_pct is not None and not 0 <= model.accuracy_pct <= 100:
            raise InputError(f"{where}.accuracy_pct: {model.accuracy_pct} is not a percentage, 0 to 100.")
        if model.num_attention_heads % model.num_key_value_heads:
            raise InputError(
                f"{where}.num_key_value_heads: {model.num_key_value_heads} does not divide the "
                f"{model.num_attention_heads} attention heads."
            )
        fewest = min(1, model.experts)
        if not fewest <= model.experts_per_token <= model.experts:
            raise InputError(
                f"{where}.experts_per_token: {model.experts_per_token} of {model.experts} experts; a dense "
                "model has 0 of 0, a mixture at least 1."
            )
        return model
