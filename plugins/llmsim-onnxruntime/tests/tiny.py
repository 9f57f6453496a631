"""Models of toy size."""

from types import SimpleNamespace

from llmsim.api import Target
from llmsim_onnxruntime.weights import random_tensor, shapes

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
    "qkv_bias": False,
    "qk_norm": False,
    "sliding_window_tokens": None,
}
FAMILIES = {
    "llama": {},
    "mistral": {"sliding_window_tokens": 12},
    "qwen2": {"qkv_bias": True, "tied_embeddings": True},
    "qwen3": {"qk_norm": True, "num_key_value_heads": 4},
}
# With weights spread as a large model's, all logits of so small a one are alike.
LOUDER = 20


def described(family="llama", **about):
    return SimpleNamespace(name=f"tiny-{family}", family=family, **(SHAPE | FAMILIES.get(family, {}) | about))


def target(family="llama", kv_cache=True, precision="fp32", **about):
    return Target(described(family, **about), SimpleNamespace(name="cpu"), 1, precision, kv_cache, 8)


def deployment(discipline="serial", max_batch=1, **about):
    return SimpleNamespace(name="tiny", target=target(**about), discipline=discipline, max_batch=max_batch)


def loud(model):
    """The tensors of a model by name, matrices louder."""
    every = shapes(model)

    def tensor(name):
        drawn = random_tensor(name, every[name], seed=0)
        return drawn * LOUDER if drawn.ndim == 2 else drawn

    return tensor
