"""What Zeus does not tell of a GPU, asked of the vendor's own library by the handle that Zeus holds."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

MILLI, MICRO = 1e-3, 1e-6


@dataclass(frozen=True)
class Known:
    """What a vendor's library says of a GPU; None or False where it does not.

    Attributes:
        uuid: the GPU's identity.
        default_limit_w: the power limit that the board came with, W.
        divided: whether the GPU is divided (MIG), so that its meter counts every tenant.
    """

    uuid: str | None = None
    default_limit_w: float | None = None
    divided: bool = False


def known_of(gpu: Any) -> Known:
    """What its vendor says of a GPU of Zeus's; nothing of one that is of neither vendor."""
    handle, vendor = getattr(gpu, "handle", None), type(gpu).__name__
    if handle is not None and "NVIDIA" in vendor:
        return _nvidia(importlib.import_module("pynvml"), handle)
    if handle is not None and "AMD" in vendor:
        return _amd(importlib.import_module("zeus.device.gpu.amd").amdsmi, handle)
    return Known()


def bare(uuid: str) -> str:
    """An identity without what is written around it.

    HIP has 16 bytes of text where CUDA has 16 bytes; frameworks write both as hexadecimal digits.
    """
    digits = uuid.lower().removeprefix("gpu-").removeprefix("0x").replace("-", "")
    try:
        text = bytes.fromhex(digits).decode("ascii")
        int(text, 16)
    except ValueError:
        return digits
    return text.lower() if len(text) == 16 else digits


def _nvidia(pynvml: Any, handle: Any) -> Known:
    """By NVML."""
    uuid = _asked(lambda: pynvml.nvmlDeviceGetUUID(handle))
    limit = _asked(lambda: pynvml.nvmlDeviceGetPowerManagementDefaultLimit(handle))
    mode = _asked(lambda: pynvml.nvmlDeviceGetMigMode(handle))
    return Known(uuid, None if limit is None else limit * MILLI, mode is not None and mode[0] == 1)


def _amd(amdsmi: Any, handle: Any) -> Known:
    """By AMD SMI."""
    info = _asked(lambda: amdsmi.amdsmi_get_gpu_enumeration_info(handle)) or {}
    cap = _asked(lambda: amdsmi.amdsmi_get_power_cap_info(handle)) or {}
    limit = cap.get("default_power_cap")
    return Known(info.get("hip_uuid") or None, limit * MICRO if isinstance(limit, int) else None)


def _asked(question: Callable[[], Any]) -> Any:
    """The answer; None where a board, driver or release of the library has none."""
    try:
        return question()
    except Exception:  # each vendor's library has errors of its own, with no base in common
        return None
