"""How many tokens' keys and values (the KV cache) an instance can hold."""

from __future__ import annotations

import math

from llmsim.errors import InputError
from llmsim.specs.target import Target

# Tokens in a block of KV memory, as in vLLM (Kwon et al., SOSP 2023).
BLOCK_TOKENS = 16
BYTES_PER_GB = 1e9


def kv_blocks(target: Target, memory_fraction: float) -> int | None:
    """Blocks of 16 tokens that fit beside the weights; None where the memory of a device is not known.

    KV heads are divided among the devices; with more devices than heads each device holds a whole one, so
    heads are replicated.

    Raises:
        InputError: the weights and one block do not fit.
    """
    memory_gb = target.hardware.memory_gb
    if memory_gb is None:
        return None
    model, devices = target.model, target.n_devices
    usable_bytes = memory_fraction * memory_gb * BYTES_PER_GB * devices
    copies = math.ceil(devices / model.num_key_value_heads)
    bytes_per_block = BLOCK_TOKENS * model.kv_bytes_per_token * copies
    blocks = int((usable_bytes - model.weight_bytes) // bytes_per_block)
    if blocks < 1:
        raise InputError(
            f"{model.name} does not fit {devices} x {target.hardware.name}: weights of "
            f"{model.weight_bytes / BYTES_PER_GB:.1f} GB and one query's KV cache need more than "
            f"{memory_fraction:g} of {memory_gb * devices:g} GB. Give an instance more devices "
            f"(fleet.devices_per_instance.{model.name}) or choose another hardware."
        )
    return blocks


def longest_query_tokens(target: Target, memory_fraction: float) -> int:
    """Most tokens, prompt and answer together, that one query may have here: context, and memory alone."""
    context = target.model.context_tokens
    if not target.kv_cache:
        return context
    blocks = kv_blocks(target, memory_fraction)
    window = target.model.sliding_window_tokens
    if blocks is None or (window is not None and window <= blocks * BLOCK_TOKENS):
        return context
    return min(context, blocks * BLOCK_TOKENS)
