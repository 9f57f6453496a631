"""Models of toy size."""

from types import SimpleNamespace

import torch

from llmsim.api import Target
from llmsim_torch.weights import random_model

SHAPE = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "vocab_size": 96,
    "context_tokens": 256,
    "tied_embeddings": False,
    "sliding_window_tokens": None,
    "experts": 0,
    "experts_per_token": 0,
}
FAMILIES = {
    "llama": {},
    "mistral": {"sliding_window_tokens": 12},
    "qwen2": {},
    "qwen3": {"tied_embeddings": True},
    "mixtral": {"experts": 4, "experts_per_token": 2},
    "qwen3_moe": {"experts": 4, "experts_per_token": 2},
}


def described(family="llama"):
    return SimpleNamespace(name=f"tiny-{family}", family=family, **(SHAPE | FAMILIES[family]))


def made(family="llama"):
    return random_model(described(family), torch.device("cpu"), torch.float32, seed=0)


def target(family="llama", kv_cache=True, precision="fp32"):
    return Target(described(family), SimpleNamespace(name="cpu"), 1, precision, kv_cache, 8)


def deployment(discipline="serial", max_batch=1, **about):
    return SimpleNamespace(name="tiny", target=target(**about), discipline=discipline, max_batch=max_batch)
