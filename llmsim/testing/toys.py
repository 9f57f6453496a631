"""A model of toy size, and what serves it: what a backend's own tests run in milliseconds.

>>> from llmsim.testing import toy_deployment
>>> engine = MyBackend(device="cpu").open(toy_deployment("mixtral", kv_cache=False))
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from llmsim.api import Cost, Deployment, Hardware, Model, Target
from llmsim.curves.cost import IntArray
from llmsim.specs.parameters import count_kv_bytes_per_token, count_parameters

BATCH = 8
# What each family has that the plainest, llama, has not.
FAMILIES: Mapping[str, Mapping[str, Any]] = {
    "llama": {},
    "mistral": {"sliding_window_tokens": 12},
    "qwen2": {"qkv_bias": True, "tied_embeddings": True},
    "qwen3": {"qk_norm": True, "num_key_value_heads": 4},
    "mixtral": {"experts": 4, "experts_per_token": 2},
    "qwen3_moe": {"qk_norm": True, "experts": 4, "experts_per_token": 2},
}


@dataclass(frozen=True)
class ToyCurve:
    """A joule and a hundredth of a second a token; a backend that measures asks nothing of it."""

    def cost(self, tau_in: IntArray, tau_out: IntArray) -> Cost:
        """By tokens, prompt and answer alike."""
        tokens = (tau_in + tau_out).astype(np.float64)
        nothing = np.zeros(len(tokens))
        return Cost(0.01 * tokens, nothing, tokens, nothing, np.zeros(len(tokens), dtype=bool))


def toy_model(family: str = "llama", **changes: Any) -> Model:
    """A whole model of two small layers, with what its family has.

    Args:
        family: one of `FAMILIES`; any other is as llama, for what must be refused.
        changes: fields of `Model` that should be otherwise.
    """
    shape: dict[str, Any] = {
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "vocab_size": 96,
        "experts": 0,
        "experts_per_token": 0,
        "mlp_matrices": 3,
        "tied_embeddings": False,
        "context_tokens": 256,
        **dict.fromkeys(("param_count", "active_param_count", "weight_bytes", "kv_bytes_per_token"), 0),
        **FAMILIES.get(family, {}),
        **changes,
    }
    name = f"toy-{family}"
    model = Model(name=name, title=name, hf_id=name, family=family, **shape)
    counted = count_parameters(model)
    return replace(
        model,
        param_count=counted.total,
        active_param_count=counted.active,
        weight_bytes=2 * counted.total,
        kv_bytes_per_token=count_kv_bytes_per_token(model),
    )


def toy_target(
    family: str = "llama", *, kv_cache: bool = True, precision: str = "fp32", **changes: Any
) -> Target:
    """A toy model on a CPU, in batches of up to eight; the rest as in `toy_model`."""
    hardware = Hardware(
        name="toy-cpu",
        title="a CPU",
        device="CPU",
        kind="cpu",
        devices_per_node=1,
        peak_tflops=None,
        peak_dtype=None,
        bandwidth_gb_s=None,
        tdp_w=None,
        energy_scope="none",
    )
    return Target(toy_model(family, **changes), hardware, 1, precision, kv_cache, BATCH)


def toy_deployment(family: str = "llama", *, discipline: str = "serial", **about: Any) -> Deployment:
    """One instance of a toy target; its discipline as in `Deployment`, the rest as in `toy_target`."""
    target = toy_target(family, **about)
    return Deployment(f"{target.model.name}@{target.hardware.name}", target, ToyCurve(), discipline, 1, 1.0)
