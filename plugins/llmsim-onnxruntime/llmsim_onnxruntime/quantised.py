"""Matrices in 4 or 8 bits, in blocks of inputs that share a scale, as MatMulNBits reads them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BLOCK = 32
# Rows that are quantised at once: so few that what is worked out on the way stays in the processor's cache.
ROWS_AT_ONCE = 256
# Bits of a weight, by the number format that a target states.
BITS = {"int8": 8, "int4": 4}


@dataclass(frozen=True)
class Quantised:
    """A matrix (outputs, inputs): `data` (outputs, blocks, bytes of a block), `scales` (outputs, blocks)."""

    data: NDArray[np.uint8]
    scales: NDArray[np.float32]
    bits: int

    def dense(self, inputs: int) -> NDArray[np.float32]:
        """The weights that the numbers stand for, shape (outputs, inputs)."""
        levels = self.data
        if self.bits == 4:
            levels = np.stack([self.data & 15, self.data >> 4], axis=-1).reshape(*self.data.shape[:2], BLOCK)
        middle = 1 << (self.bits - 1)
        weights = (levels.astype(np.float32) - middle) * self.scales[:, :, None]
        return weights.reshape(len(weights), -1)[:, :inputs]


def quantise(matrix: NDArray[np.float32], bits: int) -> Quantised:
    """The nearest matrix (outputs, inputs) in so many bits: symmetric, a block's largest weight outermost."""
    parts = [
        _levels(matrix[begin : begin + ROWS_AT_ONCE], bits) for begin in range(0, len(matrix), ROWS_AT_ONCE)
    ]
    levels, scales = zip(*parts, strict=True)
    return Quantised(np.concatenate(levels), np.concatenate(scales), bits)


def _levels(matrix: NDArray[np.float32], bits: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Levels of some rows, two to a byte for 4 bits, and the scales of their blocks."""
    outputs, inputs = matrix.shape
    blocks = -(-inputs // BLOCK)
    padded = np.pad(matrix, ((0, 0), (0, blocks * BLOCK - inputs))).reshape(outputs, blocks, BLOCK)
    middle = 1 << (bits - 1)
    largest = np.maximum(np.abs(padded).max(axis=2), np.finfo(np.float32).tiny)
    scales = (largest / (middle - 1)).astype(np.float32)
    levels = (np.rint(padded / scales[:, :, None]) + middle).astype(np.uint8)
    if bits == 4:
        levels = levels[:, :, ::2] | (levels[:, :, 1::2] << 4)
    return levels, scales
