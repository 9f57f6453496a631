"""How prompts are padded, so that one captured pass serves many lengths."""

from __future__ import annotations

# Passes over no more tokens than this are captured: beyond it, the GPU is slower than what launches its work.
MOST_CAPTURED_TOKENS = 1024
# Prompts are padded to a multiple of the step, up to that many tokens: (tokens, step).
PADDING = ((512, 16), (MOST_CAPTURED_TOKENS, 32))
# A pass over so many takes as long as one of the next size that is not named here, or up to 15 % longer (on
# one H200, of models of 1.5, 7 and 13 billion parameters: products divide into tiles), so prompts are padded
# to that. `campaigns/sizes.py` measured it.
SLOW = frozenset((240, 400, 416, 832))


def padded(tokens: int) -> int:
    """Tokens of a captured pass that holds a prompt of so many."""
    for most, step in PADDING:
        if tokens <= most:
            room = -(-tokens // step) * step
            return room if room not in SLOW else padded(room + 1)
    return tokens
