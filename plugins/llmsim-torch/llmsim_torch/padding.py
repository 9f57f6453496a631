"""How prompts are padded, so that one captured pass serves many lengths."""

from __future__ import annotations

# Passes over no more tokens than this are captured: beyond it, the GPU is slower than what launches its work.
MOST_CAPTURED_TOKENS = 1024
# Prompts are padded to a multiple of the step, up to that many tokens: (tokens, step).
PADDING = ((512, 16), (MOST_CAPTURED_TOKENS, 32))


def padded(tokens: int) -> int:
    """Tokens of a captured pass that holds a prompt of so many."""
    for most, step in PADDING:
        if tokens <= most:
            return -(-tokens // step) * step
    return tokens
