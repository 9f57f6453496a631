"""A language model: architecture, sizes, context and accuracy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from llmsim.config import parse


@dataclass(frozen=True)
class Model:
    """A language model, one YAML in `conf/model`.

    Attributes:
        name: the name in `conf/model` and in every table.
        title, hf_id: the name people use, and the checkpoint's.
        hidden_size .. mlp_matrices: architecture dimensions (`intermediate_size` is one expert's; `experts`
            is 0 for a dense model; `mlp_matrices` is 3 for gated blocks, 2 for plain ones).
        context_tokens: the longest prompt plus answer, tokens.
        sliding_window_tokens: attention window, tokens; None when attention is full.
        param_count, active_param_count: parameters, and those one token touches.
        weight_bytes: bytes of the weights in bf16.
        kv_bytes_per_token: bytes of KV cache one token takes, bf16, all layers.
        accuracy_pct: the accuracy score A_K of the paper, percent; None where no score is known.
        accuracy_source, dims_source: where the figures are from.
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
    sliding_window_tokens: int | None = None
    accuracy_pct: float | None = None
    accuracy_source: str | None = None
    dims_source: str = ""
    trials_model: str | None = None

    @classmethod
    def from_config(cls, name: str, node: Mapping[str, Any]) -> Model:
        """The model described by a configuration node; raises InputError on unknown keys or types."""
        return parse(cls, {**node, "name": name}, f"model.{name}")
