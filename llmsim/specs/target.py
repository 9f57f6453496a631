"""What is measured: a model on a hardware, under stated conditions."""

from __future__ import annotations

from dataclasses import dataclass

from llmsim.specs.hardware import Hardware
from llmsim.specs.model import Model


@dataclass(frozen=True)
class Target:
    """A model on a hardware; what a backend opens. Has no curves.

    Attributes:
        n_devices: devices of one instance.
        precision: such as ``bf16``.
        kv_cache: whether keys and values of earlier tokens are kept.
        max_batch: most queries served together.
    """

    model: Model
    hardware: Hardware
    n_devices: int
    precision: str
    kv_cache: bool
    max_batch: int
